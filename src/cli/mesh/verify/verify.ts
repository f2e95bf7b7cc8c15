// SPDX-License-Identifier: Apache-2.0
// `isthmus mesh verify`: looks, puts probes up, has each ask each, judges, and leaves nothing behind.
import { setTimeout as sleep } from 'node:timers/promises';
import type { KubeClient } from '../../../kube/client.ts';
import { inspectInstallation } from '../../analyze/installation.ts';
import { UserError } from '../../user-error.ts';
import { whyUnread } from '../unread.ts';
import type { ClusterSight, ImportSight, MeshSight, PairSight, ProbeSight, TokenSight } from './evidence.ts';
import type { Finding } from './finding.ts';
import { awaitImports, explainLate } from './imports.ts';
import { judgeMesh } from './judge.ts';
import { type AskedCluster, nameMembers, reachMembers } from './members.ts';
import { type Observed, observeCluster } from './observe-cluster.ts';
import { observeTokens } from './observe-tokens.ts';
import {
  buildEntry,
  buildProbe,
  chooseAddresses,
  globalHost,
  nameServices,
  type ProbeNamespace,
  type ProbeTarget,
} from './probe-objects.ts';
import { doorPorts, examinePilot, type PairPlan, probePair } from './probe-pairs.ts';
import { pairWidth, renderFinding, renderMatrix, renderPair, renderSummary, toJson } from './render.ts';
import { awaitProbe, keepAlive, newNamespace, putEntry, putUp, readProxyErrors, remove, sweep } from './stage.ts';
import { groupOf, pairUp, placeClusters, placedAs } from './topology.ts';
import { failedPairs } from './verdict.ts';

export interface VerifyOptions {
  readonly file?: string;
  readonly contexts: readonly string[];
  readonly kubeconfig?: string;
  readonly output: 'text' | 'json';
  /** How long a probe pod may take to become ready. */
  readonly timeoutMs: number;
  /** How long what is new may take to reach the proxies. */
  readonly patienceMs: number;
}

export interface Verification {
  readonly clusters: readonly string[];
  readonly pairs: readonly PairSight[];
  readonly findings: readonly Finding[];
}

/** Called as things happen. */
export interface VerifyEvents {
  step(what: string): void;
  pair(pair: PairSight): void;
}

/** More would be dear for the machine that runs them, and gain little. */
const AT_ONCE = 8;
const SETTLE_MS = 5_000;
/** How long an export may take to be known in the other clusters. */
const IMPORT_MS = 8_000;

/** Prints to stdout, progress to stderr; gives the exit code. @throws UserError when it is called wrongly */
export async function verifyMesh(options: VerifyOptions): Promise<0 | 1> {
  const startedAt = performance.now();
  const named = nameMembers(options.file, options.contexts);
  if (named.length < 2) throw new UserError('one cluster has nobody to speak to: name two or more', 2);
  const isText = options.output === 'text';
  const width = pairWidth(named.map(({ context }) => context));
  const interrupted = new AbortController();
  const end = (): void => interrupted.abort();
  for (const name of ['SIGTERM', 'SIGHUP'] as const) process.once(name, end);
  const members = await reachMembers(named, options.kubeconfig);
  const signal = AbortSignal.any([interrupted.signal, ...members.map(({ target }) => target.signal)]);
  const events: VerifyEvents = {
    step: (what) => isText && process.stderr.write(`${what}\n`),
    pair: (pair) => isText && process.stdout.write(renderPair(pair, width)),
  };
  try {
    const done = await runVerification(members, options, events, signal);
    if (isText) {
      process.stdout.write(`\n${renderMatrix(done)}\n`);
      for (const finding of done.findings) process.stdout.write(`${renderFinding(finding)}\n`);
      process.stdout.write(renderSummary(done, performance.now() - startedAt));
    } else process.stdout.write(toJson(done));
    const isWrong = failedPairs({ clusters: [], pairs: done.pairs }).length > 0;
    return isWrong || done.findings.some(({ severity }) => severity === 'error') ? 1 : 0;
  } finally {
    for (const name of ['SIGTERM', 'SIGHUP'] as const) process.removeListener(name, end);
    for (const { target } of members) target.close();
  }
}

