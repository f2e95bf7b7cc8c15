// SPDX-License-Identifier: Apache-2.0
// Runs inside the namespaces of a test (see playground.ts): pods without an API server.
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { resolveImage } from '../../src/sandbox/images/catalogue.ts';
import { createPodNetwork } from '../../src/sandbox/network/pod-network.ts';
import { captureExec } from '../../src/sandbox/node/container/container-exec.ts';
import { ContainerRuntime } from '../../src/sandbox/node/container/container-runtime.ts';
import { readLog } from '../../src/sandbox/node/container/log-reader.ts';
import type { ObjectSource, PodEvent } from '../../src/sandbox/node/pod/object-source.ts';
import { PodRuntime } from '../../src/sandbox/node/pod/pod-runtime.ts';
import type { ConfigMap, Pod, Secret } from '../../src/sandbox/node/pod-types.ts';
import { type Calls, makePodBridge, serveCalls } from './agent-loop.ts';

interface AgentConfig {
  stateDir: string;
  rootless: boolean;
  node: string;
  dist: string;
  envoy?: string;
}

const config = JSON.parse(process.argv[2] ?? '{}') as AgentConfig;

makePodBridge();
process.umask(0o022);
mkdirSync(join(config.stateDir, 'pods'), { recursive: true });

const runtime = new ContainerRuntime({
  stateDir: config.stateDir,
  rootless: config.rootless,
  tools: { node: config.node, envoy: config.envoy, dist: config.dist },
});
const network = createPodNetwork({
  cluster: { index: 1, podBridge: 'pods', podCidr: '10.1.0.0/16', podGateway: '10.1.0.1' },
  leaseFile: join(config.stateDir, 'leases.json'),
});

/** What the API server would have. */
const objects = new Map<string, ConfigMap | Secret>();
const listeners = new Map<string, Set<(object: ConfigMap | Secret | undefined) => void>>();
let tokens = 0;
let tokenSeconds = 3600;

function observe<T extends ConfigMap | Secret>(key: string, listener: (object: T | undefined) => void): () => void {
  const all = listeners.get(key) ?? new Set();
  listeners.set(key, all);
  all.add(listener as never);
  listener(objects.get(key) as T | undefined);
  return () => void all.delete(listener as never);
}

const source: ObjectSource = {
  observeConfigMap: (namespace, name, listener) => observe(`ConfigMap/${namespace}/${name}`, listener),
  observeSecret: (namespace, name, listener) => observe(`Secret/${namespace}/${name}`, listener),
  services: async (namespace) =>
    namespace === 'default'
      ? [
          {
            apiVersion: 'v1',
            kind: 'Service',
            metadata: { name: 'kubernetes', namespace: 'default' },
            spec: { clusterIP: '10.96.0.1', ports: [{ name: 'https', port: 443 }] },
          },
        ]
      : [],
  volumeOfClaim: async (_namespace, claim) => ({
    apiVersion: 'v1',
    kind: 'PersistentVolume',
    metadata: { name: claim },
    spec: { local: { path: `/${claim}` } },
  }),
  requestToken: async (_pod, request) => ({
    token: `token-${++tokens}-${request.audience}`,
    expiresAt: new Date(Date.now() + Math.min(request.expirationSeconds, tokenSeconds) * 1000),
  }),
};

const pods = new Map<string, PodRuntime>();
const events: (PodEvent & { pod: string })[] = [];
const readyAt = new Map<string, number>();

function find(name: string): PodRuntime {
  const pod = pods.get(name);
  if (!pod) throw new Error(`no pod ${name}`);
  return pod;
}

const calls: Calls = {
  start: (pod: Pod) => {
    const runtimeOfPod = new PodRuntime(pod, {
      runtime,
      network,
      objects: source,
      resolveImage,
      nodeAddress: '10.1.0.1',
      dns: { address: '10.96.0.10', clusterDomain: 'cluster.local' },
      podsDir: join(config.stateDir, 'pods'),
      nodeDisk: join(config.stateDir, 'disk'),
      storageCheckMs: 200,
      backoffMs: { first: 300, cap: 1_000, resetAfter: 60_000 },
      record: (of, event) => void events.push({ ...event, pod: of.metadata.name ?? '' }),
      changed: (changed) => {
        const ready = changed.status().conditions?.find(({ type }) => type === 'Ready');
        const name = changed.pod.metadata.name ?? '';
        if (ready?.status === 'True' && !readyAt.has(name)) readyAt.set(name, performance.now());
      },
    });
    pods.set(pod.metadata.name ?? '', runtimeOfPod);
  },
  update: (pod: Pod) => find(pod.metadata.name ?? '').update(pod),
  status: (name: string) => find(name).status(),
  stop: async (name: string, graceMs: number) => {
    const begin = performance.now();
    await find(name).stop(graceMs);
    return performance.now() - begin;
  },
  remove: (name: string) => find(name).removeFiles(),
  exec: async (name: string, container: string, argv: string[]) => {
    const running = find(name).container(container)?.running;
    if (!running) throw new Error(`container ${container} does not run`);
    return captureExec(runtime, running, argv, 10_000);
  },
  logs: async (name: string, container: string, attempt: number) => {
    const lines: Buffer[] = [];
    const path = find(name).logPath(container, attempt);
    for await (const line of readLog(path, undefined, {}, new AbortController().signal)) lines.push(line);
    return Buffer.concat(lines).toString('utf8');
  },
  events: () => events,
  set: (key: string, object: ConfigMap | Secret | undefined) => {
    if (object) objects.set(key, object);
    else objects.delete(key);
    for (const listener of listeners.get(key) ?? []) listener(object);
  },
  setTokenSeconds: (seconds: number) => {
    tokenSeconds = seconds;
  },
  enforcedLimits: () => runtime.enforcedLimits,
  sh: (script: string) => execFileSync('sh', ['-c', script], { encoding: 'utf8' }),
  crash: () => process.kill(process.pid, 'SIGKILL'),
  read: (path: string) => readFileSync(path, 'utf8'),
};

await serveCalls(calls);
await runtime.close();
process.exit(0);
