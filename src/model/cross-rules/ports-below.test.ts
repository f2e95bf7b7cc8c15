// SPDX-License-Identifier: Apache-2.0
import { expect, test } from 'vitest';
import { finish } from '../../incremental/steps.ts';
import { VersionedMap } from '../../incremental/versioned-map.ts';
import type { KubeObject } from '../../kube/types.ts';
import type { MeshService } from '../snapshot.ts';
import { MeshStore, type StoreUpdate } from '../store.ts';
import { PortsBelow, portsBelow } from './ports-below.ts';

type Hosts = VersionedMap<string, readonly MeshService[]>;

const having = (...ports: number[]): readonly MeshService[] => [
  {
    ports: ports.map((number) => ({ name: `p${number}`, number, protocol: 'http', targetPort: number })),
  } as unknown as MeshService,
];

test('ports below a wildcard are those of all hosts, however they came, and the same list while they are the same', () => {
  const wanted = new Set(['*', '*.a.example', '*.example']);
  const below = new PortsBelow();
  const none: Hosts = new VersionedMap();
  const first = none.with([
    ['x.a.example', having(80)],
    ['y.b.example', having(81, 80)],
    ['a.example', having(82)],
  ]);
  const one = finish(below.of(wanted, none, first));
  const numbers = (pattern: string) => portsBelow(pattern, first).map(({ number }) => number);
  expect(['*', '*.a.example', '*.example'].map(numbers)).toEqual([[80, 81, 82], [80], [80, 81, 82]]);
  for (const pattern of wanted) expect(one.get(pattern), pattern).toEqual(portsBelow(pattern, first));

  const second = first.with([
    ['z.a.example', having(80)],
    ['y.b.example', undefined],
  ]);
  const two = finish(below.of(wanted, first, second));
  for (const pattern of wanted) expect(two.get(pattern), pattern).toEqual(portsBelow(pattern, second));
  expect(two.get('*.a.example')).toBe(one.get('*.a.example'));

  const three = finish(below.of(new Set(['*.a.example', '*.b.example']), second, first));
  expect([...three.keys()].sort()).toEqual(['*.a.example', '*.b.example']);
  for (const [pattern, ports] of three) expect(ports, pattern).toEqual(portsBelow(pattern, first));
});

test('a rule for a wildcard is judged by the services below it as they come and go', () => {
  const settings = { trustDomain: 'cluster.local', dnsDomain: 'cluster.local', rootNamespace: 'istio-system' };
  const store = new MeshStore({ ...settings, configCluster: 'one' });
  const codesOf = ({ diagnostics }: StoreUpdate) => diagnostics.map(({ code }) => code);
  const put = (object: KubeObject) => codesOf(store.apply([{ kind: 'upsert', cluster: 'one', object }]));
  const service = (port: number): KubeObject => ({
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: `on-${port}`, namespace: 'shops' },
    spec: { clusterIP: '10.96.0.1', ports: [{ name: 'http', port }] },
  });
  put({
    apiVersion: 'networking.istio.io/v1',
    kind: 'VirtualService',
    metadata: { name: 'all', namespace: 'shops' },
    spec: {
      hosts: ['*.shops.svc.cluster.local'],
      http: [{ match: [{ port: 8080 }], directResponse: { status: 204 } }],
    },
  } as KubeObject);
  expect(put(service(80))).toEqual(['ISM0120']);
  expect(put(service(8080))).toEqual([]);
  const gone = store.apply([{ kind: 'delete', cluster: 'one', object: service(8080) }]);
  expect(codesOf(gone)).toEqual(['ISM0120']);
});
