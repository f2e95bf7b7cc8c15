// SPDX-License-Identifier: Apache-2.0
// All that is to be said of the objects now: what decoding and comparing them found, and what proxies refuse.
import { type Diagnostic, type ObjectRef, refName } from '../../api/diagnostics.ts';
import { diagnose } from '../../api/report.ts';
import type { StreamStatus } from '../../xds/server.ts';
import type { XdsEvent } from '../../xds/stream.ts';
import type { Refusal } from '../streams/refusals.ts';

export interface FindingsOptions {
  /** The open streams, with what their proxies refuse. */
  readonly streams: () => readonly StreamStatus[];
  /** Told of each change of the whole. */
  readonly changed: (diagnostics: readonly Diagnostic[]) => void;
  /** An object that no proxy refuses any more. */
  readonly accepted: (object: ObjectRef) => void;
}

/** Of a table that many objects share, no more than these are told when none could be found at fault alone. */
const MAX_BLAMED = 3;
/** A thousand proxies answer one by one: they are looked at together. */
const GATHER_MS = 100;
const REFUSED_BY_ENVOY = 'ISM0201';

export class Findings {
  readonly #options: FindingsOptions;
  /** Type, name and version of a refused resource -> what is said of the objects behind it. */
  readonly #refused = new Map<string, readonly Diagnostic[]>();
  #own: readonly Diagnostic[] = [];
  #current: readonly Diagnostic[] = [];
  #gathering: NodeJS.Timeout | undefined;

  constructor(options: FindingsOptions) {
    this.#options = options;
  }

  get current(): readonly Diagnostic[] {
    return this.#current;
  }

  /** What the objects' own texts give. */
  take(own: readonly Diagnostic[]): void {
    this.#own = own;
    this.#publish();
  }

  refused(refusal: Refusal): void {
    const { typeUrl, resource, version, message, blamed } = refusal;
    const cure = 'mend what Envoy names; until then every proxy that refuses it keeps what it had before';
    const said = blamed
      .slice(0, MAX_BLAMED)
      .map((object) => diagnose(object, REFUSED_BY_ENVOY, 'spec', `Envoy refuses it: ${message}`, cure));
    this.#refused.set(keyOf(typeUrl, resource, version), said);
    this.#gather();
  }

  /** For every event of the discovery server: a proxy that answers or leaves may have been the last that refused. */
  observe(event: XdsEvent): void {
    if (this.#refused.size > 0 && (event.kind === 'received' || event.kind === 'closed')) this.#gather();
  }

  close(): void {
    clearTimeout(this.#gathering);
  }

  #gather(): void {
    this.#gathering ??= setTimeout(() => {
      this.#gathering = undefined;
      const standing = refusedNow(this.#options.streams());
      for (const key of this.#refused.keys()) if (!standing.has(key)) this.#refused.delete(key);
      this.#publish();
    }, GATHER_MS).unref();
  }

  #publish(): void {
    // An object that the search has found is said to be refused by the objects' own findings.
    const found = new Map(this.#own.filter(isRefusal).map((d) => [refName(d.object), d]));
    const standing = new Map([...this.#refused.values()].flat().map((d) => [refName(d.object), d]));
    const before = this.#current;
    const next = [...this.#own, ...[...standing].filter(([name]) => !found.has(name)).map(([, d]) => d)];
    if (next.length === before.length && next.every((d, i) => d === before[i])) return;
    this.#current = next;
    for (const { object } of before.filter(isRefusal)) {
      if (!found.has(refName(object)) && !standing.has(refName(object))) this.#options.accepted(object);
    }
    this.#options.changed(next);
  }
}

function refusedNow(streams: readonly StreamStatus[]): Set<string> {
  return new Set(
    streams.flatMap(({ types }) =>
      types.flatMap(({ typeUrl, rejected }) =>
        [...rejected].map(([name, { version }]) => keyOf(typeUrl, name, version)),
      ),
    ),
  );
}

function keyOf(typeUrl: string, name: string, version: string): string {
  return `${typeUrl}\0${name}\0${version}`;
}

function isRefusal({ code }: Diagnostic): boolean {
  return code === REFUSED_BY_ENVOY;
}
