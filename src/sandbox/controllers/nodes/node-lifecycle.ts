// SPDX-License-Identifier: Apache-2.0
// A node that is silent is not trusted any more. https://kubernetes.io/docs/concepts/architecture/nodes/#node-controller
import { isDeepStrictEqual } from 'node:util';
import { KubeError } from '../../../kube/client.ts';
import { LEASES, NODES, PODS } from '../../../kube/resources.ts';
import type { KubeObject } from '../../../kube/types.ts';
import { type Controller, type ControllerContext, createQueue, recorderFor, timestamp } from '../controller.ts';
import { type Informer, keyOf } from '../informer.ts';
import type { Condition, Node, Pod, Taint } from '../objects.ts';
import { isPodFinished, isPodReady } from '../pod-state.ts';
import { NOT_READY, UNREACHABLE, UNSCHEDULABLE } from './node-fit.ts';

const NAME = 'node-controller';
const LEASE_NAMESPACE = 'kube-node-lease';
/** How long a lease may go without renewal (the node renews it every ten seconds). */
const GRACE_MS = 40_000;
/** A node that came without a lease gets this long to write one. */
const STARTUP_MS = 60_000;
/** Pressure on the node -> the taint that tells the scheduler. */
const PRESSURES: Readonly<Record<string, string>> = {
  MemoryPressure: 'node.kubernetes.io/memory-pressure',
  DiskPressure: 'node.kubernetes.io/disk-pressure',
  PIDPressure: 'node.kubernetes.io/pid-pressure',
};
const REPORTED = ['Ready', ...Object.keys(PRESSURES)];

interface Lease extends KubeObject {
  spec?: { renewTime?: string };
}

export interface NodeLifecycleOptions {
  readonly graceMs?: number;
  readonly startupMs?: number;
  /** Milliseconds of a clock that stands still while the machine sleeps: a laptop that wakes up has living nodes. */
  readonly elapsedMs?: () => number;
}

/**
 * Conditions become Unknown when the lease is not renewed; taints follow conditions and `kubectl cordon`; pods of a
 * node that is not ready are not ready. Keys are nodes.
 */
export function createNodeLifecycle(context: ControllerContext, options: NodeLifecycleOptions = {}): Controller {
  const nodes = context.informers.of<Node>(NODES);
  const pods = context.informers.of<Pod>(PODS);
  const leases = context.informers.of<Lease>(LEASES);
  const queue = createQueue(context, NAME);
  const sync = new NodeSync(context, nodes, pods, options);
  nodes.onChange((before, after) => {
    if (after === undefined) sync.forget(before?.metadata.name ?? '');
    else queue.add(keyOf(after));
  });
  leases.onChange((before, after) => {
    const { namespace, name = '' } = (after ?? before)?.metadata ?? {};
    if (namespace === LEASE_NAMESPACE && after !== undefined) sync.heard(name, after.spec?.renewTime ?? '');
  });
  pods.onChange((before, after) => {
    // One that says that it is ready on a node that is not.
    if (after?.spec.nodeName && isPodReady(after) && !(before && isPodReady(before)))
      queue.add(`/${after.spec.nodeName}`);
  });

  return {
    name: NAME,
    queue,
    async reconcile(key) {
      const node = nodes.byKey(key);
      if (node === undefined || node.metadata.deletionTimestamp !== undefined) return;
      return { afterMs: await sync.step(node) };
    },
  };
}

class NodeSync {
  readonly #context: ControllerContext;
  readonly #nodes: Informer<Node>;
  readonly #pods: Informer<Pod>;
  readonly #events: ReturnType<typeof recorderFor>;
  readonly #graceMs: number;
  readonly #startupMs: number;
  readonly #elapsedMs: () => number;
  /** When a renewal was last seen, by our own clock: those of the machines need not agree. */
  readonly #heard = new Map<string, { renewTime: string; atMs: number }>();

  constructor(
    context: ControllerContext,
    nodes: Informer<Node>,
    pods: Informer<Pod>,
    { graceMs = GRACE_MS, startupMs = STARTUP_MS, elapsedMs = () => performance.now() }: NodeLifecycleOptions,
  ) {
    this.#context = context;
    this.#nodes = nodes;
    this.#pods = pods;
    this.#events = recorderFor(context, NAME);
    this.#graceMs = graceMs;
    this.#startupMs = startupMs;
    this.#elapsedMs = elapsedMs;
  }

