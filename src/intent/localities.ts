// SPDX-License-Identifier: Apache-2.0
// Which endpoints a proxy turns to first, and which share of its requests each locality gets (docs/locality.md).
import { labelOf, NETWORK_LABEL, type Place, type Whereabouts } from '../api/localities.ts';
import type { EndpointIntent, LocalityIntent, LocalityPattern } from './destination-types.ts';

export interface Nearness {
  readonly rule: LocalityIntent;
  readonly place: Place;
}

export interface PlacedEndpoint {
  readonly intent: EndpointIntent;
  readonly where: Whereabouts;
}

export function arrangeEndpoints(endpoints: readonly PlacedEndpoint[], { rule, place }: Nearness): EndpointIntent[] {
  switch (rule.kind) {
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
  return shares.flatMap(({ locality, percent }) => {
    const members = endpoints.filter(({ where }) => fits(where.locality, locality)).map(({ intent }) => intent);
    const sums = new Map<string, number>();
    for (const { locality: at, weight } of members) sums.set(at, (sums.get(at) ?? 0) + weight);
    const whole = [...sums.values()].reduce((total, sum) => total + sum, 0);
    const part = (at: string) => Math.max(1, Math.round((percent * PARTS * sums.get(at)!) / whole));
    return members.map((intent) => ({ ...intent, localityWeight: part(intent.locality) }));
  });
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
  const ranks = endpoints.map(({ where }) => rankOf(where, rule, place));
  // Envoy wants priorities from 0 on, without a gap.
  const present = [...new Set(ranks)].sort((a, b) => a - b);
  return endpoints.map(({ intent }, i) => {
    const priority = present.indexOf(ranks[i]!);
    return priority === 0 ? intent : { ...intent, priority };
  });
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
