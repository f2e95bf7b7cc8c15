// SPDX-License-Identifier: Apache-2.0
// How many pods each ReplicaSet of a Deployment should have next. Pure arithmetic on counts.
// https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#rolling-update-deployment

/** One ReplicaSet as the plan sees it. */
export interface Share {
  readonly name: string;
  /** What its spec asks for. */
  readonly replicas: number;
  readonly available: number;
  /** Milliseconds since the epoch. */
  readonly createdAt: number;
  /** The largest total of the Deployment when this share was last set (annotation max-replicas); 0 when unknown. */
  readonly maxWhenSet: number;
}

export interface Bounds {
  readonly desired: number;
  /** Pods above `desired` that a rollout may have. */
  readonly surge: number;
  /** Pods below `desired` that a rollout may miss. */
  readonly unavailable: number;
}

/** New sizes by name; only those that change. */
export type Sizes = Map<string, number>;

/** Percentages round up for surge and down for unavailable; both zero would never move, so one may be missing. */
export function resolveBounds(
  desired: number,
  maxSurge: number | string | undefined,
  maxUnavailable: number | string | undefined,
): Bounds {
  const surge = resolveCount(maxSurge ?? '25%', desired, Math.ceil);
  const unavailable = resolveCount(maxUnavailable ?? '25%', desired, Math.floor);
  return { desired, surge, unavailable: Math.min(desired, surge === 0 && unavailable === 0 ? 1 : unavailable) };
}

export function resolveCount(value: number | string, total: number, round: (value: number) => number): number {
  if (typeof value === 'number') return value;
  const percent = Number.parseInt(value, 10);
  // Multiply first: 0.1 * 3 * 10 is not 3.
  return value.endsWith('%') ? round((percent * total) / 100) : percent;
}

/** The size that a rolling update may give the new share now. */
export function growNew(bounds: Bounds, fresh: Pick<Share, 'replicas'>, old: readonly Share[]): number {
  if (fresh.replicas >= bounds.desired) return bounds.desired;
  const total = fresh.replicas + sum(old);
  const room = Math.max(0, bounds.desired + bounds.surge - total);
  return fresh.replicas + Math.min(room, bounds.desired - fresh.replicas);
}

/** The next step of a rolling update: grow the new share, or, if it may not grow, shrink the old ones. */
export function planRollingStep(bounds: Bounds, fresh: Share, old: readonly Share[]): Sizes {
  const grown = growNew(bounds, fresh, old);
  if (grown !== fresh.replicas) return new Map([[fresh.name, grown]]);
  const minAvailable = bounds.desired - bounds.unavailable;
  const total = fresh.replicas + sum(old);
  let surplus = total - minAvailable - Math.max(0, fresh.replicas - fresh.available);
  const sizes: Sizes = new Map();
  if (surplus <= 0) return sizes;
  const oldestFirst = [...old].filter(({ replicas }) => replicas > 0).sort((a, b) => a.createdAt - b.createdAt);
  const sizeOf = (share: Share): number => sizes.get(share.name) ?? share.replicas;
  // Pods that do not work are missed by nobody.
  for (const share of oldestFirst) {
    const count = Math.min(surplus, Math.max(0, share.replicas - share.available));
    if (count === 0) continue;
    sizes.set(share.name, share.replicas - count);
    surplus -= count;
  }
  let spare =
    fresh.available + old.reduce((count, share) => count + Math.min(share.available, sizeOf(share)), 0) - minAvailable;
  for (const share of oldestFirst) {
    const count = Math.min(Math.max(0, spare), sizeOf(share));
    if (count === 0) continue;
    sizes.set(share.name, sizeOf(share) - count);
    spare -= count;
  }
  return sizes;
}

/**
 * The Deployment was scaled, perhaps in the middle of a rollout: the shares keep their proportions.
 * @param fresh the share of the current template, if there is one
 */
export function planScale(bounds: Bounds, fresh: Share | undefined, old: readonly Share[], isRolling: boolean): Sizes {
  const shares = fresh ? [...old, fresh] : [...old];
  const active = shares.filter(({ replicas }) => replicas > 0);
  if (active.length <= 1) {
    const only = active[0] ?? fresh ?? [...old].sort((a, b) => b.createdAt - a.createdAt)[0];
    return only === undefined || only.replicas === bounds.desired ? new Map() : new Map([[only.name, bounds.desired]]);
  }
  if (fresh && fresh.replicas === bounds.desired && fresh.available >= bounds.desired) {
    return new Map(old.filter(({ replicas }) => replicas > 0).map(({ name }) => [name, 0]));
  }
  return isRolling ? planProportions(bounds, active) : new Map();
}

function planProportions(bounds: Bounds, active: readonly Share[]): Sizes {
  const limit = bounds.desired > 0 ? bounds.desired + bounds.surge : 0;
  const toAdd = limit - sum(active);
  const sizes: Sizes = new Map();
  if (toAdd === 0) return sizes;
  // Larger shares first; among equals, grow the newest and shrink the oldest.
  const age = toAdd > 0 ? -1 : 1;
  const order = [...active].sort((a, b) => b.replicas - a.replicas || age * (a.createdAt - b.createdAt));
  let added = 0;
  for (const share of order) {
    const whole = share.maxWhenSet || sum(active);
    const fraction = Math.round((share.replicas * limit) / whole) - share.replicas;
    const left = toAdd - added;
    const change = toAdd > 0 ? Math.min(Math.max(fraction, 0), left) : Math.max(Math.min(fraction, 0), left);
    sizes.set(share.name, share.replicas + change);
    added += change;
  }
  const first = order[0];
  // Rounding may leave some over: the largest takes them.
  if (first && added !== toAdd) sizes.set(first.name, Math.max(0, (sizes.get(first.name) ?? 0) + toAdd - added));
  for (const share of active) if (sizes.get(share.name) === share.replicas) sizes.delete(share.name);
  return sizes;
}

function sum(shares: readonly Pick<Share, 'replicas'>[]): number {
  return shares.reduce((count, { replicas }) => count + replicas, 0);
}
