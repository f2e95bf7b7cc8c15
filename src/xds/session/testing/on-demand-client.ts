// SPDX-License-Identifier: Apache-2.0
// A delta client that fetches clusters and virtual hosts when it needs them, as Envoy 1.40 does: it asks once by each name,
// whatever the answer; a request waits until an answer has its name; a response that names a resource twice, or leaves a
// table with one domain twice, is refused whole; a new stream carries every name ever asked and what is held.
import type { SessionRequest, SessionResponse } from '../session.ts';
import { CLUSTER_TYPE, ROUTE_TYPE, VIRTUAL_HOST_TYPE } from '../type-urls.ts';
import { MISSING_VERSION } from '../virtual-host-asks.ts';
import { request } from './model-client.ts';

/** What test virtual hosts hold, as JSON. */
export interface HostValue {
  readonly domains: readonly string[];
  readonly revision: number;
}

interface Copy {
  readonly version: string;
  readonly domains: readonly string[];
}

export class OnDemandClient {
  readonly requests: SessionRequest[] = [];
  readonly refusals: string[] = [];
  readonly hosts = new Map<string, Copy>();
  readonly clusters = new Map<string, string>();
  /** `TABLE/domain`, and names of clusters: requests that wait. */
  readonly waiting = new Set<string>();
  readonly askedHosts = new Set<string>();
  readonly askedClusters = new Set<string>();
  readonly #tables: readonly string[];
  /** Tables that have been served virtual hosts, or told that there are none. */
  readonly started = new Set<string>();
  readonly #tableVersions = new Map<string, string>();
  readonly #missing = new Set<string>();
  #hasAskedHosts = false;

  constructor(tables: readonly string[]) {
    this.#tables = tables;
    this.reconnect();
  }

  /** A request for a host of a table. */
  request(table: string, domain: string): void {
    if (this.#routeOf(table, domain) !== undefined) return;
    const name = `${table}/${domain}`;
    if (this.askedHosts.has(name)) return;
    this.askedHosts.add(name);
    this.waiting.add(name);
    if (this.#hasAskedHosts) this.requests.push({ ...request(VIRTUAL_HOST_TYPE, '', undefined), subscribe: [name] });
  }

  /** A request whose route names a cluster. */
  use(cluster: string): void {
    if (this.clusters.has(cluster) || this.askedClusters.has(cluster)) return;
    this.askedClusters.add(cluster);
    this.waiting.add(cluster);
    this.requests.push({ ...request(CLUSTER_TYPE, '', undefined), subscribe: [cluster] });
  }

  /** The name of the virtual host that takes a request. */
  #routeOf(table: string, domain: string): string | undefined {
    return [...this.hosts].find(([name, copy]) => name.startsWith(`${table}/`) && copy.domains.includes(domain))?.[0];
  }

  reconnect(): void {
    this.requests.length = 0;
    this.#hasAskedHosts = this.started.size > 0 || this.#tableVersions.size > 0;
    this.requests.push({
      ...request(CLUSTER_TYPE, '', undefined),
      subscribe: this.askedClusters.size > 0 || this.clusters.size > 0 ? ['*', ...this.askedClusters] : [],
      initialVersions: [...this.clusters],
    });
    this.requests.push({
      ...request(ROUTE_TYPE, '', undefined),
      subscribe: this.#tables,
      initialVersions: [...this.#tableVersions],
    });
    if (this.#hasAskedHosts) this.#askHosts();
  }

  #askHosts(): void {
    this.#hasAskedHosts = true;
    const held = [...this.hosts].map(([name, { version }]): [string, string] => [name, version]);
    this.requests.push({
      ...request(VIRTUAL_HOST_TYPE, '', undefined),
      subscribe: [...this.askedHosts],
      initialVersions: [...held, ...[...this.#missing].map((name): [string, string] => [name, MISSING_VERSION])],
    });
  }

  receive(response: SessionResponse): void {
    const { typeUrl, nonce } = response;
    const problem = typeUrl === VIRTUAL_HOST_TYPE ? this.#takeHosts(response) : this.#takeOthers(response);
    if (problem !== undefined) this.refusals.push(problem);
    this.requests.push(request(typeUrl, nonce, problem));
    if (typeUrl === ROUTE_TYPE && !this.#hasAskedHosts) this.#askHosts();
  }

  #takeOthers({ typeUrl, resources, removed }: SessionResponse): undefined {
    const copies = typeUrl === CLUSTER_TYPE ? this.clusters : this.#tableVersions;
    for (const { name, version } of resources) copies.set(name, version);
    for (const name of removed) copies.delete(name);
    for (const name of [...resources.map((each) => each.name), ...removed]) this.waiting.delete(name);
  }

  #takeHosts({ resources, named = [], removed }: SessionResponse): string | undefined {
    const names = [
      ...resources.map(({ name }) => name),
      ...named.map(({ resource, asked }) => resource?.name ?? asked[0]!),
    ];
    const all = [...names, ...removed];
    if (new Set(all).size < all.length) return `a name twice among ${all.join()}`;
    const next = new Map(this.hosts);
    for (const name of removed) next.delete(name);
    for (const resource of [...resources, ...named.flatMap((answer) => answer.resource ?? [])]) {
      const { domains } = JSON.parse(Buffer.from(resource.value).toString()) as HostValue;
      next.set(resource.name, { version: resource.version, domains });
    }
    for (const table of this.#tables) {
      const domains = [...next].filter(([name]) => name.startsWith(`${table}/`)).flatMap(([, copy]) => copy.domains);
      if (new Set(domains).size < domains.length) return `a domain twice among ${domains.join()}`;
    }
    this.hosts.clear();
    for (const [name, copy] of next) this.hosts.set(name, copy);
    for (const { resource, asked } of named) {
      for (const name of asked) this.waiting.delete(name);
      if (resource === undefined) for (const name of asked) this.#missing.add(name);
    }
    for (const name of removed) this.#missing.delete(name);
    for (const name of all) this.started.add(name.slice(0, name.indexOf('/')));
    return undefined;
  }
}
