// SPDX-License-Identifier: Apache-2.0
// A plan for people: for each cluster what would come, change and go. Of a first installation the number of objects says
// enough; on a later one every object that changes is named, with its fields.
import type { Member } from './members.ts';
import { type ClusterPlan, type PlannedChange, STEPS, type StepName } from './plan.ts';
import type { RecordedCluster } from './record.ts';

const SIGN = { create: '+', change: '~', delete: '-' } as const;
/** So many new objects of one step are told by their number. */
const MANY = 4;

export interface MeshPlan {
  readonly clusters: readonly ClusterPlan[];
  readonly unseen: readonly { readonly member: Member; readonly error: Error }[];
  /** In a cluster's record and no more in the file. */
  readonly left: readonly RecordedCluster[];
  readonly prune: boolean;
  /** The folder of a root that is still to be made. */
  readonly newRootDir: string | undefined;
}

export function countChanges({ clusters, newRootDir }: MeshPlan): number {
  return (
    clusters.reduce((sum, { changes, obstacle }) => sum + (obstacle === undefined ? changes.length : 0), 0) +
    (newRootDir === undefined ? 0 : 1)
  );
}

export function renderPlan(plan: MeshPlan, verbose: boolean): string {
  const lines: string[] = [];
  if (plan.newRootDir !== undefined) lines.push(`  + a root certificate, whose key is kept in ${plan.newRootDir}`, '');
  for (const cluster of plan.clusters) lines.push(...renderCluster(cluster, verbose), '');
  for (const { member, error } of plan.unseen) {
    lines.push(`${head(member)}`, `  ! ${error.message}`, '');
  }
  for (const { name, context } of plan.left) {
    const what = plan.prune
      ? 'is removed from the mesh, and the mesh from it'
      : 'is in the mesh and not in the file: it stays. `mesh up --prune`, or `mesh down --cluster ' +
        name +
        '`, removes it';
    lines.push(`${name} (context ${context})`, `  ${plan.prune ? '-' : '!'} ${what}`, '');
  }
  return lines.join('\n');
}

function renderCluster({ member, changes, problems, obstacle, notices }: ClusterPlan, verbose: boolean): string[] {
  const lines = [head(member)];
  if (obstacle !== undefined) return [...lines, `  ! ${obstacle}`];
  for (const step of STEPS)
    lines.push(
      ...renderStep(
        step,
        changes.filter((change) => change.step === step),
        verbose,
      ),
    );
  if (changes.length === 0 && problems.length === 0) lines.push('  = nothing to change');
  for (const problem of problems) lines.push(`  ! ${problem}`);
  for (const notice of notices) lines.push(`  ! ${notice}`);
  return lines;
}

function head({ name, context, spec, network }: Member): string {
  const plane = spec.controlPlane.kind === 'own' ? 'own control plane' : `served by ${spec.controlPlane.by}`;
  return `${name}  (context ${context}, ${plane}, network ${network})`;
}

function renderStep(step: StepName, changes: readonly PlannedChange[], verbose: boolean): string[] {
  const lines: string[] = [];
  for (const action of ['create', 'change', 'delete'] as const) {
    const those = changes.filter((change) => change.action === action);
    if (those.length === 0) continue;
    const sign = SIGN[action];
    if (action === 'create' && those.length > MANY && !verbose) {
      lines.push(`  ${sign} ${step.padEnd(12)}  ${those.length} objects`);
      continue;
    }
    for (const { object, details } of those) {
      lines.push(
        `  ${sign} ${step.padEnd(12)}  ${object}${details.length === 1 && action === 'create' ? `: ${details[0]}` : ''}`,
      );
      if (action === 'create' && details.length === 1) continue;
      for (const detail of details) lines.push(`                      ${detail}`);
    }
  }
  return lines;
}
