// SPDX-License-Identifier: Apache-2.0
// testing/sidecar.json is what the sidecar of Bookinfo's productpage said on a sandbox, less most of its services.
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { readPodName } from '../proxies/proxy-pod.ts';
import type { Asked } from './ask.ts';
import { readDump } from './dump.ts';
import { readEjected } from './endpoints.ts';
import { type Filter, type Format, notesOn, type Part, renderPart } from './print.ts';

const NOW_MS = Date.parse('2026-11-22T13:00:00Z');
const saved = readFileSync(new URL('testing/sidecar.json', import.meta.url), 'utf8');
const sidecar: Asked = { dump: readDump(saved, 'sidecar.json'), ejected: new Map() };

function show(
  part: Part,
  filter: Partial<Filter> = {},
  output: Format = 'short',
  asked = sidecar,
  nowMs = NOW_MS,
): string {
  return renderPart(part, asked, { verbose: true, ...filter }, output, nowMs);
}
/** Cells, without the header. */
const rows = (...of: Parameters<typeof show>): string[][] =>
  show(...of)
    .trimEnd()
    .split('\n')
    .slice(1)
    .map((line) => line.split(/ {5,}/));
const dumpOf = (...configs: object[]): Asked => ({
  dump: readDump(JSON.stringify({ configs }), 'a dump'),
  ejected: new Map(),
});
const section = (name: string, members: object) => ({
  '@type': `type.googleapis.com/envoy.admin.v3.${name}`,
  ...members,
});

test('clusters are told by host, port, subset and direction, and with the DestinationRule in force', () => {
  expect(show('cluster', { fqdn: 'reviews' })).toBe(
    [
      'SERVICE FQDN                          PORT     SUBSET     DIRECTION     TYPE     DESTINATION RULE',
      'reviews.default.svc.cluster.local     9080     -          outbound      EDS      reviews.default',
      'reviews.default.svc.cluster.local     9080     v1         outbound      EDS      reviews.default',
      'reviews.default.svc.cluster.local     9080     v2         outbound      EDS      reviews.default',
      'reviews.default.svc.cluster.local     9080     v3         outbound      EDS      reviews.default',
      '',
    ].join('\n'),
  );
  expect(rows('cluster', { subset: 'v2' })).toHaveLength(1);
  expect(rows('cluster', { direction: 'inbound' }).map(([host, port]) => [host, port])).toEqual([['-', '9080']]);
  expect(rows('cluster', { port: 1 })).toEqual([]);
  expect(rows('cluster', { fqdn: 'BlackHole' })).toEqual([['BlackHoleCluster', '-', '-', '-', 'STATIC']]);
});

test('listeners are told by filter chain, or by their kind', () => {
  expect(rows('listener', { port: 9080 })).toEqual([
    ['0.0.0.0', '9080', 'App: HTTP', 'Route: 9080'],
    ['0.0.0.0', '9080', 'ALL', 'PassthroughCluster'],
  ]);
  expect(rows('listener', { address: '10.96.0.1' })).toEqual([
    ['10.96.0.1', '443', 'ALL', 'Cluster: outbound|443||kubernetes.default.svc.cluster.local'],
  ]);
  expect(rows('listener', { verbose: false })).toEqual([
    ['10.96.0.1', '443', 'TCP'],
    ['0.0.0.0', '9080', 'HTTP+TCP'],
    ['0.0.0.0', '15001', 'TCP'],
  ]);
  expect(rows('listener', { type: 'tcp', verbose: false }).map(([, port]) => port)).toEqual(['443', '15001']);
});

test('routes are told with the VirtualService that made them, and what they ask for', () => {
  expect(rows('route', { name: '9080' }).at(-1)).toEqual([
    ...[
      '9080',
      'reviews.default.svc.cluster.local:9080',
      'reviews, reviews.default + 1 more...',
      '/*',
      'reviews.default',
    ],
  ]);
  expect(rows('route', { verbose: false })).toEqual([
    ['9080', '5'],
    ['inbound|9080||', '1'],
  ]);
  const match = {
    path: '/reviews',
    headers: [
      { name: 'end-user', string_match: { exact: 'jason' } },
      { name: 'x-old', present_match: true, invert_match: true },
    ],
    query_parameters: [{ name: 'page', string_match: { safe_regex: { regex: '[0-9]+' } } }],
  };
  const asked = dumpOf(
    section('RoutesConfigDump', {
      dynamic_route_configs: [
        {
          route_config: {
            name: '80',
            vhds: {},
            virtual_hosts: [
              { name: 'x', domains: ['x'], routes: [{ match }] },
              { name: 'empty', domains: ['y'] },
            ],
          },
        },
      ],
    }),
  );
  expect(rows('route', {}, 'short', asked)).toEqual([
    ['80', 'x', 'x', '/reviews end-user=jason !x-old page~[0-9]+'],
    ['80', 'empty', 'y', '/*', '404'],
  ]);
  expect(notesOn(asked)).toEqual([expect.stringContaining('include_eds'), expect.stringContaining('VHDS')]);
});

