// SPDX-License-Identifier: Apache-2.0
// Every cluster of a plan side by side, each under its lock; then those that have left the file. What goes wrong with one is
// that one's alone.
import { commandName } from '../command-name.ts';
import { explainClusterError } from '../install-target.ts';
import { UserError } from '../user-error.ts';
import { type ApplyEvent, applyCluster, type Missing } from './apply-cluster.ts';
import type { Scene } from './desired.ts';
import { Exchange } from './exchange.ts';
import { type Locks, lockAll, releaseAll } from './lock.ts';
import type { Member } from './members.ts';
import type { ClusterPlan } from './plan.ts';
import { type ClusterProgress, startClusterProgress } from './progress.ts';
import type { RecordedCluster } from './record.ts';
import { removeCluster, waitForImports, writeRecord } from './remove-cluster.ts';
import { seeRecorded } from './sighting.ts';
import type { Trust } from './trust.ts';

/** What has become of a cluster. */
export interface Outcome {
  readonly name: string;
  readonly error?: Error;
  /** What it lacks for want of others. */
  readonly missing: readonly Missing[];
}

export interface Prepared {
  readonly scene: Scene;
  readonly trust: Trust;
  readonly clusters: readonly ClusterPlan[];
}

export interface CarryOutOptions {
  readonly kubeconfig: string | undefined;
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

const NEXT = 'run the same command again: it goes on where it ended';

/**
 * @param members those that answered
 * @param prepare what is to be done, as the clusters are once the locks are held
 * @throws UserError where somebody else has a lock
 */
export async function carryOut(
  mesh: string,
  members: readonly Member[],
  prepare: () => Promise<Prepared>,
  options: CarryOutOptions,
): Promise<{ outcomes: Outcome[]; removed: Outcome[] }> {
  const locks = await lockAll(members, mesh, 'mesh up');
  try {
    const prepared = await prepare();
    const outcomes = await applyAll(prepared, locks, options);
    for (const member of members) {
      if (outcomes.some(({ name }) => name === member.name)) continue;
      const error = locks.failed.get(member.name) ?? new Error('it does not answer any more');
      outcomes.push({ name: member.name, missing: [], error: explain(member, error, options.signal) });
    }
    const present = members.filter(({ name }) => locks.held.has(name));
    return { outcomes, removed: await removeLeft(prepared.scene, present, outcomes, options) };
  } finally {
    await releaseAll(locks);
  }
}

async function applyAll(
  { scene, trust, clusters }: Prepared,
  locks: Locks,
  options: CarryOutOptions,
): Promise<Outcome[]> {
  const present = clusters.filter(({ member }) => locks.held.has(member.name));
  const names = new Set(present.map(({ member }) => member.name));
  const progress = startClusterProgress([...names]);
  const exchange = new Exchange();
  const outcomes = await Promise.all(
    present.map(async (plan): Promise<Outcome> => {
      const { name } = plan.member;
      const signal = AbortSignal.any([options.signal, locks.held.get(name)!.signal]);
      const report = (event: ApplyEvent) => progress.event(name, event);
      const { timeoutMs } = options;
      try {
        const missing = await applyCluster({ scene, plan, trust, exchange, present: names, timeoutMs, signal, report });
        progress.ended(name, 'done', missing.length === 0 ? 'ready' : 'ready, without what other clusters owe it');
        return { name, missing };
      } catch (error) {
        progress.ended(name, 'failed', 'not finished');
        return { name, missing: [], error: explain(plan.member, error, signal) };
      }
    }),
  );
  progress.close();
  for (const { cluster, message } of progress.warnings) process.stderr.write(`  ! ${cluster}: ${message}\n`);
  return outcomes;
}

/** Those that the file no longer has: the others have forgotten them by now. */
async function removeLeft(
  scene: Scene,
  members: readonly Member[],
  outcomes: readonly Outcome[],
  options: CarryOutOptions,
): Promise<Outcome[]> {
  const left = scene.leaving;
  if (!scene.isPruning || left.length === 0) return [];
  const names = new Set(left.map(({ name }) => name));
  if (outcomes.some(({ error }) => error !== undefined)) {
    process.stderr.write(`\n${[...names].join(', ')} stays until the others are finished\n`);
    return [];
  }
  await Promise.all(members.map(({ client }) => waitForImports(client, names, options)));
  const progress = startClusterProgress([...names]);
  const removed = await Promise.all(left.map((each) => removeOne(scene, each, progress, options)));
  const gone = new Set(removed.filter(({ error }) => error === undefined).map(({ name }) => name));
  const kept = left.filter(({ name }) => !gone.has(name));
  await Promise.all(members.map((member) => writeRecord({ ...scene, leaving: kept }, member)));
  return removed;
}

async function removeOne(
  { mesh }: Scene,
  recorded: RecordedCluster,
  progress: ClusterProgress,
  { kubeconfig, timeoutMs, signal }: CarryOutOptions,
): Promise<Outcome> {
  const { name } = recorded;
  const member = await seeRecorded(mesh, recorded, kubeconfig, signal);
  if (member instanceof Error) {
    const cure = `\`${commandName()} mesh down --cluster ${name}\` has the others forget it all the same`;
    return { name, missing: [], error: new UserError(`${member.message} (${cure})`) };
  }
  try {
    const locks = await lockAll([member], mesh.name, 'mesh up --prune');
    const unlocked = locks.failed.get(name);
    if (unlocked !== undefined) throw unlocked;
    const report = (what: string, changes: number) => progress.event(name, { kind: 'done', what, changes });
    const removal = { timeoutMs, signal, client: member.client, keepDefinitions: false, report };
    await removeCluster(removal).finally(() => releaseAll(locks));
    progress.ended(name, 'done', 'removed');
    return { name, missing: [] };
  } catch (error) {
    progress.ended(name, 'failed', 'not finished');
    return { name, missing: [], error: explain(member, error, signal) };
  } finally {
    member.client.close();
  }
}

function explain(member: Member, error: unknown, signal: AbortSignal): Error {
  if (signal.aborted && signal.reason instanceof Error) return signal.reason;
  return explainClusterError(error, member.client.server, NEXT);
}