async function runVerification(
  members: readonly AskedCluster[],
  options: Pick<VerifyOptions, 'kubeconfig' | 'timeoutMs' | 'patienceMs'>,
  events: VerifyEvents,
  signal: AbortSignal,
): Promise<Verification> {
  events.step(`Looking at ${members.map(({ context }) => context).join(', ')}`);
  const scene = await observe(members, options.kubeconfig);
  const run = newNamespace();
  const alive = new AbortController();
  const present = scene.filter(({ client, observed }) => client !== undefined && observed?.image !== undefined);
  let work: Promise<MeshSight> | undefined;
  try {
    events.step(`Putting probes into namespace ${run.namespace}`);
    const clients = new Map(present.map(({ sight, client }) => [sight.name, client!]));
    for (const client of clients.values()) void keepAlive(client, run, alive.signal);
    work = probe(scene, run, options, events, signal);
    const sight = await Promise.race([work, whenAborted(signal)]);
    work.catch(() => {});
    return { clusters: members.map(({ context }) => context), pairs: sight.pairs, findings: judgeMesh(sight) };
  } finally {
    alive.abort();
    // What is being made while it is interrupted has to be there before it can be taken away.
    await Promise.race([work?.catch(() => {}), sleep(SETTLE_MS, undefined, { ref: false })]);
    events.step('Taking the probes away');
    const ended = await Promise.allSettled(present.map(({ client }) => remove(client!, run.namespace)));
    for (const [i, result] of ended.entries()) {
      if (result.status === 'fulfilled') continue;
      const { name } = present[i]!.sight;
      events.step(
        `namespace ${run.namespace} of ${name} is left (${(result.reason as Error).message}): the next run removes it`,
      );
    }
  }
}

function whenAborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    const give = (): void => reject(new UserError('interrupted: the probes are taken away'));
    if (signal.aborted) give();
    signal.addEventListener('abort', give, { once: true });
  });
}

interface Actor {
  readonly sight: ClusterSight;
  readonly observed: Observed | undefined;
  readonly client: KubeClient | undefined;
}

const NO_PROBE: ProbeSight = { injected: false, ready: false, state: 'it was not made', proxyErrors: [] };

async function observe(members: readonly AskedCluster[], kubeconfig: string | undefined): Promise<Actor[]> {
  const seen = await Promise.all(
    members.map(async ({ context, target, unreachable }) => {
      if (unreachable !== undefined) return { unreachable };
      try {
        await sweep(target.client);
        return { observed: await observeCluster(context, target.client) };
      } catch (error) {
        const why = whyUnread(error);
        if (why === undefined) throw error;
        return { unreachable: why };
      }
    }),
  );
  const placed = members.map((member, i) => placedAs(member, seen[i]!.observed));
  const { planes, meshNames } = placeClusters(placed);
  return Promise.all(
    members.map(async ({ context, target }, i): Promise<Actor> => {
      const { observed, unreachable } = seen[i]!;
      if (observed === undefined)
        return { sight: nothingOf(context, unreachable), observed: undefined, client: undefined };
      const tokens = await observeTokens(target.client, placed, kubeconfig);
      const place = { plane: planes.get(context), meshName: meshNames.get(context) };
      const strangers = strangersOf(context, members, planes, tokens);
      const sight = { ...observed.sight, ...place, tokens, strangers, late: [], probe: NO_PROBE };
      return { sight, observed, client: target.client };
    }),
  );
}

/** Only a file says that clusters are meant to be peers. */
function strangersOf(
  own: string,
  members: readonly AskedCluster[],
  planes: ReadonlyMap<string, string>,
  tokens: readonly TokenSight[],
): string[] {
  const isPeer = ({ context, calledInFile }: AskedCluster) =>
    calledInFile !== undefined && context !== own && planes.get(context) === context && planes.get(own) === own;
  return members
    .filter(
      (member) => isPeer(member) && !tokens.some(({ kind, target }) => kind === 'peer' && target === member.context),
    )
    .map(({ context }) => context);
}

