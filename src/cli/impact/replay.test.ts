// SPDX-License-Identifier: Apache-2.0
// Real log lines, replayed on meshes that are compiled from objects as the control plane compiles them.
import { expect, test } from 'vitest';
import { parseYamlObjects } from '../../api/yaml-documents.ts';
import { explain } from '../../explain/explain.ts';
import { type Mesh, openMesh, type SeenObject } from '../../explain/mesh.ts';
import { injectPod } from '../../injector/inject.ts';
import { DEFAULT_SETTINGS } from '../../injector/settings.ts';
import type { KubeObject } from '../../kube/types.ts';
import { findLoggers } from './callers.ts';
import type { LoggedRequest } from './log-format.ts';
import { Replay } from './replay.ts';

const SETTINGS = { ...DEFAULT_SETTINGS, proxyImage: 'isthmus/proxy:1', clusterId: 'c1' };

function pod(name: string, app: string, version: string, ip: string): KubeObject {
  const made = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name: `${name}-5d4f8c7b9-abcde`,
      namespace: 'default',
      labels: { app, version, 'pod-template-hash': '5d4f8c7b9' },
      ownerReferences: [
        { apiVersion: 'apps/v1', kind: 'ReplicaSet', name: `${name}-5d4f8c7b9`, uid: name, controller: true },
      ],
    },
    spec: { serviceAccountName: app, containers: [{ name: 'app', image: 'i' }] },
  };
  const outcome = injectPod(made, 'default', { 'istio-injection': 'enabled' }, SETTINGS, undefined);
  if (outcome.kind !== 'inject') throw new Error(outcome.kind);
  const status = { podIP: ip, phase: 'Running', conditions: [{ type: 'Ready', status: 'True' }] };
  const injected = { ...structuredClone(made), status } as Record<string, unknown>;
  for (const { path, value } of outcome.patch) {
    const [, parent, member] = path.split('/') as [string, string, string];
    (injected[parent] as Record<string, unknown>)[member] = value;
  }
  return injected as unknown as KubeObject;
}

const PODS = [
  pod('productpage-v1', 'productpage', 'v1', '10.1.0.7'),
  pod('reviews-v1', 'reviews', 'v1', '10.1.0.11'),
  pod('reviews-v2', 'reviews', 'v2', '10.1.0.12'),
];

const BASE = `
apiVersion: v1
kind: Namespace
metadata: {name: default}
---
apiVersion: v1
kind: Service
metadata: {name: reviews, namespace: default}
spec: {clusterIP: 10.96.3.4, selector: {app: reviews}, ports: [{name: http, port: 9080}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: reviews-1, namespace: default, labels: {kubernetes.io/service-name: reviews}}
addressType: IPv4
ports: [{name: http, port: 9080}]
endpoints:
- {addresses: [10.1.0.11], conditions: {ready: true}, targetRef: {kind: Pod, name: reviews-v1-5d4f8c7b9-abcde, namespace: default}}
- {addresses: [10.1.0.12], conditions: {ready: true}, targetRef: {kind: Pod, name: reviews-v2-5d4f8c7b9-abcde, namespace: default}}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: reviews, namespace: default}
spec: {host: reviews, subsets: [{name: v1, labels: {version: v1}}, {name: v2, labels: {version: v2}}, {name: v9, labels: {version: v9}}]}
`;

/** The rest of a VirtualService about reviews. */
const rule = (http: string) => `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: reviews, namespace: default}
spec: {hosts: [reviews], http: ${http}}
`;
const to = (subset: string, weight = '') => `{destination: {host: reviews, subset: ${subset}}${weight}}`;
const V1 = `[{route: [${to('v1')}]}]`;
const JASON = `[{match: [{headers: {end-user: {exact: jason}}}], route: [${to('v2')}]}, {route: [${to('v1')}]}]`;

function meshOf(...texts: string[]): Mesh {
  const objects: SeenObject[] = texts.flatMap((text) => parseYamlObjects(text).objects);
  return openMesh({ clusters: [{ id: 'c1', objects: [...objects, ...PODS.map((object) => ({ object }))] }] });
}

const LINE =
  '[2026-01-02T03:04:05.678Z] "GET /reviews/0 HTTP/1.1" 200 - via_upstream - "-" 0 377 5 4 "-" "curl" "6f93c9cc" ' +
  '"reviews:9080" "10.1.0.11:9080" outbound|9080|v1|reviews.default.svc.cluster.local 10.1.0.7:46210 10.96.3.4:9080 ' +
  '10.1.0.7:35122 - - - - TLSv1.3 spiffe://cluster.local/ns/default/sa/reviews "-"';

/** Replays `lines` as productpage’s. */
function replay(before: string[], after: string[], lines: readonly string[] = Array.from({ length: 100 }, () => LINE)) {
  const meshes = { before: meshOf(BASE, ...before), after: meshOf(BASE, ...after), explain };
  const { loggers } = findLoggers(meshes.before, meshes.after, () => true);
  const { caller, reader } = loggers.find(({ pod: name }) => name.startsWith('productpage'))!;
  const all = new Replay(meshes);
  for (const line of lines) all.add(caller, reader.read(line) as LoggedRequest, reader.headers);
  const { flows, untold, sinceMoved } = all.result();
  const [flow] = flows;
  const ends = [...(flow?.ends.values() ?? [])].map(({ end, now, after: then }) => {
    return [`${end.kind} ${end.subset ?? ''} ${end.workload ?? end.status ?? ''}`.trim(), now, then];
  });
  const moves = [...(flow?.moves.values() ?? [])];
  return { flow: flow!, ends, moves, untold, sinceMoved };
}

