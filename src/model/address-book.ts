// SPDX-License-Identifier: Apache-2.0
// Addresses for ServiceEntries that give none: which of 240.240.0.0/16 each host gets, and which of 2001:2::/48 where pods have
// IPv6 addresses. What the statuses say already stays;
// what is new starts at a place that its name alone decides, so that two who write at once write the same.
import { hash } from 'node:crypto';
import { isIPv4, isIPv6 } from 'node:net';
import type { ObjectRef } from '../api/diagnostics.ts';
import { changesBetween } from '../incremental/derived-map.ts';
import { compareServiceAges } from './service-facts.ts';
import type { MeshService, ServiceKey } from './snapshot.ts';

/** Where Istio finds its own: of class E, and for benchmarks (RFC 5180). Nobody routes either. */
const NETWORK = { IPv4: '240.240', IPv6: '2001:2:' } as const;
const SIZE = 1 << 16;

export interface AddressedHost {
  readonly host: string;
  readonly value: string;
}

export interface Allocation {
  readonly entry: ObjectRef;
  /** All addresses of its hosts, by host. */
  readonly addresses: readonly AddressedHost[];
}

/** Kept up with the services that change; costs what changes. */
export class AddressBook {
  readonly #services = new Map<ServiceKey, MeshService>();
  /** `NAMESPACE/NAME` of an entry -> keys of its services. */
  readonly #entries = new Map<string, Set<ServiceKey>>();
  readonly #owners = new Map<string, Set<ServiceKey>>();
  readonly #unsettled = new Set<string>();
  #taken: ReadonlyMap<ServiceKey, MeshService> | undefined;
  #hasIpv6 = false;

  /** All services as they are now. `hasIpv6`: there are pods that dial IPv6; who has such an address keeps it when there are none. */
  take(services: ReadonlyMap<ServiceKey, MeshService>, hasIpv6: boolean): void {
    const isNew = hasIpv6 && !this.#hasIpv6;
    this.#hasIpv6 = hasIpv6;
    const changed = changesBetween(this.#taken, services);
    this.#taken = services;
    for (const key of changed ?? new Set([...this.#services.keys(), ...services.keys()])) {
      this.#replace(key, services.get(key));
    }
    if (isNew) for (const service of this.#services.values()) this.#settle(service);
  }

  /** What has to be written so that every host that takes an address has one, and no two the same. */
  plan(): Allocation[] {
    const plans = [...this.#unsettled].sort().flatMap((name) => this.#planOf(name) ?? []);
    this.#unsettled.clear();
    return plans;
  }

  /** The plan for the entry was not carried out. */
  retry({ namespace, name }: ObjectRef): void {
    this.#unsettled.add(`${namespace}/${name}`);
  }

  #replace(key: ServiceKey, next: MeshService | undefined): void {
    const before = this.#services.get(key);
    if (before === next || (before ?? next)?.registry !== 'service-entry') return;
    const name = nameOf((next ?? before)!);
    for (const address of before === undefined ? [] : addressesOf(before)) this.#owners.get(address)?.delete(key);
    const keys = this.#entries.get(name) ?? new Set<ServiceKey>();
    if (next === undefined) {
      this.#services.delete(key);
      keys.delete(key);
    } else {
      this.#services.set(key, next);
      keys.add(key);
    }
    if (keys.size === 0) this.#entries.delete(name);
    else this.#entries.set(name, keys);
    if (next === undefined) return;
    for (const address of addressesOf(next)) {
      const owners = this.#owners.get(address) ?? new Set<ServiceKey>();
      this.#owners.set(address, owners.add(key));
      if (owners.size > 1) for (const owner of owners) this.#unsettled.add(nameOf(this.#services.get(owner)!));
    }
    this.#settle(next);
  }

  /** The entry is looked at again where one of its hosts has not all the addresses that it takes. */
  #settle(service: MeshService): void {
    const { allocated } = service;
    if (allocated !== undefined && this.#missing(allocated).length > 0) this.#unsettled.add(nameOf(service));
  }

  #missing(held: readonly string[]): (keyof typeof NETWORK)[] {
    return [
      ...(held.some(isIPv4) ? [] : ['IPv4' as const]),
      ...(this.#hasIpv6 && !held.some(isIPv6) ? ['IPv6' as const] : []),
    ];
  }

  #planOf(name: string): Allocation | undefined {
    const services = [...(this.#entries.get(name) ?? [])].map((key) => this.#services.get(key)!);
    const takers = services
      .filter(({ allocated }) => allocated !== undefined)
      .sort((a, b) => (a.hostname < b.hostname ? -1 : 1));
    const [first] = takers;
    if (first === undefined) return undefined;
    const addresses = takers.flatMap((service) => {
      const held = service.allocated!.filter((address) => this.#keeps(service, address));
      const values = [...held, ...this.#missing(held).map((family) => this.#choose(service, family))];
      for (const value of values) this.#owners.set(value, (this.#owners.get(value) ?? new Set()).add(service.key));
      return values.map((value) => ({ host: service.hostname, value }));
    });
    const known = takers.flatMap(({ hostname, allocated }) => allocated!.map((value) => ({ host: hostname, value })));
    return JSON.stringify(known) === JSON.stringify(addresses) ? undefined : { entry: first.origin, addresses };
  }

  /** Of those who have one address, whoever wrote it down himself keeps it, then the oldest. */
  #keeps(service: MeshService, address: string): boolean {
    const owners = [...(this.#owners.get(address) ?? [])].flatMap((key) => this.#services.get(key) ?? []);
    return !owners.some((other) => other !== service && compare(other, service, address) < 0);
  }

  #choose({ key }: MeshService, family: keyof typeof NETWORK): string {
    const start = Number.parseInt(hash('sha256', key).slice(0, 8), 16) % SIZE;
    for (let step = 0; step < SIZE; step++) {
      const place = (start + step) % SIZE;
      const address = addressAt(family, place);
      // The first and the last of a block are not everybody's idea of an address.
      if ((place & 255) === 0 || (place & 255) === 255) continue;
      if ((this.#owners.get(address)?.size ?? 0) === 0) return address;
    }
    throw new Error(`all ${SIZE} addresses below ${NETWORK[family]} are taken`);
  }
}

function addressAt(family: keyof typeof NETWORK, place: number): string {
  return family === 'IPv4' ? `${NETWORK.IPv4}.${place >> 8}.${place & 255}` : `${NETWORK.IPv6}:${place.toString(16)}`;
}

function addressesOf(service: MeshService): readonly string[] {
  return [...service.addresses, ...(service.allocated ?? [])];
}

function nameOf({ origin }: MeshService): string {
  return `${origin.namespace}/${origin.name}`;
}

function compare(a: MeshService, b: MeshService, address: string): number {
  const rank = (service: MeshService) => (service.addresses.includes(address) ? 0 : 1);
  return rank(a) - rank(b) || compareServiceAges(a, b);
}
