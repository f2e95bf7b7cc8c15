// SPDX-License-Identifier: Apache-2.0
// How requests are divided among clusters: laws that hold for every set of endpoints.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { rounds } from '#test/fixture/counts.ts';
import { NOWHERE, placeOf } from '../api/localities.ts';
import { clusterName } from '../api/names.ts';
import type { TrafficSplit } from '../api/traffic-shares.ts';
import { ANY_NETWORK, type Vantage } from '../model/networks.ts';
import type { Endpoint } from '../model/snapshot.ts';
import type { EndpointIntent } from './destination-types.ts';
import { buildEndpoints, buildSpareEndpoints } from './endpoints.ts';

const HERE: Vantage = {
  network: '',
  requested: [],
  gateways: new Map(),
  withoutGateway: 'direct',
  families: 'IPv4',
  far: { direct: [], gateway: [] },
  key: '',
};
const QUERY = { portName: 'http', filter: { labels: {}, networks: 'all', meshedOnly: false } } as const;
const OWN = 'c0';

function endpoint(change: Partial<Omit<Endpoint, 'cluster'>> & { cluster: string }): Endpoint {
  return {
    address: '10.0.0.1',
    ports: { http: 80 },
    labels: {},
    network: ANY_NETWORK,
    locality: '',
    nodeName: '',
    weight: 1,
    identity: undefined,
    meshed: true,
    draining: false,
    ...change,
    cluster: clusterName(change.cluster),
  };
}

interface ClusterFacts {
  readonly pods: number;
  /** Of another cluster. */
  readonly gateways: number;
  readonly versions: number;
  readonly region: string;
}

const facts: fc.Arbitrary<ClusterFacts> = fc.record({
  pods: fc.integer({ min: 0, max: 6 }),
  gateways: fc.integer({ min: 1, max: 3 }),
  versions: fc.integer({ min: 1, max: 3 }),
  region: fc.constantFrom('', 'eu', 'us'),
});
const mesh = fc.array(facts, { minLength: 1, maxLength: 4 });

/** The own cluster by its pods, the others by each gateway for each version, as exports are derived. */
function endpointsOf(clusters: readonly ClusterFacts[]): Endpoint[] {
  return clusters.flatMap(({ pods, gateways, versions, region }, c): Endpoint[] => {
    const cluster = `c${c}`;
    if (c === 0) {
      return Array.from({ length: pods }, (_, i) =>
        endpoint({ cluster, address: `10.0.0.${i + 1}`, locality: region }),
      );
    }
    return Array.from({ length: gateways }, (_, g) => `172.31.${c}.${g + 1}`).flatMap((address) =>
      Array.from({ length: versions }, (_, v) => {
        const weight = Math.floor(pods / versions) + (v < pods % versions ? 1 : 0);
        const labels = { version: `v${v}` };
        return endpoint({ cluster, address, weight, labels, locality: region, shared: true });
      }).filter(({ weight }) => weight > 0),
    );
  });
}

function divide(clusters: readonly ClusterFacts[], split: TrafficSplit, region = ''): EndpointIntent[] {
  const place = region === '' ? NOWHERE : placeOf(whereabouts(region), []);
  return buildEndpoints(QUERY, endpointsOf(clusters), HERE, { rule: { kind: 'clusters', split }, place, cluster: OWN });
}

function whereabouts(locality: string) {
  return { locality, labels: {}, cluster: OWN, network: '', node: '' };
}

function clusterOf({ locality }: EndpointIntent): string {
  return locality.split('/')[2]!;
}

/** The part of its priority's requests that each cluster gets, as Envoy divides them: by localities, then by endpoints. */
function partsAt(endpoints: readonly EndpointIntent[], priority = 0): Map<string, number> {
  const localities = new Map(
    endpoints.filter((e) => (e.priority ?? 0) === priority).map((e) => [e.locality, e] as const),
  );
  const whole = [...localities.values()].reduce((sum, e) => sum + e.localityWeight!, 0);
  const parts = new Map<string, number>();
  for (const e of localities.values()) {
    parts.set(clusterOf(e), (parts.get(clusterOf(e)) ?? 0) + e.localityWeight! / whole);
  }
  return parts;
}

function checkForEnvoy(endpoints: readonly EndpointIntent[]): void {
  const addresses = endpoints.map(({ address, port }) => `${address}:${port}`);
  expect(new Set(addresses).size).toBe(addresses.length);
  const priorities = [...new Set(endpoints.map(({ priority = 0 }) => priority))].sort((a, b) => a - b);
  expect(priorities).toEqual(priorities.map((_, i) => i));
  for (const priority of priorities) {
    const weights = new Map<string, number>();
    for (const e of endpoints.filter((each) => (each.priority ?? 0) === priority)) {
      // One locality of one priority has one weight.
      expect(weights.get(e.locality) ?? e.localityWeight).toBe(e.localityWeight);
      weights.set(e.locality, e.localityWeight!);
    }
    expect([...weights.values()].reduce((sum, weight) => sum + weight, 0)).toBeLessThan(2 ** 32);
  }
}

