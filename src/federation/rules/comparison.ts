// SPDX-License-Identifier: Apache-2.0
// Where each rule that is written once has arrived, for whoever can look into the clusters: `isthmus rules`, `mesh status`.
import { closestName } from '../../api/closest-name.ts';
import { CLUSTERS_ANNOTATION } from '../../api/rule-targets.ts';
import { objectName } from '../../kube/object-name.ts';
import type { KubeObject } from '../../kube/types.ts';
import { isEdited } from './copy.ts';
import {
  GENERATION_ANNOTATION,
  isAimedAt,
  isCopy,
  isRule,
  REVISION_ANNOTATION,
  readTargets,
  revisionOf,
  SOURCE_ANNOTATION,
  SOURCE_CLUSTER_LABEL,
} from './names.ts';

/** What was seen of one cluster. */
export interface RuleCluster {
  /** As the mesh calls it. */
  readonly cluster: string;
  /** Its VirtualServices and DestinationRules; others are ignored. undefined: it could not be read. */
  readonly rules: readonly KubeObject[] | undefined;
  /** undefined: not known. */
  readonly namespaces: ReadonlySet<string> | undefined;
}

export type CopyState =
  | 'in-step'
  /** Of an earlier revision, or none yet. */
  | 'behind'
  | 'missing'
  /** Its spec is not that of the revision that it names: somebody edited it, or the API server changed it. */
  | 'edited'
  /** An object of a person has the name. */
  | 'occupied'
  /** The copy there is of another cluster's rule. */
  | 'contested'
  | 'no-namespace'
  /** The annotation names a cluster that nobody has shown. */
  | 'unknown-cluster'
  | 'unreachable'
  /** A copy whose rule is gone, or no longer names its cluster. */
  | 'left-over';

export interface CopyReport {
  readonly cluster: string;
  readonly state: CopyState;
  /** Of what is there. */
  readonly revision: string | undefined;
  /** metadata.generation of the source that it was copied from. */
  readonly generation: number | undefined;
  readonly message: string;
}

export interface RuleReport {
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
  /** Where it is written. */
  readonly source: string;
  /** undefined: the source is gone, or cannot be seen. */
  readonly revision: string | undefined;
  readonly generation: number | undefined;
  /** What is wrong with the annotation itself. */
  readonly problem?: string;
  readonly copies: readonly CopyReport[];
}

/** Sorted by kind, namespace, name and source. */
export function compareRules(clusters: readonly RuleCluster[]): RuleReport[] {
  const seen = clusters.map((each) => ({
    ...each,
    byKey: each.rules && new Map(each.rules.filter(isRule).map((rule) => [objectName(rule), rule] as const)),
  }));
  const sources = seen.flatMap(({ cluster, byKey }) =>
    [...(byKey?.values() ?? [])].flatMap((object) => {
      const targets = readTargets(object);
      return targets === undefined ? [] : [{ cluster, object, targets }];
    }),
  );
  const reports = sources.map(({ cluster, object, targets }): RuleReport => {
    const revision = revisionOf(object);
    const { generation } = object.metadata;
    const about = { ...identityOf(object), source: cluster, revision, generation };
    if (targets.kind === 'invalid') return { ...about, problem: `${targets.message}: ${targets.cure}`, copies: [] };
    const shown = seen.filter((other) => other.cluster !== cluster && isAimedAt(targets, other.cluster));
    const copies = shown.map((target) => judgeTarget(object, cluster, revision, target));
    const names = new Set(seen.map((each) => each.cluster));
    const unknown = targets.kind === 'all' ? [] : targets.clusters.filter((name) => !names.has(name));
    const unnamed = [...names].filter((name) => name !== cluster && !isAimedAt(targets, name));
    return { ...about, copies: [...copies, ...unknown.map((name) => unknownCluster(name, unnamed))] };
  });
  return [...reports, ...leftOvers(seen, sources)].sort((a, b) => (sortKey(a) < sortKey(b) ? -1 : 1));
}

