// SPDX-License-Identifier: Apache-2.0
// Rules of one kind in the orders in which they are asked for, brought up to date rule by rule.
import type { MeshObject } from '../api/kind.ts';
import { type Change, placeSorted, regroup, without } from '../incremental/grouped-map.ts';
import type { Steps } from '../incremental/steps.ts';
import { VersionedMap } from '../incremental/versioned-map.ts';
import { compareHosts } from './hosts.ts';

/** What is published of a table. Members that stay as they are keep their identity. */
export interface RuleIndex<R> {
  /** Oldest first, then by namespace and name. */
  readonly all: readonly R[];
  /** By their hosts in full, wildcards included; those of one host in the order of `all`. */
  readonly byHost: VersionedMap<string, readonly R[]>;
  /** Those of its keys that are wildcards, the longest first. */
  readonly wildcards: readonly string[];
}

export class RuleTable<R extends MeshObject<unknown>> {
  readonly #hostsOf: (rule: R) => readonly string[];
  #index: RuleIndex<R> = Object.freeze({ all: [], byHost: new VersionedMap<string, readonly R[]>(), wildcards: [] });

  /** `hostsOf`: where the rule is to be found by host; empty for one that is not. */
  constructor(hostsOf: (rule: R) => readonly string[]) {
    this.#hostsOf = hostsOf;
  }

  get index(): RuleIndex<R> {
    return this.#index;
  }

  *update(changes: readonly Change<R>[]): Steps<void> {
    if (changes.length === 0) return;
    const before = this.#index;
    const gone = new Set(changes.flatMap(([rule]) => rule ?? []));
    const come = changes.flatMap(([, rule]) => rule ?? []);
    const byHost = yield* regroup(before.byHost, changes, this.#hostsOf, compareAge);
    const wild = [...gone, ...come].some((rule) => this.#hostsOf(rule).some(isWildcard));
    this.#index = Object.freeze({
      all: yield* placeSorted(without(before.all, gone), come, compareAge),
      byHost,
      wildcards: wild ? [...byHost.keys()].filter(isWildcard).sort(compareHosts) : before.wildcards,
    });
  }
}

function isWildcard(host: string): boolean {
  return host.startsWith('*');
}

function compareAge<R extends MeshObject<unknown>>(a: R, b: R): number {
  if (a.createdAtMs !== b.createdAtMs) return a.createdAtMs - b.createdAtMs;
  if (a.ref.namespace === b.ref.namespace) return a.ref.name < b.ref.name ? -1 : 1;
  const name = ({ ref }: R) => `${ref.namespace}/${ref.name}`;
  return name(a) < name(b) ? -1 : 1;
}

/** The rules of a kind for which `holds`; the same array when none of the changes concerns one. */
export function* changedRules<R extends MeshObject<unknown>>(
  rules: readonly R[],
  changes: readonly Change<R>[],
  holds: (rule: R) => boolean = () => true,
): Steps<readonly R[]> {
  const gone = new Set(changes.flatMap(([rule]) => (rule !== undefined && holds(rule) ? rule : [])));
  const come = changes.flatMap(([, rule]) => (rule !== undefined && holds(rule) ? rule : []));
  yield;
  return gone.size + come.length === 0 ? rules : yield* placeSorted(without(rules, gone), come, compareAge);
}
