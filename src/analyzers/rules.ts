// SPDX-License-Identifier: Apache-2.0
// Rules that are well-formed, fit what is there, and still do not do what they seem to.
import type { Destination } from '../api/destination.ts';
import type { TlsSettings } from '../api/destination-rule.ts';
import type { Diagnostic } from '../api/diagnostics.ts';
import { selects } from '../api/kubernetes.ts';
import { isForMesh, type VirtualServiceSpec } from '../api/virtual-service.ts';
import { qualifyHost } from '../model/hosts.ts';
import { type Labels, type Rule, say, type World } from './world.ts';

export function checkRules(world: World): Diagnostic[] {
  return [
    ...checkPorts(world),
    ...checkGatewayRoutes(world),
    ...checkServerCertificates(world),
    ...checkPatches(world),
    ...checkSharedCertificates(world),
    ...checkProtocols(world),
    ...checkProviders(world),
  ];
}

interface Leading {
  readonly destination: Destination;
  readonly field: string;
}

function destinationsOf(spec: VirtualServiceSpec): Leading[] {
  return (['http', 'tls', 'tcp'] as const).flatMap((kind) =>
    spec[kind].flatMap((route, i) =>
      route.route.map(({ destination }, j) => ({ destination, field: `spec.${kind}[${i}].route[${j}].destination` })),
    ),
  );
}

/** A request keeps its port, unless another is named: to the host that was called, that is what was meant. */
function checkPorts(world: World): Diagnostic[] {
  const portsOf = new Map<string, readonly number[]>();
  for (const { service } of world.services) {
    portsOf.set(
      `${service.ref.name}.${service.ref.namespace}.svc.${world.dnsDomain}`,
      service.ports.map(({ number }) => number),
    );
  }
  for (const { spec } of world.serviceEntries) {
    for (const host of spec.hosts)
      portsOf.set(
        host,
        spec.ports.map(({ number }) => number),
      );
  }
  return world.virtualServices.flatMap((rule) => {
    const hosts = isForMesh(rule.spec) ? rule.spec.hosts.map((host) => hostOf(host, rule, world)) : [];
    // Of a gateway, the port is its own; of a host that nobody knows, any.
    const dialled = boundGateways(rule).length > 0 ? undefined : hosts.map((host) => portsOf.get(host));
    return destinationsOf(rule.spec).flatMap(({ destination, field }) => {
      const host = hostOf(destination.host, rule, world);
      const ports = portsOf.get(host) ?? [];
      const isKept = dialled?.every((known) => known?.every((port) => ports.includes(port)) === true) === true;
      if (destination.port !== undefined || ports.length < 2 || hosts.includes(host) || isKept) return [];
      const message = `${host} has ports ${ports.join(', ')}, and the route does not say to which of them it leads`;
      return [say(rule, 'ISM0416', `${field}.port`, message, 'add port with one of the numbers')];
    });
  });
}

function boundGateways({ spec }: Rule<VirtualServiceSpec>): string[] {
  return spec.gateways.filter((gateway) => gateway !== 'mesh');
}

function hostOf(host: string, { namespace }: Rule<unknown>, { dnsDomain }: World): string {
  return qualifyHost(host, namespace, dnsDomain);
}

/** What comes by a gateway is routed there and then, by the gateway's rules alone. */
function checkGatewayRoutes(world: World): Diagnostic[] {
  const choosing = new Map<string, string>();
  for (const rule of world.virtualServices.filter(({ spec }) => isForMesh(spec))) {
    const own = new Set(rule.spec.hosts.map((host) => hostOf(host, rule, world)));
    for (const { destination } of destinationsOf(rule.spec)) {
      const host = hostOf(destination.host, rule, world);
      if (destination.subset !== undefined && own.has(host)) choosing.set(host, `${rule.namespace}/${rule.name}`);
    }
  }
  return world.virtualServices
    .filter((rule) => boundGateways(rule).length > 0)
    .flatMap((rule) =>
      destinationsOf(rule.spec).flatMap(({ destination, field }) => {
        const by = choosing.get(hostOf(destination.host, rule, world));
        if (by === undefined || destination.subset !== undefined || by === `${rule.namespace}/${rule.name}`) return [];
        const message = `VirtualService ${by} chooses among the subsets of ${destination.host} for callers in the mesh, and not for what comes by the gateway: that goes to all of them`;
        return [
          say(rule, 'ISM0427', field, message, 'say the subset here as well, or let this route be for all of them'),
        ];
      }),
    );
}

/** Istio tells of what names no caCertificates. Here the system's roots stand in for them: worth knowing, and no hole. */
function checkServerCertificates({ destinationRules }: World): Diagnostic[] {
  return destinationRules.flatMap((rule) => {
    const { trafficPolicy, subsets, host } = rule.spec;
    const policies = [
      { policy: trafficPolicy, field: 'spec.trafficPolicy' },
      ...subsets.map((subset, i) => ({ policy: subset.trafficPolicy, field: `spec.subsets[${i}].trafficPolicy` })),
    ];
    return policies.flatMap(({ policy, field }) => [
      ...judgeTls(rule, policy?.tls, 'ISM0417', `${field}.tls`, host),
      ...(policy?.portLevelSettings ?? []).flatMap(({ tls, port }, i) =>
        judgeTls(rule, tls, 'ISM0418', `${field}.portLevelSettings[${i}].tls`, `${host}:${port.number}`),
      ),
    ]);
  });
}

