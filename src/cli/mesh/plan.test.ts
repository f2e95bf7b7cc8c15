// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import { makeRoot } from '../../identity/ca-material.ts';
import { describeObject } from '../../install/resource-types.ts';
import { KubeClient } from '../../kube/client.ts';
import { parseRemoteKubeconfig } from '../../kube/remote-kubeconfig.ts';
import type { KubeObject } from '../../kube/types.ts';
import { buildPeerSecret, peerTokenName, renderKubeconfig } from './access.ts';
import { exportPolicies, installation, peerTokens, record, type Scene } from './desired.ts';
import { LiveObjects } from './live-objects.ts';
import type { Member } from './members.ts';
import { parseMesh } from './mesh-file.ts';
import { contextOf } from './mesh-shape.ts';
import { type ClusterPlan, planCluster } from './plan.ts';
import { renderPlan } from './render-plan.ts';
import type { ClusterState } from './sighting.ts';
import type { Trust } from './trust.ts';

const SPEC = `
  clusters:
    - {name: a}
    - {name: b}
    - {name: s, controlPlane: {servedBy: a}}
  exports: [{name: shop, namespaces: [shop], clusters: [a]}]
`;

function sceneOf(spec: string, leaving: Scene['leaving'] = [], isPruning = false): Scene {
  const mesh = parseMesh(
    `apiVersion: isthmus.io/v1alpha1\nkind: Mesh\nmetadata: {name: shop}\nspec:${spec}`,
    'mesh.yaml',
    '/tmp',
  );
  const members = mesh.spec.clusters.map((each, i): Member => {
    const server = each.apiServer ?? `https://10.0.0.${i + 1}:6443`;
    return {
      ...{
        name: each.name,
        context: contextOf(each),
        network: each.network ?? each.name,
        spec: each,
        client: new KubeClient({ server }),
      },
      ...{ apiServer: server, tlsServerName: undefined, caPem: undefined },
    };
  });
  return { mesh, members, leaving, isPruning };
}

function stateOf(member: Member, objects: readonly KubeObject[] = []): ClusterState {
  return {
    member,
    uid: member.name,
    live: new LiveObjects(objects),
    record: undefined,
    dns: { kubeDns: undefined, coreDns: undefined, running: undefined },
  };
}

function trust(kind: 'keep' | 'make' = 'keep'): Trust {
  const plan = kind === 'keep' ? ({ kind } as const) : ({ kind, isReplaced: false } as const);
  return {
    makesRoot: false,
    dir: '',
    plans: new Map(['a', 'b', 's'].map((name) => [name, plan])),
    secretFor: () => ({}) as KubeObject,
  };
}

const CA = makeRoot({ organization: 'Test', commonName: 'API', days: 10, nowMs: Date.now() }).certPem;

/** A token that Kubernetes has filled in. */
function filled(token: KubeObject, value: string): KubeObject {
  const base64 = (text: string) => Buffer.from(text).toString('base64');
  return { ...token, data: { token: base64(value), 'ca.crt': base64(CA) } };
}

/** What a cluster has after a run, but for the DNS. */
function settled(scene: Scene, name: string, tokens: ReadonlyMap<string, KubeObject[]>): KubeObject[] {
  const member = scene.members.find((each) => each.name === name)!;
  const peers = scene.members.filter((each) => each.name !== name && each.spec.controlPlane.kind === 'own');
  const secrets = peers.map((peer) => {
    const token = tokens.get(peer.name)!.find(({ metadata }) => metadata.name === peerTokenName(name));
    return buildPeerSecret('shop', peer.name, renderKubeconfig(peer, token)!);
  });
  return [
    ...installation(scene, member).stages.flatMap(({ objects }) => objects),
    ...tokens.get(name)!,
    ...secrets,
    ...exportPolicies(scene, member),
    record(scene, member),
  ];
}

function planOf(scene: Scene, name: string, states: readonly ClusterState[], kind?: 'keep' | 'make'): ClusterPlan {
  return planCluster(scene, states.find(({ member }) => member.name === name)!, states, trust(kind));
}

const told = ({ changes }: ClusterPlan) => changes.map(({ action, object }) => `${action} ${object}`);

