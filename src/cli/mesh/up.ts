// SPDX-License-Identifier: Apache-2.0
// `isthmus mesh up`: the plan, then what it says. One cluster that fails keeps none of the others from being finished.
import { commandName } from '../command-name.ts';
import { UserError } from '../user-error.ts';
import { agreed } from './agreement.ts';
import { carryOut, type Outcome, type Prepared } from './carry-out.ts';
import type { Scene } from './desired.ts';
import { interruptible } from './interruption.ts';
import { type Member, openMembers } from './members.ts';
import { type Mesh, readMeshFile } from './mesh-file.ts';
import { planCluster } from './plan.ts';
import type { RecordedCluster } from './record.ts';
import { countChanges, type MeshPlan, renderPlan } from './render-plan.ts';
import { type ClusterState, demandSameMesh, seeClusters } from './sighting.ts';
import { planTrust } from './trust.ts';

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
  const mesh = readMeshFile(options.filename);
  const members = openMembers(mesh, options.kubeconfig);
  try {
    return await interruptible((signal) => new MeshUp(options, mesh, members, signal).run());
  } finally {
    for (const { client } of members) client.close();
  }
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
    const { dryRun, verbose, yes, kubeconfig, timeoutMs } = this.#options;
    const { plan } = await this.#prepare();
    const count = countChanges(plan);
    const title = `Mesh ${this.#mesh.name}: ${this.#members.map(({ name }) => name).join(', ')}`;
    process.stdout.write(`${title}\n\n${renderPlan(plan, verbose)}\n`);
    if (dryRun) return sayDryRun(plan, count);
    if (plan.clusters.length === 0) throw new UserError('no cluster of the mesh can be reached: nothing was changed');
    if (count > 0 && !yes && !(await agreed('Go ahead? [y/N] ', this.#signal))) {
      process.stdout.write('Nothing was changed.\n');
      return 1;
    }
    const members = plan.clusters.map(({ member }) => member);
    const options = { kubeconfig, timeoutMs, signal: this.#signal };
    const { outcomes, removed } = await carryOut(this.#mesh.name, members, () => this.#prepare(), options);
    return this.#conclude(plan, outcomes, removed, performance.now() - startedAt);
  }

  async #prepare(): Promise<Prepared & { plan: MeshPlan }> {
    const sightings = await seeClusters(this.#mesh, this.#members, this.#signal);
    demandSameMesh(this.#mesh, sightings.seen);
    const { prune } = this.#options;
    const left = findLeft(this.#mesh, sightings.seen);
    const scene: Scene = { mesh: this.#mesh, members: this.#members, leaving: left, isPruning: prune };
    const secrets = new Map(sightings.seen.map(({ member, live }) => [member.name, live.find('Secret', 'cacerts')]));
    const trust = planTrust(this.#mesh, secrets, Date.now());
    const clusters = sightings.seen.map((state) => planCluster(scene, state, sightings.seen, trust));
    const newRootDir = trust.makesRoot ? trust.dir : undefined;
    return { scene, trust, clusters, plan: { clusters, unseen: sightings.unseen, left, prune, newRootDir } };
  }

  #conclude(plan: MeshPlan, outcomes: readonly Outcome[], removed: readonly Outcome[], elapsedMs: number): 0 | 1 {
    const failed = [...outcomes, ...removed].filter(({ error }) => error !== undefined);
    const owed = outcomes.filter(({ missing }) => missing.length > 0);
    const unseen = plan.unseen.map(({ member: { name }, error }) => ({ name, error }));
    for (const { name, error } of failed) process.stderr.write(`\n${name} was not finished: ${error!.message}\n`);
    for (const { name, error } of unseen) process.stderr.write(`\n${name} was left out: ${error.message}\n`);
    for (const { name, missing } of owed) {
      process.stderr.write(`\n${name} ${missing.map(({ message }) => message).join(', ')} yet\n`);
    }
    this.#signal.throwIfAborted();
    const names = (of: readonly { name: string }[]) => of.map(({ name }) => name).join(', ');
    const unfinished = [...failed, ...unseen];
    const { file } = this.#mesh;
    if (unfinished.length + owed.length > 0) {
      const done = outcomes.filter(({ error }) => error === undefined);
      const open = unfinished.length === 0 ? '' : ` Not finished: ${names(unfinished)}.`;
      process.stderr.write(
        `\nReady: ${names(done) || 'none'}.${open} Run it again when that is mended: ${commandName()} mesh up -f ${file}\n`,
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

function sayDryRun({ unseen, clusters }: MeshPlan, count: number): 0 | 1 {
  const would = count === 0 ? 'Nothing would change' : `${count} change${count === 1 ? '' : 's'} would be made`;
  process.stdout.write(`${would}; nothing was changed.\n`);
  return unseen.length > 0 || clusters.some(({ problems }) => problems.length > 0) ? 1 : 0;
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
