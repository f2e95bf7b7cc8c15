// SPDX-License-Identifier: Apache-2.0
// What becomes of a request, as shares of where it ends, and what of that moves between two answers.
import type { Ending, Path, Why } from '../../explain/path.ts';

/** Where a share of requests ends, as a row of a table tells it. */
export interface End {
  /**
   * `served`, `outside`: it gets there. `failed`: the client sees an error. `unknown`: what decides is not known here.
   * `same`: wherever it goes now, by what the log does not hold, it would go after the change, too.
   */
  readonly kind: 'served' | 'outside' | 'answered' | 'failed' | 'unknown' | 'same';
  /** Of the service that was chosen; absent where none was. */
  readonly service?: string;
  readonly subset?: string;
  /** Where the workload is. */
  readonly cluster?: string;
  readonly namespace?: string;
  readonly workload?: string;
  /** Of what a proxy answers or refuses. */
  readonly status?: number;
  /** What is said of it, where it is not served. */
  readonly text?: string;
}

/** By `keyOf`: the shares add up to 1. */
export type Fate = ReadonlyMap<string, Share>;

export interface Share {
  readonly end: End;
  readonly share: number;
  /** The objects that decided so. */
  readonly why: readonly Why[];
}

export interface Move {
  readonly from: End;
  readonly to: End;
  readonly share: number;
}

const ROUNDING = 1e-9;

export function fateOf({ endings }: Path): Fate {
  const fate = new Map<string, Share>();
  for (const ending of endings) {
    const end = endOf(ending);
    const key = keyOf(end);
    const known = fate.get(key);
    fate.set(key, { end, share: (known?.share ?? 0) + ending.probability, why: known?.why ?? ending.why });
  }
  return fate;
}

export function keyOf({ kind, service, subset, cluster, namespace, workload, status, text }: End): string {
  return JSON.stringify([kind, service, subset, cluster, namespace, workload, status, text]);
}

/** Equal for answers that are the same to those who ask. */
export function fingerprintOf(fate: Fate): string {
  const shares = [...fate].filter(([, { share }]) => share > ROUNDING);
  return JSON.stringify(shares.map(([key, { share }]) => [key, share.toFixed(6)]).sort());
}

/**
 * The least that has to move from the one to the other, from what becomes less to what becomes more. Who is served by the
 * same workload, by whatever name and subset, does not move.
 */
export function movesBetween(before: Fate, after: Fate): Move[] {
  const [from, to] = [byPlace(before), byPlace(after)];
  const less: [End, number][] = [];
  const more: [End, number][] = [];
  for (const key of new Set([...from.keys(), ...to.keys()])) {
    const [old, now] = [from.get(key), to.get(key)];
    const change = (now?.share ?? 0) - (old?.share ?? 0);
    if (change > ROUNDING) more.push([now!.end, change]);
    else if (change < -ROUNDING) less.push([old!.end, -change]);
  }
  const whole = more.reduce((sum, [, share]) => sum + share, 0);
  return less.flatMap(([end, lost]) =>
    more.map(([other, won]) => ({ from: end, to: other, share: (lost * won) / whole })),
  );
}

function byPlace(fate: Fate): Map<string, { readonly end: End; readonly share: number }> {
  const places = new Map<string, { end: End; share: number }>();
  for (const [key, { end, share }] of fate) {
    const { kind, cluster, namespace, workload } = end;
    const place = kind === 'served' ? JSON.stringify([kind, cluster, namespace, workload]) : key;
    const known = places.get(place);
    places.set(place, { end: known?.end ?? end, share: (known?.share ?? 0) + share });
  }
  return places;
}

export function failing(fate: Fate): number {
  return [...fate.values()].reduce((sum, { end, share }) => sum + (end.kind === 'failed' ? share : 0), 0);
}

function endOf({ kind, at, chosen, destination, status, text, address }: Ending): End {
  const to = chosen ?? destination;
  const service = to && { service: to.host, ...(to.subset !== '' && { subset: to.subset }) };
  switch (kind) {
    case 'served':
      return { kind, ...service, ...(at && { cluster: at.cluster, namespace: at.namespace, workload: at.workload }) };
    case 'outside':
      return { kind, ...service, text: address ?? text };
    case 'answered':
    case 'refused': {
      const isError = kind === 'refused' || (status ?? 0) >= 400;
      return { kind: isError ? 'failed' : 'answered', ...service, ...(status !== undefined && { status }), text };
    }
    case 'unknown':
      return { kind, ...service, text };
  }
}
