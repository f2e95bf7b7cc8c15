// SPDX-License-Identifier: Apache-2.0
// Which copies of other clusters' rules a cluster has to have, decided anew from what there is: no order of events can
// make a difference, and nothing has to be remembered.
import { CLUSTERS_ANNOTATION } from '../../api/rule-targets.ts';
import { objectName } from '../../kube/object-name.ts';
import type { KubeObject } from '../../kube/types.ts';
import { buildCopy } from './copy.ts';
import { isAimedAt, isCopy, isRule, readTargets, SOURCE_CLUSTER_LABEL } from './names.ts';

export interface RuleView {
  /** Whose copies are planned. */
  readonly cluster: string;
  /** What the cluster has: VirtualServices and DestinationRules, those of persons and copies alike. Others are ignored. */
  readonly own: Iterable<KubeObject>;
  readonly namespaces: ReadonlySet<string>;
  /** By the peer’s name; undefined of one of which nothing is known yet. */
  readonly peers: ReadonlyMap<string, Iterable<KubeObject> | undefined>;
}

export type RuleRemarkReason =
  /** A person has an object of that name here: it wins. */
  | 'Occupied'
  /** Two clusters have a rule of that name for this one: the older wins. */
  | 'Contested'
  | 'NoNamespace'
  /** The annotation names what is no peer. */
  | 'UnknownCluster'
  | 'InvalidAnnotation';

/** Something that a person should know of an object of this cluster. */
export interface RuleRemark {
  readonly reason: RuleRemarkReason;
  /** Of this cluster: whose Events tell it. For a missing namespace, what the object would be called. */
  readonly about: Pick<KubeObject, 'apiVersion' | 'kind' | 'metadata'>;
  readonly message: string;
}

export interface CopyPlan {
  /** By `objectName`, in its order. */
  readonly wanted: ReadonlyMap<string, KubeObject>;
  /** Keys of copies to leave as they are: whether they are wanted, only a peer could say that has not been heard yet. */
  readonly held: ReadonlySet<string>;
  readonly remarks: readonly RuleRemark[];
}

interface Source {
  readonly cluster: string;
  readonly object: KubeObject;
}

/** By `objectName`. */
type Rules = ReadonlyMap<string, KubeObject>;
type PeerRules = ReadonlyMap<string, Rules | undefined>;

export function planCopies({ cluster, own, namespaces, peers: told }: RuleView): CopyPlan {
  const mine = rulesByKey(own);
  const peers = new Map([...told].map(([name, objects]) => [name, objects && rulesByKey(objects)] as const));
  const sources = collectSources(peers);
  const remarks = [...mine.values()].flatMap((object) => judgeOwn(object, cluster, peers, sources));
  const wanted = new Map<string, KubeObject>();
  for (const [key, all] of [...sources].sort(([a], [b]) => (a < b ? -1 : 1))) {
    const aimed = all.filter(({ object }) => isAimedAt(readTargets(object), cluster));
    const [winner, ...losers] = aimed;
    if (winner === undefined) continue;
    const { object } = winner;
    const present = mine.get(key);
    if (present !== undefined && !isCopy(present)) {
      remarks.push({ reason: 'Occupied', about: present, message: sayOccupied(aimed, cluster) });
      continue;
    }
    if (!namespaces.has(object.metadata.namespace ?? '')) {
      remarks.push({ reason: 'NoNamespace', about: object, message: sayNoNamespace(winner, cluster) });
      continue;
    }
    const copy = buildCopy(object, winner.cluster);
    wanted.set(key, copy);
    if (losers.length > 0)
      remarks.push({ reason: 'Contested', about: present ?? copy, message: sayContested(winner, losers, cluster) });
  }
  return { wanted, held: heldKeys(mine, peers), remarks };
}

/** The rules that peers have for others, by key, the one that wins first: the oldest, and of two as old by the cluster’s name. */
function collectSources(peers: PeerRules): Map<string, Source[]> {
  const found = new Map<string, Source[]>();
  for (const [cluster, rules] of peers) {
    for (const [key, object] of rules ?? []) {
      if (readTargets(object) === undefined) continue;
      found.set(key, [...(found.get(key) ?? []), { cluster, object }]);
    }
  }
  for (const sources of found.values()) sources.sort((a, b) => (ageKey(a) < ageKey(b) ? -1 : 1));
  return found;
}