/** What somebody should look into. */
export function isDrift({ state }: CopyReport): boolean {
  return state !== 'in-step';
}

type Seen = RuleCluster & { readonly byKey: ReadonlyMap<string, KubeObject> | undefined };

function judgeTarget(source: KubeObject, from: string, revision: string, target: Seen): CopyReport {
  const { cluster, byKey, namespaces } = target;
  const said = (state: CopyState, message: string, copy?: KubeObject): CopyReport => {
    const generation = copy?.metadata.annotations?.[GENERATION_ANNOTATION];
    return {
      cluster,
      state,
      revision: copy && revisionOf(copy),
      generation: generation === undefined ? undefined : Number(generation),
      message,
    };
  };
  if (byKey === undefined) return said('unreachable', 'it could not be read');
  const there = byKey.get(objectName(source));
  const namespace = source.metadata.namespace ?? '';
  if (there === undefined && namespaces?.has(namespace) === false)
    return said('no-namespace', `there is no namespace ${namespace}`);
  if (there === undefined)
    return said('missing', `is ${from} a peer of ${cluster}, and does its control plane run? (isthmus mesh status)`);
  if (!isCopy(there)) return said('occupied', `a ${there.kind} of its own has the name, and wins`, there);
  const { labels, annotations } = there.metadata;
  const origin = labels?.[SOURCE_CLUSTER_LABEL];
  if (origin !== from) return said('contested', `the copy there is of the older rule of ${origin}`, there);
  const named = annotations?.[REVISION_ANNOTATION];
  if (isEdited(there))
    return said('edited', `it was edited, or its API server changed it: it should be ${named}`, there);
  if (named !== revision) return said('behind', `revision ${revision} has not arrived`, there);
  return said('in-step', '', there);
}

function unknownCluster(cluster: string, known: readonly string[]): CopyReport {
  const close = closestName(cluster, known);
  const hint = close === undefined ? '' : `: did you mean ${close}?`;
  const message = `${CLUSTERS_ANNOTATION} names it, and no cluster of that name was looked at${hint}`;
  return { cluster, state: 'unknown-cluster', revision: undefined, generation: undefined, message };
}

function leftOvers(
  seen: readonly Seen[],
  sources: readonly { cluster: string; object: KubeObject; targets: NonNullable<ReturnType<typeof readTargets>> }[],
): RuleReport[] {
  const aims = new Map(sources.map(({ cluster, object, targets }) => [`${cluster} ${objectName(object)}`, targets]));
  return seen.flatMap(({ cluster, byKey }) =>
    [...(byKey ?? [])].flatMap(([key, copy]): RuleReport[] => {
      if (!isCopy(copy)) return [];
      const from = copy.metadata.labels?.[SOURCE_CLUSTER_LABEL] ?? '';
      const origin = seen.find((other) => other.cluster === from);
      if (origin !== undefined && (origin.byKey === undefined || isAimedAt(aims.get(`${from} ${key}`), cluster)))
        return [];
      const what = copy.metadata.annotations?.[SOURCE_ANNOTATION];
      const [state, message]: [CopyState, string] =
        origin === undefined
          ? ['unreachable', `its source ${what} is in a cluster that was not looked at`]
          : ['left-over', `its source ${what} is gone, or names ${cluster} no more`];
      const { [GENERATION_ANNOTATION]: generation } = copy.metadata.annotations ?? {};
      const told = generation === undefined ? undefined : Number(generation);
      const report = { cluster, state, revision: revisionOf(copy), generation: told, message };
      return [{ ...identityOf(copy), source: from, revision: undefined, generation: undefined, copies: [report] }];
    }),
  );
}

function identityOf({ kind, metadata }: KubeObject): { kind: string; namespace: string; name: string } {
  return { kind, namespace: metadata.namespace ?? '', name: metadata.name ?? '' };
}

function sortKey({ kind, namespace, name, source }: RuleReport): string {
  return `${kind} ${namespace}/${name} ${source}`;
}
