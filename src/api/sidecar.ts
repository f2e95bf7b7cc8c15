// SPDX-License-Identifier: Apache-2.0
// networking.istio.io Sidecar: https://istio.io/latest/docs/reference/config/networking/sidecar/

import { connectionPool } from './connection-pool.ts';
import { destination } from './destination.ts';
import type { Kind, MeshObject } from './kind.ts';
import { type Protocol, parseOwnProtocol } from './protocol.ts';
import { bindAddress, serverTls, unixPath } from './server-tls.ts';
import {
  type At,
  checked,
  choice,
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
import { hostPattern, labels } from './values.ts';

/** A host that a listener imports, or with `excluded` leaves out: `[~]NAMESPACE/HOST`. */
export interface ImportedHost {
  /** `*`: any; `.`: the sidecar's own; `~`: none. */
  readonly namespace: string;
  /** `*`: all. */
  readonly host: string;
  readonly excluded: boolean;
}

const importedHost: Shape<ImportedHost> = turned(text(), (raw, at): ImportedHost | undefined => {
  const [, tilde = '', namespace = '', name = ''] = /^(~?)([^/]*)\/(.*)$/.exec(raw) ?? [];
  const isNamespace =
    /^([*.]|[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)$/.test(namespace) || (tilde === '~' && namespace === '');
  if (name === '' || !isNamespace) {
    const cure = 'write NAMESPACE/HOST, where NAMESPACE may be `.`, `*` or `~`, and HOST `*`';
    at.report.add('ISM0006', at.field, `${JSON.stringify(raw)} names no host of a namespace`, cure);
    return undefined;
  }
  const host = hostPattern.decode(name, at);
  if (host === undefined) return undefined;
  return { namespace: namespace === '' ? '*' : namespace, host, excluded: tilde === '~' };
});

/** HTTPS and TLS are told apart here: the one is opened where `tls` says so. */
export interface ListenerProtocol {
  readonly name: string;
  readonly protocol: Exclude<Protocol, 'udp'>;
}

const listenerProtocol: Shape<ListenerProtocol> = turned(text(), (raw, at) => {
  const name = raw.toUpperCase();
  const protocol = parseOwnProtocol(raw);
  if (protocol !== undefined && protocol !== 'udp') return { name, protocol };
  const cure = 'use one of HTTP, HTTPS, GRPC, HTTP2, MONGO, TCP, TLS';
  if (name === 'HTTP_PROXY') {
    at.report.add(
      'ISM0004',
      at.field,
      'the value HTTP_PROXY is not supported',
      'let the application dial its peers: what it dials is captured',
    );
  } else at.report.add('ISM0006', at.field, `${JSON.stringify(raw)} is no protocol of listeners`, cure);
  return undefined;
});

const port = struct({
  /** 0 for a Unix socket. */
  number: required(integer({ max: 65535 })),
  /** Without one, each connection tells whether it is HTTP. */
  protocol: defaulted(listenerProtocol, { name: '', protocol: 'auto' }),
  name: defaulted(text(), ''),
  targetPort: refused('remove it, it has no effect on Sidecars; defaultEndpoint says where the application listens'),
});

const captureMode = defaulted(choice(['DEFAULT', 'IPTABLES', 'NONE']), 'DEFAULT');

/** Where the application listens. */
export type LocalEndpoint =
  /** `instance`: at the pod's own address, else at that of the loopback. */
  | { readonly kind: 'port'; readonly at: '127.0.0.1' | '::1' | 'instance'; readonly port: number }
  | { readonly kind: 'unix'; readonly path: string };

const localEndpoint: Shape<LocalEndpoint> = turned(text(), (raw, at): LocalEndpoint | undefined => {
  const path = unixPath(raw);
  if (/^(\/[^/]|@.)/.test(path)) return { kind: 'unix', path };
  const [, host, number] = /^(127\.0\.0\.1|0\.0\.0\.0|\[::1\]|\[::\]|):(\d{1,5})$/.exec(raw) ?? [];
  const asPort = Number(number);
  if (host !== undefined && asPort >= 1 && asPort <= 65535) {
    const at = host === '127.0.0.1' ? host : host === '[::1]' ? '::1' : 'instance';
    return { kind: 'port', at, port: asPort };
  }
  const cure = 'write 127.0.0.1:PORT, 0.0.0.0:PORT, [::1]:PORT, [::]:PORT or unix:///PATH';
  at.report.add('ISM0006', at.field, `${JSON.stringify(raw)} is no place where the application could listen`, cure);
  return undefined;
});

const ingress = checked(
  struct({
    port: required(port),
    bind: optional(bindAddress),
    captureMode,
    defaultEndpoint: optional(localEndpoint),
    tls: optional(serverTls),
    connectionPool: optional(connectionPool),
  }),
  (value, at) => {
    if (value.port.number === 0) {
      at.report.add('ISM0006', `${at.field}.port.number`, 'there is no port 0', 'use the port that clients dial');
    }
    if (value.captureMode === 'NONE' && value.defaultEndpoint === undefined) {
      const message = 'where the application listens is not known without a redirect';
      at.report.add('ISM0001', `${at.field}.defaultEndpoint`, message, 'add defaultEndpoint: 127.0.0.1:PORT');
    }
    if (unixPath(value.bind ?? '') !== '') {
      const message = 'what comes to a pod comes to an address';
      at.report.add('ISM0006', `${at.field}.bind`, message, 'use an IP address, or remove bind');
    }
    if (value.tls !== undefined) checkIngressTls(value.tls, value.port.protocol, at);
  },
);
export type IngressListener = Infer<typeof ingress>;

function checkIngressTls(tls: Infer<typeof serverTls>, { name, protocol }: ListenerProtocol, at: At): void {
  const field = `${at.field}.tls`;
  if (protocol !== 'tls') {
    at.report.add(
      'ISM0007',
      field,
      name === '' ? 'a port without a protocol has no TLS' : `a port of protocol ${name} has no TLS`,
      'use protocol HTTPS or TLS, or remove `tls`',
    );
  }
  if (tls.mode === 'ISTIO_MUTUAL' || tls.mode === 'AUTO_PASSTHROUGH') {
    const cure = 'use SIMPLE or MUTUAL; without `tls` the port has the mesh’s own';
    at.report.add('ISM0006', `${field}.mode`, `${tls.mode} is for gateways`, cure);
  }
  const unsupported = {
    credentialName: tls.credentialName !== undefined,
    credentialNames: tls.credentialNames.length > 0,
    tlsCertificates: tls.tlsCertificates.length > 0,
    subjectAltNames: tls.subjectAltNames.length > 0,
    httpsRedirect: tls.httpsRedirect,
  };
  for (const [member, given] of Object.entries(unsupported)) {
    if (!given) continue;
    const cure = `remove ${member}; give the files by serverCertificate, privateKey and caCertificates`;
    at.report.add('ISM0004', `${field}.${member}`, `\`${member}\` is for gateways`, cure);
  }
}

const egress = checked(
  struct({
    port: optional(port),
    bind: optional(bindAddress),
    captureMode,
    hosts: required(list(importedHost, { min: 1 })),
  }),
  (value, at) => {
    if (unixPath(value.bind ?? '') !== '') {
      const cure = 'bind to 127.0.0.1 with captureMode NONE instead';
      at.report.add('ISM0004', `${at.field}.bind`, 'Unix sockets for what applications send are not supported', cure);
    } else if (value.port?.number === 0) {
      const cure = 'use the port that the application dials';
      at.report.add('ISM0006', `${at.field}.port.number`, 'there is no port 0', cure);
    }
    reportRepeatedHosts(value.hosts, at);
  },
);
export type EgressListener = Infer<typeof egress>;

function reportRepeatedHosts(hosts: readonly ImportedHost[], at: At): void {
  const nameOf = ({ namespace, host, excluded }: ImportedHost) => `${excluded ? '~' : ''}${namespace}/${host}`;
  const names = hosts.map(nameOf);
  names.forEach((name, i) => {
    const first = names.indexOf(name);
    if (first === i) return;
    const message = `${name} is there already, at ${at.field}.hosts[${first}]`;
    at.report.add('ISM0009', `${at.field}.hosts[${i}]`, message, 'remove one of them', 'warning');
  });
  if (
    names.includes('*/*') &&
    hosts.some(({ excluded, namespace, host }) => !excluded && `${namespace}/${host}` !== '*/*')
  ) {
    const message = '*/* imports everything, so the other hosts add nothing';
    at.report.add('ISM0005', `${at.field}.hosts[${names.indexOf('*/*')}]`, message, 'remove it, or the others');
  }
}

/** Istio's: where a policy is given without a mode, only what the mesh knows is reached. */
const outboundTrafficPolicy = checked(
  struct({
    mode: defaulted(choice(['REGISTRY_ONLY', 'ALLOW_ANY']), 'REGISTRY_ONLY'),
    egressProxy: optional(destination),
  }),
  ({ mode, egressProxy }, at) => {
    if (egressProxy === undefined) return;
    if (mode !== 'ALLOW_ANY') {
      const message = 'unknown traffic is not let out at all';
      at.report.add('ISM0007', `${at.field}.egressProxy`, message, 'set mode ALLOW_ANY, or remove egressProxy');
    }
    if (egressProxy.port === undefined) {
      at.report.add('ISM0001', `${at.field}.egressProxy.port`, 'the port is missing', 'add port with its number');
    }
  },
);

const spec = struct(
  {
    workloadSelector: optional(struct({ labels: defaulted(labels, {}) })),
    ingress: defaulted(list(ingress), []),
    egress: defaulted(list(egress), []),
    outboundTrafficPolicy: optional(outboundTrafficPolicy),
    inboundConnectionPool: optional(connectionPool),
  },
  'What the sidecars of some pods, or of a namespace, listen on and see.',
);
export type SidecarSpec = Infer<typeof spec>;
export type Sidecar = MeshObject<SidecarSpec>;

export const SIDECAR: Kind<SidecarSpec> = {
  group: 'networking.istio.io',
  kind: 'Sidecar',
  plural: 'sidecars',
  singular: 'sidecar',
  shortNames: [],
  versions: ['v1alpha3', 'v1beta1', 'v1'],
  description: 'What the sidecars of some pods, or of a namespace, listen on and see.',
  columns: [
    { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp', description: 'Time since it was created' },
  ],
  spec,
  check(value, at) {
    const { workloadSelector, ingress: inward, egress: outward, outboundTrafficPolicy: policy } = value;
    if (inward.length + outward.length === 0 && policy === undefined && value.inboundConnectionPool === undefined) {
      at.report.add('ISM0001', `${at.field}.egress`, 'it says nothing', 'add egress with the hosts that are needed');
    }
    if (workloadSelector !== undefined && Object.keys(workloadSelector.labels).length === 0) {
      const message = 'it selects every pod of the namespace';
      at.report.add('ISM0005', `${at.field}.workloadSelector`, message, 'add labels, or remove it');
    }
    reportSharedPorts(
      inward.map((each) => each.port.number),
      `${at.field}.ingress`,
      at,
    );
    reportSharedPorts(
      outward.map((each) => each.port && (each.port.number || each.bind)),
      `${at.field}.egress`,
      at,
    );
    outward.forEach((each, i) => {
      if (each.port !== undefined || i === outward.length - 1) return;
      const message = 'a listener without a port is for what the others leave';
      at.report.add('ISM0006', `${at.field}.egress[${i}]`, message, 'move it to the end, and keep one of its kind');
    });
  },
};

function reportSharedPorts(ports: readonly (number | string | undefined)[], field: string, at: At): void {
  ports.forEach((number, i) => {
    const first = ports.indexOf(number);
    if (number === undefined || first === i) return;
    const message = `${field}[${first}] has ${typeof number === 'number' ? `port ${number}` : number} already`;
    at.report.add('ISM0009', `${field}[${i}].port.number`, message, 'give each listener a port of its own');
  });
}
