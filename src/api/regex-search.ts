// SPDX-License-Identifier: Apache-2.0
// Looks for an expression in a text in time that no expression can make explode, as RE2 does. JavaScript's engine tries one
// way after another: with an expression and a text of somebody who means harm it would not come back, and with it the whole
// control plane.
import { toJavaScript } from './regex.ts';

type Node =
  | { readonly kind: 'character' | 'edge'; readonly test: RegExp }
  | { readonly kind: 'sequence' | 'choice'; readonly parts: readonly Node[] }
  | { readonly kind: 'repeat'; readonly part: Node; readonly min: number; readonly max: number };

/** Says of a text whether the expression is found somewhere in it. @throws Error for what RE2 refuses */
export function searchFor(expression: string): (text: string) => boolean {
  // Of all of JavaScript's syntax the few forms in which toJavaScript writes.
  const { source } = toJavaScript(expression);
  const node = new Reader(source.slice(1, -1)).choice('');
  return (text) => {
    const search = new Search(text);
    for (let at = 0; at <= text.length; at++) if (search.ends(node, at).size > 0) return true;
    return false;
  };
}

class Search {
  readonly #text: string;
  /** Each question is answered once: that is what bounds the time. */
  readonly #known = new Map<Node, Map<number, ReadonlySet<number>>>();

  constructor(text: string) {
    this.#text = text;
  }

  /** Where what begins at `at` may end. */
  ends(node: Node, at: number): ReadonlySet<number> {
    const ofNode = this.#known.get(node) ?? new Map<number, ReadonlySet<number>>();
    this.#known.set(node, ofNode);
    const ends = ofNode.get(at) ?? this.#find(node, at);
    ofNode.set(at, ends);
    return ends;
  }

  #find(node: Node, at: number): ReadonlySet<number> {
    switch (node.kind) {
      case 'character':
        return new Set(at < this.#text.length && node.test.test(this.#text[at]!) ? [at + 1] : []);
      case 'edge':
        node.test.lastIndex = at;
        return new Set(node.test.test(this.#text) ? [at] : []);
      case 'choice':
        return new Set(node.parts.flatMap((part) => [...this.ends(part, at)]));
      case 'sequence':
        return node.parts.reduce<ReadonlySet<number>>((from, part) => this.#step(part, from), new Set([at]));
      case 'repeat':
        return this.#repeat(node, at);
    }
  }

  #repeat({ part, min, max }: Extract<Node, { kind: 'repeat' }>, at: number): ReadonlySet<number> {
    let from: ReadonlySet<number> = new Set([at]);
    for (let i = 0; i < min; i++) {
      const next = this.#step(part, from);
      // From here on every turn would find the same.
      if (next.size === from.size && next.isSubsetOf(from)) break;
      from = next;
    }
    let all = from;
    for (let i = min; i < max && from.size > 0; i++) {
      from = this.#step(part, from).difference(all);
      all = all.union(from);
    }
    return all;
  }

  #step(part: Node, from: ReadonlySet<number>): ReadonlySet<number> {
    return new Set([...from].flatMap((at) => [...this.ends(part, at)]));
  }
}

class Reader {
  readonly #source: string;
  #at = 0;

  constructor(source: string) {
    this.#source = source;
  }

  /** Up to the `)` of its group, or the end. */
  choice(flags: string): Node {
    const parts = [this.#sequence(flags)];
    while (this.#take(/\|/y) !== undefined) parts.push(this.#sequence(flags));
    return { kind: 'choice', parts };
  }

  #sequence(flags: string): Node {
    const parts: Node[] = [];
    while (this.#at < this.#source.length && !'|)'.includes(this.#source[this.#at]!)) {
      const part = this.#atom(flags);
      const times = this.#take(/\{(\d+),(\d*)\}\??/y);
      if (times === undefined) parts.push(part);
      else {
        const [, min, max] = times;
        parts.push({
          kind: 'repeat',
          part,
          min: Number(min),
          max: max === '' ? Number.POSITIVE_INFINITY : Number(max),
        });
      }
    }
    return { kind: 'sequence', parts };
  }

  #atom(flags: string): Node {
    const edge = this.#take(/\(\?m:[$^]\)|[$^]|\\[bB]/y);
    if (edge !== undefined) return { kind: 'edge', test: new RegExp(edge[0]!, 'vy') };
    const group = this.#take(/\(\?(i?):/y);
    if (group !== undefined) {
      const inside = this.choice(flags || group[1]!);
      this.#at++;
      return inside;
    }
    const written = this.#take(/\\u\{[\da-f]+\}/y)?.[0] ?? this.#class();
    return { kind: 'character', test: new RegExp(`^${written}$`, `v${flags}`) };
  }

  /** Classes may hold others. */
  #class(): string {
    const start = this.#at;
    let depth = 0;
    do {
      const character = this.#source[this.#at++];
      if (character === '\\') this.#at++;
      else if (character === '[') depth++;
      else if (character === ']') depth--;
      if (this.#at > this.#source.length) throw new Error(`${this.#source} is not as it was expected to be`);
    } while (depth > 0);
    return this.#source.slice(start, this.#at);
  }

  #take(sticky: RegExp): readonly (string | undefined)[] | undefined {
    sticky.lastIndex = this.#at;
    const found = sticky.exec(this.#source);
    if (found !== null) this.#at = sticky.lastIndex;
    return found ?? undefined;
  }
}
