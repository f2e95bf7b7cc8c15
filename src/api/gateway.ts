// SPDX-License-Identifier: Apache-2.0
// networking.istio.io Gateway: https://istio.io/latest/docs/reference/config/networking/gateway/
import type { Kind, MeshObject } from './kind.ts';
import { parseProtocol } from './protocol.ts';
import { bindAddress, isPassed, serverTls, unixPath } from './server-tls.ts';
import {
  type At,
  checked,
  defaulted,
  type Infer,
  integer,
  list,
  optional,
  refused,
  required,
  type Shape,
  struct,
  text,
  turned,
} from './shape.ts';
import { dnsLabel, hostPattern, labels } from './values.ts';

/** The port for TLS between clusters: https://istio.io/v1.4/docs/setup/install/multicluster/gateways/ */
export const CROSS_CLUSTER_PORT = 15443;

/** A host as a gateway has it: `[NAMESPACE/]HOST`, where NAMESPACE may be `*` or `.`. */
export interface ServerHost {
  /** `*`: any namespace. */
  readonly namespace: string;
  readonly host: string;
}

const serverHost = turned(text(), (raw, at): ServerHost | undefined => {
  const [namespace, name] = raw.includes('/')
    ? [raw.slice(0, raw.indexOf('/')), raw.slice(raw.indexOf('/') + 1)]
    : ['*', raw];
  const host = hostPattern.decode(name, at);
  if (host === undefined) return undefined;
  if (/^([*.]|[-a-z0-9]+)$/.test(namespace)) return { namespace, host };
  at.report.add('ISM0006', at.field, `${JSON.stringify(namespace)} is not a namespace`, 'write HOST or NAMESPACE/HOST');
  return undefined;
});

const PROTOCOLS = ['HTTP', 'HTTPS', 'HTTP2', 'GRPC', 'GRPC-WEB', 'TLS', 'TCP', 'MONGO', 'MYSQL', 'REDIS'] as const;
export type GatewayProtocol = (typeof PROTOCOLS)[number];

/** In any case of letters; in capitals from here on. */
const gatewayProtocol: Shape<GatewayProtocol> = turned(text(), (raw, at) => {
  const found = PROTOCOLS.find((name) => name === raw.toUpperCase());
  if (found !== undefined) return found;
  const message =
    parseProtocol(raw) === 'udp' ? 'gateways pass no UDP on' : `${JSON.stringify(raw)} is no protocol of gateways`;
  at.report.add('ISM0006', at.field, message, `use one of ${PROTOCOLS.join(', ')}`);
  return undefined;
});

/** `http` in plain text, `tls`, or bytes that nobody reads. */
export function layerOf(protocol: GatewayProtocol): 'http' | 'tls' | 'tcp' {
  if (protocol === 'TLS' || protocol === 'HTTPS') return 'tls';
  return parseProtocol(protocol)?.startsWith('http') ? 'http' : 'tcp';
}

/** Opens the TLS and reads the requests in it. */
export function terminatesHttps({ port, tls }: Pick<GatewayServer, 'port' | 'tls'>): boolean {
  return port.protocol === 'HTTPS' && tls !== undefined && !isPassed(tls);
}

const serverFields = struct({
  port: required(
    struct({
      /** 0 for a Unix socket. */
      number: required(integer({ max: 65535 })),
      name: required(dnsLabel),
      protocol: required(gatewayProtocol),
      targetPort: refused('remove it, it has no effect on gateways; the targetPort of their Service says it'),
    }),
  ),
  hosts: required(list(serverHost, { min: 1 })),
  tls: optional(serverTls),
  name: optional(text()),
  bind: optional(bindAddress),
  defaultEndpoint: refused('remove it; bind a VirtualService to the Gateway instead'),
});
export type GatewayServer = Infer<typeof serverFields>;

const server = checked(serverFields, checkServer);

function checkServer(value: GatewayServer, at: At): void {
  const { port, tls, bind = '' } = value;
  const isSocket = unixPath(bind) !== '';
  if (isSocket !== (port.number === 0)) {
    const [message, cure] = isSocket
      ? ['a Unix socket has no port', 'use port number 0']
      : ['there is no port 0', 'use 1 to 65535, or bind to a Unix socket'];
    at.report.add('ISM0006', `${at.field}.port.number`, message, cure);
  }
  if (port.number === CROSS_CLUSTER_PORT) {
    const role = `${CROSS_CLUSTER_PORT} is where gateways take the mesh's TLS between clusters, without any Gateway`;
    const message = tls?.mode === 'AUTO_PASSTHROUGH' ? `${role}: this server adds nothing` : role;
    at.report.add('ISM0013', `${at.field}.port.number`, message, 'remove this server, or give it another port');
  }
  checkLayer(value, at);
}

function checkLayer({ port, tls }: GatewayServer, at: At): void {
  const layer = layerOf(port.protocol);
  const field = `${at.field}.tls`;
  if (layer === 'tls') {
    if (tls === undefined) {
      const cure = 'add tls with mode SIMPLE and a credentialName, or with mode PASSTHROUGH';
      at.report.add('ISM0001', field, `${port.protocol} needs tls`, cure);
    } else if (tls.httpsRedirect) {
      const message = 'only a server of protocol HTTP redirects';
      at.report.add('ISM0005', `${field}.httpsRedirect`, message, 'set it on the server of port 80');
    }
  } else if (tls !== undefined) {
    const isRedirectAlone =
      isPassed(tls) && [tls.caCertificates, tls.privateKey, tls.serverCertificate].every((f) => !f);
    if (layer === 'http' && isRedirectAlone) return;
    const cure =
      layer === 'http' ? 'use protocol HTTPS, or keep httpsRedirect alone' : 'use protocol TLS, or remove `tls`';
    at.report.add('ISM0007', field, `a server of protocol ${port.protocol} has no TLS`, cure);
  }
}

const spec = struct(
  { selector: defaulted(labels, {}), servers: required(list(server, { min: 1 })) },
  'Ports that a gateway opens, and the hosts that it serves there.',
);
export type GatewaySpec = Infer<typeof spec>;
export type Gateway = MeshObject<GatewaySpec>;

export const GATEWAY: Kind<GatewaySpec> = {
  group: 'networking.istio.io',
  kind: 'Gateway',
  plural: 'gateways',
  singular: 'gateway',
  shortNames: ['gw'],
  versions: ['v1alpha3', 'v1beta1', 'v1'],
  description: 'Ports that a gateway opens, and the hosts that it serves there.',
  columns: [
    { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp', description: 'Time since it was created' },
  ],
  spec,
  check(value, at, { ref }) {
    if (!/^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/.test(ref.name)) {
      const message = `${ref.name} is no DNS label`;
      at.report.add(
        'ISM0006',
        'metadata.name',
        message,
        'give the Gateway a name without dots, of 63 characters at most',
      );
    }
    const names = value.servers.map(({ port }) => port.name);
    names.forEach((name, i) => {
      if (names.indexOf(name) === i) return;
      const message = `port name ${name} is that of spec.servers[${names.indexOf(name)}] already`;
      at.report.add(
        'ISM0009',
        `${at.field}.servers[${i}].port.name`,
        message,
        'give each server’s port a name of its own',
      );
    });
  },
};
