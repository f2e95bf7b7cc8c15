// SPDX-License-Identifier: Apache-2.0
// Why nobody gets a request, in words that say what to do.

import type { DestinationRule } from '../api/destination-rule.ts';
import { refOf } from '../api/kind.ts';
import { BLACK_HOLE, PASSTHROUGH } from '../envoy/names.ts';
import type { Outcome } from '../envoy/simulate/outcome.ts';
import { qualifyHost } from '../model/hosts.ts';
import type { Dial, Hop, Trail } from './crossing.ts';
import { readDestination } from './describe-destination.ts';
import type { Mesh, MeshCluster } from './mesh.ts';
import type { Destination, Ending, Place, Why } from './path.ts';
import { nameOf, whyOfOrigin } from './why.ts';

export interface Refusal {
  readonly text: string;
  readonly cure?: string;
  readonly why?: readonly Why[];
  readonly at?: Place;
  /** Of HTTP; absent: 503 where a proxy on the way has opened the request, else none. */
  readonly status?: number;
}

export function refuse(
  trail: Trail,
  isHttp: boolean,
  { text, cure, why = trail.why, at, status: own }: Refusal,
): Ending {
  const status = own ?? (isHttp && trail.isOpened === true ? 503 : undefined);
  return {
    kind: 'refused',
    probability: 1,
    ...endingOf(trail),
    ...(at && { at }),
    ...(status !== undefined && { status }),
    text: status === undefined ? text : `${status}: ${text}`,
    ...(cure !== undefined && { cure }),
    why,
  };
}

/** What every ending has of the way to it. */
export function endingOf({
  via,
  chosen,
  destination,
  rule,
}: Trail): Pick<Ending, 'via' | 'chosen' | 'destination' | 'rule'> {
  return { via, ...(chosen && { chosen }), ...(destination && { destination }), ...(rule && { rule }) };
}

/** A proxy that refuses the connection. */
export function refusedBy(mesh: Mesh, hop: Hop, { why, listener }: Extract<Outcome, { kind: 'refuse' }>): Refusal {
  const { at, carried, address, port, direction } = hop;
  const name = `${at.workload} in ${at.cluster}`;
  if (direction === 'inbound' && carried.tls === undefined) {
    const blamed = hop.trail.why.filter(({ kind }) => kind === 'DestinationRule');
    const [rule] = blamed;
    if (hop.trail.destination?.cluster === PASSTHROUGH) {
      const text = `no listener of the caller’s takes it, and ${name} takes nothing but the mesh’s mutual TLS`;
      return { text, cure: `name the Service’s port by what it speaks (spec.ports[].name: tcp, tls, http, ...)`, at };
    }
    const cure =
      rule === undefined
        ? 'the caller needs a sidecar: label its namespace istio-injection=enabled and restart it'
        : `take mode ${modeOf(mesh, rule) ?? 'DISABLE'} out of ${nameOf(rule)}, or write ISTIO_MUTUAL`;
    return {
      text: `${name} takes nothing but the mesh’s mutual TLS, and what comes is in the clear`,
      cure,
      why: blamed,
      at,
    };
  }
  if (direction === 'outbound' && why.includes('black hole')) {
    const cure =
      'write a ServiceEntry for it, or outboundTrafficPolicy.mode: ALLOW_ANY in the mesh’s settings or the Sidecar';
    return {
      text: `nothing of the mesh is at ${address}:${port}, and outboundTrafficPolicy lets nothing else out`,
      cure,
      at,
    };
  }
  if (why === 'the port speaks HTTP') {
    const text = `port ${port} is HTTP by the name of the Service’s port, and this is none`;
    return { text, cure: 'name the port tcp or tls (spec.ports[].name), or speak HTTP to it', at };
  }
  const sni = carried.tls?.serverName ?? '';
  if (direction === 'gateway' && sni.startsWith('outbound_.')) return unknownServerName(mesh, hop, sni);
  if (direction === 'gateway' && hop.resources.compiled.intent.gateway?.httpPorts.length === 0) {
    const cure = `write a Gateway that selects it, with a server of port ${port}`;
    return { text: `${name}: ${why}`, cure, at };
  }
  if (direction === 'gateway' && listener === '') {
    const cure = `write a Gateway that selects it, with a server of the port that its Service leads to ${port}`;
    return { text: `${name}: ${why}`, cure, at };
  }
  if (why.includes('client certificate')) {
    const text = `${name} asks for a certificate of the mesh, and ${carried.tls?.by.workload ?? 'the client'} shows none`;
    return { text, cure: 'tls.mode ISTIO_MUTUAL of the DestinationRule has the sidecar show its own', at };
  }
  const who = carried.tls === undefined ? 'in the clear' : `with server name "${sni}"`;
  return { text: `${name}: ${why} (${who}, port ${port})`, at };
}

