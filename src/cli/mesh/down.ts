// SPDX-License-Identifier: Apache-2.0
// `isthmus mesh down`: the clusters that stay forget those that leave, and only then does the mesh leave these.
import { EXPORT_POLICY } from '../../api/export-policy.ts';
import { describeObject } from '../../install/resource-types.ts';
import { commandName } from '../command-name.ts';
import { explainClusterError } from '../install-target.ts';
import { UserError } from '../user-error.ts';
import { agreed } from './agreement.ts';
import type { Scene } from './desired.ts';
import { interruptible } from './interruption.ts';
import { lockAll, releaseAll } from './lock.ts';
import { type Member, openMembers, servedBy } from './members.ts';
import { type Mesh, readMeshFile } from './mesh-file.ts';
import { startClusterProgress } from './progress.ts';
import type { RecordedCluster } from './record.ts';
import { findPersonsObjects, findTies, forgetClusters, removeCluster, writeRecord } from './remove-cluster.ts';
import { type ClusterState, demandSameMesh, type Sightings, seeClusters, seeRecorded } from './sighting.ts';

export interface DownOptions {
  readonly filename: string;
  readonly kubeconfig?: string;
  /** None: all. */
  readonly clusters: readonly string[];
  readonly dryRun: boolean;
  readonly yes: boolean;
  readonly leaveServed: boolean;
  readonly keepCrds: boolean;
  readonly timeoutMs: number;
}

/** @returns the exit code: 1 where a cluster was not finished */
export function meshDown(options: DownOptions): Promise<0 | 1> {
  return interruptible((signal) => takeDown(options, signal));
}

async function takeDown(options: DownOptions, signal: AbortSignal): Promise<0 | 1> {
  const mesh = readMeshFile(options.filename);
  const members = openMembers(mesh, options.kubeconfig);
  const opened = [...members];
  try {
    const sightings = await seeClusters(mesh, members, signal);
    demandSameMesh(mesh, sightings.seen);
    const chosen = chooseLeaving(options, mesh, members, sightings.seen);
    const found = await Promise.all(
      chosen.recorded.map(async (each) => {
        const member = await seeRecorded(mesh, each, options.kubeconfig, signal);
        return { name: each.name, member };
      }),
    );
    const others = found.flatMap(({ member }) => (member instanceof Error ? [] : [member]));
    opened.push(...others);
    const leaving = [...chosen.members, ...others];
    const staying = members.filter((member) => !leaving.includes(member));
    refuseOrphans(leaving, staying, options);
    const lost = found.flatMap(({ name, member }) => (member instanceof Error ? [{ name, error: member }] : []));
    return await new MeshDown(options, mesh, { leaving, staying, sightings, lost }, signal).run();
  } finally {
    for (const { client } of opened) client.close();
  }
}

/** The clusters that leave: those of the file, or one that is only in some cluster's record. */
function chooseLeaving(
  { clusters }: DownOptions,
  mesh: Mesh,
  members: readonly Member[],
  seen: readonly ClusterState[],
): { members: Member[]; recorded: RecordedCluster[] } {
  const recorded = new Map<string, RecordedCluster>();
  for (const { record } of seen) {
    if (record?.mesh !== mesh.name) continue;
    for (const each of record.clusters)
      if (!members.some(({ name }) => name === each.name)) recorded.set(each.name, each);
  }
  const names = clusters.length > 0 ? clusters : [...members.map(({ name }) => name), ...recorded.keys()];
  const unknown = names.find((name) => !recorded.has(name) && !members.some((each) => each.name === name));
  if (unknown !== undefined) {
    const all = [...members.map((each) => each.name), ...recorded.keys()].join(', ');
    throw new UserError(`--cluster ${unknown}: mesh ${mesh.name} has no such cluster: it has ${all}`, 2);
  }
  return {
    members: members.filter(({ name }) => names.includes(name)),
    recorded: [...recorded.values()].filter(({ name }) => names.includes(name)),
  };
}

