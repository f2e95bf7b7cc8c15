// SPDX-License-Identifier: Apache-2.0
// Virtual hosts on demand (VHDS), as far as they differ from other types. A proxy asks for `TABLE/host` when a request needs
// that host; the answer is a resource of another name, which says by its aliases whom it answers. What is pushed of the
// route configurations that it has asked for, it takes without asking: its first request names nothing. What Envoy makes
// of the answers:
//
//  - A request waits until an answer has its name among the aliases: one without a resource means that there is no such
//    host. Silence or a removal leaves it waiting.
//  - It never asks by the same name twice, whatever the answer was: once there is such a host, or another one has the name,
//    that has to be pushed.
//  - A table starts to serve with the first answer that names something in it. Where there is nothing to send, the removal
//    of a host that nobody has serves as well (`TABLE/none`). The same behind each new version of the table.
//
// https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_conn_man/vhds
import type { XdsResource } from '../types.ts';
import type { TypeState } from './type-state.ts';

/** A resource for those who asked for it by these names; without one, there is none. */
export interface NamedAnswer {
  readonly resource: XdsResource | undefined;
  readonly asked: readonly string[];
}

/** The version under which a client holds that there is no such host. */
export const MISSING_VERSION = 'none';

/** Beyond that the oldest are forgotten: a client can make up as many names as it likes. */
const MAX_NAMES = 10_000;
/**
 * Longer than the name of any host with its table and port. Whoever sends requests to the proxy chooses these names, and
 * Envoy takes some ten thousand characters for a host: such a one is answered, and not remembered.
 */
const MAX_NAME_LENGTH = 512;

export class VirtualHostAsks {
  /** Every name that was asked for -> the host's own, if there is one. */
  readonly #names = new Map<string, string | undefined>();
  /** A host's own name -> the names that it was asked by. */
  readonly #asked = new Map<string, Set<string>>();
  readonly #missing = new Set<string>();
  /** Tables that wait for an answer, whatever is in it. */
  readonly #dueTables = new Set<string>();
  /** What was sent, and may yet be refused. */
  #sent: readonly NamedAnswer[] = [];

  get isEmpty(): boolean {
    return this.#asked.size + this.#missing.size + this.#dueTables.size === 0;
  }

  /** How many names are kept in case that a host comes to have them. */
  get remembered(): number {
    return this.#names.size;
  }

  /** How many questions stand without an answer. */
  get size(): number {
    let size = this.#missing.size + this.#dueTables.size;
    for (const names of this.#asked.values()) size += names.size;
    return size;
  }

  /** Length of their names, which the client chooses. */
  get bytes(): number {
    let bytes = 0;
    for (const name of this.#missing) bytes += name.length;
    for (const names of this.#asked.values()) for (const name of names) bytes += name.length;
    return bytes;
  }

  subscribe(state: TypeState, names: readonly string[]): void {
    for (const name of names) {
      const own = state.resolve(name);
      if (name.length <= MAX_NAME_LENGTH) this.#remember(name, own);
      if (own === undefined) {
        this.#missing.add(name);
        continue;
      }
      state.subscribe(own);
      this.#ask(own, name);
    }
  }

  unsubscribe(state: TypeState, names: readonly string[]): void {
    for (const name of names) {
      this.#names.delete(name);
      state.unsubscribe(state.resolve(name) ?? name);
    }
  }

  /** There are other hosts than before: names may mean others now. */
  resolveAgain(state: TypeState): void {
    for (const [name, before] of this.#names) {
      const own = state.resolve(name);
      if (own === before) continue;
      this.#names.set(name, own);
      if (own === undefined || state.held.has(own)) continue;
      state.subscribe(own);
      this.#ask(own, name);
    }
  }

  /** Names of an earlier stream: what the client holds already answers them, and so does what it knows to be missing. */
  resumed(state: TypeState, versions: readonly (readonly [string, string])[]): void {
    for (const [name, version] of versions) if (version === MISSING_VERSION) this.#missing.delete(name);
    for (const own of this.#asked.keys()) if (!state.upserts.has(own)) this.#asked.delete(own);
  }

  /** The client has these tables, or a new version of them is on its way. */
  tablesSent(tables: Iterable<string>): void {
    for (const table of tables) this.#dueTables.add(table);
  }

  /** Turns what goes into a response into answers to whoever asked. */
  take(
    upserts: readonly XdsResource[],
    removals: readonly string[],
  ): { plain: XdsResource[]; named: NamedAnswer[]; removed: string[] } {
    const plain: XdsResource[] = [];
    const named: NamedAnswer[] = [];
    for (const resource of upserts) {
      const asked = this.#asked.get(resource.name);
      this.#asked.delete(resource.name);
      if (asked === undefined) plain.push(resource);
      else named.push({ resource, asked: [...asked] });
    }
    // Gone between question and answer.
    for (const own of removals) {
      for (const name of this.#asked.get(own) ?? []) this.#missing.add(name);
      this.#asked.delete(own);
    }
    for (const name of this.#missing) named.push({ resource: undefined, asked: [name] });
    this.#missing.clear();
    const removed = [...removals, ...[...this.#dueTables].map((table) => `${table}/none`)];
    this.#dueTables.clear();
    this.#sent = named;
    return { plain, named, removed };
  }

  /** The last response was refused: parts of it are tried again, or what it answered has no answer. */
  refused(isTriedAgain: boolean): void {
    for (const { resource, asked } of this.#sent) {
      for (const name of asked) {
        if (isTriedAgain && resource !== undefined) this.#ask(resource.name, name);
        else this.#missing.add(name);
      }
    }
    this.#sent = [];
  }

  #remember(name: string, own: string | undefined): void {
    this.#names.delete(name);
    this.#names.set(name, own);
    for (const [oldest] of this.#names) {
      if (this.#names.size <= MAX_NAMES) return;
      this.#names.delete(oldest);
    }
  }

  #ask(own: string, name: string): void {
    const names = this.#asked.get(own) ?? new Set();
    names.add(name);
    this.#asked.set(own, names);
  }
}