  heard(name: string, renewTime: string): void {
    if (this.#heard.get(name)?.renewTime === renewTime) return;
    this.#heard.set(name, { renewTime, atMs: this.#elapsedMs() });
  }

  forget(name: string): void {
    this.#heard.delete(name);
  }

  /** One look at one node. Milliseconds until the next. */
  async step(seen: Node): Promise<number> {
    let node = seen;
    const leftMs = await this.#patienceMs(node);
    if (leftMs <= 0) node = await this.#distrust(node);
    node = await this.#writeTaints(node);
    if (['False', 'Unknown'].includes(readiness(node) ?? '')) await this.#unreadyPods(node);
    return leftMs > 0 ? leftMs : this.#graceMs;
  }

  /** How long the node may still be silent; 0 and less: it has been for too long, and the API server confirms it. */
  async #patienceMs(node: Node): Promise<number> {
    const { name = '' } = node.metadata;
    const known = this.#heard.get(name);
    if (known === undefined) this.heard(name, '');
    const { renewTime, atMs } = this.#heard.get(name) ?? { renewTime: '', atMs: this.#elapsedMs() };
    const allowedMs = renewTime === '' ? this.#startupMs : this.#graceMs;
    const leftMs = atMs + allowedMs - this.#elapsedMs();
    // Near the end the server is asked, twice: when it was away, nobody could renew anything.
    const quarterMs = allowedMs / 4;
    if (leftMs > quarterMs) return leftMs - quarterMs;
    try {
      const lease = await this.#context.client.get<Lease>(LEASES, name, LEASE_NAMESPACE);
      this.heard(name, lease?.spec?.renewTime ?? '');
    } catch (error) {
      this.#heard.set(name, { renewTime, atMs: this.#elapsedMs() });
      throw error;
    }
    const after = this.#heard.get(name);
    if (after?.renewTime !== renewTime) return allowedMs - quarterMs;
    return leftMs;
  }

  async #distrust(node: Node): Promise<Node> {
    const now = timestamp(this.#context.nowMs());
    const before = node.status?.conditions ?? [];
    if (REPORTED.every((type) => before.find((each) => each.type === type)?.status === 'Unknown')) return node;
    const unknown = REPORTED.map((type): Condition => {
      const current = before.find((each) => each.type === type);
      return {
        ...current,
        type,
        status: 'Unknown',
        reason: 'NodeStatusUnknown',
        message: 'Kubelet stopped posting node status.',
        lastTransitionTime: current?.status === 'Unknown' ? (current.lastTransitionTime ?? now) : now,
      };
    });
    const conditions = [...before.filter(({ type }) => !REPORTED.includes(type)), ...unknown];
    const written = await this.#context.client.replaceStatus<Node>(NODES, {
      ...node,
      status: { ...node.status, conditions },
    });
    await this.#nodes.echo(written);
    const { name } = node.metadata;
    this.#events.record(node, 'Normal', 'NodeNotReady', `Node ${name} status is now: NodeNotReady`);
    return written;
  }

  async #writeTaints(node: Node): Promise<Node> {
    const before = node.spec?.taints ?? [];
    const taints = wantedTaints(node, timestamp(this.#context.nowMs()));
    if (isDeepStrictEqual(taints, before)) return node;
    const { name = '', resourceVersion } = node.metadata;
    const patch = { metadata: { resourceVersion }, spec: { taints: taints.length > 0 ? taints : null } };
    const written = await this.#context.client.patch<Node>(NODES, name, undefined, patch);
    await this.#nodes.echo(written);
    return written;
  }

  /** Nobody is there to say whether they work: Services must not send to them. */
  async #unreadyPods(node: Node): Promise<void> {
    for (const pod of this.#pods.all()) {
      if (pod.spec.nodeName !== node.metadata.name || !isPodReady(pod) || isPodFinished(pod)) continue;
      const conditions = (pod.status?.conditions ?? []).map((each) =>
        each.type === 'Ready'
          ? { ...each, status: 'False', lastTransitionTime: timestamp(this.#context.nowMs()) }
          : each,
      );
      const { name = '', namespace, uid, resourceVersion } = pod.metadata;
      const patch = { metadata: { uid, resourceVersion }, status: { conditions } };
      try {
        const written = await this.#context.client.patch<Pod>(PODS, name, namespace, patch, { subresource: 'status' });
        await this.#pods.echo(written);
        this.#events.record(pod, 'Warning', 'NodeNotReady', 'Node is not ready');
      } catch (error) {
        if (!(error instanceof KubeError && (error.code === 404 || error.code === 409))) throw error;
      }
    }
  }
}

/** undefined for a node that has not said anything yet. */
function readiness(node: Node): string | undefined {
  return node.status?.conditions?.find(({ type }) => type === 'Ready')?.status;
}

/** The taints of others as they are, and ours as the conditions and spec.unschedulable ask for. */
function wantedTaints(node: Node, now: string): Taint[] {
  const ours = new Set([NOT_READY, UNREACHABLE, UNSCHEDULABLE, ...Object.values(PRESSURES)]);
  const before = node.spec?.taints ?? [];
  const wanted: Taint[] = [];
  const ready = readiness(node);
  if (ready !== undefined && ready !== 'True') {
    const key = ready === 'False' ? NOT_READY : UNREACHABLE;
    wanted.push({ key, effect: 'NoSchedule' }, { key, effect: 'NoExecute' });
  }
  for (const [type, key] of Object.entries(PRESSURES)) {
    const isPressed = node.status?.conditions?.some((each) => each.type === type && each.status === 'True');
    if (isPressed) wanted.push({ key, effect: 'NoSchedule' });
  }
  if (node.spec?.unschedulable) wanted.push({ key: UNSCHEDULABLE, effect: 'NoSchedule' });
  const isSame = (a: Taint) => (b: Taint) => a.key === b.key && a.effect === b.effect;
  const kept = before.filter((taint) => !ours.has(taint.key) || wanted.some(isSame(taint)));
  const added = wanted.filter((taint) => !kept.some(isSame(taint)));
  return [...kept, ...added.map((taint) => ({ ...taint, timeAdded: now }))];
}