describe('a plan', () => {
  it('from nothing creates what each model needs, and nothing of the other', () => {
    const scene = sceneOf(SPEC);
    const states = scene.members.map((member) => stateOf(member));
    const [a, b, s] = ['a', 'b', 's'].map((name) => told(planOf(scene, name, states, 'make')));
    expect(a).toEqual(
      expect.arrayContaining([
        'create Secret istio-system/cacerts',
        'create Secret istio-system/isthmus-peer-b',
        'create Secret istio-system/isthmus-peer-token-b',
        'create Secret istio-system/isthmus-remote-s',
        'create Gateway istio-system/istio-meshexpansion-gateway',
        'create ExportPolicy shop',
        'create ConfigMap kube-system/kube-dns',
      ]),
    );
    expect(b!.filter((line) => /remote|meshexpansion|ExportPolicy/.test(line))).toEqual([]);
    expect(s!.filter((line) => /isthmus-peer|CustomResource|istiod|kube-dns/.test(line))).toEqual([]);
    expect(s).toContain('create Deployment istio-system/istio-citadel');
    expect([...a!, ...b!, ...s!].filter((line) => !line.startsWith('create '))).toEqual([]);
  });

  it('of what is there already is empty, whatever a server has added; of a new token it is the readers’ Secret', () => {
    const scene = sceneOf('\n  clusters: [{name: a, dns: none}, {name: b, dns: none}]\n');
    const tokens = new Map(
      scene.members.map((member) => [
        member.name,
        peerTokens(scene, member).map((token) => filled(token, `of ${member.name}`)),
      ]),
    );
    const live = (name: string) =>
      settled(scene, name, tokens).map((object) => ({
        ...object,
        metadata: { ...object.metadata, uid: 'x' },
        status: {},
      }));
    const states = scene.members.map((member) => stateOf(member, live(member.name)));
    for (const name of ['a', 'b']) expect(told(planOf(scene, name, states))).toEqual([]);
    const renewed = stateOf(
      scene.members[1]!,
      live('b').map((object) => (object.metadata.name === peerTokenName('a') ? filled(object, 'another') : object)),
    );
    const plan = planOf(scene, 'a', [states[0]!, renewed]);
    expect(plan.changes).toEqual([
      {
        step: 'peers',
        action: 'change',
        object: 'Secret istio-system/isthmus-peer-b',
        details: ['data[b]: another (not shown)'],
      },
    ]);
    const unseen = planOf(scene, 'a', [states[0]!]);
    expect(told(unseen)).toEqual([]);
  });

  it('leaves alone what is there for a cluster that has left the file, until it is to be pruned', () => {
    const both = sceneOf('\n  clusters: [{name: a, dns: none}, {name: b, dns: none}]\n');
    const tokens = new Map(
      both.members.map((member) => [
        member.name,
        peerTokens(both, member).map((token) => filled(token, `of ${member.name}`)),
      ]),
    );
    const objects = settled(both, 'a', tokens);
    const left = [{ name: 'b', context: 'b' }];
    for (const isPruning of [false, true]) {
      const scene = sceneOf('\n  clusters: [{name: a, dns: none}]\n', left, isPruning);
      const lines = told(planOf(scene, 'a', [stateOf(scene.members[0]!, objects)]));
      const ties = ['delete Secret istio-system/isthmus-peer-token-b', 'delete Secret istio-system/isthmus-peer-b'];
      expect(lines.filter((line) => line.startsWith('delete')).sort()).toEqual(isPruning ? ties.sort() : []);
    }
  });

  it('never touches what others, or the control plane, have made', () => {
    const scene = sceneOf('\n  clusters: [{name: a, dns: none}]\n');
    const labels = { 'app.kubernetes.io/managed-by': 'isthmus', 'app.kubernetes.io/part-of': 'isthmus' };
    const object = (kind: string, name: string, more: object = {}): KubeObject => ({
      ...{ apiVersion: 'v1', kind },
      metadata: { name, namespace: 'istio-system', labels, ...more },
    });
    const objects = [
      object('ServiceEntry', 'derived', { labels: { ...labels, 'isthmus.io/service': 'x' } }),
      object('EndpointSlice', 'istiod-x'),
      object('ConfigMap', 'owned', { ownerReferences: [{ kind: 'Service' }] }),
      object('ConfigMap', 'of-a-user', { labels: {} }),
      object('CustomResourceDefinition', 'virtualservices.networking.istio.io', { namespace: undefined }),
      object('ConfigMap', 'leftover'),
    ];
    const plan = planOf(scene, 'a', [stateOf(scene.members[0]!, objects)]);
    expect(
      plan.changes.filter(({ action }) => action === 'delete').map(({ leftover }) => describeObject(leftover!)),
    ).toEqual(['ConfigMap istio-system/leftover']);
  });

  it('tells an API server’s address that leads nowhere from elsewhere, and a change of the model', () => {
    const scene = sceneOf('\n  clusters: [{name: a, apiServer: "https://127.0.0.1:6443"}, {name: b}]\n');
    const states = scene.members.map((member) => stateOf(member));
    expect(planOf(scene, 'a', states).problems.join()).toContain(
      'https://127.0.0.1:6443, which is this machine: name the address',
    );
    expect(planOf(scene, 'b', states).problems).toEqual([]);
    const before = sceneOf(SPEC);
    const now = sceneOf(SPEC.replace(', controlPlane: {servedBy: a}', ''));
    const served = stateOf(now.members[2]!, [record(before, before.members[2]!)]);
    const plan = planOf(now, 's', [served]);
    expect(plan.obstacle).toContain('it has the control plane of a, and cannot change to the other model');
    expect(
      renderPlan({ clusters: [plan], unseen: [], left: [], prune: false, newRootDir: undefined }, false),
    ).not.toContain('+ installation');
  });
});

it('a kubeconfig for others is one that a control plane takes, and has no path and no proxy of this machine', () => {
  const [member] = sceneOf(SPEC).members;
  const token = filled(peerTokens(sceneOf(SPEC), member!)[0]!, 'abc');
  expect(renderKubeconfig(member!, undefined)).toBeUndefined();
  const parsed = parseRemoteKubeconfig(renderKubeconfig(member!, token)!);
  expect('config' in parsed && parsed.config.server).toBe('https://10.0.0.1:6443');
  expect('config' in parsed && parsed.config.token?.()).toBe('abc');
  expect('config' in parsed && parsed.config.proxyUrl).toBeUndefined();
});
