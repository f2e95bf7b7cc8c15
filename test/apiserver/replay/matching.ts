// SPDX-License-Identifier: Apache-2.0
// Recorded values against ours: placeholders are bound when first met and must hold from then on.

type Json = Record<string, unknown>;

/** `where` is a path in the answer ("body.items[0].metadata.name", "header warning", "status"). */
export interface Difference {
  readonly where: string;
  readonly ours: string;
  readonly recorded: string;
}

const NUMBERED = '<(?:uid|rv|continue|jwt|base64-jwt)-[\\w-]+>';
const UNNUMBERED = '<(?:time|microtime|pem|base64-pem|server|webhook|host-ip|host|prose|hash)>';
const PIECES = new RegExp(`(${NUMBERED}|${UNNUMBERED})`);
const PLACEHOLDER = new RegExp(`${NUMBERED}|${UNNUMBERED}`, 'g');

/** What may stand for a placeholder that nothing has bound yet. */
const SHAPES: readonly (readonly [RegExp, string])[] = [
  [/^<uid-/, '[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}'],
  [/^<rv-/, '\\d+'],
  [/^<continue-/, '[\\w-]+=*'],
  [/^<jwt-/, '[\\w-]+\\.[\\w-]+\\.[\\w-]+'],
  [/^<base64-/, '[\\w+/-]+=*'],
  [/^<time>/, '\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\dZ'],
  [/^<microtime>/, '\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d\\.\\d{6}Z'],
  [/^<pem>/, '(?:-----BEGIN [A-Z ]+-----[^-]+-----END [A-Z ]+-----\\n?)+'],
  [/^<hash>/, '[0-9A-F]{128}'],
  [/^<server>/, '[\\w.:-]+'],
  [/^<(?:webhook|host|host-ip)>/, '[\\w.:-]+'],
  [/^<prose>/, '[^]*?'],
];
/** Each implementation hashes a pod template in a way of its own; ReplicaSets and pods are named by it. */
const TEMPLATE_HASHES = /\b(?:web|d)-([bcdfghjklmnpqrstvwxz2456789]{8,10})(?![bcdfghjklmnpqrstvwxz2456789])/g;
const MAX_GENERATED_PREFIX = 58;
const GENERATED = /[bcdfghjklmnpqrstvwxz2456789]{5}$/;
const OPENAPI_HASH = /([?&]hash=)[0-9A-F]{128}/g;
/** How many certificates a bundle has is a matter of set-up. */
const BUNDLE = /(?:<pem>\n?)+/g;
const ALLOCATED_ADDRESS = /^10\.96\.\d+\.\d+$/;
const AGE = /^(\d+[smhdy])+$/;
const UID = /\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
const ESCAPED = /[.*+?^${}()|[\]\\]/g;

export class Matching {
  #bound = new Map<string, string>();
  /** Generated names, allocated addresses and ports of the recording -> ours. */
  #renamed = new Map<string, string>();
  /** Addresses and ports that a client asked for: these must be equal. */
  readonly #asked = new Set<string>();
  /** Resource versions of lists: whether anything else was written between an object's and its list's is chance. */
  readonly #ofLists = new Set<string>();
  /** Resource versions whose order says nothing. */
  readonly #disordered = new Set<string>();

  bind(placeholder: string, ours: string): void {
    this.#bound.set(placeholder, ours);
  }

  bound(placeholder: string): string | undefined {
    return this.#bound.get(placeholder);
  }

  rename(theirs: string, ours: string): void {
    if (theirs !== ours) this.#renamed.set(theirs, ours);
  }

  /** A copy to try a comparison on; `adopt` makes its bindings ours. */
  fork(): Matching {
    const copy = new Matching();
    copy.adopt(this);
    return copy;
  }

