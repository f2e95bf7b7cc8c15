// SPDX-License-Identifier: Apache-2.0
// Virtual addresses: each should lead to one owner, and each name of another cluster needs one.
import { isIP, isIPv6 } from 'node:net';
import { parseCidr } from '../../api/cidr.ts';
import { isSameObject, type ObjectRef } from '../../api/diagnostics.ts';
import type { MeshService, ServicePort } from '../snapshot.ts';
import { areOne, exportsOverlap } from './claims.ts';
import type { Say } from './known.ts';

/** The zone that istiocoredns answers for, with what ServiceEntries say. */
const ZONE = '.global';

export interface Claim {
  readonly service: MeshService;
  readonly address: string;
  /** Of the block, as text: one block holds another exactly if its text begins the other's. */
  readonly bits: string;
  /** In the ServiceEntry's list. */
  readonly at: number;
}

/** Two claims that cannot both be; `by` is the one that was looked at. */
export interface Contest {
  readonly by: Claim;
  readonly first: Claim;
  readonly second: Claim;
}

/** Of blocks, the longest first. */
export function lengthsOf(blocks: Iterable<string>): number[] {
  return [...new Set([...blocks].map(({ length }) => length))].sort((a, b) => b - a);
}

/** Rivals of those who claim one block, for it and for those around it. `blocks`: claims by block, in the order of `compareClaims`. */
export function contestsOf(
  bits: string,
  claims: readonly Claim[],
  blocks: ReadonlyMap<string, readonly Claim[]>,
  lengths: readonly number[],
): Contest[] {
  const around = lengths.filter((each) => each < bits.length).map((length) => blocks.get(bits.slice(0, length)));
  return claims.flatMap((by) =>
    [claims, ...around].flatMap((each) => {
      const other = each?.find((rival) => isRival(by, rival));
      if (other === undefined) return [];
      const [first, second] = compareOwners(by.service, other.service) <= 0 ? [by, other] : [other, by];
      return [{ by, first, second }];
    }),
  );
}

/** Of two claims to one address the lesser one is told: a Service's goes before an entry's, and the older before the younger. */
export function tellContests(contests: readonly Contest[], say: Say): void {
  const told = new Set<string>();
  for (const { first, second } of contests.toSorted((a, b) => compareClaims(a.by, b.by))) {
    // A wide block may hold the addresses of many: one of them says it.
    const owner = first.bits === second.bits ? first.service.key : '';
    const pair = `${second.service.key} ${second.at} ${owner}`;
    if (second.service.registry === 'kubernetes' || told.has(pair)) continue;
    told.add(pair);
    tell(first, second, say);
  }
}

/** As `4` or `6` and the bits of its prefix. */
function blockBits(address: string): string | undefined {
  const block = parseCidr(address.includes('/') ? address : `${address}/${isIPv6(address) ? 128 : 32}`);
  if (block === undefined) return undefined;
  const { family, base, prefix } = block;
  const bits = base.toString(2).padStart(family === 4 ? 32 : 128, '0');
  return `${family}${bits.slice(0, prefix)}`;
}

export function claimsOf(service: MeshService): Claim[] {
  const addresses =
    service.registry === 'service-entry'
      ? service.addresses
      : [...new Set(Object.values(service.clusters).flatMap((each) => each.addresses))];
  return addresses.flatMap((address, at) => {
    const bits = blockBits(address);
    return bits === undefined ? [] : [{ service, address, bits, at }];
  });
}

/** Hosts of one entry share its addresses on purpose; a wide block around a Service's address leaves that to the Service. */
function isRival(a: Claim, b: Claim): boolean {
  const isWide = a.bits !== b.bits && (a.service.registry === 'kubernetes' || b.service.registry === 'kubernetes');
  return (
    !isWide &&
    !isSameObject(a.service.origin, b.service.origin) &&
    !areOne(a.service, b.service) &&
    exportsOverlap(a.service, b.service)
  );
}

function tell(first: Claim, second: Claim, say: Say): void {
  const owner = `${nameOf(first.service.origin, second.service.origin)} (${first.service.hostname})`;
  const message =
    first.bits === second.bits
      ? `${second.address} belongs to ${owner} already, ${effectOn(second.service, first.service)}`
      : `${second.address} overlaps with ${first.address} of ${owner}: the narrower of the two has what they share`;
  const cure =
    first.service.registry === 'kubernetes'
      ? 'use an address outside of the clusters’ service ranges, as of 240.0.0.0/4'
      : 'give each host an address of its own';
  say(second.service.origin, 'ISM0105', `spec.addresses[${second.at}]`, message, cure);
}

function effectOn(later: MeshService, owner: MeshService): string {
  const shared = later.ports.filter(({ number }) => owner.ports.some((p) => p.number === number));
  const hidden = shared.filter((port) => !isHttp(port) || !owner.ports.some((p) => isHttp(p, port.number)));
  if (hidden.length > 0) return `so only one of them can be reached on port ${hidden.map((p) => p.number).join(', ')}`;
  return shared.length > 0 ? 'so only the host that HTTP names tells them apart' : 'so only ports tell them apart';
}

function isHttp(port: ServicePort, number = port.number): boolean {
  return port.number === number && (port.protocol === 'http' || port.protocol === 'http2');
}

/** A Service may be another cluster's; an object that is only previewed is of no cluster yet. */
function nameOf({ kind, namespace, name, cluster }: ObjectRef, besides: ObjectRef): string {
  const isElsewhere = besides.cluster !== undefined && cluster !== besides.cluster;
  return `${kind} ${namespace}/${name}${isElsewhere ? ` in ${cluster}` : ''}`;
}

function compareOwners(a: MeshService, b: MeshService): number {
  const rank = (service: MeshService) => Number(service.registry !== 'kubernetes');
  return rank(a) - rank(b) || a.createdAtMs - b.createdAtMs || (a.key < b.key ? -1 : a.key > b.key ? 1 : 0);
}

export function compareClaims(a: Claim, b: Claim): number {
  return compareOwners(a.service, b.service) || a.at - b.at;
}

/** `services`: all of one host. istiocoredns answers with what the oldest entry gives that gives anything. */
export function checkAddressless(host: string, services: readonly MeshService[], say: Say): void {
  if (!host.endsWith(ZONE)) return;
  const entries = services.filter((s) => s.registry === 'service-entry' && s.aliasOf === undefined);
  if (entries.some((s) => s.addresses.some(isAnswer))) return;
  for (const { addresses, allocated, origin } of entries) {
    if (allocated !== undefined) continue;
    const what = addresses.length === 0 ? 'no address' : `no single address (${addresses.join(', ')})`;
    const message = `${host} has ${what}, so it does not resolve by istiocoredns`;
    const cure = 'add one to spec.addresses that nothing else has, as of 240.0.0.0/4: nobody needs to route it';
    say(origin, 'ISM0110', 'spec.addresses', message, cure);
  }
}

function isAnswer(address: string): boolean {
  return isIP(address.replace(address.includes(':') ? /\/128$/ : /\/32$/, '')) !== 0;
}
