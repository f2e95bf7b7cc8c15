// SPDX-License-Identifier: Apache-2.0
// Bad objects: each must be refused, or remarked upon, with the field, the cure and the line.
import { describe, expect, test } from 'vitest';
import { validateObject } from './validate.ts';
import { parseYamlObjects } from './yaml-documents.ts';

/** `CODE field:line severity` of everything that is said of one object. */
function said(yaml: string): string[] {
  const { objects, faults } = parseYamlObjects(yaml);
  expect(faults).toEqual([]);
  return objects
    .flatMap(({ object, locate }) => validateObject(object, locate))
    .map((d) => {
      expect(d.message).not.toBe('');
      expect(d.cure).not.toBe('');
      return `${d.severity === 'error' ? '' : `${d.severity} `}${d.code} ${d.field}:${d.line}`;
    });
}

function virtualService(http: string, head = 'hosts: [reviews]'): string {
  return `apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: x, namespace: default}
spec:
  ${head}
  http:
${http.replace(/^/gm, '  ')}`;
}

const TO_A = 'route: [{destination: {host: a}}]';

describe('VirtualService', () => {
  test.each([
    ['a sound one', `- ${TO_A}`, []],
    ['misspelt field', `- rout: []\n  ${TO_A}`, ['ISM0003 spec.http[0].rout:7']],
    [
      'weight as text',
      '- route:\n  - destination: {host: a}\n    weight: "50"',
      ['ISM0002 spec.http[0].route[0].weight:9'],
    ],
    [
      'negative weight',
      '- route:\n  - destination: {host: a}\n    weight: -1',
      ['ISM0006 spec.http[0].route[0].weight:9'],
    ],
    [
      'weights of 90',
      '- route:\n  - {destination: {host: a}, weight: 50}\n  - {destination: {host: b}, weight: 40}',
      ['warning ISM0008 spec.http[0].route:7'],
    ],
    [
      'weights of 0',
      '- route:\n  - {destination: {host: a}, weight: 0}\n  - {destination: {host: b}}',
      ['ISM0008 spec.http[0].route:7'],
    ],
    ['no action', '- match: [{uri: {prefix: /a}}]', ['ISM0001 spec.http[0]:7']],
    ['two actions', `- ${TO_A}\n  redirect: {uri: /b}`, ['ISM0007 spec.http[0]:7']],
    ['dead route', `- ${TO_A}\n- ${TO_A}`, ['warning ISM0011 spec.http[1]:8']],
    [
      'dead route behind the prefix /',
      `- match: [{uri: {prefix: /}}]\n  ${TO_A}\n- ${TO_A}`,
      ['warning ISM0011 spec.http[1]:9'],
    ],
    [
      'two kinds of match',
      `- match: [{uri: {exact: /, prefix: /}}]\n  ${TO_A}`,
      ['ISM0007 spec.http[0].match[0].uri:7'],
    ],
    ['empty prefix of a path', `- match: [{uri: {prefix: ""}}]\n  ${TO_A}`, []],
    ['empty prefix', `- match: [{method: {prefix: ""}}]\n  ${TO_A}`, ['ISM0006 spec.http[0].match[0].method.prefix:7']],
    [
      'parameter without a name',
      `- match: [{queryParams: {"": {exact: x}}}]\n  ${TO_A}`,
      ['ISM0006 spec.http[0].match[0].queryParams[""]:7'],
    ],
    ['look-ahead', `- match: [{uri: {regex: "(?=a)"}}]\n  ${TO_A}`, ['ISM0006 spec.http[0].match[0].uri.regex:7']],
    ['open group', `- match: [{uri: {regex: "(a"}}]\n  ${TO_A}`, ['ISM0006 spec.http[0].match[0].uri.regex:7']],
    [
      'exploding expression',
      `- match: [{uri: {regex: "((a{99}){99}){99}"}}]\n  ${TO_A}`,
      ['ISM0006 spec.http[0].match[0].uri.regex:7'],
    ],
    [
      'header with a space',
      `- match: [{headers: {"a b": {exact: x}}}]\n  ${TO_A}`,
      ['ISM0006 spec.http[0].match[0].headers["a b"]:7'],
    ],
    ['time-out without unit', `- ${TO_A}\n  timeout: "5"`, ['ISM0006 spec.http[0].timeout:8']],
    ['time-out below a millisecond', `- ${TO_A}\n  timeout: 10us`, ['ISM0006 spec.http[0].timeout:8']],
    [
      'unknown retry condition',
      `- ${TO_A}\n  retries: {retryOn: "5xx,sometimes"}`,
      ['ISM0006 spec.http[0].retries.retryOn:8'],
    ],
    [
      'percent sign',
      `- ${TO_A}\n  headers: {request: {set: {x: "100%"}}}`,
      ['ISM0006 spec.http[0].headers.request.set["x"]:8'],
    ],
    ['command', `- ${TO_A}\n  headers: {request: {set: {x: "%REQ(y)% 100%%", Host: h}}}`, []],
    [
      'host removed',
      `- ${TO_A}\n  headers: {request: {remove: [Host]}}`,
      ['ISM0006 spec.http[0].headers.request.remove[0]:8'],
    ],
    [
      'group that is not there',
      `- ${TO_A}\n  rewrite: {uriRegexRewrite: {match: "/(a)", rewrite: '\\2'}}`,
      ['ISM0006 spec.http[0].rewrite.uriRegexRewrite.rewrite:8'],
    ],
    ['delegate', `- delegate: {name: y}\n  timeout: 1s`, []],
    ['delegate and route', `- ${TO_A}\n  delegate: {name: y}`, ['ISM0007 spec.http[0]:7']],
    ['old field', `- ${TO_A}\n  websocketUpgrade: true`, ['warning ISM0005 spec.http[0].websocketUpgrade:8']],
    [
      'subset with a blank',
      '- route: [{destination: {host: a, subset: "v 2"}}]',
      ['ISM0006 spec.http[0].route[0].destination.subset:7'],
    ],
  ])('%s', (_, http, expected) => {
    expect(said(virtualService(http))).toEqual(expected);
  });

  test.each([
    ['no hosts, for others to take routes from', 'hosts: []', []],
    ['no hosts, but gateways', 'gateways: [edge]', ['ISM0007 spec.gateways:5']],
    ['a host that another covers', 'hosts: ["*.b.c", x.b.c]\n  gateways: [edge]', ['ISM0009 spec.hosts[1]:5']],
    ['a host twice', 'hosts: [a, a]', ['ISM0009 spec.hosts[1]:5']],
    ['* for all sidecars', 'hosts: ["*"]', ['ISM0006 spec.hosts[0]:5']],
    ['* at a gateway', 'hosts: ["*"]\n  gateways: [edge]', []],
    ['wildcard in the middle', 'hosts: [a.*.com]', ['ISM0006 spec.hosts[0]:5']],
    [
      'labels of strangers',
      'hosts: [a.b]\n  gateways: [edge]\n  tcp: [{match: [{sourceLabels: {a: b}}], route: [{destination: {host: a}}]}]',
      ['warning ISM0005 spec.tcp[0].match[0].sourceLabels:7'],
    ],
    ['tcp route to nowhere', 'hosts: [a]\n  tcp: [{route: []}]', ['ISM0001 spec.tcp[0].route:6']],
  ])('%s', (_, head, expected) => {
    expect(said(virtualService(`- ${TO_A}`, head))).toEqual(expected);
  });

  test('an API version that Istio has not got', () => {
    const yaml = virtualService(`- ${TO_A}`).replace('/v1\n', '/v2\n');
    expect(said(yaml)).toEqual(['ISM0010 apiVersion:1']);
  });
});