function nothingOf(name: string, unreachable = 'unknown'): ClusterSight {
  return {
    ...{ name, unreachable, role: 'none', plane: undefined, meshName: undefined, aheadMs: undefined },
    ...{ remarks: [], parts: [], gateway: undefined, authority: undefined, networks: undefined, names: undefined },
    ...{
      gatewayNetwork: undefined,
      pilotAt: [],
      entries: [],
      sidecars: [],
      wideRoutes: [],
      tokens: [],
      tlsRules: [],
      policies: [],
    },
    ...{ late: [], strangers: [], injector: 'there', probe: NO_PROBE },
  };
}

async function probe(
  scene: readonly Actor[],
  run: ProbeNamespace,
  { timeoutMs, patienceMs }: Pick<VerifyOptions, 'timeoutMs' | 'patienceMs'>,
  events: VerifyEvents,
  signal: AbortSignal,
): Promise<MeshSight> {
  const names = scene.map(({ sight }) => sight.name);
  const planes = new Map(scene.flatMap(({ sight }) => (sight.plane === undefined ? [] : [[sight.name, sight.plane]])));
  const targets = nameServices(names);
  const targetOf = new Map(targets.map((target) => [target.name, target]));
  const ports = doorPorts(scene.map(({ sight }) => sight));
  const refusals = await Promise.all(
    scene.map(async ({ sight, client, observed }) => {
      if (client === undefined || observed?.image === undefined) return undefined;
      const group = groupOf(sight.name, names, planes).map((name) => targetOf.get(name)!);
      return putUp(client, run, buildProbe(run, targetOf.get(sight.name)!, group, observed.image, ports), signal);
    }),
  );
  const { addresses, late, refusedEntries } = await nameTargets(scene, run, planes, targetOf, signal);
  const clusters = await Promise.all(
    scene.map(async ({ sight: seenBefore, client, observed }, i): Promise<ClusterSight> => {
      const entryRefused = refusedEntries.get(seenBefore.name);
      const sight = {
        ...{ ...seenBefore, late: late.get(seenBefore.name) ?? [] },
        ...(entryRefused !== undefined && { entryRefused }),
      };
      const refused = refusals[i];
      if (refused !== undefined) return { ...sight, probe: { ...NO_PROBE, refused } };
      if (client === undefined || observed?.image === undefined) return sight;
      const seen = await awaitProbe(client, run, timeoutMs, signal);
      if (seen.ready || !seen.injected) return { ...sight, probe: seen };
      const [proxyErrors, pilot] = await Promise.all([readProxyErrors(client, run), examinePilot(sight, client, run)]);
      return { ...sight, probe: { ...seen, proxyErrors, ...(pilot !== undefined && { pilot }) } };
    }),
  );
  signal.throwIfAborted();
  events.step('Asking');
  const sightOf = new Map(clusters.map((cluster) => [cluster.name, cluster]));
  const plans = pairUp(names, planes).map(({ from, to, model }): PairPlan => {
    const plane = planes.get(from);
    return {
      ...{
        model,
        patienceMs,
        namespace: run.namespace,
        target: targetOf.get(to)!,
        caller: targetOf.get(from)!.service,
      },
      ...{
        from: sightOf.get(from)!,
        to: sightOf.get(to)!,
        plane: plane === undefined ? undefined : sightOf.get(plane),
      },
      address: addresses.get(`${plane} ${to}`),
    };
  });
  const clients = new Map(scene.map(({ sight, client }) => [sight.name, client]));
  const pairs = await inTurn(plans, AT_ONCE, async (plan) => {
    const pair = await probePair(plan, clients.get(plan.from.name)!);
    if (!signal.aborted) events.pair(pair);
    return pair;
  });
  const sight = { clusters, pairs };
  return failedPairs(sight).length === 0 ? sight : { pairs, clusters: await lookAgain(clusters, clients) };
}

