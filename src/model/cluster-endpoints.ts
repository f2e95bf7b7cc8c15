// SPDX-License-Identifier: Apache-2.0
// Endpoints of ServiceEntries that divide requests among clusters (docs/failover.md): other clusters' gateways, by address or
// by name, and the pods of a Service that the entry names. Kept up entry by entry; nobody goes through all of them.
import { isIP } from 'node:net';
import { CLUSTER_LABEL, PORTS_LABEL, SHORT_CLUSTER_LABEL } from '../api/export-names.ts';
import { clusterName } from '../api/names.ts';
import type { ServiceEntry, ServiceEntryEndpoint, ServiceEntrySpec } from '../api/service-entry.ts';
import { ANY_NETWORK, pairedByFamily } from './networks.ts';
import { sortEndpoints } from './registry.ts';
import type { Endpoint, EndpointSet, ServicePort } from './snapshot.ts';

/** A Kubernetes service as its endpoints are to be shown by another name. */
export interface NamedService {
  readonly ports: readonly Pick<ServicePort, 'name' | 'number'>[];
  readonly endpoints: EndpointSet;
}

/** `NAMESPACE/NAME` of an entry, and of a Kubernetes service. */
type EntryName = string;
type ServiceName = string;

/** What a need begins with that is a name to look up. */
const NAME = 'name ';

export class ClusterEndpoints {
  readonly #dnsDomain: string;
  readonly #needs = new Map<EntryName, readonly string[]>();
  /** What an entry needs, `name HOST` or `service NAMESPACE/NAME` -> entries. */
  readonly #needing = new Map<string, Set<EntryName>>();
  readonly #dirty = new Set<EntryName>();
  #answers: ReadonlyMap<string, readonly string[]> = new Map();
  /** undefined: they are others now than they were. */
  #names: readonly string[] | undefined = [];

  constructor(dnsDomain: string) {
    this.#dnsDomain = dnsDomain;
  }

  /** Names that somebody has to look up, sorted; see `setAnswers`. */
  get names(): readonly string[] {
    this.#names ??= [...this.#needing.keys()]
      .flatMap((need) => (need.startsWith(NAME) ? [need.slice(NAME.length)] : []))
      .sort();
    return this.#names;
  }

  setAnswers(answers: ReadonlyMap<string, readonly string[]>): void {
    const before = this.#answers;
    this.#answers = answers;
    for (const name of this.names) {
      if (`${before.get(name) ?? ''}` !== `${answers.get(name) ?? ''}`) this.#touch(`${NAME}${name}`);
    }
  }

  /** undefined, or an entry without `traffic`: it is none of these. */
  setEntry(name: EntryName, entry: ServiceEntry | undefined): void {
    const before = this.#needs.get(name);
    const needs = entry?.spec.traffic === undefined ? [] : this.#needsOf(entry.spec);
    if (before === undefined && needs.length === 0 && entry?.spec.traffic === undefined) return;
    if (entry?.spec.traffic === undefined) this.#needs.delete(name);
    else this.#needs.set(name, needs);
    for (const need of needs) this.#add(need, name);
    for (const need of before ?? []) if (!needs.includes(need)) this.#remove(need, name);
    this.#dirty.add(name);
  }

  /** The endpoints of a Kubernetes service are others now, or its ports are. */
  noteService(name: ServiceName): void {
    this.#touch(`service ${name}`);
  }

