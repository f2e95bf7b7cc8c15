// SPDX-License-Identifier: Apache-2.0
// The probes of one run: put up, kept alive, and taken away, by whomever comes next if need be.
import { hostname } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { PROXY_CONTAINER } from '../../../injector/proxy-container.ts';
import { type KubeClient, KubeError } from '../../../kube/client.ts';
import { NAMESPACES, PODS, resourcePath, SERVICE_ACCOUNTS, SERVICES } from '../../../kube/resources.ts';
import type { KubeObject, ResourceType } from '../../../kube/types.ts';
import { describeUnready } from '../../../kube/unready-pod.ts';
import { meshType } from '../../../runtime/mesh-resources.ts';
import type { ProbeSight } from './evidence.ts';
import {
  ALIVE_ANNOTATION,
  buildNamespace,
  OWNER_ANNOTATION,
  POD_NAME,
  type ProbeNamespace,
  RUN_LABEL,
} from './probe-objects.ts';

const POLL_MS = 150;
const BEAT_MS = 5_000;
/** A run that has not been seen for so long is over, whatever became of it. */
const SILENT_MS = 30_000;
const GONE_MS = 30_000;
const TYPES: Readonly<Record<string, ResourceType>> = {
  ServiceAccount: SERVICE_ACCOUNTS,
  Service: SERVICES,
  Pod: PODS,
};

export function newNamespace(random: () => number = Math.random): ProbeNamespace {
  const tail = Math.floor(random() * 36 ** 5)
    .toString(36)
    .padStart(5, '0');
  return { namespace: `isthmus-verify-${tail}`, owner: `${hostname()}/${process.pid}` };
}

/** Removes what runs left that are over. @returns the namespaces */
export async function sweep(client: KubeClient): Promise<string[]> {
  const nowMs = (await client.clock()) ?? Date.now();
  const { items } = await client.list(NAMESPACES, { labelSelector: RUN_LABEL });
  const over = items.filter((each) => each.metadata.deletionTimestamp === undefined && isOver(each, nowMs));
  await Promise.all(over.map(({ metadata }) => remove(client, metadata.name ?? '')));
  return over.map(({ metadata }) => metadata.name ?? '');
}

/** Its process is gone, where that can be known; else it has been silent for too long. */
export function isOver(
  { metadata: { annotations = {} } }: KubeObject,
  nowMs: number,
  host = hostname(),
  isAlive: (pid: number) => boolean = processIsAlive,
): boolean {
  const [at, pid] = splitOwner(annotations[OWNER_ANNOTATION] ?? '');
  if (at === host && !isAlive(pid)) return true;
  const aliveMs = Date.parse(annotations[ALIVE_ANNOTATION] ?? '');
  return Number.isNaN(aliveMs) || nowMs - aliveMs > SILENT_MS;
}

function splitOwner(owner: string): [host: string, pid: number] {
  const slash = owner.lastIndexOf('/');
  return [owner.slice(0, Math.max(slash, 0)), Number(owner.slice(slash + 1))];
}

function processIsAlive(pid: number): boolean {
  try {
    return pid > 0 && process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** Says again and again that the run goes on, until `signal` aborts. */
export async function keepAlive(client: KubeClient, { namespace }: ProbeNamespace, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    await sleep(BEAT_MS, undefined, { signal, ref: false }).catch(() => {});
    if (signal.aborted) return;
    const nowMs = (await client.clock().catch(() => undefined)) ?? Date.now();
    const metadata = { annotations: { [ALIVE_ANNOTATION]: new Date(nowMs).toISOString() } };
    // A cluster that is away for a moment is told of by what is asked of it.
    await client.patch(NAMESPACES, namespace, undefined, { metadata }).catch(() => {});
  }
}

/** @returns why a part of it was refused; undefined: all of it is there */
export async function putUp(
  client: KubeClient,
  run: ProbeNamespace,
  objects: readonly KubeObject[],
  signal: AbortSignal,
): Promise<string | undefined> {
  try {
    await client.create(NAMESPACES, buildNamespace(run, (await client.clock()) ?? Date.now()));
    for (const object of objects) {
      signal.throwIfAborted();
      await client.create(TYPES[object.kind]!, object);
    }
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}

/** @returns why it was refused, if it was */
export async function putEntry(client: KubeClient, entry: KubeObject): Promise<string | undefined> {
  try {
    await client.create(meshType('ServiceEntry')!, entry);
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}

/** Waits until the pod is ready, or tells what it is doing when the time is over. */
export async function awaitProbe(
  client: KubeClient,
  { namespace }: ProbeNamespace,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<ProbeSight> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    const pod = await client.get(PODS, POD_NAME, namespace);
    const isLast = performance.now() >= deadline || signal.aborted;
    if (pod === undefined) {
      if (isLast) return { injected: false, ready: false, state: 'its pod is gone', proxyErrors: [] };
    } else {
      const sight = seePod(pod);
      if (sight.ready || isLast) return sight;
      // Without a sidecar nothing is to be waited for.
      if (!sight.injected) return sight;
    }
    await sleep(POLL_MS, undefined, { signal }).catch(() => {});
  }
}

interface PodFields {
  readonly spec?: {
    readonly containers?: readonly { readonly name: string }[];
    readonly initContainers?: readonly { readonly name: string }[];
  };
  readonly status?: { readonly podIP?: string; readonly conditions?: readonly { type: string; status: string }[] };
}

function seePod(pod: KubeObject): ProbeSight {
  const { spec = {}, status = {} } = pod as unknown as PodFields;
  const containers = [...(spec.containers ?? []), ...(spec.initContainers ?? [])];
  const ready = status.conditions?.some(({ type, status: is }) => type === 'Ready' && is === 'True') ?? false;
  const network = pod.metadata.labels?.['topology.istio.io/network'];
  return {
    injected: containers.some(({ name }) => name === PROXY_CONTAINER),
    ready,
    state: ready ? '' : `${pod.metadata.name}: ${describeUnready(pod)}`,
    ...(status.podIP !== undefined && { address: status.podIP }),
    ...(network !== undefined && { network }),
    proxyErrors: [],
  };
}

const ERROR_LINE = /error|failed|refused|expired|CERTIFICATE_VERIFY_FAILED|closed: \d+|warning/i;
const LINES = 5;

/** The last lines of the probe's proxy that tell of trouble. */
export async function readProxyErrors(client: KubeClient, { namespace }: ProbeNamespace): Promise<string[]> {
  const path = `${resourcePath(PODS, namespace, POD_NAME, 'log')}?container=${PROXY_CONTAINER}&tailLines=200`;
  try {
    const text = String(await client.request('GET', path));
    return text
      .split('\n')
      .filter((line) => ERROR_LINE.test(line))
      .slice(-LINES);
  } catch {
    return [];
  }
}

/** Ends the pods at once, for nobody calls them any more, and waits until all of it is gone. */
export async function remove(client: KubeClient, namespace: string): Promise<void> {
  const options = { gracePeriodSeconds: 0 };
  await client.delete(PODS, POD_NAME, namespace, options).catch(ignoreGone);
  await client.delete(NAMESPACES, namespace).catch(ignoreGone);
  const deadline = performance.now() + GONE_MS;
  while (performance.now() < deadline) {
    if ((await client.get(NAMESPACES, namespace)) === undefined) return;
    await sleep(POLL_MS);
  }
}

function ignoreGone(error: unknown): void {
  if (!(error instanceof KubeError && (error.code === 404 || error.code === 409))) throw error;
}
