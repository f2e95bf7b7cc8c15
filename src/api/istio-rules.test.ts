// SPDX-License-Identifier: Apache-2.0
import { describe, expect, test } from 'vitest';
import { decodeMeshConfig } from './mesh-config.ts';
import { describeRules, type Rule } from './testing/istio-rules.ts';

const server = (fields: string) => `{selector: {a: b}, servers: [{hosts: ["*"], ${fields}}]}`;
const PORT = 'port: {number: 80, name: p, protocol: HTTP}';
const TLS_PORT = 'port: {number: 443, name: p, protocol: HTTPS}';
const GATEWAY: readonly Rule[] = [
  ['no servers', '{selector: {a: b}}', server(PORT)],
  ['a server without hosts', `{selector: {a: b}, servers: [{${PORT}}]}`, server(PORT)],
  ['a server without a port', '{selector: {a: b}, servers: [{hosts: ["*"]}]}', server(PORT)],
  ['a port without a name', server('port: {number: 80, protocol: HTTP}'), server(PORT)],
  ['a protocol that there is not', server('port: {number: 80, name: p, protocol: SMTP}'), server(PORT)],
  [
    'a port name twice',
    `{selector: {a: b}, servers: [{hosts: [a.b], ${PORT}}, {hosts: [c.d], port: {number: 81, name: p, protocol: HTTP}}]}`,
    `{selector: {a: b}, servers: [{hosts: [a.b], ${PORT}}, {hosts: [c.d], port: {number: 81, name: q, protocol: HTTP}}]}`,
  ],
  ['HTTPS without TLS settings', server(TLS_PORT), server(`${TLS_PORT}, tls: {mode: SIMPLE, credentialName: c}`)],
  [
    'TLS settings for TCP',
    server('port: {number: 80, name: p, protocol: TCP}, tls: {mode: SIMPLE, credentialName: c}'),
    server('port: {number: 80, name: p, protocol: TLS}, tls: {mode: SIMPLE, credentialName: c}'),
  ],
  [
    'SIMPLE without a certificate',
    server(`${TLS_PORT}, tls: {mode: SIMPLE}`),
    server(`${TLS_PORT}, tls: {mode: SIMPLE, serverCertificate: /c, privateKey: /k}`),
  ],
  [
    'SIMPLE without a key',
    server(`${TLS_PORT}, tls: {mode: SIMPLE, serverCertificate: /c}`),
    server(`${TLS_PORT}, tls: {mode: SIMPLE, serverCertificate: /c, privateKey: /k}`),
  ],
  [
    'MUTUAL without roots',
    server(`${TLS_PORT}, tls: {mode: MUTUAL, serverCertificate: /c, privateKey: /k}`),
    server(`${TLS_PORT}, tls: {mode: MUTUAL, serverCertificate: /c, privateKey: /k, caCertificates: /ca}`),
  ],
  [
    'ISTIO_MUTUAL with files',
    server(`${TLS_PORT}, tls: {mode: ISTIO_MUTUAL, serverCertificate: /c}`),
    server(`${TLS_PORT}, tls: {mode: ISTIO_MUTUAL}`),
  ],
  [
    'a secret and files',
    server(`${TLS_PORT}, tls: {mode: SIMPLE, credentialName: c, serverCertificate: /c, privateKey: /k}`),
    server(`${TLS_PORT}, tls: {mode: SIMPLE, credentialName: c}`),
  ],
  [
    'a list of revoked certificates in SIMPLE',
    server(`${TLS_PORT}, tls: {mode: SIMPLE, serverCertificate: /c, privateKey: /k, caCrl: /r}`),
    server(`${TLS_PORT}, tls: {mode: MUTUAL, serverCertificate: /c, privateKey: /k, caCertificates: /ca, caCrl: /r}`),
  ],
  [
    'the highest version below the lowest',
    server(
      `${TLS_PORT}, tls: {mode: SIMPLE, credentialName: c, minProtocolVersion: TLSV1_3, maxProtocolVersion: TLSV1_2}`,
    ),
    server(`${TLS_PORT}, tls: {mode: SIMPLE, credentialName: c, minProtocolVersion: TLSV1_2}`),
  ],
  [
    'a wildcard within a name',
    `{selector: {a: b}, servers: [{hosts: ["a.*.c"], ${PORT}}]}`,
    `{selector: {a: b}, servers: [{hosts: ["*.c"], ${PORT}}]}`,
  ],
  [
    'a host of no namespace',
    `{selector: {a: b}, servers: [{hosts: ["/a.b"], ${PORT}}]}`,
    `{selector: {a: b}, servers: [{hosts: ["n/a.b"], ${PORT}}]}`,
  ],
];