test.each([
  ['DestinationRule', 'host: a\n  subsets: [{name: v1}, {name: v1}]', ['ISM0009 spec.subsets[1]:6']],
  ['DestinationRule', 'host: a\n  trafficPolicy: {tls: {mode: STRICT}}', ['ISM0006 spec.trafficPolicy.tls.mode:6']],
  ['DestinationRule', 'host: a\n  trafficPolicy: {tls: {mode: MUTUAL}}', ['ISM0001 spec.trafficPolicy.tls:6']],
  ['DestinationRule', 'subsets: []', ['ISM0001 spec.host:4']],
  [
    'ServiceEntry',
    'hosts: [a.b]\n  ports: [{number: 80, name: http, protocol: HTTP}]\n  resolution: STATIC',
    ['warning ISM0005 spec.resolution:4'],
  ],
  [
    'ServiceEntry',
    'hosts: [a.b]\n  ports: [{number: 80, name: http, protocol: QUIC}]',
    ['ISM0006 spec.ports[0].protocol:6'],
  ],
  [
    'ServiceEntry',
    'hosts: ["*.b"]\n  ports: [{number: 80, name: http}]\n  resolution: DNS',
    ['ISM0006 spec.hosts[0]:5'],
  ],
  [
    'ServiceEntry',
    'hosts: [a.b]\n  addresses: [127.0.0.300]\n  ports: [{number: 80, name: http}]',
    ['ISM0006 spec.addresses[0]:6'],
  ],
  [
    'ServiceEntry',
    'hosts: [a.b]\n  ports: [{number: 80, name: http}]\n  resolution: DNS\n  endpoints: [{address: x, ports: {htp: 1}}]',
    ['ISM0006 spec.endpoints[0].ports.htp:8'],
  ],
  ...['0.0.0.0', '0.0.0.0/32', '224.0.0.1', '255.255.255.255', '"::"'].map((address): [string, string, string[]] => [
    'ServiceEntry',
    `hosts: [a.b]\n  addresses: [${address}]\n  ports: [{number: 80, name: http}]`,
    ['ISM0006 spec.addresses[0]:6'],
  ]),
  [
    'ServiceEntry',
    'hosts: [a.b]\n  addresses: [127.0.0.1, 127.255.0.2, 240.0.0.0/4, 0.0.0.0/0]\n  ports: [{number: 80, name: http}]',
    ['warning ISM0005 spec.addresses[0]:6'],
  ],
  ...['0.0.0.0', '1.2.3', '300.1.1.1'].map((address): [string, string, string[]] => [
    'ServiceEntry',
    `hosts: [a.b]\n  ports: [{number: 80, name: http}]\n  resolution: DNS\n  endpoints: [{address: ${address}}]`,
    ['ISM0006 spec.endpoints[0].address:8'],
  ]),
  ...(
    [
      ['', '[{address: 172.31.0.120, network: external}, {address: 10.96.0.9}]', []],
      ['', '[{address: 172.31.0.120, network: external}]', ['warning ISM0014 spec.endpoints[0].network:8']],
      ['', '[{address: 172.31.0.120, network: "ex ternal"}]', ['ISM0006 spec.endpoints[0].network:8']],
      ['', '[{address: 172.31.0.120, network: far}]', []],
      [
        ', exportTo: [.]',
        '[{address: 172.31.0.120, network: external}, {address: 10.96.0.9}]',
        ['warning ISM0014 spec.exportTo:6'],
      ],
      [', exportTo: [., istio-system]', '[{address: 172.31.0.120, network: external}, {address: 10.96.0.9}]', []],
      [', exportTo: [.]', '[{address: 172.31.0.120}]', []],
    ] as const
  ).map(
    ([more, endpoints, expected]) =>
      [
        'ServiceEntry',
        `{hosts: [a.b.global], ports: [{number: 80, name: http}], resolution: STATIC, endpoints: ${endpoints}${more}}`,
        [...expected],
      ] as [string, string, string[]],
  ),
  ['NobodysKind', 'any: thing', ['ISM0004 kind:2']],
])('%s with %s', (kind, spec, expected) => {
  const yaml = `apiVersion: networking.istio.io/v1\nkind: ${kind}\nmetadata: {name: x, namespace: default}\nspec:\n  ${spec}\n`;
  const shown = said(yaml);
  // The line of a field that is missing is its parent's.
  expect(shown.map((s) => s.replace(/:\d+$/, ''))).toEqual(expected.map((s) => s.replace(/:\d+$/, '')));
});