test('endpoints are told with their health, and those that the proxy leaves out as ejected', () => {
  const cluster = 'outbound|9080|v2|reviews.default.svc.cluster.local';
  expect(rows('endpoint', { cluster })).toEqual([['10.1.0.17:9080', 'HEALTHY', cluster]]);
  const ejected = readEjected({
    cluster_statuses: [
      {
        name: cluster,
        host_statuses: [
          {
            address: { socket_address: { address: '10.1.0.17', port_value: 9080 } },
            health_status: { failed_outlier_check: true, eds_health_status: 'HEALTHY' },
          },
        ],
      },
    ],
  });
  const asked = { ...sidecar, ejected };
  expect(rows('endpoint', { status: 'ejected' }, 'short', asked)).toEqual([['10.1.0.17:9080', 'EJECTED', cluster]]);
  expect(rows('endpoint', { address: '10.1.0.17', status: 'healthy' }, 'short', asked)).toHaveLength(1);
});

test('certificates are told with the time that is left, and no key is ever printed', () => {
  expect(
    rows('secret').map(([name, type, , valid, , , , trustDomain, left]) => [name, type, valid, trustDomain, left]),
  ).toEqual([
    ['ROOTCA', 'CA', 'true', '-', '3649d'],
    ['default', 'Cert Chain', 'true', 'cluster.local', '23h'],
  ]);
  const later = NOW_MS + 2 * 86_400_000;
  expect(rows('secret', {}, 'short', sidecar, later).at(-1)).toEqual(expect.arrayContaining(['false', 'expired']));
  const raw = JSON.parse(saved) as { configs: object[] };
  const secrets = section('SecretsConfigDump', {
    dynamic_active_secrets: [
      {
        name: 'own',
        secret: {
          name: 'own',
          tls_certificate: {
            private_key: { inline_string: 'very secret' },
            password: { inline_string: 'very secret' },
          },
        },
      },
    ],
  });
  const asked = dumpOf(...raw.configs, secrets);
  for (const part of ['secret', 'all'] as const) {
    for (const output of ['short', 'json', 'yaml'] as const) {
      expect(show(part, {}, output, asked)).not.toContain('very secret');
    }
  }
});

test('a certificate that is cut is told as damaged, and the others all the same', () => {
  const pem = '-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n';
  const secret = { name: 'cut', validation_context: { trusted_ca: { inline_string: pem } } };
  const raw = JSON.parse(saved) as { configs: { '@type': string; dynamic_active_secrets?: object[] }[] };
  for (const each of raw.configs) each.dynamic_active_secrets?.push({ name: 'cut', secret });
  expect(rows('secret', {}, 'short', dumpOf(...raw.configs)).map(([name, , , , , , , , left]) => [name, left])).toEqual(
    [
      ['ROOTCA', '3649d'],
      ['cut', 'damaged'],
      ['default', '23h'],
    ],
  );
});

test('the messages themselves are what -o json and yaml print, narrowed as the table is', () => {
  const clusters = JSON.parse(show('cluster', { fqdn: 'reviews', subset: 'v3' }, 'json')) as { name: string }[];
  expect(clusters.map(({ name }) => name)).toEqual(['outbound|9080|v3|reviews.default.svc.cluster.local']);
  expect(show('bootstrap', {}, 'yaml')).toContain('id: sidecar~');
  expect(readDump(show('all', {}, 'json'), 'again').routes).toEqual(sidecar.dump.routes);
});

test('what the proxy refuses, and what waits, is said', () => {
  const listeners = section('ListenersConfigDump', {
    dynamic_listeners: [
      { name: 'bad', active_state: { listener: { name: 'bad' } }, error_state: { details: 'no such filter' } },
      { name: 'new', warming_state: { listener: { name: 'new' } } },
    ],
  });
  const endpoints = section('EndpointsConfigDump', {});
  expect(notesOn(dumpOf(listeners, endpoints))).toEqual([
    'the proxy refuses listener bad: no such filter',
    'not used yet, until what they wait for has come: new',
  ]);
});

test('what is no dump is said to be none, with the cure', () => {
  expect(() => readDump('{', 'x.json')).toThrow('x.json is no configuration dump');
  expect(() => readDump('{"kind": "Pod"}', 'x.json')).toThrow('-o json');
});

test.each([
  ['web.shop', {}, 'web', 'shop', 'Pod'],
  ['web', {}, 'web', 'current', 'Pod'],
  ['web.v1', { named: 'shop' }, 'web.v1', 'shop', 'Pod'],
  ['web.shop', { named: 'shop' }, 'web', 'shop', 'Pod'],
  ['deploy/web.shop', {}, 'web', 'shop', 'Deployment'],
  ['svc/web', {}, 'web', 'current', 'Service'],
])('%s names a pod', (text, namespace, name, where, kind) => {
  const read = readPodName(text, { current: 'current', ...namespace });
  expect([read.name, read.namespace, read.type?.kind ?? 'Pod']).toEqual([name, where, kind]);
});

test('a type without pods is a wrong call', () => {
  expect(() => readPodName('secret/x', { current: 'default' })).toThrow('use one of pod, deployment');
});