/** @throws UserError: proxies that follow a control plane which is gone keep what they have, and never learn anything again */
function refuseOrphans(leaving: readonly Member[], staying: readonly Member[], { leaveServed }: DownOptions): void {
  if (leaveServed) return;
  for (const plane of leaving) {
    const orphans = servedBy(plane, staying).map(({ name }) => name);
    if (orphans.length === 0) continue;
    throw new UserError(
      `${orphans.join(', ')} would stay without a control plane: ${plane.name} serves ${orphans.length === 1 ? 'it' : 'them'}. Take ` +
        `${orphans.length === 1 ? 'it' : 'them'} down too (${orphans.map((name) => `--cluster ${name}`).join(' ')}), have another cluster serve ` +
        `${orphans.length === 1 ? 'it' : 'them'} first (mesh.yaml, mesh up), or insist with --leave-served`,
      2,
    );
  }
}

interface Cast {
  readonly leaving: readonly Member[];
  readonly staying: readonly Member[];
  readonly sightings: Sightings;
  /** Known from some record alone, and out of reach: the others forget them. */
  readonly lost: readonly { readonly name: string; readonly error: Error }[];
}

interface Outcome {
  readonly member: Member;
  readonly error?: Error;
}

class MeshDown {
  readonly #options: DownOptions;
  readonly #mesh: Mesh;
  readonly #cast: Cast;
  readonly #signal: AbortSignal;
  readonly #names: ReadonlySet<string>;

  constructor(options: DownOptions, mesh: Mesh, cast: Cast, signal: AbortSignal) {
    this.#options = options;
    this.#mesh = mesh;
    this.#cast = cast;
    this.#signal = signal;
    this.#names = new Set([...cast.leaving, ...cast.lost].map(({ name }) => name));
  }

