// SPDX-License-Identifier: Apache-2.0
// Which address an imported service's names resolve to. Where it begins to look is decided by the service's name alone, so
// that every cluster finds the same; what it has it keeps; and what somebody else has written down it leaves to him.
import { hash } from 'node:crypto';
import { blockHolds, type CidrBlock, parseCidr } from '../api/cidr.ts';
import { compare } from './digest.ts';
import type { ServiceName } from './types.ts';

/** Of class E, which nobody routes. Addresses that the control plane finds for ServiceEntries are of 240.240.0.0/16. */
const RANGE = { first: 244 * 2 ** 24, size: 2 ** 26 };

/** Who was there before keeps an address that two have. */
export interface AddressSeeker {
  readonly service: ServiceName;
  /** RFC 3339, since when it is exported. */
  readonly since: string;
}

export class VirtualAddresses {
  readonly #range: typeof RANGE;
  readonly #ofService = new Map<ServiceName, string>();
  readonly #owner = new Map<string, ServiceName>();
  /** Addresses that persons' ServiceEntries have -> how many of them. */
  readonly #reserved = new Map<string, number>();
  readonly #blocks = new Map<string, { readonly block: CidrBlock; count: number }>();

  constructor(range: typeof RANGE = RANGE) {
    this.#range = range;
  }

  /** An address, or a block of them, of a ServiceEntry that is not ours. Returns who has to look for another. */
  reserve(address: string): ServiceName[] {
    const block = blockOf(address);
    if (block === undefined) {
      this.#reserved.set(address, (this.#reserved.get(address) ?? 0) + 1);
      const owner = this.#owner.get(address);
      return owner === undefined ? [] : [owner];
    }
    const held = this.#blocks.get(address) ?? { block, count: 0 };
    held.count++;
    this.#blocks.set(address, held);
    return [...this.#owner].filter(([each]) => blockHolds(block, each)).map(([, service]) => service);
  }

  release(address: string): void {
    const held = this.#blocks.get(address);
    if (held !== undefined) {
      if (--held.count === 0) this.#blocks.delete(address);
      return;
    }
    const count = (this.#reserved.get(address) ?? 0) - 1;
    if (count > 0) this.#reserved.set(address, count);
    else this.#reserved.delete(address);
  }

  /** What the service has is written down already: it stays so, if nobody else has it. */
  recall(service: ServiceName, address: string): void {
    if (this.#ofService.has(service) || this.#owner.has(address) || !this.#isOfRange(address)) return;
    this.#give(service, address);
  }

  /** The address of each; who has none gets one, the oldest export first. */
  assign(seekers: readonly AddressSeeker[]): ReadonlyMap<ServiceName, string> {
    const byAge = [...seekers].sort(
      (a, b) => Date.parse(a.since) - Date.parse(b.since) || compare(a.service, b.service),
    );
    // First those that have one: nobody takes it from them.
    for (const { service } of byAge) {
      const address = this.#ofService.get(service);
      if (address !== undefined && this.#isReserved(address)) this.free(service);
    }
    return new Map(byAge.map(({ service }) => [service, this.#ofService.get(service) ?? this.#find(service)]));
  }

  /** Nobody has an address; those of persons stay theirs. */
  forget(): void {
    this.#ofService.clear();
    this.#owner.clear();
  }

  free(service: ServiceName): void {
    const address = this.#ofService.get(service);
    if (address === undefined) return;
    this.#ofService.delete(service);
    this.#owner.delete(address);
  }

  #give(service: ServiceName, address: string): string {
    this.#ofService.set(service, address);
    this.#owner.set(address, service);
    return address;
  }

  #find(service: ServiceName): string {
    const { first, size } = this.#range;
    const start = Number.parseInt(hash('sha256', service).slice(0, 12), 16) % size;
    for (let step = 0; step < size; step++) {
      const place = first + ((start + step) % size);
      // The first and the last of a block are not everybody's idea of an address.
      if (place % 256 === 0 || place % 256 === 255) continue;
      const address = [place >>> 24, (place >>> 16) & 255, (place >>> 8) & 255, place & 255].join('.');
      if (!this.#owner.has(address) && !this.#isReserved(address)) return this.#give(service, address);
    }
    throw new Error(`all ${size} addresses for imported services are taken`);
  }

  #isReserved(address: string): boolean {
    return this.#reserved.has(address) || [...this.#blocks.values()].some(({ block }) => blockHolds(block, address));
  }

  #isOfRange(address: string): boolean {
    const parts = address.split('.').map(Number);
    if (parts.length !== 4 || parts.some((part) => !(part >= 0 && part <= 255))) return false;
    const value = parts.reduce((sum, part) => sum * 256 + part, 0);
    return value >= this.#range.first && value < this.#range.first + this.#range.size;
  }
}

/**
 * Each of these addresses has one of IPv6 that goes with it: in 2001:2:0:1::/64, of the range for benchmarks (RFC 5180), which nobody
 * routes, beside those that the control plane finds for ServiceEntries.
 */
export function asIpv6(address: string): string {
  const [a = 0, b = 0, c = 0, d = 0] = address.split('.').map(Number);
  return `2001:2:0:1::${((a << 8) | b).toString(16)}:${((c << 8) | d).toString(16)}`;
}

function blockOf(address: string): CidrBlock | undefined {
  return address.includes('/') && !address.endsWith('/32') && !address.endsWith('/128')
    ? parseCidr(address)
    : undefined;
}
