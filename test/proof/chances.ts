// SPDX-License-Identifier: Apache-2.0
// What is left to chance, over all pairs of a run: how often it came to pass beside how often it was to.
import type { Upstream } from '../../src/envoy/simulate/outcome.ts';
import type { Verdict } from './trial.ts';

interface Sum {
  trials: number;
  seen: number;
  expected: number;
  variance: number;
}

export class Chances {
  readonly #sums = new Map<string, Sum>();

  add(kind: string, probability: number, happened: boolean): void {
    const sum = this.#sums.get(kind) ?? { trials: 0, seen: 0, expected: 0, variance: 0 };
    this.#sums.set(kind, sum);
    sum.trials++;
    sum.seen += happened ? 1 : 0;
    sum.expected += probability;
    sum.variance += probability * (1 - probability);
  }

  /** Shares of destinations, faults that abort, copies. */
  read({ outcome, seen }: Verdict): void {
    const { faults } = outcome;
    const isThere = (upstream: Upstream | undefined) =>
      (upstream?.endpoints.length ?? 0) > 0 || upstream?.original === true || upstream?.byName === true;
    const hollow = outcome.kind === 'forward' && !outcome.to.every(({ upstream }) => isThere(upstream));
    const abort = faults?.abort;
    if (abort !== undefined && !hollow && outcome.kind === 'forward') {
      this.add('aborts', abort.probability, seen.arrivals.length === 0);
    }
    if (outcome.kind !== 'forward' || seen.arrivals.length === 0) return;
    const clusters = new Set(seen.arrivals.map(({ address }) => seen.standIn(address)?.cluster));
    const [first] = outcome.to;
    const others = new Set([...outcome.to.slice(1), ...(outcome.http?.mirrors ?? [])].map(({ cluster }) => cluster));
    // Whoever is not there is not seen, and one that others lead to as well does not tell which was chosen.
    if (outcome.to.length > 1 && !hollow && !others.has(first!.cluster)) {
      this.add('shares', first!.probability, clusters.has(first!.cluster));
    }
    for (const { cluster, probability, upstream } of outcome.http?.mirrors ?? []) {
      const isAlone = outcome.to.every((to) => to.cluster !== cluster) && outcome.http!.mirrors.length === 1;
      if (probability < 1 && isAlone && isThere(upstream)) this.add('copies', probability, clusters.has(cluster));
    }
  }

  /** How far from what was expected, in standard deviations: beyond six once in 5 * 10^8 runs. */
  deviations(): Map<string, { trials: number; seen: number; expected: number; deviation: number }> {
    return new Map(
      [...this.#sums].map(([kind, { trials, seen, expected, variance }]) => {
        const deviation =
          variance === 0 ? (seen === expected ? 0 : Number.POSITIVE_INFINITY) : (seen - expected) / Math.sqrt(variance);
        return [
          kind,
          { trials, seen, expected: Math.round(expected * 10) / 10, deviation: Math.round(deviation * 100) / 100 },
        ];
      }),
    );
  }
}

/** Where an endpoint is chosen by hash, the same values lead to the same one; the text names two that did not. */
export function hashFault(verdicts: readonly Verdict[]): string | undefined {
  const chosen = new Map<string, string>();
  for (const { outcome, seen } of verdicts) {
    if (outcome.kind !== 'forward' || outcome.to.length !== 1 || outcome.to[0]!.upstream?.by !== 'hash') continue;
    const known = (outcome.http?.hashes ?? []).filter(({ by, value }) => by === 'source-ip' || value !== undefined);
    const [arrival] = seen.arrivals;
    const standIn = arrival && seen.standIn(arrival.address);
    if (known.length === 0 || known.some(({ by }) => by === 'other') || standIn?.cluster !== outcome.to[0]!.cluster)
      continue;
    const key = `${standIn.cluster} ${JSON.stringify(known)}`;
    const before = chosen.get(key);
    if (before !== undefined && before !== standIn.endpoint) return `${key}: ${before}, and ${standIn.endpoint}`;
    chosen.set(key, standIn.endpoint);
  }
  return undefined;
}
