// SPDX-License-Identifier: Apache-2.0
// `/stats/summary`, as far as `kubectl top` needs it.
// https://kubernetes.io/docs/reference/instrumentation/node-metrics/
import { setTimeout as sleep } from 'node:timers/promises';
import { readMachineUsage, readUsages, type Usage } from '../container/process-usage.ts';
import type { PodRuntime } from '../pod/pod-runtime.ts';

interface ResourceStats {
  readonly cpu: { readonly time: string; readonly usageNanoCores: number; readonly usageCoreNanoSeconds: number };
  readonly memory: { readonly time: string; readonly workingSetBytes: number };
}

export interface StatsSummary {
  readonly node: ResourceStats & { readonly nodeName: string };
  readonly pods: readonly {
    readonly podRef: { readonly name: string; readonly namespace: string; readonly uid: string };
    readonly containers: readonly (ResourceStats & { readonly name: string; readonly startTime: string })[];
  }[];
}

interface Sample {
  readonly atMs: number;
  readonly machine: Usage;
  /** Container id -> usage. */
  readonly containers: ReadonlyMap<string, Usage>;
}

/** A rate is over at least this time; what was seen longer ago says nothing about now. */
const MIN_WINDOW_MS = 250;
const MAX_WINDOW_MS = 30_000;

/** Answers one question after the other; a rate is the difference to the answer before it. */
export class StatsReporter {
  readonly #nodeName: string;
  readonly #pods: () => readonly PodRuntime[];
  #last: Sample | undefined;
  #queue: Promise<unknown> = Promise.resolve();

  constructor(nodeName: string, pods: () => readonly PodRuntime[]) {
    this.#nodeName = nodeName;
    this.#pods = pods;
  }

  summarize(): Promise<StatsSummary> {
    const summary = this.#queue.then(() => this.#summarize());
    this.#queue = summary.catch(() => {});
    return summary;
  }

  async #summarize(): Promise<StatsSummary> {
    const hasRecent = this.#last && performance.now() - this.#last.atMs < MAX_WINDOW_MS;
    const before = hasRecent && this.#last ? this.#last : await this.#sample();
    const leftMs = MIN_WINDOW_MS - (performance.now() - before.atMs);
    if (leftMs > 0) await sleep(leftMs);
    const now = await this.#sample();
    this.#last = now;
    const time = new Date().toISOString();
    const windowSeconds = (now.atMs - before.atMs) / 1000;
    const stats = (usage: Usage, earlier: Usage | undefined): ResourceStats => ({
      cpu: {
        time,
        usageNanoCores: Math.round(
          // What a container has used before it was seen first counts from its start, which was in this window.
          Math.max(0, usage.cpuNanoseconds - (earlier?.cpuNanoseconds ?? 0)) / windowSeconds,
        ),
        usageCoreNanoSeconds: usage.cpuNanoseconds,
      },
      memory: { time, workingSetBytes: usage.memoryBytes },
    });
    const pods = this.#pods().map(({ pod, runningContainers }) => ({
      podRef: {
        name: pod.metadata.name ?? '',
        namespace: pod.metadata.namespace ?? '',
        uid: pod.metadata.uid ?? '',
      },
      containers: runningContainers.flatMap(({ name, running }) => {
        const usage = now.containers.get(running.id);
        if (!usage) return [];
        const startTime = running.startedAt.toISOString();
        return [{ name, startTime, ...stats(usage, before.containers.get(running.id)) }];
      }),
    }));
    return { node: { nodeName: this.#nodeName, ...stats(now.machine, before.machine) }, pods };
  }

  async #sample(): Promise<Sample> {
    const ids = new Map<string, string>();
    for (const { running } of this.#pods().flatMap(({ runningContainers }) => runningContainers)) {
      // Containers that share their processes are counted as one: the first.
      const { pidNamespace } = running;
      if (pidNamespace && !ids.has(pidNamespace)) ids.set(pidNamespace, running.id);
    }
    const [machine, usages] = await Promise.all([readMachineUsage(), readUsages(new Set(ids.keys()))]);
    const containers = new Map([...usages].map(([namespace, usage]) => [ids.get(namespace) ?? '', usage]));
    return { atMs: performance.now(), machine, containers };
  }
}
