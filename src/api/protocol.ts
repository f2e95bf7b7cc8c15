// SPDX-License-Identifier: Apache-2.0
// What is spoken on a port, by its `protocol`, its `appProtocol` or the first part of its name.
// https://istio.io/latest/docs/ops/configuration/traffic-management/protocol-selection/

/** `http2` covers gRPC; `tls` is TLS that the application speaks itself; `udp` is none of the mesh's business. */
export type Protocol = 'http' | 'http2' | 'tcp' | 'tls' | 'udp';

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

/** In any case of letters; undefined when there is no such protocol. */
export function parseProtocol(raw: string): Protocol | undefined {
  return Object.hasOwn(PROTOCOLS, raw.toLowerCase()) ? PROTOCOLS[raw.toLowerCase()] : undefined;
}

/** Protocol of a Kubernetes service port: appProtocol first, then NAME or NAME-SUFFIX, else TCP. */
export function servicePortProtocol(port: {
  name: string;
  protocol: string | undefined;
  appProtocol: string | undefined;
}): Protocol {
  if (port.protocol === 'UDP') return 'udp';
  const named = (port.appProtocol ?? '').replace(/^kubernetes\.io\/(h2c|ws)$/, (_, p) =>
    p === 'h2c' ? 'http2' : 'http',
  );
  const byApp = parseProtocol(named);
  if (byApp !== undefined) return byApp;
  const { name } = port;
  return (
    parseProtocol(name) ?? parseProtocol(name.startsWith('grpc-web') ? 'grpc-web' : (name.split('-')[0] ?? '')) ?? 'tcp'
  );
}
