// SPDX-License-Identifier: Apache-2.0
// Which endpoints a proxy turns to first, and which share of its requests each locality gets (docs/locality.md).
import { labelOf, NETWORK_LABEL, type Place, type Whereabouts } from '../api/localities.ts';
import type { TrafficSplit } from '../api/traffic-shares.ts';
import type { EndpointIntent, LocalityIntent, LocalityPattern } from './destination-types.ts';

export interface Nearness {
  readonly rule: LocalityIntent;
  readonly place: Place;
  /** The proxy's own. */
  readonly cluster: string;
}

export interface PlacedEndpoint {
  readonly intent: EndpointIntent;
  readonly where: Whereabouts;
  /** See Endpoint. */
  readonly shared?: true;
}

export function arrangeEndpoints(
  endpoints: readonly PlacedEndpoint[],
  { rule, place, cluster }: Nearness,
): EndpointIntent[] {
  switch (rule.kind) {
    case 'clusters':
      return divideByCluster(endpoints, rule.split, { cluster, locality: place.locality });
    case 'distribute':
      return distribute(endpoints, rule, place);
    case 'failover':
      return rank(endpoints, rule, place);
  }
}

/** Parts of one percent: what is lost by rounding is less than a millionth of a percent for each locality. */
const PARTS = 1_000_000;

function distribute(
  endpoints: readonly PlacedEndpoint[],
  rule: Extract<LocalityIntent, { kind: 'distribute' }>,
  place: Place,
): EndpointIntent[] {
  const shares = rule.rules.find(({ from }) => fits(place.locality, from))?.to;
  if (shares === undefined) return endpoints.map(({ intent }) => intent);
  const shared = shares.flatMap(({ locality, percent }) => {
    const members = endpoints.filter(({ where }) => fits(where.locality, locality)).map(({ intent }) => intent);
    return weighLocalities(members, percent * PARTS);
  });
  if (rule.spare === undefined) return shared;
  const others = endpoints.filter(({ where }) => !shares.some(({ locality }) => fits(where.locality, locality)));
  const ranks = others.map(({ where }) => 1 + distance(where.locality, place.locality, rule.spare!));
  const spare = others.map(({ intent }, i) => ({ ...intent, priority: ranks[i]! }));
  return closeUp([...shared, ...spare]);
}

/** Endpoints with the whole's weight, divided among their localities by what they have there. */
function weighLocalities(members: readonly EndpointIntent[], weight: number): EndpointIntent[] {
  const sums = new Map<string, number>();
  for (const { locality: at, weight: own } of members) sums.set(at, (sums.get(at) ?? 0) + own);
  const whole = [...sums.values()].reduce((total, sum) => total + sum, 0);
  const part = (at: string) => Math.max(1, Math.round((weight * sums.get(at)!) / whole));
  return members.map((intent) => ({ ...intent, localityWeight: part(intent.locality) }));
}

/** Envoy wants priorities from 0 on, without a gap. */
function closeUp(endpoints: readonly EndpointIntent[]): EndpointIntent[] {
  const present = [...new Set(endpoints.map(({ priority = 0 }) => priority))].sort((a, b) => a - b);
  return endpoints.map((endpoint) => {
    const { priority = 0, ...rest } = endpoint;
    const rank = present.indexOf(priority);
    return rank === priority ? endpoint : rank === 0 ? rest : { ...rest, priority: rank };
  });
}

interface Standpoint {
  readonly cluster: string;
  readonly locality: string;
}

/**
 * Clusters of one rank have a part each, those of the next rank are for when these are unhealthy. A cluster is a locality of
 * its own for Envoy (its name in the place of the subzone), so that its part is its own, whatever stands in it.
 */
