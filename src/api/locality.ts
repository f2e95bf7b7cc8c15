// SPDX-License-Identifier: Apache-2.0
// Where traffic goes by where its client is
// (https://istio.io/latest/docs/reference/config/networking/destination-rule/#LocalityLoadBalancerSetting).
import {
  type At,
  bool,
  checked,
  defaulted,
  type Infer,
  integer,
  list,
  mapOf,
  optional,
  required,
  struct,
  text,
} from './shape.ts';

const distribute = struct({
  from: required(text()),
  to: defaulted(mapOf(integer({ max: 0xffff_ffff })), {}),
});
const failover = struct({ from: required(text()), to: required(text()) });

export const localityLbSetting = checked(
  struct({
    distribute: defaulted(list(distribute), []),
    failover: defaulted(list(failover), []),
    failoverPriority: defaulted(list(text()), []),
    enabled: optional(bool),
  }),
  (value, at) => {
    checkOneOf(value, at);
    value.distribute.forEach(({ to }, i) => {
      checkShares(to, { ...at, field: `${at.field}.distribute[${i}].to` });
    });
    checkPatterns(
      value.distribute.map(({ from }, i) => [from, `${at.field}.distribute[${i}].from`] as const),
      at,
    );
    value.failover.forEach((entry, i) => {
      checkRegions(entry, { ...at, field: `${at.field}.failover[${i}]` });
    });
  },
);
export type LocalityLbSetting = Infer<typeof localityLbSetting>;

const TOPOLOGY = ['topology.kubernetes.io/region', 'topology.kubernetes.io/zone', 'topology.istio.io/subzone'];

function checkOneOf(value: LocalityLbSetting, at: At): void {
  const label = value.failoverPriority.find((name) => TOPOLOGY.includes(name));
  if (value.failover.length > 0 && label !== undefined) {
    const message = `failover and ${label} in failoverPriority exclude one another`;
    at.report.add('ISM0007', at.field, message, 'keep one of them');
  }
}

function checkShares(to: Readonly<Record<string, number>>, at: At): void {
  const shares = Object.entries(to);
  for (const [locality, share] of shares) {
    if (share >= 1 && share <= 100) continue;
    const cure = 'give each locality a share from 1 to 100';
    at.report.add('ISM0006', at.field, `the share ${share} of ${locality} is out of range`, cure);
  }
  const sum = shares.reduce((total, [, share]) => total + share, 0);
  if (sum !== 100) {
    at.report.add('ISM0008', at.field, `the shares add up to ${sum}`, 'make them add up to 100');
  }
  checkPatterns(
    shares.map(([locality]) => [locality, at.field] as const),
    at,
  );
}

/** Each proxy and each endpoint has to be in one of them at most. */
function checkPatterns(patterns: readonly (readonly [pattern: string, field: string])[], at: At): void {
  const seen: string[][] = [];
  for (const [pattern, field] of patterns) {
    const parts = pattern.split('/');
    const wild = parts.indexOf('*');
    const malformed = parts.length > 3 || parts.includes('') || pattern.replace(/\*$/, '').includes('*');
    if (malformed || (wild < 0 && pattern.includes('*'))) {
      const cure = 'write region/zone/subzone; * may stand for the last part and all behind it';
      at.report.add('ISM0006', field, `${JSON.stringify(pattern)} is not a locality`, cure);
      continue;
    }
    const fixed = wild < 0 ? parts : parts.slice(0, wild);
    const same = seen.find((other) => other.every((part, i) => i >= fixed.length || fixed[i] === part));
    if (same !== undefined) {
      const message = `${pattern} and ${same.join('/') || '*'} overlap`;
      at.report.add('ISM0009', field, message, 'name each locality once');
    }
    seen.push(fixed);
  }
}

function checkRegions({ from, to }: { readonly from: string; readonly to: string }, at: At): void {
  if (from === to) at.report.add('ISM0006', at.field, `it leads from ${from} to itself`, 'name two regions');
  for (const region of [from, to]) {
    if (!/[/*]/.test(region) && region !== '') continue;
    const cure = 'name the region alone: within it, zones and subzones follow by themselves';
    at.report.add('ISM0006', at.field, `${JSON.stringify(region)} is not a region`, cure);
  }
}
