// SPDX-License-Identifier: Apache-2.0
// The laws of docs/locality.md, for any endpoints.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { rounds } from '#test/fixture/counts.ts';
import { type Place, placeOf } from '../api/localities.ts';
import type { EndpointIntent, LocalityIntent } from './destination-types.ts';
import { arrangeEndpoints, type PlacedEndpoint } from './localities.ts';

const part = fc.constantFrom('a', 'b', 'c');
const locality = fc
  .tuple(fc.constantFrom(0, 1, 2, 3), part, part, part)
  .map(([depth, ...parts]) => parts.slice(0, depth).join('/'));
const labels = fc.record({ version: part, tier: part }, { requiredKeys: [] }) as fc.Arbitrary<Record<string, string>>;
const endpoints = fc
  .array(fc.record({ locality, labels, weight: fc.integer({ min: 1, max: 50 }), network: part }), { maxLength: 12 })
  .map((all) => all.map((each, i) => endpoint(`10.0.0.${i}`, each)));

interface Described {
  readonly locality: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly weight: number;
  readonly network: string;
}

function endpoint(address: string, { locality, labels, weight, network }: Described): PlacedEndpoint {
  return {
    intent: { address, port: 80, weight, locality, meshed: true },
    where: { locality, labels, cluster: 'one', network, node: '' },
  };
}

function placed(locality: string, labels: Readonly<Record<string, string>>, asked: readonly string[] = []): Place {
  return placeOf({ locality, labels, cluster: 'one', network: 'a', node: '' }, asked);
}

function byAddress(all: readonly EndpointIntent[]): Map<string, EndpointIntent> {
  return new Map(all.map((each) => [each.address, each]));
}

function priorities(all: readonly EndpointIntent[]): Map<string, number> {
  return new Map(all.map(({ address, priority = 0 }) => [address, priority]));
}

/** Laws of every order: nobody is lost, priorities begin at 0 and have no gap, and the order of endpoints is none. */
function checkOrder(set: readonly PlacedEndpoint[], rule: LocalityIntent, place: Place): Map<string, number> {
  const found = arrangeEndpoints(set, { rule, place, cluster: 'one' });
  expect(found.map(({ address }) => address)).toEqual(set.map(({ intent }) => intent.address));
  const by = priorities(found);
  expect([...new Set(by.values())].sort((a, b) => a - b)).toEqual([...new Set(by.values())].map((_, i) => i));
  expect(byAddress(arrangeEndpoints(set.toReversed(), { rule, place, cluster: 'one' }))).toEqual(byAddress(found));
  return by;
}

/** How many parts, from the first on, two localities have in common. */
function common(a: string, b: string): number {
  const [left, right] = [a, b].map((each) => [...each.split('/'), '', '', ''].slice(0, 3)) as [string[], string[]];
  const differing = left.findIndex((each, i) => each !== right[i]);
  return differing < 0 ? 3 : differing;
}

const FAILOVER: LocalityIntent = { kind: 'failover', labels: [], regions: [], weighted: false };

