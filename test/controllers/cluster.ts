// SPDX-License-Identifier: Apache-2.0
// A cluster without nodes: the real API server and the real controllers on loopback; the test plays the kubelet.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { KubeClient } from '../../src/kube/client.ts';
import { loadKubeconfig } from '../../src/kube/config.ts';
import { NAMESPACES, NODES, PODS } from '../../src/kube/resources.ts';
import type { KubeObject } from '../../src/kube/types.ts';
import { watchResource } from '../../src/kube/watch.ts';
import { startApiServer } from '../../src/sandbox/apiserver/main.ts';
import { ensureClusterPki } from '../../src/sandbox/apiserver/pki.ts';
import type { Controller, ControllerContext } from '../../src/sandbox/controllers/controller.ts';
import { InformerSet } from '../../src/sandbox/controllers/informer.ts';
import { runControllers } from '../../src/sandbox/controllers/main.ts';
import type { Pod } from '../../src/sandbox/controllers/objects.ts';
import { freePort } from '../fixture/ports.ts';
import { eventually } from '../fixture/waiting.ts';

export interface TestCluster {
  readonly client: KubeClient;
  /** Path of the administrator's kubeconfig. */
  readonly kubeconfig: string;
  /** The disk of its node, which nobody mounts. */
  readonly diskDir: string;
  /** A new namespace with a name of its own. */
  namespace(): Promise<string>;
  /** Bound pods become running and ready at once, deleted ones go. Until the returned function is called. */
  playKubelet(): () => Promise<void>;
  restartServer(whileDown?: () => Promise<void>): Promise<void>;
  restartControllers(whileDown?: () => Promise<void>): Promise<void>;
  close(): Promise<void>;
}

export const NODE_NAME = 'test-node';
export const POOL = ['192.0.2.1', '192.0.2.2'];
const silent = { info: () => {}, warn: () => {}, debug: () => {} };

/** @param without names of controllers that shall not run; the test's nodes renew no lease, so nobody judges them */
export async function startCluster({ without = [] }: { without?: string[] } = {}): Promise<TestCluster> {
  const dataDir = mkdtempSync(join(tmpdir(), 'controllers-'));
  const port = await freePort();
  const pki = ensureClusterPki(dataDir, {
    clusterName: 'test',
    server: `https://127.0.0.1:${port}`,
    addresses: ['127.0.0.1'],
    dnsNames: [],
  });
  const startServer = () =>
    start(async (signal) => {
      const listen = { host: '127.0.0.1', port };
      const options = { clusterName: 'test', dataDir, listen, advertiseAddresses: ['127.0.0.1'] };
      return (await startApiServer(options, () => {}, signal)).closed;
    });
  const startControllers = () =>
    start(async (signal) => {
      const kubeconfig = pki.kubeconfig.controllers;
      const options = {
        kubeconfig,
        loadBalancerAddresses: POOL,
        clusterName: 'test',
        caPemPath: pki.caCert,
        diskDir: join(dataDir, 'disk'),
        without: ['node-controller', ...without],
        log: silent,
      };
      await runControllers(options, signal);
    });
  const client = new KubeClient(loadKubeconfig(pki.kubeconfig.admin));
  let server = startServer();
  let controllers = startControllers();
  await Promise.race([server.ended, eventually(() => client.list(NAMESPACES), 20_000)]);
  await client.apply(readyNode(NODE_NAME), NODES);
  await client.patch(
    NODES,
    NODE_NAME,
    undefined,
    { status: readyNode(NODE_NAME)['status'] },
    { subresource: 'status' },
  );
  let count = 0;
  return {
    client,
    kubeconfig: pki.kubeconfig.admin,
    diskDir: join(dataDir, 'disk'),
    async namespace() {
      const name = `ns-${process.pid}-${count++}`;
      await client.create(NAMESPACES, { apiVersion: 'v1', kind: 'Namespace', metadata: { name } });
      return name;
    },
    playKubelet: () => playKubelet(client),
    async restartServer(whileDown = async () => {}) {
      await server.stop();
      await whileDown();
      server = startServer();
      await eventually(() => client.list(NAMESPACES));
    },
    async restartControllers(whileDown = async () => {}) {
      await controllers.stop();
      await whileDown();
      controllers = startControllers();
    },
    async close() {
      await controllers.stop();
      await server.stop();
      client.close();
      rmSync(dataDir, { recursive: true, force: true });
    },
  };
}

/** One more controller, with other settings than the cluster's own. Gives what ends it. */
export async function runBeside(
  { client }: TestCluster,
  create: (context: ControllerContext) => Controller,
): Promise<() => Promise<void>> {
  const stopping = new AbortController();
  const informers = new InformerSet();
  const { queue, reconcile } = create({ client, informers, log: silent, nowMs: Date.now, random: Math.random });
  const { synced, ended } = informers.run(client, stopping.signal, () => {});
  await synced;
  queue.start(reconcile, stopping.signal);
  return async () => {
    stopping.abort();
    await ended;
  };
}

/** Something that runs until it is stopped; `ended` rejects when it fails before. */
function start(run: (signal: AbortSignal) => Promise<unknown>): { ended: Promise<unknown>; stop(): Promise<void> } {
  const stopping = new AbortController();
  const ended = run(stopping.signal);
  return {
    ended,
    async stop() {
      stopping.abort();
      await ended;
    },
  };
}

export function readyNode(name: string): KubeObject {
  return {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name, labels: { 'kubernetes.io/hostname': name, 'topology.kubernetes.io/zone': 'zone-a' } },
    status: { conditions: [{ type: 'Ready', status: 'True' }], allocatable: { pods: '500' } },
  };
}

export async function setReady(client: KubeClient, pod: KubeObject, ip: string, isReady = true): Promise<void> {
  const condition = {
    type: 'Ready',
    status: isReady ? 'True' : 'False',
    lastTransitionTime: new Date().toISOString().replace(/\.\d+/, ''),
  };
  const status = { phase: 'Running', podIP: ip, podIPs: [{ ip }], conditions: [condition] };
  await client.patch(
    PODS,
    pod.metadata.name ?? '',
    pod.metadata.namespace,
    { status },
    { subresource: 'status', kind: 'strategic' },
  );
}

function playKubelet(client: KubeClient): () => Promise<void> {
  const stopping = new AbortController();
  const addressed = new Map<string, string>();
  const live = (pod: Pod): void => {
    const { name = '', namespace, uid = '', deletionTimestamp } = pod.metadata;
    if (deletionTimestamp !== undefined) {
      void client.delete(PODS, name, namespace, { gracePeriodSeconds: 0, uid }).catch(() => {});
    } else if (pod.spec.nodeName && !addressed.has(uid)) {
      addressed.set(uid, `10.1.${addressed.size >> 8}.${addressed.size & 255}`);
      void setReady(client, pod, addressed.get(uid) ?? '').catch(() => {});
    }
  };
  const ended = watchResource<Pod>(
    client,
    PODS,
    { signal: stopping.signal },
    { upsert: live, delete: () => {}, synced: () => {} },
  );
  return async () => {
    stopping.abort();
    await ended;
  };
}
