// SPDX-License-Identifier: Apache-2.0
// What the proxies of a workload have asked for, so that the next pod of it is given the same before its first request.
// Kept by each control plane for itself, in memory: a proxy that comes back from another one says what it has.
import type { MeshProxy } from '../../model/proxy.ts';

/** Pods that run the same code under the same name are likely to call the same services. */
export function workloadOf({ cluster, namespace, serviceAccount, labels }: MeshProxy): string {
  const app = labels['service.istio.io/canonical-name'] ?? labels['app.kubernetes.io/name'] ?? labels['app'] ?? '';
  return [cluster, namespace, serviceAccount, app].join('/');
}

export interface LearntLimits {
  readonly workloads: number;
  /** Of each type. */
  readonly names: number;
}

export class LearntDependencies {
  /** In order of use, the oldest first; so are the names of one type. */
  readonly #workloads = new Map<string, Map<string, Set<string>>>();
  readonly #limits: LearntLimits;

  constructor(limits: LearntLimits = { workloads: 10_000, names: 1_000 }) {
    this.#limits = limits;
  }

  /** `names`: of resources that there are; those that somebody made up are not worth remembering. */
  note(workload: string, typeUrl: string, names: readonly string[]): void {
    const types = this.#workloads.get(workload) ?? new Map<string, Set<string>>();
    this.#workloads.delete(workload);
    this.#workloads.set(workload, types);
    const known = types.get(typeUrl) ?? new Set<string>();
    types.set(typeUrl, known);
    for (const name of names) {
      known.delete(name);
      known.add(name);
    }
    dropOldest(known, this.#limits.names);
    dropOldest(this.#workloads, this.#limits.workloads);
  }

  /** Type URL -> names, as of now. */
  of(workload: string): ReadonlyMap<string, readonly string[]> {
    return new Map([...(this.#workloads.get(workload) ?? [])].map(([typeUrl, names]) => [typeUrl, [...names]]));
  }
}

function dropOldest(
  of: { readonly size: number; keys(): Iterable<string>; delete(key: string): boolean },
  limit: number,
): void {
  for (const key of of.keys()) {
    if (of.size <= limit) return;
    of.delete(key);
  }
}