  async run(): Promise<0 | 1> {
    const { unseen } = this.#cast.sightings;
    const isUnseen = (member: Member) => unseen.some((each) => each.member === member);
    const [staying, leaving] = [this.#cast.staying, this.#cast.leaving].map((all) =>
      all.filter((each) => !isUnseen(each)),
    );
    await this.#showPlan(staying!, leaving!);
    if (this.#options.dryRun) {
      process.stdout.write('Nothing was changed.\n');
      return unseen.length > 0 ? 1 : 0;
    }
    const question = `Remove the mesh from ${[...this.#names].join(', ')}? [y/N] `;
    if (!this.#options.yes && !(await agreed(question, this.#signal))) {
      process.stdout.write('Nothing was changed.\n');
      return 1;
    }
    const locks = await lockAll([...staying!, ...leaving!], this.#mesh.name, 'mesh down');
    try {
      const isHeld = ({ name }: Member) => locks.held.has(name);
      const lost = [...staying!, ...leaving!].filter((member) => !isHeld(member));
      const outcomes = await this.#carryOut(staying!.filter(isHeld), leaving!.filter(isHeld));
      return this.#conclude([
        ...outcomes,
        ...lost.map((member) => ({ member, error: this.#explain(member, locks.failed.get(member.name)) })),
      ]);
    } finally {
      await releaseAll(locks);
    }
  }

  async #showPlan(staying: readonly Member[], leaving: readonly Member[]): Promise<void> {
    const lines: string[] = [];
    const tied = await Promise.all(staying.map(async ({ client }) => await findTies(client, this.#names)));
    staying.forEach(({ name }, i) => {
      lines.push(`${name} stays`, ...tied[i]!.map((object) => `  - ${describeObject(object)}`), '');
    });
    const losses = await Promise.all(leaving.map(async ({ client }) => await findPersonsObjects(client)));
    leaving.forEach(({ name, context }, i) => {
      lines.push(`${name} leaves (context ${context})`, '  - all that the mesh has put there');
      for (const [kind, objects] of losses[i]!) {
        if (kind === EXPORT_POLICY.kind && objects.every((object) => this.#isOfFile(object))) continue;
        const some = objects.slice(0, 5).join(', ') + (objects.length > 5 ? `, and ${objects.length - 5} more` : '');
        const fate = this.#options.keepCrds ? 'stays' : '- goes with its definition (--keep-crds keeps it)';
        lines.push(`  ${fate}: ${kind} ${some}`);
      }
      lines.push('');
    });
    for (const { member, error } of this.#cast.sightings.unseen) {
      lines.push(`${member.name}  (context ${member.context})`, `  ! ${error.message}`, '');
    }
    for (const { name, error } of this.#cast.lost) lines.push(name, `  ! ${error.message}`, '');
    process.stdout.write(`Mesh ${this.#mesh.name}\n\n${lines.join('\n')}\n`);
  }

  #isOfFile(name: string): boolean {
    return this.#mesh.spec.exports.some((policy) => policy.name === name);
  }

  async #carryOut(staying: readonly Member[], leaving: readonly Member[]): Promise<Outcome[]> {
    const { timeoutMs } = this.#options;
    const progress = startClusterProgress([...staying, ...leaving].map(({ name }) => name));
    const recorded = this.#recorded();
    const scene: Scene = { mesh: this.#mesh, members: this.#cast.staying, leaving: [], isPruning: true };
    const each = async (
      member: Member,
      last: string,
      work: (report: (what: string, changes: number) => void) => Promise<void>,
    ) => {
      try {
        await work((what, changes) => progress.event(member.name, { kind: 'done', what, changes }));
        progress.ended(member.name, 'done', last);
        return { member };
      } catch (error) {
        progress.ended(member.name, 'failed', 'not finished');
        return { member, error: this.#explain(member, error) };
      }
    };
    const options = { timeoutMs, signal: this.#signal };
    const forgetting = await Promise.all(
      staying.map((member) =>
        each(member, 'knows them no more', (report) =>
          forgetClusters(scene, member, this.#names, { ...options, report }),
        ),
      ),
    );
    // Proxies of a served cluster need its control plane to the end.
    const removing: Outcome[] = [];
    for (const wave of [leaving.filter(isServed), leaving.filter((member) => !isServed(member))]) {
      const remove = (member: Member) =>
        each(member, 'removed', (report) =>
          removeCluster({ ...options, client: member.client, keepDefinitions: this.#options.keepCrds, report }),
        );
      removing.push(...(await Promise.all(wave.map(remove))));
    }
    progress.close();
    // Those that could not be cleaned are kept in mind, unless they are out of reach.
    const failed = new Set(removing.filter(({ error }) => error !== undefined).map(({ member }) => member.name));
    const kept = recorded.filter(({ name }) => !this.#names.has(name) || failed.has(name));
    const remembering = await Promise.all(
      staying.map((member) => each(member, 'ready', () => writeRecord({ ...scene, leaving: kept }, member))),
    );
    return [...forgetting, ...removing, ...remembering];
  }

  /** All that any cluster has in mind, but for those that stay. */
  #recorded(): RecordedCluster[] {
    const found = new Map<string, RecordedCluster>();
    for (const { record } of this.#cast.sightings.seen) {
      for (const each of record?.mesh === this.#mesh.name ? record.clusters : []) found.set(each.name, each);
    }
    for (const { name } of this.#cast.staying) found.delete(name);
    return [...found.values()];
  }

  #explain({ client }: Member, error: unknown): Error {
    if (this.#signal.aborted && this.#signal.reason instanceof Error) return this.#signal.reason;
    return explainClusterError(error, client.server, 'run the same command again: it goes on where it ended');
  }

  #conclude(outcomes: readonly Outcome[]): 0 | 1 {
    const { unseen } = this.#cast.sightings;
    const failed = [...outcomes.filter(({ error }) => error !== undefined), ...unseen];
    for (const { member, error } of failed)
      process.stderr.write(`\n${member.name} was not finished: ${error!.message}\n`);
    for (const { name, error } of this.#cast.lost) {
      process.stderr.write(
        `\n${error.message}\nThe others have forgotten it. What the mesh has put there, \`isthmus uninstall\` removes: ${name}\n`,
      );
    }
    if (failed.length === 0 && this.#cast.lost.length > 0) return 1;
    if (failed.length > 0) {
      process.stderr.write('\nRun the same command again when that is mended.\n');
      return 1;
    }
    process.stdout.write(`\nThe mesh has left ${[...this.#names].join(', ')}.\n`);
    const inFile = this.#cast.leaving.filter(({ spec }) => this.#mesh.spec.clusters.includes(spec));
    if (this.#cast.staying.length > 0 && inFile.length > 0) {
      process.stdout.write(
        `Take ${inFile.map(({ name }) => name).join(', ')} out of ${this.#mesh.file}, or the next \`mesh up\` puts it back.\n`,
      );
    }
    if (this.#cast.staying.length === 0 && this.#mesh.spec.trust.ca === 'made') {
      process.stdout.write(
        `Its root certificate and key are still here: \`${commandName()} mesh up\` takes them again.\n`,
      );
    }
    process.stdout.write(
      'Pods keep their sidecars until they are made anew: kubectl -n NAMESPACE rollout restart deployment\n',
    );
    return 0;
  }
}

function isServed({ spec }: Member): boolean {
  return spec.controlPlane.kind === 'served';
}
