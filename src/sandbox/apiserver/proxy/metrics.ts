// SPDX-License-Identifier: Apache-2.0
// metrics.k8s.io: what nodes and pods use now, as their kubelets count it. Elsewhere metrics-server collects this.
// https://kubernetes.io/docs/tasks/debug/debug-cluster/resource-metrics-pipeline/
import type { KubeObject } from '../../../kube/types.ts';
import type { ClusterObjects, ComputedScope, ComputedSource } from '../seams.ts';
import { ApiError, type GroupResource } from '../status.ts';
import { getFromKubelet } from './kubelet-get.ts';
import { describeDialError, type KubeletTls, locateNode } from './kubelet-location.ts';

const NODES: GroupResource = { group: '', resource: 'nodes' };
const PODS: GroupResource = { group: '', resource: 'pods' };
/** What the numbers are an average of; the kubelet takes the time between two questions, at most this. */
const WINDOW = '30s';
const MAX_SUMMARY_BYTES = 16 * 1024 * 1024;
const TIMEOUT_MS = 10_000;

interface Stats {
  readonly cpu?: { readonly time?: string; readonly usageNanoCores?: number };
  readonly memory?: { readonly workingSetBytes?: number };
}

interface Summary {
  readonly node: Stats;
  readonly pods?: readonly {
    readonly podRef: { readonly name: string; readonly namespace: string; readonly uid: string };
    readonly containers?: readonly (Stats & { readonly name: string })[];
  }[];
}

interface Scraped {
  readonly node: KubeObject;
  /** undefined when the kubelet did not answer; `problem` says why. */
  readonly summary: Summary | undefined;
  readonly problem: string;
}

/** By storage key: what answers for NodeMetrics and PodMetrics. */
export function metricsSources(objects: ClusterObjects, tls: KubeletTls, now: () => Date): Map<string, ComputedSource> {
  const scrape = (nodes: readonly KubeObject[], signal: AbortSignal): Promise<Scraped[]> =>
    Promise.all(nodes.map((node) => scrapeNode(node, tls, signal)));
  return new Map<string, ComputedSource>([
    [
      'nodes.metrics.k8s.io',
      async ({ name, signal }) => {
        const nodes = objects.list(NODES).filter(({ metadata }) => name === '' || metadata.name === name);
        const answers = answered(await scrape(nodes, signal));
        return answers.map(({ node, summary }) => nodeMetrics(node, summary, now()));
      },
    ],
    ['pods.metrics.k8s.io', (scope) => podMetrics(objects, scope, scrape, now)],
  ]);
}

async function podMetrics(
  objects: ClusterObjects,
  { namespace, name, signal }: ComputedScope,
  scrape: (nodes: readonly KubeObject[], signal: AbortSignal) => Promise<Scraped[]>,
  now: () => Date,
): Promise<KubeObject[]> {
  const pods = objects
    .list(PODS, namespace || undefined)
    .filter(({ metadata }) => name === '' || metadata.name === name);
  const wanted = new Map(pods.map((pod) => [pod.metadata.uid ?? '', pod]));
  const places = new Set(pods.map(({ spec }) => (spec as { nodeName?: string } | undefined)?.nodeName));
  const nodes = objects.list(NODES).filter(({ metadata }) => places.has(metadata.name));
  return answered(await scrape(nodes, signal))
    .flatMap(({ summary }) => summary.pods ?? [])
    .flatMap(({ podRef, containers = [] }) => {
      const pod = wanted.get(podRef.uid);
      // A pod none of whose containers runs uses nothing that could be told.
      if (!pod || containers.length === 0) return [];
      return [
        {
          ...metricsObject('PodMetrics', pod, containers[0], now()),
          containers: containers.map((one) => ({ name: one.name, usage: usageOf(one) })),
        } as KubeObject,
      ];
    });
}

/** Throws 503 when nobody answered: an empty list would say that nothing is used. */
function answered(scraped: readonly Scraped[]): { node: KubeObject; summary: Summary }[] {
  const good = scraped.flatMap(({ node, summary }) => (summary ? [{ node, summary }] : []));
  const failed = scraped.filter(({ summary }) => !summary);
  if (good.length === 0 && failed.length > 0) {
    const why = failed.map(({ node, problem }) => `node ${node.metadata.name}: ${problem}`).join('; ');
    throw new ApiError(503, 'ServiceUnavailable', `no metrics: the kubelet cannot be reached: ${why}`, {});
  }
  return good;
}

async function scrapeNode(node: KubeObject, tls: KubeletTls, signal: AbortSignal): Promise<Scraped> {
  const location = locateNode(node);
  const limit = AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT_MS)]);
  try {
    const { statusCode, body } = await getFromKubelet(location, '/stats/summary', tls, limit, MAX_SUMMARY_BYTES);
    if (statusCode !== 200) return { node, summary: undefined, problem: `it answered ${statusCode}: ${body.trim()}` };
    return { node, summary: JSON.parse(body) as Summary, problem: '' };
  } catch (error) {
    return { node, summary: undefined, problem: describeDialError(error, location) };
  }
}

function nodeMetrics(node: KubeObject, { node: stats }: Summary, now: Date): KubeObject {
  return { ...metricsObject('NodeMetrics', node, stats, now), usage: usageOf(stats) };
}

function metricsObject(kind: string, { metadata }: KubeObject, stats: Stats | undefined, now: Date): KubeObject {
  const stamp = (time: string | Date) => `${new Date(time).toISOString().slice(0, 19)}Z`;
  const { name = '', namespace, labels } = metadata;
  return {
    kind,
    apiVersion: 'metrics.k8s.io/v1beta1',
    metadata: {
      name,
      ...(namespace ? { namespace } : {}),
      creationTimestamp: stamp(now),
      ...(labels ? { labels } : {}),
    },
    timestamp: stamp(stats?.cpu?.time ?? now),
    window: WINDOW,
  };
}

function usageOf({ cpu, memory }: Stats): Record<string, string> {
  return {
    cpu: `${Math.round(cpu?.usageNanoCores ?? 0)}n`,
    memory: `${Math.ceil((memory?.workingSetBytes ?? 0) / 1024)}Ki`,
  };
}
