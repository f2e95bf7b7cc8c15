// SPDX-License-Identifier: Apache-2.0
// `make demo`: two clusters, the mesh on both, Bookinfo, the rules of "version routing in a multicluster mesh", and what
// was measured beside what was to be expected.
import { mkdirSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { UserError } from '../user-error.ts';
import { DemoCluster } from './cluster.ts';
import { type LoggedCall, parseAccessLogLine } from './evidence.ts';
import { runIsthmus } from './isthmus-command.ts';
import { type Outcome, summarize } from './outcome.ts';
import type { Steps } from './steps.ts';
import { type readStars, visitPage } from './traffic.ts';

export interface DemoOptions {
  readonly name: string;
  readonly requests: number;
  readonly signal: AbortSignal;
}

export interface DemoResult {
  readonly page: URL;
  readonly kubeconfig: string;
  readonly outcomes: readonly Outcome[];
}

interface SandboxStatus {
  readonly kubeconfig: string;
  readonly clusters: readonly { readonly name: string; readonly gateway: { readonly url: string } }[];
}

const CONTEXTS = ['cluster1', 'cluster2'] as const;

/** Everything up to the table. The caller takes the sandbox down, whatever happens here. */
export async function runDemo(steps: Steps, options: DemoOptions): Promise<DemoResult> {
  const { signal } = options;
  const status = await steps.run(
    'Start two clusters, a network each',
    async () =>
      JSON.parse(
        await runIsthmus(['sandbox', 'up', '--fresh', '--name', options.name, '-o', 'json'], signal),
      ) as SandboxStatus,
  );
  const clusters = CONTEXTS.map((context) => new DemoCluster(status.kubeconfig, context));
  const [cluster1, cluster2] = clusters as [DemoCluster, DemoCluster];
  const gateway = new URL(status.clusters.find((c) => c.name === 'cluster1')!.gateway.url);
  try {
    await installMesh(steps, clusters, status.kubeconfig, signal);
    await deployBookinfo(steps, [cluster1, cluster2], gateway, signal);
    await routeByVersion(steps, [cluster1, cluster2], gateway, signal);
    const outcomes = await measure(steps, cluster1, await cluster2.gatewayAddress(), gateway, options);
    return { page: new URL('/productpage', gateway), kubeconfig: status.kubeconfig, outcomes };
  } finally {
    for (const cluster of clusters) cluster.close();
  }
}

async function installMesh(
  steps: Steps,
  clusters: readonly DemoCluster[],
  kubeconfig: string,
  signal: AbortSignal,
): Promise<void> {
  await steps.run('Make one root certificate and an intermediate for each cluster', async () => {
    const dir = join(dirname(kubeconfig), 'certs');
    mkdirSync(dir, { recursive: true, mode: 0o700 });
    try {
      await runIsthmus(['certs', '--out', dir, '--clusters', CONTEXTS.join(',')], signal);
      await Promise.all(clusters.map((cluster) => cluster.putCertificates(join(dir, cluster.context))));
    } finally {
      // The clusters have them; a CA's key should not lie about.
      rmSync(dir, { recursive: true, force: true });
    }
  });
  await steps.run('Install the mesh on both', () =>
    Promise.all(
      clusters.map(({ context }) =>
        runIsthmus(['install', '--kubeconfig', kubeconfig, '--context', context, '--wait'], signal),
      ),
    ),
  );
  await steps.run('Send .global names to the mesh’s DNS', () =>
    Promise.all(clusters.map((cluster) => cluster.sendGlobalNamesToMesh())),
  );
}

async function deployBookinfo(
  steps: Steps,
  clusters: readonly [DemoCluster, DemoCluster],
  gateway: URL,
  signal: AbortSignal,
): Promise<void> {
  await steps.run('Bookinfo: page, details, reviews v1 | ratings, reviews v2, v3', async (detail) => {
    await Promise.all(
      clusters.map(async (cluster) => {
        await cluster.injectDefaultNamespace();
        await cluster.applySample(`bookinfo/multicluster/${cluster.context}.yaml`);
        await cluster.waitForPods('default', detail, signal);
      }),
    );
    detail('every pod has its Envoy');
  });
  await steps.run('Open the page at cluster1’s gateway; nobody sees stars yet', async () => {
    await clusters[0].applySample('bookinfo/networking/bookinfo-gateway.yaml');
    await untilPage(gateway, undefined, (stars) => stars !== undefined, signal);
    const visits = await visitPage(gateway, { user: 'jason', userAgent: 'isthmus-demo/before', count: 10, signal });
    if (visits.some((visit) => visit.stars !== 'none'))
      throw new Error('a page showed stars before there was a rule for it');
  });
}

async function routeByVersion(
  steps: Steps,
  [cluster1, cluster2]: readonly [DemoCluster, DemoCluster],
  gateway: URL,
  signal: AbortSignal,
): Promise<void> {
  await steps.run('Tell cluster1 of cluster2’s reviews, and both of the versions', async () => {
    const address = await cluster2.gatewayAddress();
    await cluster1.applySample('bookinfo/multicluster/reviews-remote.yaml', { CLUSTER2_GW_ADDR: address });
    await Promise.all(
      [cluster1, cluster2].map((cluster) => cluster.applySample('bookinfo/multicluster/reviews-subsets.yaml')),
    );
  });
  await steps.run('Route jason to v2 and v3, half and half, everybody else to v1', async (detail) => {
    await cluster1.applySample('bookinfo/multicluster/reviews-route.yaml');
    const appliedAt = performance.now();
    await untilPage(gateway, 'jason', (stars) => stars === 'black' || stars === 'red', signal);
    detail(`in force after ${Math.round(performance.now() - appliedAt)} ms`);
  });
}

async function measure(
  steps: Steps,
  cluster1: DemoCluster,
  remoteGateway: string,
  gateway: URL,
  options: DemoOptions,
): Promise<Outcome[]> {
  const since = new Date();
  const users = [
    { user: 'jason', expected: { v2: 0.5, v3: 0.5 } },
    { user: undefined, expected: { v1: 1 } },
  ] as const;
  return steps.run(`Ask ${options.requests} times as jason, and as often as nobody`, async (detail) => {
    const visits = new Map<string, Awaited<ReturnType<typeof visitPage>>>();
    for (const { user } of users) {
      const label = user ?? 'nobody';
      const onVisit = (done: number): void => detail(`${label}: ${done}`);
      visits.set(
        label,
        await visitPage(gateway, {
          ...(user ? { user } : {}),
          userAgent: agentOf(label),
          count: options.requests,
          onVisit,
          signal: options.signal,
        }),
      );
    }
    detail('reading the proxies’ logs');
    const calls = await loggedCalls(cluster1, since, [...visits.keys()], options);
    detail('');
    return users.flatMap(({ user, expected }) => {
      const label = user ?? 'nobody';
      return summarize({
        user: label,
        expected,
        visits: visits.get(label)!,
        calls: calls.filter((c) => c.userAgent === agentOf(label)),
        remoteGateway,
      });
    });
  });
}

const agentOf = (label: string): string => `isthmus-demo/${label}`;

/** The counted calls from productpage to reviews. Envoy writes its log within a second, so wait until all are there. */
async function loggedCalls(
  cluster1: DemoCluster,
  since: Date,
  labels: readonly string[],
  options: DemoOptions,
): Promise<LoggedCall[]> {
  const counted = new Set(labels.map(agentOf));
  for (let attempt = 0; ; attempt++) {
    const lines = await cluster1.sidecarLog('productpage', since);
    const calls = lines
      .map(parseAccessLogLine)
      .filter((call) => call !== undefined)
      .filter((call) => call.path.startsWith('/reviews/') && counted.has(call.userAgent));
    if (calls.length >= options.requests * labels.length || attempt === 40) return calls;
    await sleep(250, undefined, { signal: options.signal });
  }
}

/** Asks for the page until it shows what it should; a rule takes some milliseconds to reach the proxies. */
async function untilPage(
  gateway: URL,
  user: string | undefined,
  good: (stars: ReturnType<typeof readStars>) => boolean,
  signal: AbortSignal,
): Promise<void> {
  let last = 'no answer';
  for (const deadline = performance.now() + 30_000; performance.now() < deadline; ) {
    try {
      const [visit] = await visitPage(gateway, {
        ...(user ? { user } : {}),
        userAgent: 'isthmus-demo/wait',
        count: 1,
        signal,
      });
      if (visit && good(visit.stars)) return;
      last = `HTTP ${visit?.status}, stars: ${visit?.stars ?? 'no reviews'}`;
    } catch (error) {
      signal.throwIfAborted();
      last = error instanceof Error ? error.message : String(error);
    }
    await sleep(20, undefined, { signal });
  }
  throw new UserError(
    `${gateway.href}productpage did not become what the rules say within 30 s; the last answer was: ${last}.`,
  );
}
