// SPDX-License-Identifier: Apache-2.0
// Virtual hosts on demand (VHDS), as far as they differ from other types. A proxy asks for `TABLE` once it has that route
// configuration, and for `TABLE/host` when a request needs that host; the answer is a resource of another name, which
// says by its aliases whom it answers. What Envoy makes of the answers:
//
//  - A request waits until an answer has its name among the aliases: one without a resource means that there is no such
//    host. Silence or a removal leaves it waiting.
//  - A table starts to serve with the first answer that names something in it. Where there is nothing to send, the removal
//    of a host that nobody has serves as well (`TABLE/none`). The same behind each new version of the table.
//
// https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_conn_man/vhds
import type { XdsResource } from '../types.ts';
import { type TypeState, tableOf } from './type-state.ts';

/** A resource for those who asked for it by these names; without one, there is none. */
export interface NamedAnswer {
  readonly resource: XdsResource | undefined;
  readonly asked: readonly string[];
}

export class VirtualHostAsks {
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

  subscribe(state: TypeState, names: readonly string[]): void {
    const tables = names.filter((name) => name === tableOf(name));
    state.subscribeTables(tables);
    for (const table of tables) this.#dueTables.add(table);
    for (const name of names) {
      if (name === tableOf(name)) continue;
      const own = state.resolve(name);
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
      if (name === tableOf(name)) state.unsubscribeTable(name);
      else state.unsubscribe(state.resolve(name) ?? name);
    }
  }

  /** Names of an earlier stream: what the client holds already answers them. */
  resumed(state: TypeState): void {
    for (const own of this.#asked.keys()) if (!state.upserts.has(own)) this.#asked.delete(own);
  }

  /** A new version of these tables is on its way. */
  tablesSent(state: TypeState, tables: readonly string[]): void {
    for (const table of tables) if (state.hasTable(table)) this.#dueTables.add(table);
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

  #ask(own: string, name: string): void {
    const names = this.#asked.get(own) ?? new Set();
    names.add(name);
    this.#asked.set(own, names);
  }
}
