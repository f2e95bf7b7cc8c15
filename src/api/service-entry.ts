// SPDX-License-Identifier: Apache-2.0
// networking.istio.io ServiceEntry: https://istio.io/latest/docs/reference/config/networking/service-entry/
import { isIP } from 'node:net';
import { isDeepStrictEqual } from 'node:util';
import type { KubeObject } from '../kube/types.ts';
import { reportDuplicates } from './duplicates.ts';
import { exportedServiceOf } from './export-names.ts';
import type { Kind, MeshObject } from './kind.ts';
import { distributionOf, type TrafficDistribution } from './kubernetes.ts';
import { EXTERNAL_NETWORK } from './mesh-networks.ts';
import { PROTOCOL_NAMES, parseOwnProtocol } from './protocol.ts';
import type { Report } from './report.ts';
import {
  type At,
  checked,
  choice,
  defaulted,
  type Infer,
  isRecord,
  list,
  optional,
  required,
  struct,
  text,
  turned,
} from './shape.ts';
import { parseTraffic, TRAFFIC_ANNOTATION, type TrafficSplit } from './traffic-shares.ts';
import { checkExportTo, dnsLabel, exportTo, fullHost, labels, portNumber } from './values.ts';
import { checkLabels, isNowhere, isSocket, type WorkloadAddress, workloadAddress } from './workload-entry.ts';

const protocol = turned(text(), (raw, at) => {
  const found = parseOwnProtocol(raw);
  if (found === undefined) {
    at.report.add(
      'ISM0006',
      at.field,
      `${JSON.stringify(raw)} is not a protocol`,
      `use one of ${PROTOCOL_NAMES.join(', ')}`,
    );
  }
  return found;
});

const port = struct({
  number: required(portNumber),
  name: required(dnsLabel),
  /** Without one, each connection tells whether it is HTTP. */
  protocol: defaulted(protocol, 'auto'),
  targetPort: optional(portNumber),
});

export type ServiceEntryEndpoint = WorkloadAddress;

const virtualAddress = checked(text(), (raw, at) => {
  const [ip, bits, ...rest] = raw.split('/');
  const width = isIP(ip ?? '') === 6 ? 128 : 32;
  const sound =
    isIP(ip ?? '') !== 0 && rest.length === 0 && (bits === undefined || (/^\d+$/.test(bits) && Number(bits) <= width));
  if (!sound)
    at.report.add(
      'ISM0006',
      at.field,
      `${JSON.stringify(raw)} is not an address`,
      'write an IP address or a CIDR block',
    );
  else if ((bits === undefined || Number(bits) === width) && isNowhere(ip!)) {
    const cure = 'choose another that nobody has, as of 240.0.0.0/4';
    at.report.add('ISM0006', at.field, `${raw} is no address that anybody connects to`, cure);
  } else if (raw === '127.0.0.1' || raw === '::1') {
    const cure = 'choose another that nobody has, as of 240.0.0.0/4';
    at.report.add('ISM0005', at.field, `proxies leave ${raw} alone: it is the pod itself`, cure);
  }
});

const workloadSelector = checked(struct({ labels: defaulted(labels, {}) }), (value, at) => {
  const entries = Object.entries(value.labels);
  if (entries.length === 0) {
    const message = 'without labels it selects every workload of the namespace';
    at.report.add('ISM0005', at.field, message, 'give it labels');
  }
  for (const [name, label] of entries) {
    if (name !== '' && !`${name}${label}`.includes('*')) continue;
    const message = `${JSON.stringify(`${name}=${label}`)} is no label with its value`;
    at.report.add('ISM0006', `${at.field}.labels`, message, 'write both out; there are no wildcards');
  }
});

