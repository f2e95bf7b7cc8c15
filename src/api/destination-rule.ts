// SPDX-License-Identifier: Apache-2.0
// networking.istio.io DestinationRule: https://istio.io/latest/docs/reference/config/networking/destination-rule/

import { reportDuplicates } from './duplicates.ts';
import type { Kind, MeshObject } from './kind.ts';
import {
  bool,
  checked,
  defaulted,
  type Infer,
  integer,
  list,
  optional,
  refused,
  required,
  struct,
  supportedChoice,
  text,
} from './shape.ts';
import { dnsLabel, durationMs, exportTo, hostPattern, labels, portSelector } from './values.ts';

const later = (what: string) => `remove it; ${what} is not available yet`;

const tls = checked(
  struct({
    mode: defaulted(supportedChoice(['DISABLE', 'SIMPLE', 'MUTUAL', 'ISTIO_MUTUAL'], {}), 'DISABLE'),
    clientCertificate: optional(text()),
    privateKey: optional(text()),
    caCertificates: optional(text()),
    subjectAltNames: defaulted(list(text()), []),
    sni: optional(text()),
    insecureSkipVerify: optional(bool),
    credentialName: refused('give the files by clientCertificate, privateKey and caCertificates'),
    caCrl: refused(later('a revocation list')),
  }),
  (value, at) => {
    const files = [value.clientCertificate, value.privateKey];
    if (value.mode === 'MUTUAL' && files.includes(undefined)) {
      at.report.add(
        'ISM0001',
        at.field,
        'MUTUAL needs a certificate and a key',
        'add clientCertificate and privateKey',
      );
    }
    if (value.mode === 'ISTIO_MUTUAL' && [...files, value.caCertificates].some((file) => file !== undefined)) {
      at.report.add(
        'ISM0007',
        at.field,
        'ISTIO_MUTUAL uses the certificates of the mesh',
        'remove the file names, or use MUTUAL',
      );
    }
    if (value.insecureSkipVerify === true && value.caCertificates !== undefined) {
      at.report.add('ISM0007', at.field, 'insecureSkipVerify makes caCertificates useless', 'keep caCertificates');
    }
  },
);
export type TlsSettings = Infer<typeof tls>;

const loadBalancer = struct({
  simple: optional(
    supportedChoice(['ROUND_ROBIN', 'LEAST_REQUEST', 'LEAST_CONN', 'RANDOM', 'UNSPECIFIED'], {
      PASSTHROUGH: 'give the host no endpoints: its ServiceEntry can have resolution NONE',
    }),
  ),
  consistentHash: refused(later('consistent hashing')),
  localityLbSetting: refused(later('load balancing by locality')),
  warmupDurationSecs: refused(later('warm-up')),
  warmup: refused(later('warm-up')),
});

const connectionPool = struct({
  tcp: optional(
    struct({
      maxConnections: optional(integer({ min: 1 })),
      connectTimeout: optional(durationMs()),
      tcpKeepalive: optional(
        struct({
          probes: optional(integer()),
          time: optional(durationMs()),
          interval: optional(durationMs()),
        }),
      ),
      maxConnectionDuration: refused(later('a limit on the life of connections')),
      idleTimeout: refused(later('a limit on idle TCP connections')),
    }),
  ),
  http: optional(
    struct({
      http1MaxPendingRequests: optional(integer()),
      http2MaxRequests: optional(integer()),
      maxRequestsPerConnection: optional(integer({ max: 536870912 })),
      maxRetries: optional(integer()),
      idleTimeout: optional(durationMs({ zero: true })),
      maxConcurrentStreams: optional(integer({ min: 1, max: 2147483647 })),
      h2UpgradePolicy: refused('name the protocol in the port of the Service: http2-... or appProtocol: http2'),
      useClientProtocol: refused('name the protocol in the port of the Service: http2-... or appProtocol: http2'),
    }),
  ),
});
export type ConnectionPool = Infer<typeof connectionPool>;

const outlierDetection = struct({
  consecutive5xxErrors: optional(integer()),
  consecutiveGatewayErrors: optional(integer()),
  interval: optional(durationMs()),
  baseEjectionTime: optional(durationMs()),
  maxEjectionPercent: optional(integer({ max: 100 })),
  minHealthPercent: optional(integer({ max: 100 })),
  splitExternalLocalOriginErrors: refused(later('telling local errors apart')),
  consecutiveLocalOriginFailures: refused(later('telling local errors apart')),
  consecutiveErrors: refused('use consecutive5xxErrors, which replaced it'),
});
export type OutlierDetection = Infer<typeof outlierDetection>;

const policyFields = {
  tls: optional(tls),
  loadBalancer: optional(loadBalancer),
  connectionPool: optional(connectionPool),
  outlierDetection: optional(outlierDetection),
};
const portPolicy = struct({ ...policyFields, port: required(portSelector) });
const trafficPolicy = struct({
  ...policyFields,
  portLevelSettings: defaulted(list(portPolicy), []),
  tunnel: refused(later('tunnelling')),
  proxyProtocol: refused(later('the PROXY protocol')),
  retryBudget: refused(later('a retry budget')),
});
export type TrafficPolicy = Infer<typeof trafficPolicy>;
export type PortPolicy = Infer<typeof portPolicy>;

const subset = struct({
  name: required(dnsLabel),
  labels: defaulted(labels, {}),
  trafficPolicy: optional(trafficPolicy),
});
export type Subset = Infer<typeof subset>;

const spec = struct(
  {
    host: required(hostPattern),
    trafficPolicy: optional(trafficPolicy),
    subsets: defaulted(list(subset), []),
    exportTo,
    workloadSelector: refused(later('a rule for some clients only')),
  },
  'What applies to traffic for a service after routing: versions, TLS, load balancing.',
);
export type DestinationRuleSpec = Infer<typeof spec>;
export type DestinationRule = MeshObject<DestinationRuleSpec>;

export const DESTINATION_RULE: Kind<DestinationRuleSpec> = {
  group: 'networking.istio.io',
  kind: 'DestinationRule',
  plural: 'destinationrules',
  singular: 'destinationrule',
  shortNames: ['dr'],
  versions: ['v1alpha3', 'v1beta1', 'v1'],
  description: 'What applies to traffic for a service after routing: versions, TLS, load balancing.',
  columns: [
    { name: 'Host', type: 'string', jsonPath: '.spec.host', description: 'The host that the rule is for' },
    { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp', description: 'Time since it was created' },
  ],
  spec,
  check(value, at) {
    const names = value.subsets.map((s) => s.name);
    reportDuplicates(names, `${at.field}.subsets`, at);
  },
};