const entry = (fields: string) => `{hosts: [a.b], ports: [{number: 80, name: http, protocol: HTTP}], ${fields}}`;
const SERVICE_ENTRY: readonly Rule[] = [
  [
    'no hosts',
    '{ports: [{number: 80, name: http, protocol: HTTP}], resolution: DNS}',
    '{hosts: [a.b], resolution: DNS}',
  ],
  [
    'a bare *',
    '{hosts: ["*"], ports: [{number: 80, name: http, protocol: HTTP}], resolution: NONE}',
    '{hosts: ["*.b"], ports: [{number: 80, name: http, protocol: HTTP}], resolution: NONE}',
  ],
  [
    'a port name twice',
    '{hosts: [a.b], resolution: DNS, ports: [{number: 80, name: x, protocol: HTTP}, {number: 81, name: x, protocol: HTTP}]}',
    '{hosts: [a.b], resolution: DNS, ports: [{number: 80, name: x, protocol: HTTP}, {number: 81, name: y, protocol: HTTP}]}',
  ],
  [
    'a port number twice',
    '{hosts: [a.b], resolution: DNS, ports: [{number: 80, name: x, protocol: HTTP}, {number: 80, name: y, protocol: HTTP}]}',
    '{hosts: [a.b], resolution: DNS, ports: [{number: 80, name: x, protocol: HTTP}, {number: 81, name: y, protocol: HTTP}]}',
  ],
  [
    'a protocol that there is not',
    '{hosts: [a.b], resolution: DNS, ports: [{number: 80, name: x, protocol: SMTP}]}',
    '{hosts: [a.b], resolution: DNS, ports: [{number: 80, name: x, protocol: ""}]}',
  ],
  ['endpoints and NONE', entry('resolution: NONE, endpoints: [{address: 1.2.3.4}]'), entry('resolution: NONE')],
  [
    'a name among STATIC endpoints',
    entry('resolution: STATIC, endpoints: [{address: x.y}]'),
    entry('resolution: STATIC, endpoints: [{address: 1.2.3.4}]'),
  ],
  [
    'a wildcard that is to be looked up',
    '{hosts: ["*.b"], ports: [{number: 80, name: http, protocol: HTTP}], resolution: DNS}',
    entry('resolution: DNS'),
  ],
  [
    'endpoints and a selector',
    entry('resolution: STATIC, workloadSelector: {labels: {a: b}}, endpoints: [{address: 1.2.3.4}]'),
    entry('resolution: STATIC, workloadSelector: {labels: {a: b}}'),
  ],
  [
    'a port of an endpoint that the entry has not',
    entry('resolution: STATIC, endpoints: [{address: 1.2.3.4, ports: {tcp: 1}}]'),
    entry('resolution: STATIC, endpoints: [{address: 1.2.3.4, ports: {http: 1}}]'),
  ],
  [
    'a block of addresses with DNS',
    entry('resolution: DNS, addresses: [10.0.0.0/8]'),
    entry('resolution: NONE, addresses: [10.0.0.0/8]'),
  ],
  [
    'an address that is none',
    entry('resolution: DNS, addresses: [10.0.0.300]'),
    entry('resolution: DNS, addresses: [10.0.0.30]'),
  ],
  [
    'two endpoints in turns of the DNS',
    entry('resolution: DNS_ROUND_ROBIN, endpoints: [{address: x.y}, {address: z.y}]'),
    entry('resolution: DNS_ROUND_ROBIN, endpoints: [{address: x.y}]'),
  ],
  [
    'several hosts that nothing tells apart',
    '{hosts: [a.b, c.d], resolution: DNS, ports: [{number: 80, name: x, protocol: TCP}]}',
    '{hosts: [a.b], resolution: DNS, ports: [{number: 80, name: x, protocol: TCP}]}',
  ],
  [
    'exported to nobody and somebody',
    entry('resolution: DNS, exportTo: ["~", a]'),
    entry('resolution: DNS, exportTo: ["~"]'),
  ],
  [
    'a port of 0',
    '{hosts: [a.b], resolution: DNS, ports: [{number: 0, name: x, protocol: HTTP}]}',
    '{hosts: [a.b], resolution: DNS, ports: [{number: 1, name: x, protocol: HTTP}]}',
  ],
];