const fields = struct(
  {
    hosts: required(list(fullHost, { min: 1 })),
    addresses: defaulted(list(virtualAddress), []),
    ports: defaulted(list(port), []),
    location: defaulted(choice(['MESH_EXTERNAL', 'MESH_INTERNAL']), 'MESH_EXTERNAL'),
    resolution: defaulted(choice(['NONE', 'STATIC', 'DNS', 'DNS_ROUND_ROBIN', 'DYNAMIC_DNS']), 'NONE'),
    endpoints: defaulted(list(workloadAddress), []),
    exportTo,
    subjectAltNames: defaulted(list(text()), []),
    /** Pods and WorkloadEntries of the entry's own namespace. */
    workloadSelector: optional(workloadSelector),
  },
  'A service that Kubernetes does not know: outside of the mesh, or in another cluster.',
);
export interface ServiceEntrySpec extends Infer<typeof fields> {
  /** Host -> the addresses that were found for it, as its status says; undefined: it wants none. */
  readonly allocated: Readonly<Record<string, readonly string[]>> | undefined;
  /** By an annotation. */
  readonly trafficDistribution: TrafficDistribution;
  /** By an annotation: its endpoints are clusters, of which each has a part of the requests. */
  readonly traffic: TrafficSplit | undefined;
}
const spec = turned(
  fields,
  (value): ServiceEntrySpec => ({ ...value, allocated: undefined, trafficDistribution: 'any', traffic: undefined }),
);
export type ServiceEntry = MeshObject<ServiceEntrySpec>;