  /** Everybody has to look again: what endpoints are given from elsewhere has changed. */
  recount(): void {
    for (const name of this.#needs.keys()) this.#dirty.add(name);
  }

  /** Entries whose endpoints have to be made anew; none of them is named again. */
  takeDirty(): readonly EntryName[] {
    const dirty = [...this.#dirty];
    this.#dirty.clear();
    return dirty;
  }

  endpointsOf({ spec, ref }: ServiceEntry, find: (service: ServiceName) => NamedService | undefined): EndpointSet {
    const found = spec.endpoints.flatMap((endpoint): readonly Endpoint[] => {
      const service = serviceNamed(endpoint.address, this.#dnsDomain);
      if (service !== undefined) return renamed(find(service), spec.ports);
      const { address } = endpoint;
      const addresses = isIP(address) === 0 ? (this.#answers.get(address) ?? []) : [address];
      const place = { spec, cluster: ref.cluster ?? '' };
      return pairedByFamily(addresses).map((pair) => ({ ...gatewayEndpoint(endpoint, pair.address, place), ...pair }));
    });
    return sortEndpoints(found);
  }

  #needsOf({ endpoints }: ServiceEntrySpec): string[] {
    const needs = endpoints.flatMap(({ address }) => {
      const service = serviceNamed(address, this.#dnsDomain);
      if (service !== undefined) return [`service ${service}`];
      return address === '' || isIP(address) !== 0 ? [] : [`${NAME}${address}`];
    });
    return [...new Set(needs)];
  }

  #add(need: string, entry: EntryName): void {
    const entries = this.#needing.get(need);
    if (entries !== undefined) entries.add(entry);
    else {
      this.#needing.set(need, new Set([entry]));
      if (need.startsWith(NAME)) this.#names = undefined;
    }
  }

  #remove(need: string, entry: EntryName): void {
    const entries = this.#needing.get(need);
    entries?.delete(entry);
    if (entries?.size !== 0) return;
    this.#needing.delete(need);
    if (need.startsWith(NAME)) this.#names = undefined;
  }

  #touch(need: string): void {
    for (const entry of this.#needing.get(need) ?? []) this.#dirty.add(entry);
  }
}

/** `reviews.default.svc.cluster.local` -> `default/reviews`; undefined for any other name. */
function serviceNamed(address: string, dnsDomain: string): ServiceName | undefined {
  const suffix = `.svc.${dnsDomain}`;
  if (!address.endsWith(suffix)) return undefined;
  const [name, namespace, ...rest] = address.slice(0, -suffix.length).split('.');
  return name && namespace && rest.length === 0 ? `${namespace}/${name}` : undefined;
}

/** The service's endpoints, their ports under the names that the entry has for the same numbers. */
function renamed(service: NamedService | undefined, ports: ServiceEntrySpec['ports']): readonly Endpoint[] {
  if (service === undefined) return [];
  const names = ports.flatMap(({ name, number }) => {
    const own = service.ports.find((port) => port.number === number);
    return own === undefined ? [] : [[name, own.name] as const];
  });
  if (names.length === service.ports.length && names.every(([name, own]) => name === own)) return service.endpoints;
  return service.endpoints.map((endpoint) => {
    const found = names.flatMap(([name, own]) =>
      endpoint.ports[own] === undefined ? [] : [[name, endpoint.ports[own]] as const],
    );
    return { ...endpoint, ports: Object.fromEntries(found) };
  });
}

/** Its weight are the pods that stand behind it, with the labels that it has. */
function gatewayEndpoint(
  { labels, ports, locality = '', network, weight }: ServiceEntryEndpoint,
  address: string,
  { spec, cluster }: { readonly spec: ServiceEntrySpec; readonly cluster: string },
): Endpoint {
  const isListed = labels[PORTS_LABEL] !== undefined;
  const known = spec.ports.filter(({ name }) => !isListed || ports[name] !== undefined);
  return {
    address,
    ports: Object.fromEntries(known.map((p) => [p.name, ports[p.name] ?? p.targetPort ?? p.number])),
    labels,
    cluster: clusterName(labels[CLUSTER_LABEL] ?? labels[SHORT_CLUSTER_LABEL] ?? cluster),
    network: network || ANY_NETWORK,
    locality,
    nodeName: '',
    // In Istio's API a weight of 0 is one that nobody gave.
    weight: weight || 1,
    identity: undefined,
    meshed: true,
    draining: false,
    shared: true,
  };
}