test('a mesh configuration: unknown fields are warned of, broken YAML is refused', () => {
  const configMap = (mesh: string) =>
    `apiVersion: v1\nkind: ConfigMap\nmetadata: {name: istio, namespace: istio-system}\ndata:\n  mesh: ${JSON.stringify(mesh)}\n`;
  expect(said(configMap('accessLogFile: ""\ningressClass: istio'))).toEqual([
    'warning ISM0005 data.mesh.ingressClass:5',
  ]);
  expect(said(configMap('accesLogFile: /dev/stdout'))).toEqual(['warning ISM0003 data.mesh.accesLogFile:5']);
  expect(said(configMap('a: [b'))).toEqual(['ISM0002 data.mesh:5']);
});

test('objects that are not of the mesh are nobody’s business', () => {
  expect(said('apiVersion: v1\nkind: Service\nmetadata: {name: x}\nspec: {anything: goes}\n')).toEqual([]);
});

test('YAML that cannot be read names its line, and the documents around it are read', () => {
  const { objects, faults } = parseYamlObjects(
    'apiVersion: v1\nkind: Pod\nmetadata: {name: a}\n---\na: [\n---\nkind: Pod\n',
  );
  expect(objects.map((o) => o.object.metadata.name)).toEqual(['a']);
  expect(faults.map((f) => f.line)).toEqual([expect.any(Number), 7]);
  expect(faults[0]?.message).toMatch(/^Flow sequence .* end with a \]$/);
});