export const SERVICE_ENTRY: Kind<ServiceEntrySpec> = {
  group: 'networking.istio.io',
  kind: 'ServiceEntry',
  plural: 'serviceentries',
  singular: 'serviceentry',
  shortNames: ['se'],
  versions: ['v1alpha3', 'v1beta1', 'v1'],
  description: 'A service that Kubernetes does not know: outside of the mesh, or in another cluster.',
  columns: [
    { name: 'Hosts', type: 'string', jsonPath: '.spec.hosts', description: 'The hosts that the service answers to' },
    { name: 'Location', type: 'string', jsonPath: '.spec.location', description: 'Inside of the mesh or outside' },
    { name: 'Resolution', type: 'string', jsonPath: '.spec.resolution', description: 'How its endpoints are found' },
    { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp', description: 'Time since it was created' },
  ],
  spec,
  check(value, at, header) {
    const scopes = { ...at, field: `${at.field}.exportTo` };
    checkExportTo(value.exportTo, header.ref.namespace, scopes, { forNobody: true });
    reportDuplicates(value.hosts, `${at.field}.hosts`, at);
    reportDuplicates(
      value.ports.map((p) => p.name),
      `${at.field}.ports`,
      at,
    );
    reportDuplicates(
      value.ports.map((p) => String(p.number)),
      `${at.field}.ports`,
      at,
    );
    if (value.ports.length === 0) {
      const message = 'without a port no request comes to it: it is a name, and nothing else';
      at.report.add('ISM0005', `${at.field}.ports`, message, 'add the ports that it is called on');
    }
    checkHosts(value, at);
    checkResolution(value, at);
    if (value.resolution === 'DYNAMIC_DNS') checkByName(value, at);
    checkSelector(value, at);
    checkEndpoints(value, at);
    checkExternal(value, at, header.ref.namespace);
  },
  complete: (value, raw, report) => ({
    ...value,
    allocated: takesAddresses(raw, value) ? allocatedOf(raw) : undefined,
    trafficDistribution: distributionOf(undefined, raw),
    traffic: trafficOf(value, raw, report),
  }),
};

function trafficOf(value: ServiceEntrySpec, raw: KubeObject, report: Report): TrafficSplit | undefined {
  const said = raw.metadata.annotations?.[TRAFFIC_ANNOTATION];
  if (said === undefined) return undefined;
  const say = (message: string, cure: string) =>
    report.add('ISM0006', `metadata.annotations["${TRAFFIC_ANNOTATION}"]`, message, cure, 'warning');
  if (value.location !== 'MESH_INTERNAL' || value.endpoints.length === 0 || value.resolution === 'DNS_ROUND_ROBIN') {
    say(
      'requests are divided among the clusters of its endpoints, and it has none',
      'give the mesh’s gateways as endpoints, with MESH_INTERNAL and resolution DNS',
    );
    return undefined;
  }
  const parsed = parseTraffic(said);
  if (parsed.ok) return parsed.value;
  say(`${parsed.fault}, so it is as if nothing had been said`, parsed.cure);
  return undefined;
}

/** Whether it wants addresses of its own and gives none: https://istio.io/latest/docs/ops/configuration/traffic-management/dns-proxy/ */
export function takesAddresses(
  raw: Pick<KubeObject, 'metadata'>,
  { addresses, resolution }: { readonly addresses: readonly string[]; readonly resolution: string },
): boolean {
  const wish = raw.metadata.labels?.['networking.istio.io/enable-autoallocate-ip'];
  // With NONE a connection goes where it was going anyway: to an address where nobody is. Names below a wildcard are many.
  const isOne = resolution !== 'NONE' && resolution !== 'DYNAMIC_DNS';
  return addresses.length === 0 && isOne && wish?.toLowerCase() !== 'false';
}

/** `status.addresses` as Istio writes it: pairs of a host and an address. */
export function allocatedOf(raw: KubeObject): Readonly<Record<string, readonly string[]>> {
  const { status } = raw;
  const pairs = isRecord(status) && Array.isArray(status['addresses']) ? status['addresses'].filter(isRecord) : [];
  const found: Record<string, string[]> = {};
  for (const { host, value } of pairs) {
    if (typeof host !== 'string' || typeof value !== 'string' || isIP(value) === 0 || isNowhere(value)) continue;
    found[host] = [...(found[host] ?? []), value].sort();
  }
  return found;
}

function checkHosts({ hosts, ports, resolution }: ServiceEntrySpec, at: At): void {
  hosts.forEach((host, i) => {
    if (host !== '*') return;
    at.report.add(
      'ISM0006',
      `${at.field}.hosts[${i}]`,
      '* is every host there is',
      'name a domain, as in *.example.com',
    );
  });
  const plain = ports.findIndex(({ protocol: p }) => p === 'tcp' || p === 'auto');
  if (resolution === 'NONE' || hosts.length < 2 || plain < 0 || areOneService(hosts)) return;
  const message = 'on a port that is neither HTTP nor TLS nothing tells several hosts apart';
  const cure = 'make a ServiceEntry for each host, with addresses of its own';
  at.report.add('ISM0007', `${at.field}.ports[${plain}].protocol`, message, cure);
}

/** Two names of one: by either, connections to its address are for it. */
function areOneService(hosts: readonly string[]): boolean {
  const [first, ...others] = hosts.map((host) => exportedServiceOf(host));
  return first !== undefined && others.every((other) => isDeepStrictEqual(other, first));
}

function checkSelector({ workloadSelector: selector, endpoints, resolution }: ServiceEntrySpec, at: At): void {
  if (selector === undefined) return;
  const field = `${at.field}.workloadSelector`;
  if (endpoints.length > 0) {
    at.report.add('ISM0007', field, 'workloadSelector and endpoints exclude one another', 'remove one of them');
  }
  if (resolution === 'NONE') {
    const message = 'with resolution NONE clients choose the endpoint themselves';
    at.report.add('ISM0005', field, message, 'use STATIC');
  }
}

function checkResolution(value: ServiceEntrySpec, at: At): void {
  const { resolution, endpoints } = value;
  if (resolution === 'NONE' && endpoints.length > 0) {
    at.report.add('ISM0007', `${at.field}.endpoints`, 'resolution NONE has no endpoints', 'use STATIC or DNS');
  }
  if (resolution === 'STATIC' && endpoints.length === 0 && value.workloadSelector === undefined) {
    const cure = 'add `endpoints` or a `workloadSelector`';
    at.report.add('ISM0005', `${at.field}.resolution`, 'there is no endpoint, so every request gets 503', cure);
  }
  const block = value.addresses.findIndex((address) => address.includes('/') && !isSingle(address));
  if (block >= 0 && resolution.startsWith('DNS')) {
    const field = `${at.field}.addresses[${block}]`;
    at.report.add('ISM0007', field, 'a block of addresses goes with NONE or STATIC only', 'give single addresses');
  }
  value.hosts.forEach((host, i) => {
    const found = endpoints.length > 0 || value.workloadSelector !== undefined;
    if (!host.startsWith('*') || !resolution.startsWith('DNS') || found) return;
    const cure = 'give the host without a wildcard, or endpoints';
    at.report.add('ISM0006', `${at.field}.hosts[${i}]`, `${host} cannot be looked up in the DNS`, cure);
  });
  if (resolution === 'DNS_ROUND_ROBIN' && endpoints.length > 1) {
    at.report.add('ISM0007', `${at.field}.endpoints`, 'DNS_ROUND_ROBIN takes one endpoint', 'use DNS');
  }
}

/** Whom a request or a connection is for, it has to say itself, by a name below the wildcard. */
function checkByName({ hosts, ports, addresses, endpoints, workloadSelector }: ServiceEntrySpec, at: At): void {
  hosts.forEach((host, i) => {
    if (host.startsWith('*')) return;
    const message = 'DYNAMIC_DNS looks up each name below a wildcard, and this is one name';
    at.report.add('ISM0007', `${at.field}.hosts[${i}]`, message, `use resolution DNS, or *.${host}`);
  });
  ports.forEach(({ protocol: spoken }, i) => {
    if (spoken === 'http' || spoken === 'http2' || spoken === 'tls') return;
    const message = 'only HTTP and TLS say which name they are for';
    at.report.add('ISM0007', `${at.field}.ports[${i}].protocol`, message, 'use HTTP, HTTP2, GRPC or TLS');
  });
  const given = { addresses: addresses.length > 0, endpoints: endpoints.length > 0, workloadSelector };
  for (const [name, value] of Object.entries(given)) {
    if (!value) continue;
    const message = 'with DYNAMIC_DNS connections go to the name that they are for';
    at.report.add('ISM0007', `${at.field}.${name}`, message, `remove ${name}, or use STATIC or DNS`);
  }
}

function checkSocket({ resolution, ports }: ServiceEntrySpec, address: string, { report, field }: At): void {
  if (resolution.startsWith('DNS')) {
    report.add('ISM0006', `${field}.address`, `${address} is nothing to look up in the DNS`, 'use resolution STATIC');
  }
  if (ports.length === 1) return;
  const message = `${address} serves one port, and spec.ports has ${ports.length}`;
  report.add('ISM0007', `${field}.address`, message, 'write a ServiceEntry for each port');
}

function checkEndpoints(value: ServiceEntrySpec, at: At): void {
  const names = new Set(value.ports.map((p) => p.name));
  value.endpoints.forEach((e, i) => {
    const field = `${at.field}.endpoints[${i}]`;
    if (isSocket(e.address)) checkSocket(value, e.address, { ...at, field });
    else if (value.resolution === 'STATIC' && e.address !== '' && isIP(e.address) === 0) {
      at.report.add('ISM0006', `${field}.address`, `${e.address} is not an IP address`, 'use resolution DNS');
    }
    checkLabels(e, { ...at, field });
    for (const name of Object.keys(e.ports)) {
      if (names.has(name)) continue;
      const cure = `use one of ${[...names].join(', ')}`;
      at.report.add('ISM0006', `${field}.ports.${name}`, `spec.ports has no port named ${name}`, cure);
    }
  });
}

function isSingle(address: string): boolean {
  return address.endsWith(address.includes(':') ? '/128' : '/32');
}

/** Where the egress gateway runs. */
const GATEWAYS = 'istio-system';

function checkExternal({ endpoints, exportTo: scopes }: ServiceEntrySpec, at: At, namespace: string): void {
  const first = endpoints.findIndex((e) => e.network === EXTERNAL_NETWORK);
  if (first < 0) return;
  if (endpoints.every((e) => e.network === EXTERNAL_NETWORK)) {
    const message = `only the egress gateway goes to the network ${EXTERNAL_NETWORK}, and nothing here leads to it`;
    const cure = 'add the address of istio-egressgateway as an endpoint without a network';
    at.report.add('ISM0014', `${at.field}.endpoints[${first}].network`, message, cure);
  }
  const seen =
    scopes.length === 0 ||
    scopes.some((scope) => scope === '*' || scope === GATEWAYS || (scope === '.' && namespace === GATEWAYS));
  if (!seen) {
    const message = `the egress gateway, in ${GATEWAYS}, does not see this entry, so it passes nothing on`;
    at.report.add('ISM0014', `${at.field}.exportTo`, message, `add ${GATEWAYS}`);
  }
}
