// SPDX-License-Identifier: Apache-2.0
// `isthmus mesh up`: the plan, then every cluster side by side. One that fails keeps none of the others from being finished.
import { commandName } from '../command-name.ts';
import { explainClusterError } from '../install-target.ts';
import { UserError } from '../user-error.ts';
import { agreed } from './agreement.ts';
import { type ApplyEvent, applyCluster, type Missing } from './apply-cluster.ts';
import type { Scene } from './desired.ts';
import { Exchange } from './exchange.ts';
import { findContext, readContexts } from './init.ts';
import { lockAll, releaseAll } from './lock.ts';
import { type Member, openMember, openMembers } from './members.ts';
import { type Mesh, readMeshFile } from './mesh-file.ts';
import { clusterDefaults } from './mesh-shape.ts';
import { planCluster } from './plan.ts';
import { startClusterProgress } from './progress.ts';
import type { RecordedCluster } from './record.ts';
import { removeCluster, waitForImports } from './remove-cluster.ts';
import { countChanges, type MeshPlan, renderPlan } from './render-plan.ts';
import { type ClusterState, type Sightings, seeClusters } from './sighting.ts';
import { planTrust, type Trust } from './trust.ts';

export interface UpOptions {
  readonly filename: string;
  readonly kubeconfig?: string;
  readonly dryRun: boolean;
  readonly yes: boolean;
  readonly prune: boolean;
  readonly verbose: boolean;
  readonly timeoutMs: number;
}

/** @returns the exit code: 1 where a cluster was not finished */
export async function meshUp(options: UpOptions): Promise<0 | 1> {
  const interrupted = new AbortController();
  const interrupt = (): void => interrupted.abort(new UserError('interrupted: run the same command again to go on'));
  process.once('SIGINT', interrupt).once('SIGTERM', interrupt);
  const mesh = readMeshFile(options.filename);
  const members = openMembers(mesh, options.kubeconfig);
  try {
    return await new MeshUp(options, mesh, members, interrupted.signal).run();
  } finally {
    process.removeListener('SIGINT', interrupt).removeListener('SIGTERM', interrupt);
    for (const { client } of members) client.close();
  }
}

interface Prepared {
  readonly scene: Scene;
  readonly sightings: Sightings;
  readonly trust: Trust;
  readonly plan: MeshPlan;
}

interface Outcome {
  readonly member: Member;
  readonly error?: Error;
  readonly missing: readonly Missing[];
}

class MeshUp {
  readonly #options: UpOptions;
  readonly #mesh: Mesh;
  readonly #members: readonly Member[];
  readonly #signal: AbortSignal;

  constructor(options: UpOptions, mesh: Mesh, members: readonly Member[], signal: AbortSignal) {
    this.#options = options;
    this.#mesh = mesh;
    this.#members = members;
    this.#signal = signal;
  }

  async run(): Promise<0 | 1> {
    const startedAt = performance.now();
    const prepared = await this.#prepare();
    const { plan } = prepared;
    const count = countChanges(plan);
    const title = `Mesh ${this.#mesh.name}: ${this.#members.map(({ name }) => name).join(', ')}`;
    process.stdout.write(`${title}\n\n${renderPlan(plan, this.#options.verbose)}\n`);
    if (this.#options.dryRun) {
      process.stdout.write(
        `${count === 0 ? 'Nothing would change' : `${plural(count, 'change')} would be made`}; nothing was changed.\n`,
      );
      return plan.unseen.length > 0 || plan.clusters.some(({ problems }) => problems.length > 0) ? 1 : 0;
    }
    if (plan.clusters.length === 0) throw new UserError('no cluster of the mesh can be reached: nothing was changed');
    if (count > 0 && !this.#options.yes && !(await agreed('Go ahead? [y/N] ', this.#signal))) {
      process.stdout.write('Nothing was changed.\n');
      return 1;
    }
    const outcomes = await this.#carryOut(prepared.sightings);
    const removed = this.#options.prune ? await this.#removeLeft(plan.left, outcomes) : [];
    return this.#conclude(plan, outcomes, removed, performance.now() - startedAt);
  }