function judgeTls(
  rule: Rule<unknown>,
  tls: TlsSettings | undefined,
  code: 'ISM0417' | 'ISM0418',
  field: string,
  whom: string,
): Diagnostic[] {
  if (tls === undefined || !['SIMPLE', 'MUTUAL'].includes(tls.mode)) return [];
  if (tls.insecureSkipVerify === true) {
    const cure = 'remove insecureSkipVerify, and name the roots of the server’s CA by caCertificates';
    return [say(rule, code, field, `TLS to ${whom} takes any certificate, whoever answers`, cure)];
  }
  if (tls.caCertificates || tls.credentialName) return [];
  const message = `${whom} is verified by the public CAs that the proxy’s image has, since no caCertificates name others`;
  return [say(rule, code, field, message, 'add caCertificates where the server’s CA is another', 'info')];
}

const RELATIVE = new Set(['REMOVE', 'REPLACE', 'INSERT_BEFORE', 'INSERT_AFTER']);

function checkPatches({ envoyFilters }: World): Diagnostic[] {
  return envoyFilters.flatMap((rule) => {
    if (rule.spec.priority !== 0) return [];
    return rule.spec.configPatches.flatMap(({ patch, match }, i) => {
      if (!RELATIVE.has(patch.operation)) return [];
      const versioned = match?.proxy?.proxyVersion !== undefined;
      const message = `${patch.operation} depends on what other EnvoyFilters add before it${versioned ? ', and on the proxy’s version' : ''}`;
      const cure = 'give the object a priority, so that its turn is certain, or use INSERT_FIRST or ADD';
      return [say(rule, versioned ? 'ISM0421' : 'ISM0420', `spec.configPatches[${i}].patch.operation`, message, cure)];
    });
  });
}

/** https://github.com/envoyproxy/envoy/issues/6767 */
function checkSharedCertificates({ gateways }: World): Diagnostic[] {
  const uses = gateways.flatMap((rule) =>
    rule.spec.servers.flatMap(({ tls, hosts }, i) =>
      [tls?.credentialName, ...(tls?.credentialNames ?? [])].flatMap((secret) =>
        secret ? [{ rule, secret, field: `spec.servers[${i}].tls`, hosts: hosts.map(({ host }) => host) }] : [],
      ),
    ),
  );
  return uses.flatMap(({ rule, secret, field, hosts }) => {
    const other = uses.find(
      (use) =>
        use.rule !== rule &&
        use.secret === secret &&
        meet(use.rule.spec.selector, rule.spec.selector) &&
        use.hosts.join() !== hosts.join(),
    );
    if (other === undefined) return [];
    const message = `Gateway ${other.rule.namespace}/${other.rule.name} has the certificate ${secret} too, for other hosts: a browser uses one connection for both, and gets a 404`;
    return [say(rule, 'ISM0422', field, message, 'serve both by one Gateway, or give each a certificate of its own')];
  });
}

/** One pod can have both. */
function meet(a: Labels, b: Labels): boolean {
  return selects(a, { ...a, ...b }) && selects(b, { ...b, ...a });
}

function checkProtocols({ serviceEntries }: World): Diagnostic[] {
  const first = new Map<string, { rule: Rule<unknown>; protocol: string }>();
  return serviceEntries.flatMap((rule) =>
    rule.spec.hosts.flatMap((host) =>
      rule.spec.ports.flatMap(({ number, protocol }, i) => {
        const key = `${host}:${number}`;
        const known = first.get(key);
        if (known === undefined) first.set(key, { rule, protocol: String(protocol) });
        if (known === undefined || known.rule === rule || known.protocol === String(protocol)) return [];
        const message = `ServiceEntry ${known.rule.namespace}/${known.rule.name} has ${key} for ${known.protocol}, and this one for ${String(protocol)}`;
        return [say(rule, 'ISM0423', `spec.ports[${i}].protocol`, message, 'have both say the same')];
      }),
    ),
  );
}

function checkProviders({ telemetries }: World): Diagnostic[] {
  return telemetries.flatMap((rule) => {
    const raw = (rule.object['spec'] ?? {}) as Record<string, unknown>;
    return (['tracing', 'metrics', 'accessLogging'] as const).flatMap((part) => {
      const entries = Array.isArray(raw[part]) ? (raw[part] as { providers?: unknown }[]) : [];
      return entries.flatMap(({ providers }, i) => {
        if (!Array.isArray(providers) || providers.length > 0) return [];
        const cure = 'name a provider, or remove the member so that the mesh’s own count';
        return [say(rule, 'ISM0424', `spec.${part}[${i}].providers`, 'the list is empty, and says nothing', cure)];
      });
    });
  });
}