test('weights give shares, and the rule behind a move is named with its line', () => {
  const half = `[{route: [${to('v1', ', weight: 50')}, ${to('v2', ', weight: 50')}]}]`;
  const { flow, ends, moves, untold } = replay([rule(V1)], [rule(half)]);
  expect(flow).toMatchObject({ workload: 'productpage-v1', host: 'reviews:9080', requests: 100, failsAfter: 0 });
  expect(flow.changed).toBeCloseTo(50);
  expect(ends).toEqual([
    ['served v1 reviews-v1', 100, 50],
    ['served v2 reviews-v2', 0, 50],
  ]);
  expect(moves).toMatchObject([
    {
      from: { subset: 'v1' },
      to: { subset: 'v2', service: 'reviews.default.svc.cluster.local', cluster: 'c1' },
      requests: 50,
      example: { method: 'GET', authority: 'reviews:9080', path: '/reviews/0' },
      why: expect.arrayContaining([expect.objectContaining({ kind: 'VirtualService', name: 'reviews', line: 5 })]),
    },
  ]);
  expect(untold).toEqual([]);
});

test('a change that these requests do not meet is none', () => {
  const other = `[{match: [{uri: {prefix: /other}}], route: [${to('v2')}]}, {route: [${to('v1')}]}]`;
  const { flow, ends } = replay([rule(V1)], [rule(other)]);
  expect(flow.changed).toBe(0);
  expect(ends).toEqual([['served v1 reviews-v1', 100, 100]]);
});

test('what would fail: a subset without endpoints, a fault, a path that no rule takes', () => {
  const empty = replay([rule(V1)], [rule(`[{route: [${to('v9')}]}]`)]);
  expect(empty.ends).toEqual([
    ['served v1 reviews-v1', 100, 0],
    ['failed v9 503', 0, 100],
  ]);
  expect(empty.flow).toMatchObject({ failsNow: 0, failsAfter: 100 });
  const fault = `[{fault: {abort: {httpStatus: 418, percentage: {value: 10}}}, route: [${to('v1')}]}]`;
  const aborted = replay([rule(V1)], [rule(fault)]);
  expect(aborted.flow.failsAfter).toBeCloseTo(10);
  const narrow = `[{match: [{uri: {prefix: /other}}], route: [${to('v1')}]}]`;
  expect(replay([rule(V1)], [rule(narrow)]).ends).toContainEqual(['failed  404', 0, 100]);
});

test('an object that is deleted', () => {
  const { ends, flow, moves } = replay([rule(V1)], []);
  expect(ends).toEqual([
    ['served v1 reviews-v1', 100, 0],
    ['served  reviews-v1', 0, 50],
    ['served  reviews-v2', 0, 50],
  ]);
  // Those that reviews-v1 goes on to serve do not move.
  expect(flow.changed).toBeCloseTo(50);
  expect(moves).toMatchObject([{ to: { workload: 'reviews-v2' }, why: [{ name: 'reviews', isGone: true }] }]);
});

test('a header that the log does not hold: it cannot be told, unless the change makes no difference to it', () => {
  const { flow, moves, untold } = replay([rule(V1)], [rule(JASON)]);
  expect(moves).toEqual([]);
  expect(flow).toMatchObject({ requests: 100, changed: 0 });
  expect(untold).toMatchObject([
    {
      ...{ requests: 100, headers: ['end-user'], cure: 'accessLogFormat with %REQ(END-USER)%', host: 'reviews:9080' },
      may: [{ workload: 'reviews-v1' }, { workload: 'reviews-v2' }],
    },
  ]);
  const timeout = JASON.replace('[{match', '[{timeout: 3s, match');
  expect(replay([rule(JASON)], [rule(timeout)])).toMatchObject({ ends: [['same', 100, 100]], untold: [] });
});

test('with the header in the log it is told, of each value by itself', () => {
  const settings = `
apiVersion: v1
kind: ConfigMap
metadata: {name: istio, namespace: istio-system}
data:
  mesh: |
    accessLogEncoding: JSON
    accessLogFormat: '{"method": "%REQ(:METHOD)%", "path": "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%", "to": "%REQ(:AUTHORITY)%", "user": "%REQ(END-USER)%", "at": "%DOWNSTREAM_LOCAL_ADDRESS%", "cluster": "%UPSTREAM_CLUSTER_RAW%"}'
`;
  const line = (user: string | null) =>
    JSON.stringify({
      ...{ method: 'GET', path: '/reviews/0', to: 'reviews:9080', user, at: '10.96.3.4:9080' },
      cluster: 'outbound|9080|v1|reviews.default.svc.cluster.local',
    });
  const lines = ['jason', 'kim', null, 'jason', 'lee'].map(line);
  const { ends, untold } = replay([settings, rule(V1)], [settings, rule(JASON)], lines);
  expect(untold).toEqual([]);
  expect(ends).toEqual([
    ['served v1 reviews-v1', 5, 3],
    ['served v2 reviews-v2', 0, 2],
  ]);
});

test('a request that went where today’s configuration would not send it is told apart', () => {
  expect(replay([rule(V1)], [rule(V1)]).sinceMoved).toBe(0);
  const { sinceMoved } = replay([rule(V1)], [rule(V1)], [LINE.replace('|9080|v1|', '|9080|v2|')]);
  expect(sinceMoved).toBe(1);
});
