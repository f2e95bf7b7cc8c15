// SPDX-License-Identifier: Apache-2.0
// What is spoken on a port, by its `protocol`, its `appProtocol` or the first part of its name.
// https://istio.io/latest/docs/ops/configuration/traffic-management/protocol-selection/

/** `http2` covers gRPC; `tls` is TLS that the application speaks itself; `auto`: nobody says, each connection tells;
 * `udp` (or SCTP) is none of the mesh's business. */
export type Protocol = 'http' | 'http2' | 'tcp' | 'tls' | 'auto' | 'udp';

const PROTOCOLS: Readonly<Record<string, Protocol>> = {
  http: 'http',
  http1: 'http',
  http2: 'http2',
  grpc: 'http2',
  'grpc-web': 'http',
  tcp: 'tcp',
  mongo: 'tcp',
  mysql: 'tcp',
  redis: 'tcp',
  tls: 'tls',
  https: 'tls',
  udp: 'udp',
};

export const PROTOCOL_NAMES: readonly string[] = Object.keys(PROTOCOLS).map((name) => name.toUpperCase());

/** Kubernetes' own names for what is spoken: https://kubernetes.io/docs/concepts/services-networking/service/#application-protocol */
const APP_PROTOCOLS: Readonly<Record<string, Protocol>> = {
  'kubernetes.io/h2c': 'http2',
  'kubernetes.io/ws': 'http',
  'kubernetes.io/wss': 'tls',
};

/** In any case of letters; undefined when there is no such protocol. */
export function parseProtocol(raw: string): Protocol | undefined {
  return Object.hasOwn(PROTOCOLS, raw.toLowerCase()) ? PROTOCOLS[raw.toLowerCase()] : undefined;
}

/** The same of a port that says it in a field of its own: as in Istio, '' is what is not said, and each connection tells. */
export function parseOwnProtocol(raw: string): Protocol | undefined {
  return raw === '' ? 'auto' : parseProtocol(raw);
}

/** SMTP, DNS, MySQL, MongoDB: servers that speak first, while their clients wait. */
const SERVERS_SPEAK_FIRST: ReadonlySet<number> = new Set([25, 53, 3306, 27017]);

/** Protocol of a Kubernetes service port: by its appProtocol, else by NAME or NAME-SUFFIX; else each connection tells. */
export function servicePortProtocol(port: {
  name: string;
  number: number;
  protocol: string | undefined;
  appProtocol: string | undefined;
}): Protocol {
  if (port.protocol !== undefined && port.protocol !== 'TCP') return 'udp';
  const said = port.appProtocol ?? port.name;
  if (port.appProtocol !== undefined && Object.hasOwn(APP_PROTOCOLS, said)) return APP_PROTOCOLS[said]!;
  const prefix = /^grpc-web/i.test(said) ? 'grpc-web' : said.split('-')[0]!;
  return parseProtocol(prefix) ?? (SERVERS_SPEAK_FIRST.has(port.number) ? 'tcp' : 'auto');
}