describe('laws of localities', () => {
  test('the more of its locality an endpoint shares with the proxy, the sooner it is used', () => {
    fc.assert(
      fc.property(endpoints, locality, (set, here) => {
        const by = checkOrder(set, FAILOVER, placed(here, {}));
        for (const a of set) {
          for (const b of set) {
            const [near, far] = [common(a.where.locality, here), common(b.where.locality, here)];
            const [first, second] = [by.get(a.intent.address)!, by.get(b.intent.address)!];
            if (near > far) expect(first).toBeLessThan(second);
            if (near === far) expect(first).toBe(second);
          }
        }
      }),
      { numRuns: rounds(300, 20_000) },
    );
  });

  test('of other regions the one to fail over to comes first', () => {
    const rule: LocalityIntent = { ...FAILOVER, regions: [{ from: 'a', to: 'b' }] };
    fc.assert(
      fc.property(endpoints, (set) => {
        const by = checkOrder(set, rule, placed('a/a', {}));
        const rank = ({ where }: PlacedEndpoint) => ['a', 'b'].indexOf(where.locality.split('/')[0]!) >>> 0;
        for (const a of set) {
          for (const b of set) {
            if (rank(a) < rank(b)) expect(by.get(a.intent.address)).toBeLessThan(by.get(b.intent.address)!);
          }
        }
      }),
      { numRuns: rounds(300, 20_000) },
    );
  });

  test('labels in common count from the first on, and a value that is named is what counts instead of the proxy’s', () => {
    const asked = ['version', 'tier=a'];
    const rule: LocalityIntent = { ...FAILOVER, labels: asked };
    fc.assert(
      fc.property(endpoints, labels, (set, own) => {
        const by = checkOrder(set, rule, placed('', own, ['version']));
        const inCommon = ({ where }: PlacedEndpoint) => {
          if ((where.labels['version'] ?? '') !== (own['version'] ?? '')) return 0;
          return where.labels['tier'] === 'a' ? 2 : 1;
        };
        for (const a of set) {
          for (const b of set) {
            const [first, second] = [by.get(a.intent.address)!, by.get(b.intent.address)!];
            expect(Math.sign(first - second)).toBe(Math.sign(inCommon(b) - inCommon(a)));
          }
        }
      }),
      { numRuns: rounds(300, 20_000) },
    );
  });

  test('a network that comes first divides, and the other labels count on both sides', () => {
    const rule: LocalityIntent = { ...FAILOVER, labels: ['topology.istio.io/network', 'version'] };
    const place = placed('', { version: 'a' }, ['topology.istio.io/network', 'version']);
    fc.assert(
      fc.property(endpoints, (set) => {
        const by = checkOrder(set, rule, place);
        const rank = ({ where }: PlacedEndpoint) =>
          (where.network === 'a' ? 0 : 2) + (where.labels['version'] === 'a' ? 0 : 1);
        for (const a of set) {
          for (const b of set) {
            const [first, second] = [by.get(a.intent.address)!, by.get(b.intent.address)!];
            expect(Math.sign(first - second)).toBe(Math.sign(rank(a) - rank(b)));
          }
        }
      }),
      { numRuns: rounds(300, 20_000) },
    );
  });

  test('localities get the shares of the rule, each by the weight of its endpoints, and others nothing', () => {
    const to = [
      { locality: 'a', percent: 70 },
      { locality: 'b/a', percent: 20 },
      { locality: 'b/b/*', percent: 10 },
    ];
    const rule: LocalityIntent = { kind: 'distribute', rules: [{ from: 'c/*', to }] };
    fc.assert(
      fc.property(endpoints, (set) => {
        const found = arrangeEndpoints(set, { rule, place: placed('c/a', {}), cluster: 'one' });
        const covered = (at: string) => to.find(({ locality: p }) => `${at}/`.startsWith(`${p.replace('/*', '')}/`));
        const served = set.filter(({ where }) => covered(where.locality) !== undefined);
        expect(found.map(({ address }) => address).sort()).toEqual(served.map((e) => e.intent.address).sort());
        const parts = new Map(found.map(({ locality: at, localityWeight }) => [at, localityWeight!]));
        for (const { locality: pattern, percent } of to) {
          const members = [...parts].filter(([at]) => covered(at)?.locality === pattern);
          if (members.length === 0) continue;
          const sum = members.reduce((total, [, weight]) => total + weight, 0);
          expect(Math.abs(sum / 1_000_000 - percent)).toBeLessThan(members.length / 1_000_000 + 1e-9);
          const weightOf = (at: string) =>
            served.filter((e) => e.where.locality === at).reduce((t, e) => t + e.intent.weight, 0);
          const whole = members.reduce((total, [at]) => total + weightOf(at), 0);
          for (const [at, weight] of members) expect(weight / sum).toBeCloseTo(weightOf(at) / whole, 5);
        }
      }),
      { numRuns: rounds(300, 20_000) },
    );
  });

  test('a proxy that no rule speaks of goes everywhere', () => {
    const rule: LocalityIntent = { kind: 'distribute', rules: [{ from: 'c', to: [{ locality: 'a', percent: 100 }] }] };
    fc.assert(
      fc.property(endpoints, (set) => {
        expect(arrangeEndpoints(set, { rule, place: placed('a/b', {}), cluster: 'one' })).toEqual(
          set.map(({ intent }) => intent),
        );
      }),
      { numRuns: rounds(50, 1000) },
    );
  });
});
