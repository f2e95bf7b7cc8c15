// SPDX-License-Identifier: Apache-2.0
// What somebody is about to apply, laid over what is there.
import { isRefused } from '../../api/diagnostics.ts';
import { kindOf } from '../../api/kinds.ts';
import { validateObject } from '../../api/validate.ts';
import { imagineObjects } from '../../explain/imagined.ts';
import type { ClusterInput, MeshInput, SeenObject } from '../../explain/mesh.ts';
import { identityKey } from '../../sources/contract.ts';
import { place, readObjectFiles } from '../analyze/collect.ts';
import type { Remark } from '../analyze/judge.ts';
import { UserError } from '../user-error.ts';
import { rulersOf, type SeenMesh } from './see-mesh.ts';

/** Files for one cluster. */
export interface Change {
  /** undefined: the cluster that is asked from. */
  readonly cluster: string | undefined;
  readonly objects: readonly SeenObject[];
  /** What the files themselves have wrong. */
  readonly faults: readonly Remark[];
}

/**
 * `change.yaml`, `cluster2=change.yaml`, a folder, or `-` for standard input.
 * @param namespace of what names none
 * @throws UserError when one cannot be read
 */
export async function readChanges(files: readonly string[], namespace: string): Promise<Change[]> {
  const changes: Change[] = [];
  for (const file of files) {
    const [, cluster, path = file] = /^([\w.@:/-]+?)=(.+)$/.exec(file) ?? [];
    const { objects, diagnostics } = place(await readObjectFiles([path]), namespace);
    changes.push({ cluster, objects, faults: diagnostics });
  }
  return changes;
}

export interface Overlaid {
  readonly input: MeshInput;
  /** What the webhook would refuse. */
  readonly remarks: readonly Remark[];
}

/** The clusters as they are. */
export function inputOf({ clusters }: SeenMesh): MeshInput {
  const { planes, meshNames, watches } = rulersOf(clusters);
  return {
    clusters: clusters.map(({ id, objects, zones, roots }): ClusterInput => {
      const ruler = planes.get(id);
      return {
        id,
        name: meshNames.get(id) ?? id,
        ...(ruler !== undefined && ruler !== id && { ruledBy: ruler }),
        watches: watches.get(id) ?? [],
        objects,
        ...(zones && { zones }),
        ...(roots && { roots }),
      };
    }),
  };
}

/**
 * The clusters as they would be. What the webhook would refuse stays as it is; rules for a cluster without a control plane
 * of its own go to the one that rules it, which alone reads them.
 * @param home the cluster of changes that name none
 * @throws UserError for a cluster that is not there
 */
export function overlayChanges(input: MeshInput, changes: readonly Change[], home: string): Overlaid {
  const remarks: Remark[] = changes.flatMap(({ faults }) => faults);
  const applied = new Map<string, SeenObject[]>();
  for (const { cluster, objects } of changes) {
    const target = findCluster(input, cluster ?? home);
    for (const seen of objects) {
      const found = validateObject(seen.object, seen.locate);
      if (found.some(isRefused)) {
        remarks.push(...found.map((each) => ({ ...each, ...(seen.file !== undefined && { file: seen.file }) })));
        continue;
      }
      const id = kindOf(seen.object) !== undefined ? (target.ruledBy ?? target.id) : target.id;
      applied.set(id, [...(applied.get(id) ?? []), seen]);
    }
  }
  const clusters = input.clusters.map((cluster, index) => {
    const news = applied.get(cluster.id) ?? [];
    if (news.length === 0) return cluster;
    const replaced = new Set(news.map(({ object }) => identityKey(object)));
    const before = new Map(cluster.objects.map((seen) => [identityKey(seen.object), seen]));
    const kept = cluster.objects.filter(({ object }) => !replaced.has(identityKey(object)));
    const objects = [...kept, ...news.map((seen) => asApplied(seen, before.get(identityKey(seen.object))))];
    const imagination = { cluster: cluster.name ?? cluster.id, index };
    return { ...cluster, objects: news.some(needsImagination) ? imagineObjects(objects, imagination) : objects };
  });
  return { input: { ...input, clusters }, remarks };
}

/** What the API server keeps of the object that was there: its age, its addresses. */
function asApplied(seen: SeenObject, before: SeenObject | undefined): SeenObject {
  if (before === undefined)
    return { ...seen, object: { ...seen.object, metadata: { creationTimestamp: NEWEST, ...seen.object.metadata } } };
  const { metadata, spec, status } = before.object as typeof before.object & { spec?: Record<string, unknown> };
  const kept =
    seen.object.kind === 'Service' ? { clusterIP: spec?.['clusterIP'], clusterIPs: spec?.['clusterIPs'] } : {};
  const { uid, creationTimestamp, generation } = metadata;
  const age = Object.fromEntries(
    Object.entries({ uid, creationTimestamp, generation }).filter(([, value]) => value !== undefined),
  );
  return {
    ...seen,
    object: {
      ...seen.object,
      metadata: { ...seen.object.metadata, ...age },
      ...(Object.keys(kept).length > 0 && { spec: { ...kept, ...(seen.object['spec'] as object) } }),
      ...(status !== undefined && { status }),
    },
  };
}

/** Younger than all that is there: of two that claim one thing, the older one has it. */
const NEWEST = '9999-12-31T23:59:59Z';

function needsImagination({ object: { kind } }: SeenObject): boolean {
  return ['Deployment', 'StatefulSet', 'DaemonSet', 'ReplicaSet', 'Pod', 'Service'].includes(kind);
}

/** @throws UserError */
function findCluster({ clusters }: MeshInput, wanted: string): ClusterInput {
  const found = clusters.find(({ id }) => id === wanted) ?? clusters.find(({ name }) => name === wanted);
  if (found !== undefined) return found;
  const names = clusters.map(({ id }) => id).join(', ');
  throw new UserError(`-f ${wanted}=...: there is no cluster ${wanted} among those that are looked at: ${names}`, 2);
}