/** The far gateway closes what it does not know the name of. */
function unknownServerName(mesh: Mesh, { at, cluster }: Hop, sni: string): Refusal {
  const { host, subset, port } = readDestination(sni);
  const start = `the gateway of ${at.cluster} closes the connection`;
  const [name = '', namespace = ''] = host.split('.');
  const local = `${name}.${namespace}.svc.cluster.local`;
  const service = mesh.object(cluster.id, 'Service', namespace, name);
  if (service === undefined) {
    const text = `${start}: ${at.cluster} has no Service ${namespace}/${name}`;
    return { text, cure: `create it there, or leave ${at.cluster} out of the endpoints of ${host}`, at };
  }
  const ports = ((service.object['spec'] as { ports?: readonly { port: number }[] } | undefined)?.ports ?? []).map(
    (each) => each.port,
  );
  if (port !== undefined && !ports.includes(port)) {
    const text = `${start}: Service ${namespace}/${name} of ${at.cluster} has no port ${port} (it has ${ports.join(', ')})`;
    return {
      text,
      cure: 'both clusters need the same ports',
      at,
      why: [whyOfOrigin(mesh, cluster, { object: refOf(service.object), field: 'spec.ports' })],
    };
  }
  const rules = rulesFor(cluster, local);
  const known = [...new Set(rules.flatMap(({ spec }) => spec.subsets.map((each) => each.name)))];
  if (subset !== '' && !known.includes(subset)) {
    const whys = rules.map(({ ref }) => whyOfOrigin(mesh, cluster, { object: ref, field: 'spec.subsets' }));
    const text = `${start}: ${rules.length === 0 ? `no DestinationRule of ${at.cluster} is for ${local}, so that there is no subset ${subset}` : `${whys.map(nameOf).join(', ')} of ${at.cluster} has no subset ${subset} (it has ${known.join(', ') || 'none'})`}`;
    return { text, cure: `write subset ${subset} into a DestinationRule for ${local} in ${at.cluster}`, at, why: whys };
  }
  return {
    text: `${start}: it does not serve ${sni}`,
    cure: `see whether the service is exported from ${at.cluster}, and to everybody (exportTo)`,
    at,
  };
}

/** DestinationRules for the host, or for the name that other clusters know it by. */
function rulesFor({ plane }: MeshCluster, host: string): readonly DestinationRule[] {
  const { index } = plane.snapshot;
  return index.destinationRules.filter(
    ({ spec, ref }) => qualifyHost(spec.host, ref.namespace, index.settings.dnsDomain) === host,
  );
}

function modeOf(mesh: Mesh, { cluster, kind, namespace, name }: Why): string | undefined {
  const spec = mesh.object(cluster, kind, namespace, name)?.object['spec'] as
    | { trafficPolicy?: { tls?: { mode?: string } } }
    | undefined;
  return spec?.trafficPolicy?.tls?.mode;
}