  adopt(other: Matching): void {
    this.#bound = new Map(other.#bound);
    this.#renamed = new Map(other.#renamed);
    for (const asked of other.#asked) this.#asked.add(asked);
    for (const name of other.#ofLists) this.#ofLists.add(name);
    for (const name of other.#disordered) this.#disordered.add(name);
  }

  /** `text` of a recorded request with our values in it. */
  fill(text: string): string {
    for (const [value] of text.matchAll(/\b(?:10\.96\.\d+\.\d+|3[0-2]\d{3})\b/g)) {
      if (!this.#renamed.has(value)) this.#asked.add(value);
    }
    return this.#withOurNames(text.replace(PLACEHOLDER, (name) => this.#bound.get(name) ?? this.#invent(name)));
  }

  compare(expected: unknown, actual: unknown, where: string): Difference[] {
    if (Array.isArray(expected)) {
      if (!Array.isArray(actual)) return [difference(where, actual, expected)];
      const shared = Math.min(expected.length, actual.length);
      const out = expected
        .slice(0, shared)
        .flatMap((item, index) => this.compare(item, actual[index], `${where}[${index}]`));
      for (let i = shared; i < expected.length; i++) out.push(difference(`${where}[${i}]`, undefined, expected[i]));
      for (let i = shared; i < actual.length; i++) out.push(difference(`${where}[${i}]`, actual[i], undefined));
      return out;
    }
    if (isObject(expected)) return this.#compareObject(expected, actual, where);
    if (typeof expected === 'string') return this.#compareText(expected, actual, where);
    if (isPort(expected) && isPort(actual) && !this.#asked.has(String(expected))) {
      return this.#compareAllocated(String(expected), String(actual), where);
    }
    return expected === actual ? [] : [difference(where, actual, expected)];
  }

  #compareObject(expected: Json, actual: unknown, where: string): Difference[] {
    if (!isObject(actual)) return [difference(where, actual, expected)];
    return this.#compareMembers(this.#withKnownKeys(expected), actual, where);
  }

  #compareMembers(expected: Json, actual: Json, where: string): Difference[] {
    this.#learnNames(expected, actual);
    if ('items' in expected || 'rows' in expected) {
      const { resourceVersion } = (expected['metadata'] ?? {}) as Json;
      this.#ofLists.add(String(resourceVersion));
    }
    // What names an object comes before what mentions it (cells of tables).
    const names = [...new Set(['object', 'metadata', 'details', ...Object.keys(expected), ...Object.keys(actual)])];
    return names.flatMap((name) => {
      const here = where ? `${where}.${name}` : name;
      if (!(name in expected) && !(name in actual)) return [];
      if (!(name in actual)) return [difference(here, undefined, expected[name])];
      if (!(name in expected)) return [difference(here, actual[name], undefined)];
      if (name === 'managedFields') return this.compare(byManager(expected[name]), byManager(actual[name]), here);
      // Which of several made at once is the first by its random name is chance.
      if (name === 'resourceVersion' && 'generateName' in expected) this.#disordered.add(String(expected[name]));
      return this.compare(expected[name], actual[name], here);
    });
  }

  /** k:{"uid":"<uid-1>"} in managed fields. */
  #withKnownKeys(object: Json): Json {
    if (!Object.keys(object).some((key) => key.includes('<uid-'))) return object;
    const known = (key: string) => key.replace(PLACEHOLDER, (name) => this.#bound.get(name) ?? name);
    return Object.fromEntries(Object.entries(object).map(([key, value]) => [known(key), value]));
  }

  /** Names that the server made up differ from run to run. */
  #learnNames(expected: Json, actual: Json): void {
    const [theirs, ours] = [expected['name'], actual['name']];
    if (typeof theirs !== 'string' || typeof ours !== 'string') return;
    const [theirPrefix, ourPrefix] = [expected['generateName'], actual['generateName']];
    const generated =
      typeof theirPrefix === 'string' &&
      typeof ourPrefix === 'string' &&
      theirs.startsWith(theirPrefix.slice(0, MAX_GENERATED_PREFIX)) &&
      ours.startsWith(ourPrefix.slice(0, MAX_GENERATED_PREFIX));
    const projected = theirs.startsWith('kube-api-access-') && ours.startsWith('kube-api-access-');
    // A Status tells the name that was made up for an object that it refuses.
    const refused = 'causes' in expected && theirs.slice(0, -5) === ours.slice(0, -5) && GENERATED.test(ours);
    if (generated || projected || refused) this.rename(theirs, ours);
  }

  #learnHashes(expected: string, actual: string): void {
    const theirs = [...expected.matchAll(TEMPLATE_HASHES)];
    const ours = [...actual.matchAll(TEMPLATE_HASHES)];
    if (expected.replace(TEMPLATE_HASHES, '') !== actual.replace(TEMPLATE_HASHES, '')) return;
    for (const [index, [, hash]] of theirs.entries()) {
      if (!this.#renamed.has(hash!)) this.rename(hash!, ours[index]![1]!);
    }
  }

  #compareAllocated(theirs: string, ours: string, where: string): Difference[] {
    const known = this.#renamed.get(theirs);
    if (known === undefined) this.#renamed.set(theirs, ours);
    return known === undefined || known === ours ? [] : [difference(where, ours, `${theirs} (so far ${known})`)];
  }