interface Names {
  /** `PLANE TARGET` -> its address. */
  readonly addresses: ReadonlyMap<string, string>;
  /** Plane -> exports that did not arrive. */
  readonly late: ReadonlyMap<string, readonly ImportSight[]>;
  /** Plane -> why it did not take what was made by hand. */
  readonly refusedEntries: ReadonlyMap<string, string>;
}

/**
 * Names of other control planes' clusters, each in the cluster whose rules count: by exports where these are read, else by hand,
 * so that the way itself is tried in any case.
 */
async function nameTargets(
  scene: readonly Actor[],
  run: ProbeNamespace,
  planes: ReadonlyMap<string, string>,
  targetOf: ReadonlyMap<string, ProbeTarget>,
  signal: AbortSignal,
): Promise<Names> {
  const addresses = new Map<string, string>();
  const late = new Map<string, readonly ImportSight[]>();
  const refusedEntries = new Map<string, string>();
  const nameAt = async ({ sight: plane, client, observed }: Actor): Promise<void> => {
    if (client === undefined || observed?.image === undefined || plane.role !== 'primary') return;
    const foreign = scene.filter(({ sight }) => sight.name !== plane.name && planes.get(sight.name) !== plane.name);
    const peers = plane.tokens.filter(({ kind, target = '', verdict }) => {
      return (
        kind === 'peer' &&
        verdict.kind === 'good' &&
        foreign.some(({ sight }) => sight.name === target && sight.role === 'primary')
      );
    });
    const hosts = new Map(
      peers.map(({ target = '' }) => [target, globalHost(targetOf.get(target)!.service, run.namespace)]),
    );
    const arrived = await awaitImports(client, run.namespace, hosts, IMPORT_MS, signal);
    for (const [target, address] of arrived) addresses.set(`${plane.name} ${target}`, address);
    const missing = peers.filter(({ target = '' }) => !arrived.has(target));
    late.set(
      plane.name,
      await explainLate(
        client,
        missing.map(({ target = '', key }) => ({ target, key })),
      ),
    );
    const free = chooseAddresses(foreign.length, observed.taken);
    for (const [i, { sight }] of foreign.entries()) {
      const door = sight.gateway?.door;
      const address = free[i];
      if (arrived.has(sight.name) || door === undefined || address === undefined) continue;
      const refused = await putEntry(client, buildEntry(run.namespace, targetOf.get(sight.name)!, door, address));
      if (refused === undefined) addresses.set(`${plane.name} ${sight.name}`, address);
      else refusedEntries.set(plane.name, refused);
    }
  };
  // One that does not even know the kind is told of, and the others are tried.
  await Promise.all(
    scene.map((actor) =>
      nameAt(actor).catch((error) => {
        const why = whyUnread(error);
        if (why === undefined) throw error;
        refusedEntries.set(actor.sight.name, why);
      }),
    ),
  );
  return { addresses, late, refusedEntries };
}

/** What the control planes have noticed meanwhile. */
function lookAgain(
  clusters: readonly ClusterSight[],
  clients: ReadonlyMap<string, KubeClient | undefined>,
): Promise<ClusterSight[]> {
  return Promise.all(
    clusters.map(async (cluster) => {
      const client = clients.get(cluster.name);
      if (client === undefined) return cluster;
      try {
        return { ...cluster, remarks: (await inspectInstallation(client)).remarks };
      } catch {
        return cluster;
      }
    }),
  );
}

async function inTurn<T, R>(items: readonly T[], atOnce: number, work: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  let next = 0;
  const worker = async (): Promise<void> => {
    for (let i = next++; i < items.length; i = next++) results[i] = await work(items[i]!);
  };
  await Promise.all(Array.from({ length: Math.min(atOnce, items.length) }, worker));
  return results;
}
