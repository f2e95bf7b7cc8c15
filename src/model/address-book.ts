// SPDX-License-Identifier: Apache-2.0
// Addresses for ServiceEntries that give none: which of 240.240.0.0/16 each host gets. What the statuses say already stays;
// what is new starts at a place that its name alone decides, so that two who write at once write the same.
import { hash } from 'node:crypto';
import type { ObjectRef } from '../api/diagnostics.ts';
import { changesBetween } from '../incremental/derived-map.ts';
import { compareServiceAges } from './service-facts.ts';
import type { MeshService, ServiceKey } from './snapshot.ts';

/** Of class E, which nobody routes: where Istio finds its own. */
const NETWORK = '240.240';
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

  /** All services as they are now. */
  take(services: ReadonlyMap<ServiceKey, MeshService>): void {
    const changed = changesBetween(this.#taken, services);
    this.#taken = services;
    for (const key of changed ?? new Set([...this.#services.keys(), ...services.keys()])) {
      this.#replace(key, services.get(key));
    }
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
    if (next.allocated?.length === 0) this.#unsettled.add(name);
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
      const values = held.length > 0 ? held : [this.#choose(service)];
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

  #choose({ key }: MeshService): string {
    const start = Number.parseInt(hash('sha256', key).slice(0, 8), 16) % SIZE;
    for (let step = 0; step < SIZE; step++) {
      const place = (start + step) % SIZE;
      const address = `${NETWORK}.${place >> 8}.${place & 255}`;
      // The first and the last of a block are not everybody's idea of an address.
      if ((place & 255) === 0 || (place & 255) === 255) continue;
      if ((this.#owners.get(address)?.size ?? 0) === 0) return address;
    }
    throw new Error(`all addresses of ${NETWORK}.0.0/16 are taken`);
  }
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