/** A route leads to a destination that the proxy has not got. */
export function noSuchDestination(mesh: Mesh, { cluster, at }: Hop, destination: Destination): Refusal {
  const { host, subset, port } = destination;
  if (destination.cluster === BLACK_HOLE) return { text: 'it leads into the black hole', at };
  const services = cluster.plane.snapshot.index.servicesByHost.get(host) ?? [];
  if (services.length === 0) {
    const cure = `write a Service or a ServiceEntry for ${host}, or mend the rule’s destination.host`;
    return {
      text: `the rule leads to ${host}, which no Service and no ServiceEntry of ${cluster.plane.id} has`,
      cure,
      at,
    };
  }
  const ports = [...new Set(services.flatMap((service) => service.ports.map(({ number }) => number)))];
  const why = services.map(({ origin }) => whyOfOrigin(mesh, cluster, { object: origin, field: 'spec.ports' }));
  if (port !== undefined && !ports.includes(port))
    return {
      text: `${host} has no port ${port} (it has ${ports.join(', ')})`,
      cure: 'mend the rule’s destination.port',
      at,
      why,
    };
  const rules = rulesFor(cluster, host);
  const whys = rules.map(({ ref }) => whyOfOrigin(mesh, cluster, { object: ref, field: 'spec.subsets' }));
  const known = [...new Set(rules.flatMap(({ spec }) => spec.subsets.map(({ name }) => name)))];
  if (subset !== '' && !known.includes(subset)) {
    const where =
      rules.length === 0
        ? `no DestinationRule is for ${host}`
        : `${whys.map(nameOf).join(', ')} has no such subset (it has ${known.join(', ') || 'none'})`;
    return {
      text: `the rule leads to subset ${subset} of ${host}, and ${where}`,
      cure: `write subset ${subset} into a DestinationRule for ${host}`,
      at,
      why: whys,
    };
  }
  return {
    text: `${at.workload} has no destination ${destination.cluster}`,
    cure: 'see whether a Sidecar, or exportTo, hides it from the caller',
    at,
    why,
  };
}

export function noEndpoints(
  mesh: Mesh,
  { cluster, at }: Hop,
  { host, subset }: Destination,
  why: readonly Why[],
): Refusal {
  const { index, endpoints } = cluster.plane.snapshot;
  const [service] = index.servicesByHost.get(host) ?? [];
  const all = service === undefined ? [] : (endpoints.get(service.key) ?? []);
  const what = subset === '' ? host : `subset ${subset} of ${host}`;
  const [namespace = '', name = ''] = [service?.origin.namespace, service?.origin.name];
  if (all.length > 0 && subset !== '') {
    const [rule] = rulesFor(cluster, host);
    const labels = rule?.spec.subsets.find((each) => each.name === subset)?.labels ?? {};
    const wanted = Object.entries(labels)
      .map(([key, value]) => `${key}=${value}`)
      .join(', ');
    const text = `${what} has no ready endpoint: none of the ${all.length} of ${host} has ${wanted || 'what it asks for'}`;
    return { text, cure: 'start such pods, or mend the subset’s labels', at, why };
  }
  if (all.length > 0) {
    const networks = [...new Set(all.map(({ network }) => network || '(none)'))].join(', ');
    const text = `${what} has ${all.length} endpoints, and this proxy reaches none of them (network ${networks})`;
    return { text, cure: 'see the networks’ gateways: isthmus analyze', at, why };
  }
  const cure =
    service?.registry === 'service-entry'
      ? `write endpoints into ${nameOf(whyOfOrigin(mesh, cluster, { object: service.origin, field: '' }))}`
      : `see its pods: kubectl --context ${cluster.id} -n ${namespace} get endpointslices -l kubernetes.io/service-name=${name}`;
  return { text: `${what} has no ready endpoint`, cure, at, why };
}

/** Nobody of the clusters is at the address. */
export function nobodyAt(mesh: Mesh, { address, port, by, from }: Dial): Refusal {
  const { services } = from.plane.snapshot.index;
  const service = [...services.values()].find(({ addresses, allocated = [] }) =>
    [...addresses, ...allocated].includes(address),
  );
  if (service === undefined)
    return {
      text: `nobody is at ${address}:${port}, as seen from ${by.cluster}`,
      cure: 'see whether the address is right, and the pod still there',
    };
  const why = whyOfOrigin(mesh, from, { object: service.origin, field: 'spec.ports' });
  const known = service.ports.find(({ number }) => number === port);
  const ports = service.ports.map(({ number }) => number).join(', ');
  const start = `${address} is ${nameOf(why)}’s, an address that sidecars alone know`;
  return known === undefined
    ? { text: `${start}, and it has no port ${port} (it has ${ports})`, cure: 'mend the port', why: [why] }
    : {
        text: `${start}, and no listener of the caller’s takes this: port ${port} speaks ${known.protocol} there`,
        cure: 'speak that to it, or name the port by what it speaks (tcp, tls, http, ...) where the service is exported or written',
        why: [why],
      };
}
