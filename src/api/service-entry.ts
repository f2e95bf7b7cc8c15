// SPDX-License-Identifier: Apache-2.0
// networking.istio.io ServiceEntry: https://istio.io/latest/docs/reference/config/networking/service-entry/
import { isIP } from 'node:net';
import { reportDuplicates } from './duplicates.ts';
import type { Kind, MeshObject } from './kind.ts';
import { EXTERNAL_NETWORK, networkName } from './mesh-networks.ts';
import { PROTOCOL_NAMES, parseProtocol } from './protocol.ts';
import {
  type At,
  checked,
  choice,
  defaulted,
  type Infer,
  integer,
  list,
  mapOf,
  optional,
  refused,
  required,
  struct,
  text,
  turned,
} from './shape.ts';
import { dnsLabel, exportTo, fullHost, labels, portNumber } from './values.ts';

const protocol = turned(text(), (raw, at) => {
  const found = parseProtocol(raw);
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

const address = checked(text(), (raw, at) => {
  if (isNowhere(raw)) {
    const cure = 'write the address of the workload, or of the gateway in front of it';
    at.report.add('ISM0006', at.field, `${raw} is no address of anybody`, cure);
    return;
  }
  const isName = /^[a-z0-9_]([-a-z0-9_.]{0,251}[a-z0-9_])?\.?$/i.test(raw) && !/^[0-9.]+$/.test(raw);
  if (isIP(raw) !== 0 || isName) return;
  at.report.add('ISM0006', at.field, `${JSON.stringify(raw)} is no address`, 'write an IP address or a DNS name');
});

/** Unspecified, broadcast or multicast: nobody is there, and a listener there is refused or takes others' connections. */
function isNowhere(address: string): boolean {
  return isIP(address) !== 0 && /^(0\.0\.0\.0$|255\.255\.255\.255$|22[4-9]\.|23\d\.|::$|ff)/i.test(address);
}

const endpoint = struct({
  address: required(address),
  ports: defaulted(mapOf(portNumber), {}),
  labels: defaulted(labels, {}),
  /** `external`: only the egress gateway goes there; everybody else to the endpoints beside it. */
  network: optional(networkName),
  locality: optional(text()),
  weight: optional(integer()),
  serviceAccount: optional(text()),
});
export type ServiceEntryEndpoint = Infer<typeof endpoint>;

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

const spec = struct(
  {
    hosts: required(list(fullHost, { min: 1 })),
    addresses: defaulted(list(virtualAddress), []),
    ports: required(list(port, { min: 1 })),
    location: defaulted(choice(['MESH_EXTERNAL', 'MESH_INTERNAL']), 'MESH_EXTERNAL'),
    resolution: defaulted(choice(['NONE', 'STATIC', 'DNS', 'DNS_ROUND_ROBIN']), 'NONE'),
    endpoints: defaulted(list(endpoint), []),
    exportTo,
    subjectAltNames: defaulted(list(text()), []),
    workloadSelector: refused('list the workloads in `endpoints`'),
  },
  'A service that Kubernetes does not know: outside of the mesh, or in another cluster.',
);
export type ServiceEntrySpec = Infer<typeof spec>;
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
    checkResolution(value, at);
    checkEndpoints(value, at);
    checkExternal(value, at, header.ref.namespace);
  },
};

function checkResolution(value: ServiceEntrySpec, at: At): void {
  const { resolution, endpoints } = value;
  if (resolution === 'NONE' && endpoints.length > 0) {
    at.report.add('ISM0007', `${at.field}.endpoints`, 'resolution NONE has no endpoints', 'use STATIC or DNS');
  }
  if (resolution === 'STATIC' && endpoints.length === 0) {
    at.report.add('ISM0001', `${at.field}.endpoints`, 'resolution STATIC needs endpoints', 'add `endpoints`');
  }
  value.hosts.forEach((host, i) => {
    if (!host.startsWith('*') || !resolution.startsWith('DNS') || endpoints.length > 0) return;
    const cure = 'give the host without a wildcard, or endpoints';
    at.report.add('ISM0006', `${at.field}.hosts[${i}]`, `${host} cannot be looked up in the DNS`, cure);
  });
  if (resolution === 'DNS_ROUND_ROBIN' && endpoints.length > 1) {
    at.report.add('ISM0007', `${at.field}.endpoints`, 'DNS_ROUND_ROBIN takes one endpoint', 'use DNS');
  }
}

function checkEndpoints(value: ServiceEntrySpec, at: At): void {
  const names = new Set(value.ports.map((p) => p.name));
  value.endpoints.forEach((e, i) => {
    const field = `${at.field}.endpoints[${i}]`;
    if (value.resolution === 'STATIC' && isIP(e.address) === 0) {
      at.report.add('ISM0006', `${field}.address`, `${e.address} is not an IP address`, 'use resolution DNS');
    }
    for (const name of Object.keys(e.ports)) {
      if (names.has(name)) continue;
      const cure = `use one of ${[...names].join(', ')}`;
      at.report.add('ISM0006', `${field}.ports.${name}`, `spec.ports has no port named ${name}`, cure);
    }
  });
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
  const seen = scopes.some((scope) => scope === '*' || scope === GATEWAYS || (scope === '.' && namespace === GATEWAYS));
  if (!seen) {
    const message = `the egress gateway, in ${GATEWAYS}, does not see this entry, so it passes nothing on`;
    at.report.add('ISM0014', `${at.field}.exportTo`, message, `add ${GATEWAYS}`);
  }
}
