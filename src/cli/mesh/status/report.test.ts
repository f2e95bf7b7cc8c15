// SPDX-License-Identifier: Apache-2.0
import { describe, expect, test } from 'vitest';
import type { RuleReport } from '../../../federation/rules/comparison.ts';
import type { RegistryStatus } from '../../../runtime/registries/registry-reports.ts';
import type { ProxyRow } from '../../proxies/states.ts';
import type { ClusterState, MeshState, PlaneAnswers } from './gather.ts';
import { age, renderStatus } from './render.ts';
import { reportStatus } from './report.ts';

const NOW_MS = Date.parse('2026-11-22T12:00:00Z');
const DAY_MS = 24 * 3_600_000;
const ends = (days: number) => ({
  subject: 'CN=x',
  fingerprint: 'AA',
  notBeforeMs: 0,
  notAfterMs: NOW_MS + days * DAY_MS,
});

function proxy(name: string, cluster: string, more: Partial<ProxyRow> = {}): ProxyRow {
  return {
    ...{ name, cluster, istiod: 'istiod-1', version: '1.0.0', refusals: [] },
    ...{ cds: 'SYNCED', lds: 'SYNCED', eds: 'SYNCED', rds: 'IGNORED' },
    ...more,
  };
}

const registry: RegistryStatus = {
  ...{ cluster: 'cluster2', secret: 's2', secretUid: 'u', server: 'https://x', state: 'synced', ageSeconds: 0 },
  ...{ services: 1, pods: 1, endpointSlices: 1 },
};

const answers: PlaneAnswers = {
  proxies: [proxy('a.app', 'cluster1'), proxy('b.app', 'cluster2'), proxy('c.app', 'cluster2', { cds: 'STALE' })],
  registries: [registry],
  federation: undefined,
};

/** cluster2 is served by cluster1. */
function cluster(name: string, more: Partial<ClusterState> = {}, sight: Record<string, unknown> = {}): ClusterState {
  const part = { name: 'istio-ingressgateway', version: '1.0.0', wanted: 1, ready: 1, state: '' };
  return {
    ...{ name, meshName: name, unreachable: undefined, plane: 'cluster1', notes: [] },
    workloadEndMs: NOW_MS + DAY_MS / 2,
    answers: name === 'cluster1' ? answers : undefined,
    observed: {
      sight: {
        ...{ name, role: name === 'cluster1' ? 'primary' : 'remote', aheadMs: 0, remarks: [], parts: [part] },
        authority: { secret: 'cacerts', roots: [ends(3_000)], intermediate: ends(400), trusted: '' },
        ...sight,
      },
    } as unknown as ClusterState['observed'],
    ...more,
  };
}

const mesh = (clusters: readonly ClusterState[], rules: readonly RuleReport[] = []): MeshState => ({ clusters, rules });
const problems = (state: MeshState): string[] =>
  reportStatus(state, NOW_MS).problems.map(
    ({ severity, cluster: where, message }) => `${severity} ${where}: ${message}`,
  );

test('a mesh in order has numbers and no problem; a served cluster’s proxies are counted where they belong', () => {
  const report = reportStatus(mesh([cluster('cluster1'), cluster('cluster2')]), NOW_MS);
  expect(report).toMatchObject({
    ok: true,
    problems: [],
    clusters: [
      {
        ...{ controlPlane: 'own', proxies: { all: 1, inSync: 1, refusing: 0 } },
        ...{ rootDays: 3_000, intermediateDays: 400, workloadHours: 12 },
      },
      { controlPlane: 'served by cluster1', proxies: { all: 2, inSync: 1, refusing: 0 } },
    ],
    links: [{ reader: 'cluster1', cluster: 'cluster2', reads: 'endpoints', state: 'synced', ageSeconds: 0 }],
  });
  expect(renderStatus(report)).toBe(
    `
CLUSTER      CONTROL PLANE          VERSION     REACHED     IN SYNC     REFUSING     ROOT       CA        WORKLOADS
cluster1     own                    1.0.0       yes         1 of 1      0            3000 d     400 d     12 h
cluster2     served by cluster1     1.0.0       yes         1 of 2      0            3000 d     400 d     12 h

READER       READS         OF           STATE      LAST IN STEP
cluster1     endpoints     cluster2     synced     now

✓ 2 clusters, nothing to remark on.
`.trimStart(),
  );
});

test('the cure of what `analyze` remarks names the cluster', () => {
  const object = { apiVersion: 'apps/v1', kind: 'Deployment', namespace: 'istio-system', name: 'istiod' };
  const remark = { code: 'ISM0302', severity: 'error', object, field: '', message: 'it has no pod' };
  const remarks = [{ ...remark, cure: 'kubectl -n istio-system describe deployment istiod says why' }];
  const { problems: told } = reportStatus(mesh([cluster('cluster1', {}, { remarks })]), NOW_MS);
  expect(told.map(({ cure }) => cure)).toContain(
    'kubectl --context cluster1 -n istio-system describe deployment istiod says why',
  );
});

