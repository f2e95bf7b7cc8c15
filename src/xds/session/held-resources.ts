// SPDX-License-Identifier: Apache-2.0
import type { XdsResource } from '../types.ts';
import type { ResourceMap } from './map-diff.ts';

/** What the client holds: a resource that we sent, or a version that it brought along from an earlier stream. */
export type Held = XdsResource | { readonly version: string };

const NOTHING: ResourceMap = new Map();
const NONE: ReadonlyMap<string, Held | undefined> = new Map();

/**
 * What one client holds of one type. Most hold just what they should, so this is a shared map and the few differences to
 * it: a stream costs little memory, however many resources there are.
 */
export class HeldResources {
  #base: ResourceMap = NOTHING;
  /**
   * undefined: not held, although it is in the base. Made when there is one, and let go of with the last: a map that lives as
   * long as its stream has its table made anew whenever it becomes empty, and that is garbage which only a full collection finds.
   */
  #own: Map<string, Held | undefined> | undefined;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  get differences(): number {
    return this.#differences.size;
  }

  get #differences(): ReadonlyMap<string, Held | undefined> {
    return this.#own ?? NONE;
  }

  get(name: string): Held | undefined {
    return this.#own?.has(name) === true ? this.#own.get(name) : this.#base.get(name);
  }

  has(name: string): boolean {
    return this.get(name) !== undefined;
  }

  set(name: string, held: Held): void {
    if (!this.has(name)) this.#size++;
    if (this.#base.get(name) === held) this.#isAsInBase(name);
    else this.#differs(name, held);
  }

  delete(name: string): void {
    if (!this.has(name)) return;
    this.#size--;
    if (this.#base.has(name)) this.#differs(name, undefined);
    else this.#isAsInBase(name);
  }

  #differs(name: string, held: Held | undefined): void {
    this.#own ??= new Map();
    this.#own.set(name, held);
  }

  #isAsInBase(name: string): void {
    if (this.#own?.has(name) !== true) return;
    if (this.#own.size === 1) this.#own = undefined;
    else this.#own.delete(name);
  }

  *values(): Generator<[string, Held]> {
    for (const entry of this.#base) if (!this.#differences.has(entry[0])) yield entry;
    for (const [name, held] of this.#differences) if (held !== undefined) yield [name, held];
  }

  /**
   * `after` becomes the base where `before` was it, with which it differs in no more than `names`. What is held stays: but
   * an old map would be kept, and with it all that has changed since.
   */
  follow(before: ResourceMap, after: ResourceMap, names: readonly string[]): void {
    if (this.#base !== before) return;
    const held = names.map((name) => [name, this.get(name)] as const);
    this.#base = after;
    for (const [name, each] of held) {
      if (after.get(name) === each) this.#isAsInBase(name);
      else this.#differs(name, each);
    }
  }

  isJust(map: ResourceMap): boolean {
    return this.#base === map && this.#differences.size === 0;
  }

  /** The client holds exactly what is in `map`. */
  becomes(map: ResourceMap): void {
    this.#base = map;
    this.#own = undefined;
    this.#size = map.size;
  }
}