  #compareText(expected: string, actual: unknown, where: string): Difference[] {
    if (typeof actual !== 'string') return [difference(where, actual, expected)];
    if (ALLOCATED_ADDRESS.test(expected) && ALLOCATED_ADDRESS.test(actual) && !this.#asked.has(expected)) {
      return this.#compareAllocated(expected, actual, where);
    }
    if (/\.cells\[\d+\]$/.test(where) && AGE.test(expected) && AGE.test(actual)) return [];
    this.#learnHashes(expected, actual);
    const captured: string[] = [];
    const pattern = expected
      .replace(OPENAPI_HASH, '$1<hash>')
      .replace(BUNDLE, '<pem>')
      .split(PIECES)
      .map((piece) => {
        if (!PIECES.test(piece)) return escaped(this.#withOurNames(piece));
        const known = this.#bound.get(piece);
        if (known !== undefined) return escaped(known);
        const shape = SHAPES.find(([start]) => start.test(piece))![1];
        if (!/^<\w+-/.test(piece) || piece === '<base64-pem>' || piece === '<host-ip>') return shape;
        captured.push(piece);
        return `(${shape})`;
      });
    const match = new RegExp(`^${pattern.join('')}$`).exec(actual);
    if (!match) return [difference(where, actual, expected)];
    return captured.flatMap((name, index) => this.#bindInOrder(name, match[index + 1]!, where));
  }

  /** Resource versions of the recording and ours must be in the same order. */
  #bindInOrder(name: string, ours: string, where: string): Difference[] {
    const rank = /^<rv-(\d+)>$/.exec(name)?.[1];
    if (rank !== undefined && !this.#disordered.has(name)) {
      for (const [other, value] of this.#bound) {
        const otherRank = /^<rv-(\d+)>$/.exec(other)?.[1];
        if (otherRank === undefined || this.#disordered.has(other)) continue;
        if (ours === value && (this.#ofLists.has(name) || this.#ofLists.has(other))) continue;
        if (Math.sign(Number(rank) - Number(otherRank)) !== Math.sign(Number(ours) - Number(value))) {
          const wrong = { where, ours: `${ours} beside ${value}`, recorded: `${name} beside ${other}` };
          this.#bound.set(name, ours);
          return [wrong];
        }
      }
    }
    this.#bound.set(name, ours);
    const raw = /^<uid-raw-(.*)>$/.exec(name)?.[1];
    if (raw !== undefined) this.rename(raw, ours);
    return [];
  }

  /** A value for a placeholder that a request uses before any answer gave it one. */
  #invent(name: string): string {
    const ours = this.#inventedValue(name);
    if (/-\d+>$/.test(name)) this.#bound.set(name, ours);
    return ours;
  }

  #inventedValue(name: string): string {
    const number = Number(/-(\d+)>$/.exec(name)?.[1] ?? 0);
    if (name === '<time>') return '2026-01-01T00:00:00Z';
    if (name === '<microtime>') return '2026-01-01T00:00:00.000000Z';
    if (name.startsWith('<uid-')) return `00000000-0000-4000-8000-${String(number).padStart(12, '0')}`;
    if (!name.startsWith('<rv-')) throw new Error(`nothing is known about ${name}: the preparation must bind it`);
    const older = [...this.#bound].filter(([other]) => {
      const rank = /^<rv-(\d+)>$/.exec(other)?.[1];
      return rank !== undefined && Number(rank) < number;
    });
    const newest = Math.max(0, ...older.map(([, value]) => Number(value)));
    const isNewest = ![...this.#bound.keys()].some((other) => Number(/^<rv-(\d+)>$/.exec(other)?.[1] ?? -1) > number);
    return String(isNewest && older.length > 0 ? newest + 1_000_000 : newest + 2);
  }

  #withOurNames(text: string): string {
    let out = text;
    // A pod's name contains its ReplicaSet's.
    const longestFirst = [...this.#renamed].sort(([a], [b]) => b.length - a.length);
    for (const [theirs, ours] of longestFirst) {
      if (!out.includes(theirs)) continue;
      // A port may be a part of some longer number, a generated name is nothing but itself.
      const pattern = theirs.length > 8 ? escaped(theirs) : `(?<!\\d)${escaped(theirs)}(?!\\d)`;
      out = out.replaceAll(new RegExp(pattern, 'g'), ours);
    }
    return out;
  }
}

/** A decoded protobuf body, whose values the recorder could not replace, as if it had replaced them. */
export function withPlaceholders(value: unknown, name = ''): unknown {
  if (Array.isArray(value)) return value.map((item) => withPlaceholders(item, name));
  if (isObject(value)) {
    return Object.fromEntries(
      Object.entries(value).map(([member, inner]) => [member, withPlaceholders(inner, member)]),
    );
  }
  if (typeof value !== 'string') return value;
  if (UID.test(value)) return value.replace(UID, '<uid-raw-$&>');
  if (name === 'resourceVersion' && /^\d+$/.test(value)) return `<rv-raw-${value}>`;
  if (/^eyJ[\w-]+\.[\w-]+\.[\w-]+$/.test(value)) return `<jwt-raw-${value.slice(-12).replaceAll('-', '_')}>`;
  if (/^2026-\d\d-\d\dT[\d:]+Z$/.test(value)) return '<time>';
  return /^2026-\d\d-\d\dT[\d:]+\.\d{6}Z$/.test(value) ? '<microtime>' : value;
}

export function difference(where: string, ours: unknown, recorded: unknown): Difference {
  return { where, ours: short(ours), recorded: short(recorded) };
}

/** By manager: the order follows times that have whole seconds only. */
function byManager(managedFields: unknown): unknown {
  if (!Array.isArray(managedFields)) return managedFields;
  const byName: Json = {};
  for (const entry of managedFields as Json[]) {
    const { manager, operation, apiVersion, subresource = '' } = entry;
    const who = ONE_BINARY.has(String(manager)) ? 'cluster' : manager;
    const name = [who, operation, apiVersion, subresource].join(' ');
    byName[name in byName ? `${name} again` : name] = entry;
  }
  return byName;
}

/** The recorded server and its controllers were one binary, of the first name. */
const ONE_BINARY: ReadonlySet<string> = new Set(['kas', 'kube-controller-manager', 'kube-apiserver']);

function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The range of node ports, and the one beyond it that the recorded dry run was given; other high ports are this machine's. */
function isPort(value: unknown): boolean {
  return typeof value === 'number' && ((value >= 30_000 && value < 32_768) || value === 32_769);
}

function escaped(text: string): string {
  return text.replace(ESCAPED, '\\$&');
}

function short(value: unknown): string {
  const text = JSON.stringify(value) ?? 'undefined';
  return text.length > 400 ? `${text.slice(0, 400)}...` : text;
}
