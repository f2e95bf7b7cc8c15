// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it, test } from 'vitest';
import type { Container, Node, Pod, PodSpec } from '../objects.ts';
import { misfitsOf, requestsOf } from './node-fit.ts';
import { selectNode } from './scheduler.ts';

const asking = (requests: Record<string, string>, more: Partial<Container> = {}): Container => ({
  name: 'c',
  resources: { requests },
  ...more,
});
const pod = (spec: Partial<PodSpec>, labels = {}): Pod => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'p', namespace: 'default', labels },
  spec: { containers: [], ...spec },
});
const node = (spec: Node['spec'] = {}, labels: Record<string, string> = {}, name = 'n'): Node => ({
  apiVersion: 'v1',
  kind: 'Node',
  metadata: { name, labels },
  spec,
  status: { conditions: [{ type: 'Ready', status: 'True' }], allocatable: { cpu: '2', memory: '4Gi', pods: '3' } },
});
const reasons = (...arguments_: Parameters<typeof misfitsOf>) => misfitsOf(...arguments_).map(({ reason }) => reason);

describe('requests of a pod', () => {
  it('are the sum of the containers, or what the largest init container needs beside the sidecars before it', () => {
    const sidecar = asking({ cpu: '100m' }, { restartPolicy: 'Always' });
    const initContainers = [asking({ cpu: '1' }), sidecar, asking({ cpu: '950m' })];
    const containers = [asking({ cpu: '200m', memory: '1Gi' }), asking({ cpu: '300m' })];
    expect(requestsOf(pod({ initContainers, containers })).get('cpu')).toBeCloseTo(1.05);
    expect(requestsOf(pod({ initContainers: [sidecar], containers })).get('cpu')).toBeCloseTo(0.6);
    expect(requestsOf(pod({ containers, overhead: { memory: '1Gi' } })).get('memory')).toBe(2 ** 31);
  });
});

describe('a pod that does not fit', () => {
  it('lacks resources, of which it names each; the pods that are there count', () => {
    const big = pod({ containers: [asking({ cpu: '1500m', memory: '5Gi' })] });
    expect(reasons(big, node(), [])).toEqual(['Insufficient memory']);
    expect(reasons(big, node(), [pod({ containers: [asking({ cpu: '600m' })] })])).toEqual([
      'Insufficient cpu',
      'Insufficient memory',
    ]);
    const tenths = Array.from({ length: 9 }, () => pod({ containers: [asking({ cpu: '100m' })] }));
    const roomy: Node = { ...node(), status: { ...node().status, allocatable: { cpu: '1' } } };
    expect(reasons(pod({ containers: [asking({ cpu: '0.1' })] }), roomy, tenths)).toEqual([]);
    expect(reasons(pod({ containers: [asking({ 'example.com/gpu': '1' })] }), node(), [])).toEqual([
      'Insufficient example.com/gpu',
    ]);
    expect(reasons(pod({}), node(), [pod({}), pod({}), pod({})])).toEqual(['Too many pods']);
  });

  it('does not bear the taints, the first of which it names; PreferNoSchedule keeps nobody out', () => {
    const taints = [
      { key: 'soft', effect: 'PreferNoSchedule' },
      { key: 'team', value: 'a', effect: 'NoSchedule' },
    ];
    expect(reasons(pod({}), node({ taints }), [])).toEqual(['node(s) had untolerated taint {team: a}']);
    const tolerations = [{ key: 'team', operator: 'Equal', value: 'a', effect: 'NoSchedule' }];
    expect(reasons(pod({ tolerations }), node({ taints }), [])).toEqual([]);
    expect(reasons(pod({ tolerations: [{ operator: 'Exists' }] }), node({ taints, unschedulable: true }), [])).toEqual(
      [],
    );
    expect(reasons(pod({ tolerations }), node({ taints, unschedulable: true }), [])).toEqual([
      'node(s) were unschedulable',
    ]);
    const silent: Node = { ...node(), status: {} };
    expect(reasons(pod({}), silent, [])).toEqual(['node(s) had untolerated taint {node.kubernetes.io/not-ready: }']);
  });

  it('wants a port of the node that another has', () => {
    const wanting = pod({ containers: [{ name: 'c', ports: [{ containerPort: 80, hostPort: 8080 }] }] });
    expect(reasons(wanting, node(), [wanting])).toEqual(["node(s) didn't have free ports for the requested pod ports"]);
  });
});

describe('company', () => {
  const here = { 'kubernetes.io/hostname': 'n' };
  const around = (...placed: Pod[]) => ({
    nodes: new Map([['n', node({}, here)]]),
    placed: placed.map((each) => ({ ...each, spec: { ...each.spec, nodeName: 'n' } })),
    namespaceLabels: () => ({}),
  });
  const term = { labelSelector: { matchLabels: { app: 'web' } }, topologyKey: 'kubernetes.io/hostname' };
  const rule = { requiredDuringSchedulingIgnoredDuringExecution: [term] };
  const shy = pod({ affinity: { podAntiAffinity: rule } }, { app: 'web' });

  test('one that wants to be alone, and one whom those who are there do not want', () => {
    expect(selectNode(shy, around()).node).toBe('n');
    expect(selectNode(shy, around(shy)).message).toBe(
      "0/1 nodes are available: 1 node(s) didn't match pod anti-affinity rules. preemption: 0/1 nodes are available: 1 No preemption victims found for incoming pod.",
    );
    expect(selectNode(pod({}, { app: 'web' }), around(shy)).message).toContain(
      "1 node(s) didn't satisfy existing pods anti-affinity rules",
    );
  });

  test('one that wants company finds it, or is the first of its kind, or waits', () => {
    const friendly = { affinity: { podAffinity: rule } };
    expect(selectNode(pod(friendly, { app: 'web' }), around()).node).toBe('n');
    expect(selectNode(pod(friendly), around()).message).toContain("1 node(s) didn't match pod affinity rules");
    expect(selectNode(pod(friendly), around(pod({}, { app: 'web' }))).node).toBe('n');
  });

  test('an even spread over zones', () => {
    const key = 'topology.kubernetes.io/zone';
    const nodes = new Map(['a', 'b'].map((zone) => [zone, node({}, { [key]: zone }, zone)]));
    const constraint = {
      maxSkew: 1,
      topologyKey: key,
      whenUnsatisfiable: 'DoNotSchedule',
      labelSelector: { matchLabels: { app: 'web' } },
    };
    const spread = pod({ topologySpreadConstraints: [constraint] }, { app: 'web' });
    const placed = [{ ...spread, spec: { ...spread.spec, nodeName: 'a' } }];
    expect(selectNode(spread, { nodes, placed, namespaceLabels: () => ({}) }).node).toBe('b');
    nodes.set('b', node({ unschedulable: true }, { [key]: 'b' }, 'b'));
    expect(selectNode(spread, { nodes, placed, namespaceLabels: () => ({}) }).message).toContain(
      "1 node(s) didn't match pod topology spread constraints, 1 node(s) were unschedulable",
    );
  });
});