describe('what is wrong comes first, errors before warnings', () => {
  test.each<[string, MeshState, string[]]>([
    [
      'certificates that end',
      mesh([
        cluster(
          'cluster1',
          {},
          { authority: { secret: 'cacerts', roots: [ends(20)], intermediate: ends(-1), trusted: '' } },
        ),
      ]),
      ['error cluster1: the intermediate has expired', 'warning cluster1: the root ends in 20 days'],
    ],
    [
      'by the cluster’s own clock',
      mesh([cluster('cluster1', {}, { aheadMs: 390 * DAY_MS })]),
      [
        'warning cluster1: the intermediate ends in 10 days',
        'warning cluster1: a workload’s certificate ends within the hour',
      ],
    ],
    [
      'a cluster that is away',
      mesh([cluster('cluster1'), cluster('cluster2', { unreachable: 'connect ECONNREFUSED', observed: undefined })]),
      ['error cluster2: it cannot be asked: connect ECONNREFUSED'],
    ],
    [
      'a gateway without pods',
      mesh([
        cluster(
          'cluster1',
          {},
          {
            parts: [{ name: 'istio-ingressgateway', version: '1.0.0', wanted: 0, ready: 0, state: '' }],
          },
        ),
      ]),
      ['error cluster1: it has no ready pod: it is scaled to 0'],
    ],
    [
      'a registry that cannot be read',
      mesh([
        cluster('cluster1', {
          answers: {
            ...answers,
            registries: [{ ...registry, state: 'stale', ageSeconds: 90, problem: 'Unauthorized' }],
          },
        }),
      ]),
      ['error cluster1: cluster2 cannot be read: Unauthorized; what was known of it stays in force'],
    ],
    [
      'proxies that refuse',
      mesh([
        cluster('cluster1', {
          answers: {
            ...answers,
            proxies: ['a', 'b', 'c', 'd'].map((name) =>
              proxy(name, 'cluster1', {
                refusals: [{ type: 'CDS', resource: 'x', inForce: true, message: 'no', objects: [] }],
              }),
            ),
          },
        }),
      ]),
      [
        'error cluster1: 4 proxies refuse what the control plane sends (a, b, c, and 1 more): what was before stays in force',
      ],
    ],
    [
      'a copy of a rule that somebody edited',
      mesh(
        [cluster('cluster1')],
        [
          {
            ...{ kind: 'VirtualService', namespace: 'app', name: 'reviews', source: 'cluster1' },
            ...{ revision: 'r', generation: 1 },
            copies: [
              { cluster: 'cluster2', state: 'edited', revision: 'r', generation: 1, message: 'it was edited' },
              { cluster: 'cluster3', state: 'in-step', revision: 'r', generation: 1, message: '' },
            ],
          },
        ],
      ),
      ['warning cluster2: the copy of cluster1’s rule: it was edited'],
    ],
  ])('%s', (_, state, expected) => {
    expect(problems(state)).toEqual(expected);
  });
});

test('how old something is', () => {
  expect([5, 119, 120, 7_199, 7_200, 172_799, 172_800].map(age)).toEqual([
    ...['5 s', '119 s', '2 min', '119 min', '2 h', '47 h', '2 d'],
  ]);
});

test('what is written of the ways in, of names and of injection is told without a probe', () => {
  const gateway = { ports: [{ number: 80 }] };
  const object = { kind: 'ConfigMap', namespace: 'kube-system', name: 'kube-dns' };
  const names = { isInstalled: true, fault: { object, message: 'x', cure: 'y' } };
  const sight = { gateway, injector: 'missing', names };
  expect(problems(mesh([cluster('cluster1', {}, sight)]))).toEqual([
    'error cluster1: it has no port 15443, by which other clusters come in',
    'error cluster1: it is not there: new pods get no sidecar',
    'warning cluster1: by what is written there, names below .global do not resolve',
  ]);
  const behind = (endpoints: number) => ({ gateway: { ports: [{ number: 15_443 }], endpoints } });
  expect(problems(mesh([cluster('cluster1', {}, behind(0))]))).toEqual([
    'error cluster1: nobody is behind it, though pods of the gateway are ready: its selector does not match their labels',
  ]);
  const sound = { ...behind(1), injector: 'there', names: { isInstalled: true } };
  expect(problems(mesh([cluster('cluster1', {}, sound)]))).toEqual([]);
});
