// SPDX-License-Identifier: Apache-2.0
// What there is to say of collected objects: the very rules that the control plane and its webhook apply.
import { ANALYZERS } from '../../analyzers/analyzers.ts';
import { readWorld, type World } from '../../analyzers/world.ts';
import { compareDiagnostics, type Diagnostic, type ObjectRef, refName } from '../../api/diagnostics.ts';
import { refOf } from '../../api/kind.ts';
import { kindOf } from '../../api/kinds.ts';
import { diagnose } from '../../api/report.ts';
import { trustDomainOf } from '../../explain/mesh.ts';
import { MeshStore, type StoreEvent } from '../../model/store.ts';
import { PROGRAMMED, readStatus, SECRET_NOT_SERVED } from '../../runtime/findings/object-status.ts';
import { ISTIO_NAMESPACE } from '../../runtime/mesh-resources.ts';
import type { Collected, CollectedObject } from './collect.ts';

/** A diagnostic, and the file that its object was read from. */
export interface Remark extends Diagnostic {
  readonly file?: string;
}

/** A cluster that the same control plane watches: its services and pods count, its rules do not. */
export interface WatchedCluster {
  /** As the control plane calls it. */
  readonly name: string;
  /** As the user calls it. */
  readonly shownAs: string;
  readonly objects: readonly CollectedObject[];
}

export interface JudgeOptions {
  /** What the control plane calls the cluster of the rules. */
  readonly cluster?: string | undefined;
  /** As the user calls it; undefined where it is the only one. */
  readonly shownAs?: string | undefined;
  readonly watched?: readonly WatchedCluster[];
}

export function judgeObjects(
  { objects, diagnostics }: Collected,
  { cluster = 'cluster', shownAs, watched = [] }: JudgeOptions = {},
): Remark[] {
  const store = new MeshStore({
    trustDomain: trustDomainOf(objects),
    dnsDomain: 'cluster.local',
    rootNamespace: ISTIO_NAMESPACE,
    configCluster: cluster,
  });
  const upserts = (name: string, from: readonly CollectedObject[]): StoreEvent[] =>
    from.map(({ object, locate }) => ({ kind: 'upsert', cluster: name, object, locate }));
  const { diagnostics: found } = store.apply([
    ...upserts(cluster, objects),
    ...watched.flatMap((other) => upserts(other.name, other.objects)),
  ]);
  const worlds = watched.map((other) => readWorld(other.objects));
  const beyond = runAnalyzers(readWorld(objects), worlds, found, true);
  const files = new Map(objects.flatMap(({ object, file }) => (file ? [[refName(refOf(object)), file]] : [])));
  const shown = new Map([[cluster, shownAs], ...watched.map((other) => [other.name, other.shownAs] as const)]);
  const place = ({ cluster: name, ...object }: ObjectRef): ObjectRef => {
    const as = name === undefined ? shownAs : shown.get(name);
    return as === undefined ? object : { ...object, cluster: as };
  };
  const remarks = [...found, ...beyond, ...objects.flatMap(refusalOf)].map((diagnostic): Remark => {
    const file = files.get(refName(diagnostic.object));
    return { ...diagnostic, object: place(diagnostic.object), ...(file === undefined ? {} : { file }) };
  });
  const own = diagnostics.map((diagnostic) => ({ ...diagnostic, object: place(diagnostic.object) }));
  return [...own, ...remarks].sort(compareDiagnostics);
}

/** What there is to say of a cluster whose rules do not count, as another's control plane rules it. */
export function judgeServed({ objects, diagnostics }: Collected, shownAs: string | undefined): Remark[] {
  const files = new Map(objects.flatMap(({ object, file }) => (file ? [[refName(refOf(object)), file]] : [])));
  const place = <D extends Diagnostic>(found: D): D =>
    shownAs === undefined ? found : { ...found, object: { ...found.object, cluster: shownAs } };
  const beyond = runAnalyzers(readWorld(objects), [], [], false).map((found): Remark => {
    const file = files.get(refName(found.object));
    return { ...place(found), ...(file === undefined ? {} : { file }) };
  });
  return [...diagnostics.map(place), ...beyond].sort(compareDiagnostics);
}

function runAnalyzers(
  world: World,
  elsewhere: readonly World[],
  told: readonly Diagnostic[],
  rules: boolean,
): Diagnostic[] {
  const misspelt = new Set(told.filter(({ code }) => code === 'ISM0127').map(({ object }) => refName(object)));
  return ANALYZERS.filter(({ ofRules }) => rules || !ofRules)
    .flatMap((analyzer) => analyzer.run(world, elsewhere))
    .filter(({ code, object }) => code !== 'ISM0413' || !misspelt.has(refName(object)));
}

/** What proxies refuse only they know; the control plane has put it into the object's status. */
function refusalOf({ object }: CollectedObject): Diagnostic[] {
  if (kindOf(object) === undefined) return [];
  const told = readStatus(object['status']).conditions.find(({ type }) => type === PROGRAMMED);
  if (told?.status !== 'False' || told.observedGeneration !== object.metadata.generation) return [];
  if (told.reason === SECRET_NOT_SERVED) {
    const ref = refOf(object);
    const cure = `mend it as the Event says: kubectl -n ${ref.namespace} describe ${ref.kind.toLowerCase()} ${ref.name}`;
    return [diagnose(ref, 'ISM0202', 'spec', told.message ?? 'a Secret is not served', cure)];
  }
  const cure = 'mend what Envoy names; until then the earlier state of the object stays in force, or none';
  return [diagnose(refOf(object), 'ISM0201', 'spec', told.message ?? 'Envoy refuses it', cure)];
}