describe('requests among clusters', () => {
  test('spread: every ready pod gets the same, however many gateways and versions stand before it', () => {
    fc.assert(
      fc.property(mesh, (clusters) => {
        const found = divide(clusters, { kind: 'spread' });
        checkForEnvoy(found);
        const all = clusters.reduce((sum, { pods }) => sum + pods, 0);
        const parts = partsAt(found);
        clusters.forEach(({ pods }, c) => {
          expect(parts.get(`c${c}`) ?? 0).toBeCloseTo(all === 0 ? 0 : pods / all, 5);
        });
      }),
      { numRuns: rounds(300, 20_000) },
    );
  });

  test('local first: the own cluster alone while it has a pod, then the nearest, by pods', () => {
    fc.assert(
      fc.property(mesh, fc.constantFrom('', 'eu', 'us'), (clusters, region) => {
        const found = divide(clusters, { kind: 'local-first' }, region);
        checkForEnvoy(found);
        const alive = clusters.flatMap((each, c) => (each.pods > 0 ? [{ ...each, name: `c${c}` }] : []));
        const others = alive.filter(({ name }) => name !== OWN);
        const near = others.filter((each) => each.region === region);
        const first =
          clusters[0]!.pods > 0 ? alive.filter(({ name }) => name === OWN) : near.length > 0 ? near : others;
        expect([...partsAt(found).keys()].sort()).toEqual(first.map(({ name }) => name).sort());
        expect(new Set(found.map(clusterOf))).toEqual(new Set(alive.map(({ name }) => name)));
      }),
      { numRuns: rounds(300, 20_000) },
    );
  });

  test('shares: those named have them as far as they have pods, those not named stand in, those with 0 get nothing', () => {
    const split: TrafficSplit = { kind: 'shares', shares: { c0: 20, c1: 80, c3: 0 } };
    fc.assert(
      fc.property(mesh, (clusters) => {
        const found = divide(clusters, split);
        checkForEnvoy(found);
        const isAlive = (c: number) => (clusters[c]?.pods ?? 0) > 0;
        const parts = partsAt(found);
        const whole = (isAlive(0) ? 20 : 0) + (isAlive(1) ? 80 : 0);
        if (whole > 0) {
          expect(parts.get('c0') ?? 0).toBeCloseTo(isAlive(0) ? 20 / whole : 0, 5);
          expect(parts.get('c1') ?? 0).toBeCloseTo(isAlive(1) ? 80 / whole : 0, 5);
          expect([...partsAt(found, 1).keys()]).toEqual(isAlive(2) ? ['c2'] : []);
        } else expect([...parts.keys()]).toEqual(isAlive(2) ? ['c2'] : []);
        expect(found.map(clusterOf)).not.toContain('c3');
      }),
      { numRuns: rounds(300, 20_000) },
    );
  });

  test('one version of it: the same, among the pods of that version', () => {
    fc.assert(
      fc.property(mesh, (clusters) => {
        const rule = { kind: 'clusters', split: { kind: 'spread' } } as const;
        const nearness = { rule, place: NOWHERE, cluster: OWN };
        const filter = { ...QUERY.filter, labels: { version: 'v0' } };
        const found = buildEndpoints({ portName: 'http', filter }, endpointsOf(clusters), HERE, nearness);
        checkForEnvoy(found);
        const pods = clusters.map(({ pods: all, versions }, c) => (c === 0 ? 0 : Math.ceil(all / versions)));
        const whole = pods.reduce((sum, each) => sum + each, 0);
        const parts = partsAt(found);
        pods.forEach((each, c) => {
          expect(parts.get(`c${c}`) ?? 0).toBeCloseTo(whole === 0 ? 0 : each / whole, 5);
        });
      }),
      { numRuns: rounds(100, 10_000) },
    );
  });

  test('where nobody asks localities for their weight, endpoints have it themselves', () => {
    fc.assert(
      fc.property(mesh, (clusters) => {
        const rule = { kind: 'clusters', split: { kind: 'spread' } } as const;
        const nearness = { rule, place: NOWHERE, cluster: OWN };
        const found = buildSpareEndpoints(QUERY, endpointsOf(clusters), HERE, nearness);
        const whole = found.reduce((sum, { weight }) => sum + weight, 0);
        const pods = clusters.reduce((sum, each) => sum + each.pods, 0);
        clusters.forEach((each, c) => {
          const own = found.filter((e) => clusterOf(e) === `c${c}`).reduce((sum, { weight }) => sum + weight, 0);
          if (pods > 0) expect(own / whole).toBeCloseTo(each.pods / pods, 2);
        });
      }),
      { numRuns: rounds(100, 10_000) },
    );
  });
});
