// SPDX-License-Identifier: Apache-2.0
// How the requests for a service that several clusters have are divided among them (docs/failover.md).

/** On a Service or ServiceExport: what its exports ask for. On a ServiceEntry of the mesh: what is done. */
export const TRAFFIC_ANNOTATION = 'isthmus.io/traffic';

/** On a Service: `false` keeps its own name from leading to other clusters' pods when it has none that is ready. */
export const FALLBACK_ANNOTATION = 'isthmus.io/fallback';

export type TrafficSplit =
  /** The client's own cluster, and others, the nearest first, as far as it has no healthy endpoint. */
  | { readonly kind: 'local-first' }
  /** Every ready pod gets as much as every other one, wherever it is. */
  | { readonly kind: 'spread' }
  /**
   * Percent by cluster, 100 in all. A cluster that is not named gets the requests that those named cannot take; one
   * with 0 gets none at all.
   */
  | { readonly kind: 'shares'; readonly shares: Readonly<Record<string, number>> };

export type ParsedTraffic =
  | { readonly ok: true; readonly value: TrafficSplit }
  | { readonly ok: false; readonly fault: string; readonly cure: string };

const CURE = 'write local-first, spread, or shares as in cluster1=70,cluster2=30';
/** What a cluster may be called (src/kube: a DNS label or several). */
const CLUSTER = /^[a-zA-Z0-9]([-._a-zA-Z0-9]*[a-zA-Z0-9])?$/;

/** The value of the annotation. */
export function parseTraffic(text: string): ParsedTraffic {
  const said = text.trim();
  if (said === 'local-first' || said === 'spread') return { ok: true, value: { kind: said } };
  if (!said.includes('=')) return wrong(`${JSON.stringify(text)} is no way to divide requests among clusters`);
  const shares = new Map<string, number>();
  for (const part of said.split(',')) {
    const [, cluster, digits] = /^\s*([^=\s]+)\s*=\s*(\d{1,3})%?\s*$/.exec(part) ?? [];
    if (cluster === undefined || !CLUSTER.test(cluster)) {
      return wrong(`${JSON.stringify(part.trim())} is not a cluster and its share`);
    }
    if (shares.has(cluster)) return wrong(`${cluster} has two shares`, 'give each cluster one');
    shares.set(cluster, Number(digits));
  }
  const sum = [...shares.values()].reduce((total, share) => total + share, 0);
  if (sum !== 100) return wrong(`the shares add up to ${sum}`, 'make them add up to 100');
  const sorted = [...shares].sort(([a], [b]) => (a < b ? -1 : 1));
  return { ok: true, value: { kind: 'shares', shares: Object.fromEntries(sorted) } };
}

function wrong(fault: string, cure = CURE): ParsedTraffic {
  return { ok: false, fault, cure };
}