  async #prepare(): Promise<Prepared> {
    const sightings = await seeClusters(this.#mesh, this.#members, this.#signal);
    this.#demandSameMesh(sightings.seen);
    const left = findLeft(this.#mesh, sightings.seen);
    const scene: Scene = { mesh: this.#mesh, members: this.#members, leaving: this.#options.prune ? [] : left };
    const secrets = new Map(sightings.seen.map(({ member, live }) => [member.name, live.find('Secret', 'cacerts')]));
    const trust = planTrust(this.#mesh, secrets, Date.now());
    const clusters = sightings.seen.map((state) => planCluster(scene, state, sightings.seen, trust));
    const newRootDir = trust.makesRoot ? trust.dir : undefined;
    const plan = { clusters, unseen: sightings.unseen, left, prune: this.#options.prune, newRootDir };
    return { scene, sightings, trust, plan };
  }

  #demandSameMesh(seen: readonly ClusterState[]): void {
    for (const { member, record } of seen) {
      if (record === undefined) continue;
      if (record.mesh !== this.#mesh.name) {
        throw new UserError(
          `cluster ${member.name} is in mesh ${record.mesh} already, and this file is of mesh ${this.#mesh.name}: take it out of ` +
            `that one first (mesh down --cluster), or name this file’s mesh ${record.mesh}`,
        );
      }
      if (record.cluster !== member.name) {
        throw new UserError(
          `context ${member.context} leads to the cluster that this mesh knows as ${record.cluster}, and ${this.#mesh.file} calls ` +
            `it ${member.name}: put the contexts right, or take it out first (mesh down --cluster ${record.cluster})`,
        );
      }
    }
  }

  async #carryOut({ seen }: Sightings): Promise<Outcome[]> {
    const locks = await lockAll(
      seen.map(({ member }) => member),
      this.#mesh.name,
      'mesh up',
    );
    try {
      // What was planned may have changed before the locks were ours.
      const { scene, trust, plan } = await this.#prepare();
      const present = new Set(
        [...locks.held.keys()].filter((name) => plan.clusters.some(({ member }) => member.name === name)),
      );
      const clusters = plan.clusters.filter(({ member }) => present.has(member.name));
      const progress = startClusterProgress([...present]);
      const exchange = new Exchange();
      const outcomes = await Promise.all(
        clusters.map(async (cluster): Promise<Outcome> => {
          const { name } = cluster.member;
          const signal = AbortSignal.any([this.#signal, locks.held.get(name)!.signal]);
          const report = (event: ApplyEvent) => progress.event(name, event);
          const { timeoutMs } = this.#options;
          try {
            const missing = await applyCluster({
              scene,
              plan: cluster,
              trust,
              exchange,
              present,
              timeoutMs,
              signal,
              report,
            });
            progress.ended(name, 'done', missing.length === 0 ? 'ready' : 'ready, without what other clusters owe it');
            return { member: cluster.member, missing };
          } catch (error) {
            progress.ended(name, 'failed', 'not finished');
            return { member: cluster.member, missing: [], error: this.#explain(cluster.member, error, signal) };
          }
        }),
      );
      progress.close();
      for (const { cluster, message } of progress.warnings) process.stderr.write(`  ! ${cluster}: ${message}\n`);
      const lost = seen
        .filter(({ member }) => !present.has(member.name))
        .map(({ member }) => ({
          member,
          missing: [],
          error: this.#explain(
            member,
            locks.failed.get(member.name) ?? new Error('it does not answer any more'),
            this.#signal,
          ),
        }));
      return [...outcomes, ...lost];
    } finally {
      await releaseAll(locks);
    }
  }

  /** Those that the file no longer has: the others have forgotten them by now. */
  async #removeLeft(left: readonly RecordedCluster[], outcomes: readonly Outcome[]): Promise<Outcome[]> {
    if (left.length === 0) return [];
    if (outcomes.some(({ error }) => error !== undefined)) {
      process.stderr.write(`\n${left.map(({ name }) => name).join(', ')} stays until the others are finished\n`);
      return [];
    }
    const { timeoutMs, kubeconfig } = this.#options;
    const names = new Set(left.map(({ name }) => name));
    const options = { timeoutMs, signal: this.#signal };
    await Promise.all(outcomes.map(({ member }) => waitForImports(member.client, names, options)));
    const progress = startClusterProgress([...names]);
    return await Promise.all(
      left.map(async (each): Promise<Outcome> => {
        findContext(each.context, readContexts(kubeconfig), `cluster ${each.name}, which is to be removed: `);
        const member = openMember(clusterDefaults(each), each.context, kubeconfig);
        try {
          const locks = await lockAll([member], this.#mesh.name, 'mesh up --prune');
          const unlocked = locks.failed.get(member.name);
          if (unlocked !== undefined) throw unlocked;
          const report = (what: string, changes: number) => progress.event(each.name, { kind: 'done', what, changes });
          await removeCluster({ ...options, client: member.client, keepDefinitions: false, report }).finally(() =>
            releaseAll(locks),
          );
          progress.ended(each.name, 'done', 'removed');
          return { member, missing: [] };
        } catch (error) {
          progress.ended(each.name, 'failed', 'not finished');
          return { member, missing: [], error: this.#explain(member, error, this.#signal) };
        } finally {
          member.client.close();
        }
      }),
    );
  }

  #explain(member: Member, error: unknown, signal: AbortSignal): Error {
    if (signal.aborted && signal.reason instanceof Error) return signal.reason;
    return explainClusterError(error, member.client.server, 'run the same command again: it goes on where it ended');
  }

  #conclude(plan: MeshPlan, outcomes: readonly Outcome[], removed: readonly Outcome[], elapsedMs: number): 0 | 1 {
    const failed = [...outcomes, ...removed].filter(({ error }) => error !== undefined);
    const owed = outcomes.filter(({ missing }) => missing.length > 0);
    for (const { member, error } of failed)
      process.stderr.write(`\n${member.name} was not finished: ${error!.message}\n`);
    for (const { member, error } of plan.unseen)
      process.stderr.write(`\n${member.name} was not reached: ${error.message}\n`);
    for (const { member, missing } of owed) {
      process.stderr.write(`\n${member.name} ${missing.map(({ message }) => message).join(', ')} yet\n`);
    }
    this.#signal.throwIfAborted();
    const names = (of: readonly { member: Member }[]) => of.map(({ member }) => member.name).join(', ');
    const unfinished = [...failed, ...plan.unseen];
    const file = this.#mesh.file;
    if (unfinished.length + owed.length > 0) {
      const done = outcomes.filter(({ error }) => error === undefined);
      process.stderr.write(
        `\nReady: ${names(done) || 'none'}. Not finished: ${names([...unfinished, ...owed])}. Run it again when that is mended: ` +
          `${commandName()} mesh up -f ${file}\n`,
      );
      return 1;
    }
    const time = `${(elapsedMs / 1000).toFixed(1)} s`;
    const gone = removed.length === 0 ? '' : `; it has left ${names(removed)}`;
    process.stdout.write(`\nThe mesh is up: ${names(outcomes)}${gone} (${time}).\n`);
    if (outcomes.length > 1) process.stdout.write(`\nNext:\n  ${commandName()} mesh verify -f ${file}\n`);
    return 0;
  }
}

/** Clusters that some record names, and the file no more. */
function findLeft(mesh: Mesh, seen: readonly ClusterState[]): RecordedCluster[] {
  const known = new Set(mesh.spec.clusters.map(({ name }) => name));
  const left = new Map<string, RecordedCluster>();
  for (const { record } of seen) {
    for (const cluster of record?.clusters ?? []) if (!known.has(cluster.name)) left.set(cluster.name, cluster);
  }
  return [...left.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
}

function plural(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? '' : 's'}`;
}
