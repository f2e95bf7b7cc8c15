// SPDX-License-Identifier: Apache-2.0
// A resource that many objects share (a table of routes, a listener) must not stand still for all because one of them is
// bad. When Envoy refuses one, the object behind it that changed last is put back to its earlier state; if that did not
// help, it is let in again and the next one is tried. Objects are named by the proxies' answers, never by a guess alone.

import { type Diagnostic, type ObjectRef, refName } from '../../api/diagnostics.ts';
import { diagnose } from '../../api/report.ts';

/** What the quarantine needs of the engine. */
export interface QuarantineEngine {
  lastChanged(refs: readonly ObjectRef[]): { readonly ref: ObjectRef; readonly at: number } | undefined;
  refuse(ref: ObjectRef, diagnostic: Diagnostic): void;
  restore(ref: ObjectRef, diagnostic: Diagnostic): void;
}

export interface SharedRefusal {
  /** Type URL and name of the refused resource. */
  readonly resource: string;
  readonly message: string;
  /** All objects that the resource is made of. */
  readonly origins: readonly ObjectRef[];
}

/** Past so many objects it is no single one's fault, and each try costs every proxy an update. */
const MAX_TRIES = 8;
/** A refusal so long after the last one is another matter. */
const SEARCH_MS = 30_000;

interface Search {
  readonly tried: Set<string>;
  /** When the object changed that was tried first: a later change is another matter, and starts another search. */
  readonly newestAt: number;
  suspect: { ref: ObjectRef; diagnostic: Diagnostic } | undefined;
  lastAtMs: number;
}

export class Quarantine {
  readonly #engine: QuarantineEngine;
  readonly #nowMs: () => number;
  readonly #searches = new Map<string, Search>();

  constructor(engine: QuarantineEngine, nowMs: () => number = Date.now) {
    this.#engine = engine;
    this.#nowMs = nowMs;
  }

  /** Says which object is left out now; undefined when the search is over without one. */
  take({ resource, message, origins }: SharedRefusal): ObjectRef | undefined {
    const search = this.#searchFor(resource, origins);
    // The resource is still refused without it: it was not the one.
    if (search.suspect) this.#engine.restore(search.suspect.ref, search.suspect.diagnostic);
    search.suspect = undefined;
    const left = origins.filter((ref) => !search.tried.has(refName(ref)));
    const ref = search.tried.size < MAX_TRIES ? this.#engine.lastChanged(left)?.ref : undefined;
    if (ref === undefined) return undefined;
    const cure = 'mend what Envoy names; until then the earlier state of the object stays in force, or none';
    const diagnostic = diagnose(ref, 'ISM0201', 'spec', `Envoy refuses it: ${message}`, cure);
    search.tried.add(refName(ref));
    search.suspect = { ref, diagnostic };
    this.#engine.refuse(ref, diagnostic);
    return ref;
  }

  #searchFor(resource: string, origins: readonly ObjectRef[]): Search {
    const nowMs = this.#nowMs();
    const found = this.#searches.get(resource);
    const newestAt = this.#engine.lastChanged(origins)?.at ?? 0;
    const goesOn = found !== undefined && nowMs - found.lastAtMs < SEARCH_MS && newestAt <= found.newestAt;
    const search = goesOn ? found : { tried: new Set<string>(), newestAt, suspect: undefined, lastAtMs: nowMs };
    search.lastAtMs = nowMs;
    for (const [other, { lastAtMs }] of this.#searches) {
      if (nowMs - lastAtMs >= SEARCH_MS) this.#searches.delete(other);
    }
    this.#searches.set(resource, search);
    return search;
  }
}