function ageKey({ cluster, object }: Source): string {
  return `${object.metadata.creationTimestamp ?? ''} ${cluster}`;
}

/** Copies from a cluster that is still a peer and has not been heard yet: after a restart, while it is away. */
function heldKeys(mine: Rules, peers: PeerRules): Set<string> {
  const held = [...mine].filter(([, object]) => {
    const from = object.metadata.labels?.[SOURCE_CLUSTER_LABEL] ?? '';
    return isCopy(object) && peers.has(from) && peers.get(from) === undefined;
  });
  return new Set(held.map(([key]) => key));
}

function rulesByKey(objects: Iterable<KubeObject>): Map<string, KubeObject> {
  const rules = new Map<string, KubeObject>();
  for (const object of objects) if (isRule(object)) rules.set(objectName(object), object);
  return rules;
}

/** What the owner of a rule of this cluster should know of where it goes. */
function judgeOwn(
  object: KubeObject,
  cluster: string,
  peers: PeerRules,
  sources: ReadonlyMap<string, readonly Source[]>,
): RuleRemark[] {
  const targets = readTargets(object);
  if (targets === undefined) return [];
  if (targets.kind === 'invalid')
    return [{ reason: 'InvalidAnnotation', about: object, message: `${targets.message}: ${targets.cure}` }];
  const remarks: RuleRemark[] = [];
  const unknown = targets.kind === 'all' ? [] : targets.clusters.filter((name) => name !== cluster && !peers.has(name));
  if (unknown.length > 0) {
    const known = peers.size === 0 ? 'it has none' : `they are ${[...peers.keys()].sort().join(', ')}`;
    const message = `${CLUSTERS_ANNOTATION} names ${unknown.join(', ')}, which ${cluster} does not know as a peer (${known})`;
    remarks.push({ reason: 'UnknownCluster', about: object, message });
  }
  const key = objectName(object);
  const me: Source = { cluster, object };
  for (const [peer, rules] of peers) {
    if (!isAimedAt(targets, peer)) continue;
    const rivals = (sources.get(key) ?? []).filter((other) => isAimedAt(readTargets(other.object), peer));
    const there = rules?.get(key);
    if (there !== undefined && !isCopy(there)) {
      remarks.push({ reason: 'Occupied', about: object, message: sayOccupied([me], peer) });
      continue;
    }
    const others = rivals.filter((other) => other.cluster !== peer);
    if (others.length === 0) continue;
    const [winner, ...losers] = [me, ...others].sort((a, b) => (ageKey(a) < ageKey(b) ? -1 : 1));
    remarks.push({ reason: 'Contested', about: object, message: sayContested(winner!, losers, peer) });
  }
  return remarks;
}

function nameOf({ cluster, object: { kind, metadata } }: Source): string {
  return `${kind} ${metadata.namespace}/${metadata.name} of ${cluster}`;
}

function sayOccupied(sources: readonly Source[], target: string): string {
  const { kind, metadata } = sources[0]!.object;
  return (
    `${target} has a ${kind} ${metadata.namespace}/${metadata.name} of its own, which wins: that of ` +
    `${sources.map(({ cluster }) => cluster).join(' and of ')} is not copied there; delete the one in ${target}, or take ` +
    `${target} out of ${CLUSTERS_ANNOTATION}`
  );
}

function sayContested(winner: Source, losers: readonly Source[], target: string): string {
  const names = losers.map(nameOf).join(' and ');
  return (
    `two clusters have this rule for ${target}: that of ${winner.cluster} is in force there, since it is older (of two as ` +
    `old, the first by the cluster’s name), and ${names} is not; name ${target} in one of the two only`
  );
}

function sayNoNamespace(source: Source, target: string): string {
  const { namespace } = source.object.metadata;
  return `${nameOf(source)} is not copied: ${target} has no namespace ${namespace}; create it, and the rule comes`;
}
