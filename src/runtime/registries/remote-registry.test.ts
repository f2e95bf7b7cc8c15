// SPDX-License-Identifier: Apache-2.0
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { rounds } from '../../../test/fixture/counts.ts';
import type { KubeObject } from '../../kube/types.ts';
import { MeshStore } from '../../model/store.ts';
import type { SourceEvent, SourceListener } from '../../sources/contract.ts';
import type { Claim } from './claims.ts';
import { RemoteRegistry } from './remote-registry.ts';

const CLUSTER = 'n2';
const NODES = ['10.2.0.1', '10.2.0.2', '10.2.0.3'] as const;

function claim(text: string): Claim {
  const config = { server: 'https://192.0.2.1:6443' };
  return { cluster: CLUSTER, secret: 's', secretUid: 'u', order: '1', config, text };
}

const service: KubeObject = {
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name: 'shop', namespace: 'default', uid: 's', resourceVersion: '1' },
  spec: { clusterIP: '10.96.0.9', ports: [{ name: 'http', port: 80 }] },
};

function slice(i: number, version: number, addresses: readonly string[]): KubeObject {
  return {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: {
      name: `shop-${i}`,
      namespace: 'default',
      uid: `e${i}`,
      resourceVersion: String(version),
      labels: { 'kubernetes.io/service-name': 'shop' },
    },
    endpoints: addresses.map((address) => ({ addresses: [address], conditions: { ready: true } })),
    ports: [{ name: 'http', port: 80 }],
  };
}

/** A cluster whose slices change, and what tells of it: each connection hears of it in its own time. */
class Scene {
  readonly store = new MeshStore({
    trustDomain: 'cluster.local',
    dnsDomain: 'cluster.local',
    rootNamespace: 'istio-system',
    configCluster: 'home',
  });
  readonly registry: RemoteRegistry;
  /** Of each connection, the events that it has not told yet. */
  readonly #connections: { listener: SourceListener; signal: AbortSignal; queue: SourceEvent[] }[] = [];
  #slices = [slice(0, 1, [NODES[0]]), slice(1, 1, [NODES[1], NODES[2]])];
  #version = 1;
  #texts = 0;
  readonly counts: number[] = [];

  constructor() {
    const events = {
      publish: (batch: readonly SourceEvent[]) => this.publish(batch),
      listed: () => this.publish(this.registry.takeOver()),
      changed: () => {},
    };
    this.registry = new RemoteRegistry(
      claim('0'),
      events,
      () => 0,
      (cluster) => ({
        cluster,
        run: (listener, signal) => {
          // Services and slices are listed apart, in any order.
          const upserts = [service, ...this.#slices].map((object) => ({ kind: 'upsert' as const, cluster, object }));
          if (this.#connections.length % 2 === 1) upserts.reverse();
          this.#connections.push({ listener, signal, queue: [...upserts, { kind: 'synced', cluster }] });
          return Promise.resolve();
        },
      }),
    );
  }

  publish(batch: readonly SourceEvent[]): void {
    const { snapshot } = this.store.apply(batch);
    const [endpoints = []] = snapshot.endpoints.values();
    this.counts.push(endpoints.length);
  }

  rotate(): void {
    this.registry.use(claim(String(++this.#texts)));
  }

  /** Connection `which` tells its next `count` events, as one batch. */
  tell(which: number, count: number): void {
    const open = this.#connections.filter(({ signal }) => !signal.aborted);
    const connection = open[which % open.length];
    const batch = connection?.queue.splice(0, count) ?? [];
    if (batch.length > 0) connection?.listener.events(batch);
  }

  fail(which: number): void {
    const open = this.#connections.filter(({ signal }) => !signal.aborted);
    const problem = { cluster: CLUSTER, where: 'pods', message: 'gone', cure: 'wait' };
    open[which % open.length]?.listener.problems([problem]);
  }

  addresses(): string[] {
    const entries = this.#slices.flatMap((each) => each['endpoints'] as { addresses: string[] }[]);
    return [...new Set(entries.flatMap(({ addresses }) => addresses))].sort();
  }

  /** The cluster never has fewer than one endpoint. */
  change(i: number, addresses: readonly string[]): void {
    const next = slice(i, ++this.#version, addresses);
    this.#slices = this.#slices.with(i, next);
    for (const { queue } of this.#connections) queue.push({ kind: 'upsert', cluster: CLUSTER, object: next });
  }
}

const step = fc.oneof(
  fc.record({ do: fc.constant('rotate' as const) }),
  fc.record({ do: fc.constant('tell' as const), which: fc.nat(3), count: fc.integer({ min: 1, max: 4 }) }),
  fc.record({ do: fc.constant('fail' as const), which: fc.nat(3) }),
  fc.record({
    do: fc.constant('change' as const),
    i: fc.nat(1),
    addresses: fc.subarray([...NODES], { minLength: 1 }),
  }),
);

test('no order of events empties endpoints while kubeconfigs replace one another', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const scene = new Scene();
      scene.tell(0, 100);
      for (const one of steps) {
        if (one.do === 'rotate') scene.rotate();
        else if (one.do === 'tell') scene.tell(one.which, one.count);
        else if (one.do === 'fail') scene.fail(one.which);
        else scene.change(one.i, one.addresses);
      }
      expect(scene.counts.filter((count) => count === 0)).toEqual([]);
      // And in the end what the cluster has is what is in force.
      for (let i = 0; i < 200; i++) scene.tell(i, 1);
      const [endpoints = []] = scene.store.snapshot.endpoints.values();
      expect([...new Set(endpoints.map(({ address }) => address))].sort()).toEqual(scene.addresses());
    }),
    { numRuns: rounds(300) },
  );
});
