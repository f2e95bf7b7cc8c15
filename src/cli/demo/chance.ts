// SPDX-License-Identifier: Apache-2.0
// Is a measured share what chance allows? Exact binomial bounds, for the demo and for the tests.

/**
 * The counts that `n` independent trials of probability `p` give, but for less than `alpha` of all runs:
 * P(X < low) + P(X > high) < alpha, with at most alpha/2 on each side. Exact up to rounding; n up to some thousands.
 */
export function binomialBounds(n: number, p: number, alpha = 1e-6): { low: number; high: number } {
  if (p <= 0) return { low: 0, high: 0 };
  if (p >= 1) return { low: n, high: n };
  const mass = Array.from({ length: n + 1 }, (_, k) =>
    Math.exp(logChoose(n, k) + k * Math.log(p) + (n - k) * Math.log1p(-p)),
  );
  return { low: firstBeyond(mass, alpha / 2), high: n - firstBeyond(mass.toReversed(), alpha / 2) };
}

/** The first index up to which (with it) the masses add up to more than `limit`. */
function firstBeyond(mass: readonly number[], limit: number): number {
  let sum = 0;
  for (const [k, value] of mass.entries()) {
    sum += value;
    if (sum > limit) return k;
  }
  return mass.length - 1;
}

function logChoose(n: number, k: number): number {
  let sum = 0;
  for (let i = 1; i <= k; i++) sum += Math.log(n - k + i) - Math.log(i);
  return sum;
}
