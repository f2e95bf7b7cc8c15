// SPDX-License-Identifier: Apache-2.0
// Patches of EnvoyFilters that change nothing in any proxy that they are for: most likely they name what Envoy calls
// otherwise. Of filters that concern no proxy nothing is said: its pods may come.
import type { Diagnostic, ObjectRef } from '../../api/diagnostics.ts';
import { diagnose } from '../../api/report.ts';

interface Place {
  readonly object: ObjectRef;
  readonly field: string;
}

/** Of one proxy: all patches that it gets, and (asked for only when it matters) those that find nothing. */
export interface ProxyPatches {
  readonly all: readonly Place[];
  readonly idle: () => readonly Place[];
}

/** What is to be said of the patches of these proxies, in no order. */
export function diagnoseIdlePatches(proxies: Iterable<ProxyPatches>): Diagnostic[] {
  const open = new Map<string, { place: Place; proxies: number; isActive: boolean }>();
  for (const { all, idle } of proxies) {
    for (const place of all) {
      const key = keyOf(place);
      const known = open.get(key) ?? { place, proxies: 0, isActive: false };
      open.set(key, { ...known, proxies: known.proxies + 1 });
    }
    // Most patches do something in the first proxy that gets them.
    if (all.every((place) => open.get(keyOf(place))!.isActive)) continue;
    const unused = new Set(idle().map(keyOf));
    for (const place of all) if (!unused.has(keyOf(place))) open.get(keyOf(place))!.isActive = true;
  }
  return [...open.values()]
    .filter(({ isActive }) => !isActive)
    .map(({ place: { object, field }, proxies }) => {
      const whom = proxies === 1 ? 'the one proxy that it is for' : `any of the ${proxies} proxies that it is for`;
      const cure = 'compare its match with the names that a proxy has (isthmus proxy-config)';
      return diagnose(object, 'ISM0203', field, `it finds nothing to change in ${whom}`, cure);
    });
}

function keyOf({ object, field }: Place): string {
  return `${object.namespace}/${object.name} ${field}`;
}

/** A change reaches a thousand proxies one by one: they are looked at together. */
const GATHER_MS = 200;

/** Follows the proxies that are connected. */
export class IdlePatches {
  readonly #changed: (diagnostics: readonly Diagnostic[]) => void;
  readonly #proxies = new Map<object, ProxyPatches>();
  #gathering: NodeJS.Timeout | undefined;
  #said = '[]';

  constructor(changed: (diagnostics: readonly Diagnostic[]) => void) {
    this.#changed = changed;
  }

  /** `proxy` stands for a stream; undefined: it has no patches, or is gone. */
  note(proxy: object, patches: ProxyPatches | undefined): void {
    if (patches === undefined) {
      if (this.#proxies.delete(proxy)) this.#gather();
      return;
    }
    this.#proxies.set(proxy, patches);
    this.#gather();
  }

  close(): void {
    clearTimeout(this.#gathering);
  }

  #gather(): void {
    this.#gathering ??= setTimeout(() => {
      this.#gathering = undefined;
      const diagnostics = diagnoseIdlePatches(this.#proxies.values());
      const said = JSON.stringify(diagnostics);
      if (said === this.#said) return;
      this.#said = said;
      this.#changed(diagnostics);
    }, GATHER_MS).unref();
  }
}
