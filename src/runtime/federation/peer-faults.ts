// SPDX-License-Identifier: Apache-2.0
// What peers tell that cannot be taken, for as long as they tell it.
import type { ServiceName } from '../../federation/types.ts';

export class PeerFaults {
  readonly #faults = new Map<string, Map<ServiceName, string>>();

  /** @param fault undefined: nothing of the service is in the way (any more). @returns whether it is said for the first time */
  note(cluster: string, service: ServiceName, fault: string | undefined): boolean {
    const known = this.#faults.get(cluster) ?? new Map<ServiceName, string>();
    const before = known.get(service);
    if (fault === undefined) known.delete(service);
    else known.set(service, fault);
    if (known.size === 0) this.#faults.delete(cluster);
    else this.#faults.set(cluster, known);
    return fault !== undefined && fault !== before;
  }

  forget(cluster: string): void {
    this.#faults.delete(cluster);
  }

  clear(): void {
    this.#faults.clear();
  }

  /** By cluster: the first by name, and how many more there are. */
  told(): ReadonlyMap<string, string> {
    return new Map(
      [...this.#faults].map(([cluster, known]) => {
        const [first] = [...known].sort(([a], [b]) => (a < b ? -1 : 1));
        const more = known.size > 1 ? ` (and ${known.size - 1} more)` : '';
        return [cluster, `ExportedService ${first![0]}: ${first![1]}${more}`] as const;
      }),
    );
  }
}
