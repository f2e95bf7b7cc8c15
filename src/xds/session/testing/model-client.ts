// SPDX-License-Identifier: Apache-2.0
// A delta client that behaves as Envoy does, as far as the order of things matters: it asks for listeners once it has
// clusters, for endpoints of its clusters and routes of its listeners; it acknowledges clusters when they are warm, takes
// the good part of a refused CDS or LDS response, and nothing of a refused EDS or RDS response.
import type { SessionRequest, SessionResponse } from '../session.ts';
import { CLUSTER_TYPE, ENDPOINT_TYPE, LISTENER_TYPE, ROUTE_TYPE } from '../type-urls.ts';

/** What test resources hold, as JSON: names of what they refer to, and whether the client refuses them. */
export interface ModelValue {
  readonly refs: readonly string[];
  readonly isBad: boolean;
  readonly revision: number;
}

interface Copy {
  readonly version: string;
  readonly value: ModelValue;
}

const PARTIAL: ReadonlySet<string> = new Set([CLUSTER_TYPE, LISTENER_TYPE]);

export class ModelClient {
  readonly copies = new Map<string, Map<string, Copy>>(
    [CLUSTER_TYPE, ENDPOINT_TYPE, LISTENER_TYPE, ROUTE_TYPE].map((type) => [type, new Map()]),
  );
  /** Clusters that wait for their endpoints; those in `usable` have been warm before. */
  readonly warming = new Set<string>();
  readonly usable = new Set<string>();
  readonly requests: SessionRequest[] = [];
  readonly refused = new Map<string, string>();
  /** Set to never finish warming. */
  isStuck = false;
  #waitingAck: SessionRequest | undefined;
  #owesClusterRequest = false;
  #asked = new Map<string, Set<string>>();

  constructor() {
    this.reconnect();
  }

  of(type: string): Map<string, Copy> {
    return this.copies.get(type) as Map<string, Copy>;
  }

  /** A new stream: what is on the way is lost, what the client holds stays. While clusters warm it does not ask for them. */
  reconnect(): void {
    this.requests.length = 0;
    this.#waitingAck = undefined;
    const asked = this.#asked;
    this.#asked = new Map();
    this.#owesClusterRequest = this.warming.size > 0;
    if (!this.#owesClusterRequest) this.#ask(CLUSTER_TYPE, [], []);
    for (const [type, names] of asked) if (type !== CLUSTER_TYPE) this.#ask(type, [...names], []);
  }

  receive(response: SessionResponse): void {
    const { typeUrl } = response;
    const copies = this.of(typeUrl);
    const read = response.resources.map((each) => ({
      ...each,
      parsed: JSON.parse(Buffer.from(each.value).toString()) as ModelValue,
    }));
    const bad = read.filter((each) => each.parsed.isBad);
    const good = bad.length === 0 ? read : PARTIAL.has(typeUrl) ? read.filter((each) => !each.parsed.isBad) : [];
    // What it no longer asks for may still be on the way.
    const taken = good.filter((each) => PARTIAL.has(typeUrl) || this.#asked.get(typeUrl)?.has(each.name) === true);
    for (const each of taken) copies.set(each.name, { version: each.version, value: each.parsed });
    if (bad.length === 0 || PARTIAL.has(typeUrl)) for (const name of response.removed) copies.delete(name);
    for (const each of bad) this.refused.set(`${typeUrl} ${each.name}`, each.version);
    const answer = request(typeUrl, response.nonce, bad.length > 0 ? `refused ${bad.length}` : undefined);
    if (typeUrl === CLUSTER_TYPE)
      this.#takeClusters(
        taken.map((each) => each.name),
        response.removed,
        answer,
      );
    else this.requests.push(answer);
    if (typeUrl === LISTENER_TYPE)
      this.#follow(
        ROUTE_TYPE,
        [...copies.values()].flatMap((copy) => copy.value.refs),
      );
    if (typeUrl === ENDPOINT_TYPE && !this.isStuck)
      this.#warm([...response.resources.map((each) => each.name), ...response.removed]);
  }

  #takeClusters(changed: readonly string[], removed: readonly string[], answer: SessionRequest): void {
    for (const name of removed) {
      this.warming.delete(name);
      this.usable.delete(name);
    }
    for (const name of changed) this.warming.add(name);
    this.#waitingAck = answer;
    this.#follow(ENDPOINT_TYPE, [...this.of(CLUSTER_TYPE).keys()]);
    this.#warm([]);
    if (!this.#asked.has(LISTENER_TYPE)) this.#ask(LISTENER_TYPE, [], []);
  }

  #warm(names: readonly string[]): void {
    for (const name of names) if (this.warming.delete(name)) this.usable.add(name);
    if (this.warming.size > 0) return;
    if (this.#waitingAck !== undefined) this.requests.push(this.#waitingAck);
    this.#waitingAck = undefined;
    if (this.#owesClusterRequest) this.#ask(CLUSTER_TYPE, [], []);
    this.#owesClusterRequest = false;
  }

  #follow(type: string, wanted: readonly string[]): void {
    const asked = this.#asked.get(type) ?? new Set();
    const gained = [...new Set(wanted)].filter((name) => !asked.has(name));
    const lost = [...asked].filter((name) => !wanted.includes(name));
    for (const name of lost) this.of(type).delete(name);
    if (gained.length > 0 || lost.length > 0) this.#ask(type, gained, lost);
  }

  #ask(type: string, gained: readonly string[], lost: readonly string[]): void {
    const known = this.#asked.get(type);
    const asked = known ?? new Set<string>();
    for (const name of gained) asked.add(name);
    for (const name of lost) asked.delete(name);
    this.#asked.set(type, asked);
    const initialVersions =
      known === undefined ? [...this.of(type)].map(([name, copy]): [string, string] => [name, copy.version]) : [];
    this.requests.push({ ...request(type, '', undefined), subscribe: gained, unsubscribe: lost, initialVersions });
  }
}

export function request(typeUrl: string, nonce: string, errorMessage: string | undefined): SessionRequest {
  return { typeUrl, nonce, errorMessage, subscribe: [], unsubscribe: [], initialVersions: [] };
}
