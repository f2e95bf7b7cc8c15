// SPDX-License-Identifier: Apache-2.0
// Whether there are pods with IPv6 addresses. Kept up with the pods that change; costs what changes.
import { isIPv6 } from 'node:net';
import type { Workload } from '../api/kubernetes.ts';
import { changesBetween } from '../incremental/derived-map.ts';

export class SeenFamilies {
  readonly #withIpv6 = new Set<string>();
  #taken: ReadonlyMap<string, Workload> | undefined;

  get hasIpv6(): boolean {
    return this.#withIpv6.size > 0;
  }

  /** All pods as they are now. */
  take(workloads: ReadonlyMap<string, Workload>): void {
    const changed = changesBetween(this.#taken, workloads) ?? new Set([...this.#withIpv6, ...workloads.keys()]);
    this.#taken = workloads;
    for (const key of changed) {
      const { ip = '', otherIps = [] } = workloads.get(key) ?? {};
      if (isIPv6(ip) || otherIps.some(isIPv6)) this.#withIpv6.add(key);
      else this.#withIpv6.delete(key);
    }
  }
}