const sidecar = (fields: string) => `{egress: [{hosts: ["*/*"]}], ${fields}}`;
const INGRESS = 'port: {number: 80, name: p, protocol: HTTP}, defaultEndpoint: "127.0.0.1:8080"';
const SIDECAR: readonly Rule[] = [
  ['nothing at all', '{}', '{egress: [{hosts: ["*/*"]}]}'],
  [
    'an egress without hosts',
    '{egress: [{port: {number: 80, name: p, protocol: HTTP}}]}',
    '{egress: [{hosts: ["*/*"]}]}',
  ],
  ['an egress host without a namespace', '{egress: [{hosts: [a.b]}]}', '{egress: [{hosts: ["*/a.b"]}]}'],
  [
    'two listeners without a port',
    '{egress: [{hosts: ["*/a.b"]}, {hosts: ["*/c.d"]}]}',
    '{egress: [{port: {number: 80, name: p, protocol: HTTP}, hosts: ["*/a.b"]}, {hosts: ["*/c.d"]}]}',
  ],
  [
    'a listener without a port before others',
    '{egress: [{hosts: ["*/a.b"]}, {port: {number: 80, name: p, protocol: HTTP}, hosts: ["*/c.d"]}]}',
    '{egress: [{port: {number: 80, name: p, protocol: HTTP}, hosts: ["*/c.d"]}, {hosts: ["*/a.b"]}]}',
  ],
  [
    'an ingress without a port',
    sidecar('ingress: [{defaultEndpoint: "127.0.0.1:8080"}]'),
    sidecar(`ingress: [{${INGRESS}}]`),
  ],
  ['an ingress port twice', sidecar(`ingress: [{${INGRESS}}, {${INGRESS}}]`), sidecar(`ingress: [{${INGRESS}}]`)],
  [
    'an ingress to another machine',
    sidecar('ingress: [{port: {number: 80, name: p, protocol: HTTP}, defaultEndpoint: "192.0.2.1:8080"}]'),
    sidecar(`ingress: [{${INGRESS}}]`),
  ],
  [
    'an ingress without a place to go to',
    sidecar('ingress: [{port: {number: 80, name: p, protocol: HTTP}, defaultEndpoint: "127.0.0.1"}]'),
    sidecar(`ingress: [{${INGRESS}}]`),
  ],
];

const WORKLOAD_ENTRY: readonly Rule[] = [
  ['no address', '{labels: {a: b}}', '{address: 1.2.3.4, labels: {a: b}}'],
  ['an address that is none', '{address: "1.2.3.4:80"}', '{address: 1.2.3.4}'],
];
const WORKLOAD_GROUP: readonly Rule[] = [
  ['no template', '{metadata: {labels: {a: b}}}', '{metadata: {labels: {a: b}}, template: {serviceAccount: x}}'],
  [
    'a label that is none',
    '{metadata: {labels: {"a b": c}}, template: {}}',
    '{metadata: {labels: {a: c}}, template: {}}',
  ],
];
const TELEMETRY: readonly Rule[] = [
  [
    'a share beyond all',
    '{tracing: [{randomSamplingPercentage: 101}]}',
    '{tracing: [{randomSamplingPercentage: 100}]}',
  ],
  [
    'a tag without a value',
    '{metrics: [{providers: [{name: prometheus}], overrides: [{tagOverrides: {a: {operation: UPSERT}}}]}]}',
    '{metrics: [{providers: [{name: prometheus}], overrides: [{tagOverrides: {a: {operation: UPSERT, value: "\'x\'"}}}]}]}',
  ],
  [
    'a tag that is removed with a value',
    '{metrics: [{providers: [{name: prometheus}], overrides: [{tagOverrides: {a: {operation: REMOVE, value: x}}}]}]}',
    '{metrics: [{providers: [{name: prometheus}], overrides: [{tagOverrides: {a: {operation: REMOVE}}}]}]}',
  ],
  ['a provider without a name', '{metrics: [{providers: [{}]}]}', '{metrics: [{providers: [{name: prometheus}]}]}'],
];
const PROXY_CONFIG: readonly Rule[] = [['a negative number of threads', '{concurrency: -1}', '{concurrency: 2}']];

describeRules({
  Gateway: GATEWAY,
  ServiceEntry: SERVICE_ENTRY,
  Sidecar: SIDECAR,
  WorkloadEntry: WORKLOAD_ENTRY,
  WorkloadGroup: WORKLOAD_GROUP,
  Telemetry: TELEMETRY,
  ProxyConfig: PROXY_CONFIG,
});

describe('MeshConfig', () => {
  const errors = (mesh: string) => {
    const object = {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: 'istio', namespace: 'istio-system' },
      data: { mesh },
    };
    return decodeMeshConfig(object).diagnostics.filter((d) => d.severity === 'error');
  };
  test.each([
    ['a time-out below a millisecond', 'connectTimeout: 10us', 'connectTimeout: 10ms'],
    ['a mode that there is not', 'outboundTrafficPolicy: {mode: SOME}', 'outboundTrafficPolicy: {mode: ALLOW_ANY}'],
    ['an encoding that there is not', 'accessLogEncoding: XML', 'accessLogEncoding: JSON'],
  ])('%s', (_, refused, taken) => {
    expect(errors(refused)).not.toEqual([]);
    expect(errors(taken)).toEqual([]);
  });
});