function divideByCluster(
  endpoints: readonly PlacedEndpoint[],
  split: TrafficSplit,
  here: Standpoint,
): EndpointIntent[] {
  const clusters = [...Map.groupBy(endpoints, ({ where }) => where.cluster)].flatMap(([cluster, members]) => {
    const rank = rankOfCluster(cluster, members, split, here);
    return rank === undefined ? [] : [{ cluster, members, rank, pods: podsOf(members) }];
  });
  const shares = split.kind === 'shares' ? split.shares : {};
  const arranged = clusters.flatMap(({ cluster, members, rank, pods }) => {
    const peers = clusters.filter((other) => other.rank === rank);
    const all = peers.reduce((sum, other) => sum + other.pods, 0);
    const percent = rank === 0 && shares[cluster] ? shares[cluster] : (100 * pods) / all;
    const placed = members.map(({ intent }) => {
      const [region = '', zone = ''] = intent.locality.split('/');
      return { ...intent, locality: `${region}/${zone}/${cluster}`, ...(rank > 0 && { priority: rank }) };
    });
    return weighLocalities(placed, percent * PARTS);
  });
  return closeUp(arranged);
}

/** undefined: it gets nothing. */
function rankOfCluster(
  cluster: string,
  members: readonly PlacedEndpoint[],
  split: TrafficSplit,
  here: Standpoint,
): number | undefined {
  if (split.kind === 'spread') return 0;
  const share = split.kind === 'shares' ? split.shares[cluster] : undefined;
  if (share !== undefined) return share === 0 ? undefined : 0;
  const isFirst = split.kind === 'local-first' && cluster === here.cluster;
  if (isFirst) return 0;
  if (cluster === here.cluster) return 1;
  return 2 + Math.min(...members.map(({ where }) => distance(where.locality, here.locality, [])));
}

/** All gateways of a cluster lead to the same pods. */
function podsOf(members: readonly PlacedEndpoint[]): number {
  const weights = (shared: boolean) =>
    members.filter((member) => (member.shared ?? false) === shared).map(({ intent }) => intent.weight);
  return weights(false).reduce((sum, weight) => sum + weight, 0) + Math.max(0, ...weights(true));
}

function fits(locality: string, pattern: LocalityPattern): boolean {
  const parts = locality.split('/');
  return pattern.split('/').every((wanted, i) => wanted === '*' || wanted === (parts[i] ?? ''));
}

function rank(
  endpoints: readonly PlacedEndpoint[],
  rule: Extract<LocalityIntent, { kind: 'failover' }>,
  place: Place,
): EndpointIntent[] {
  return closeUp(
    endpoints.map(({ intent, where }) => {
      const priority = rankOf(where, rule, place);
      return priority === 0 ? intent : { ...intent, priority };
    }),
  );
}

/** Distances of localities: 0 to 4. */
const DISTANCES = 5;

function rankOf(where: Whereabouts, rule: Extract<LocalityIntent, { kind: 'failover' }>, place: Place): number {
  if (rule.labels.length === 0) return distance(where.locality, place.locality, rule.regions);
  const byLabels = labelRank(where, rule.labels, place);
  return rule.regions.length === 0
    ? byLabels
    : byLabels * DISTANCES + distance(where.locality, place.locality, rule.regions);
}

/** The same subzone, zone, region, the region to fail over to, and what is left. */
function distance(
  there: string,
  here: string,
  regions: readonly { readonly from: string; readonly to: string }[],
): number {
  const [region = '', zone = '', subzone = ''] = there.split('/');
  const [ownRegion = '', ownZone = '', ownSubzone = ''] = here.split('/');
  if (region === ownRegion) return zone !== ownZone ? 2 : subzone !== ownSubzone ? 1 : 0;
  const next = regions.find(({ from }) => from === ownRegion);
  return next === undefined || next.to === region ? 3 : 4;
}

/**
 * Labels in common, from the first on: the more, the lower the rank. A network that comes first only divides: within each,
 * the other labels count.
 */
function labelRank(where: Whereabouts, labels: readonly string[], place: Place): number {
  let foreign = 0;
  for (const [i, label] of labels.entries()) {
    const [name = '', value] = label.split('=');
    if (labelOf(where, name) === (value ?? place.labels[name] ?? '')) continue;
    if (i > 0 || name !== NETWORK_LABEL) return foreign + labels.length - i;
    foreign = labels.length;
  }
  return foreign;
}
