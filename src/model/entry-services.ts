// SPDX-License-Identifier: Apache-2.0
// Services that ServiceEntries make. Entries of one namespace for one host that say the same of who sees it, where it is and
// how its endpoints are found are one service: the ports of all, each with the endpoints of those that have it. What they
// cannot both have is the oldest entry's.
import type { Steps } from '../incremental/steps.ts';
import { compareServiceAges } from './service-facts.ts';
import type { Endpoint, EndpointSet, MeshService, ServiceKey, ServicePort } from './snapshot.ts';

/** A service, with the endpoints that are told to proxies apart from it. */
export interface MadeService {
  readonly service: MeshService;
  readonly endpoints: EndpointSet;
}

/** `NAMESPACE/NAME` of an entry. */
type EntryName = string;

export class EntryServices {
  readonly #hostsOf = new Map<EntryName, readonly string[]>();
  /** `NAMESPACE/HOST` -> what each entry makes for it. */
  readonly #groups = new Map<string, Map<EntryName, MadeService>>();
  readonly #keys = new Map<string, readonly ServiceKey[]>();
  readonly #dirty = new Set<string>();

  /** One service for each host of the entry; none when it is gone. */
  set(name: EntryName, made: readonly MadeService[]): void {
    for (const host of this.#hostsOf.get(name) ?? []) {
      this.#groups.get(host)?.delete(name);
      this.#dirty.add(host);
    }
    const hosts = made.map(({ service }) => `${service.namespace}/${service.hostname}`);
    if (hosts.length === 0) this.#hostsOf.delete(name);
    else this.#hostsOf.set(name, hosts);
    hosts.forEach((host, i) => {
      const group = this.#groups.get(host) ?? new Map<EntryName, MadeService>();
      this.#groups.set(host, group.set(name, made[i]!));
      this.#dirty.add(host);
    });
  }

  /** Services of which there is news; undefined: gone. Each is told of once. */
  *settle(): Steps<Map<ServiceKey, MadeService | undefined>> {
    const news = new Map<ServiceKey, MadeService | undefined>();
    for (const host of this.#dirty) {
      const members = [...(this.#groups.get(host)?.values() ?? [])];
      if (members.length === 0) this.#groups.delete(host);
      const services = joinEntries(members);
      for (const key of this.#keys.get(host) ?? []) news.set(key, undefined);
      for (const made of services) news.set(made.service.key, made);
      if (services.length === 0) this.#keys.delete(host);
      else
        this.#keys.set(
          host,
          services.map(({ service }) => service.key),
        );
      yield;
    }
    this.#dirty.clear();
    return news;
  }
}

/** What entries of one namespace for one host come to. */
function joinEntries(members: readonly MadeService[]): MadeService[] {
  if (members.length < 2) return [...members];
  const sorted = members.toSorted((a, b) => compareServiceAges(a.service, b.service));
  const groups = Map.groupBy(sorted, ({ service }) => service.likeness ?? service);
  return [...groups.values()].map((group) => (group.length === 1 ? group[0]! : join(group)));
}

function join(members: readonly MadeService[]): MadeService {
  const [{ service: first }] = members as [MadeService];
  const ports = joinPorts(members.map(({ service }) => service));
  const all = joinEndpoints(
    members.flatMap(({ service, endpoints }) =>
      [...service.dnsEndpoints, ...endpoints].map((endpoint) => withPorts(endpoint, service, ports)),
    ),
  );
  // One name to look up among addresses has all of them looked up.
  const byDns = members.find(({ service }) => service.resolution.startsWith('dns'))?.service.resolution;
  const union = (of: (service: MeshService) => readonly string[]) => [
    ...new Set(members.flatMap(({ service }) => of(service))),
  ];
  const written = union(({ addresses }) => addresses);
  const allocated = union((service) => service.allocated ?? []).sort();
  const service: MeshService = {
    ...first,
    resolution: byDns ?? first.resolution,
    ports,
    // Beside addresses that somebody wrote down, those that were given to the others are its own as well: clients know them.
    ...(written.length > 0
      ? { addresses: [...new Set([...written, ...allocated])], allocated: undefined }
      : { addresses: written, allocated: first.allocated && allocated }),
    dnsEndpoints: byDns === undefined ? [] : all,
    namesWorkloads: members.every(({ service }) => service.namesWorkloads),
    networks: union(({ networks }) => networks).sort(),
  };
  return { service, endpoints: byDns === undefined ? all : [] };
}

/** By number, the oldest first; names stay apart. */
function joinPorts(services: readonly MeshService[]): ServicePort[] {
  const ports = new Map<number, ServicePort>();
  const names = new Set<string>();
  for (const port of services.flatMap((service) => service.ports)) {
    if (ports.has(port.number)) continue;
    const name = names.has(port.name) ? `${port.name}-${port.number}` : port.name;
    names.add(name);
    ports.set(port.number, name === port.name ? port : { ...port, name });
  }
  return [...ports.values()];
}

/** Its ports by the names that the joined service has for them. */
function withPorts(endpoint: Endpoint, own: MeshService, joined: readonly ServicePort[]): Endpoint {
  const ports = own.ports.flatMap(({ name, number }) => {
    const target = endpoint.ports[name];
    const known = joined.find((port) => port.number === number);
    return target === undefined || known === undefined ? [] : [[known.name, target] as const];
  });
  return { ...endpoint, ports: Object.fromEntries(ports) };
}

/** What differs in nothing but the ports is one endpoint. */
function joinEndpoints(endpoints: readonly Endpoint[]): Endpoint[] {
  const known = new Map<string, Endpoint[]>();
  for (const endpoint of endpoints) {
    const { ports, ...rest } = endpoint;
    const alike = known.get(JSON.stringify(rest)) ?? [];
    known.set(JSON.stringify(rest), alike);
    const at = alike.findIndex((other) => Object.entries(ports).every(([n, p]) => (other.ports[n] ?? p) === p));
    if (at < 0) alike.push(endpoint);
    else alike[at] = { ...alike[at]!, ports: { ...alike[at]!.ports, ...ports } };
  }
  return [...known.values()].flat();
}
