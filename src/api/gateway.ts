// SPDX-License-Identifier: Apache-2.0
// networking.istio.io Gateway: https://istio.io/latest/docs/reference/config/networking/gateway/
import type { Kind, MeshObject } from './kind.ts';
import {
  bool,
  checked,
  defaulted,
  type Infer,
  list,
  optional,
  refused,
  required,
  struct,
  supportedChoice,
  text,
  turned,
} from './shape.ts';
import { dnsLabel, hostPattern, labels, portNumber } from './values.ts';

const keys = 'end TLS in the workload and use mode PASSTHROUGH';
const tls = struct({
  mode: defaulted(
    supportedChoice(['PASSTHROUGH', 'AUTO_PASSTHROUGH'], {
      SIMPLE: keys,
      MUTUAL: keys,
      OPTIONAL_MUTUAL: keys,
      ISTIO_MUTUAL: keys,
    }),
    'PASSTHROUGH',
  ),
  httpsRedirect: optional(bool),
  credentialName: refused(keys),
  credentialNames: refused(keys),
  serverCertificate: refused(keys),
  privateKey: refused(keys),
  caCertificates: refused(keys),
  caCrl: refused(keys),
  subjectAltNames: refused(keys),
  verifyCertificateSpki: refused(keys),
  verifyCertificateHash: refused(keys),
  minProtocolVersion: refused(keys),
  maxProtocolVersion: refused(keys),
  cipherSuites: refused(keys),
  tlsCertificates: refused(keys),
  caCertCredentialName: refused(keys),
});

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

const server = checked(
  struct({
    port: required(
      struct({
        number: required(portNumber),
        name: defaulted(dnsLabel, 'default'),
        protocol: required(
          supportedChoice(['HTTP', 'HTTP2', 'GRPC', 'TLS', 'HTTPS'], {
            TCP: 'use TLS with mode PASSTHROUGH, or HTTP',
            MONGO: 'use TLS with mode PASSTHROUGH',
          }),
        ),
        targetPort: refused('the port of the gateway’s Service says it'),
      }),
    ),
    hosts: required(list(serverHost, { min: 1 })),
    tls: optional(tls),
    name: optional(text()),
    bind: refused('remove it; a gateway listens on all of its addresses'),
    defaultEndpoint: refused('remove it'),
  }),
  (value, at) => {
    const secure = value.port.protocol === 'TLS' || value.port.protocol === 'HTTPS';
    if (secure && value.tls === undefined) {
      at.report.add('ISM0001', `${at.field}.tls`, `${value.port.protocol} needs tls`, 'add `tls: {mode: PASSTHROUGH}`');
    }
    if (value.port.number === CROSS_CLUSTER_PORT) {
      const role = `${CROSS_CLUSTER_PORT} is where gateways take the mesh's TLS between clusters, without any Gateway`;
      const message = value.tls?.mode === 'AUTO_PASSTHROUGH' ? `${role}: this server adds nothing` : role;
      at.report.add('ISM0013', `${at.field}.port.number`, message, 'remove this server, or give it another port');
    }
    if (!secure && value.tls?.mode !== undefined && value.tls.httpsRedirect === undefined) {
      at.report.add('ISM0007', `${at.field}.tls`, 'an HTTP server has no TLS', 'use protocol TLS, or remove `tls`');
    }
  },
);
export type GatewayServer = Infer<typeof server>;

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
};
