// SPDX-License-Identifier: Apache-2.0
// Recorded values against ours: placeholders are bound when first met, and what no two servers share is left out.

type Json = Record<string, unknown>;

const PLACEHOLDER =
  /<(uid|rv|continue|jwt|base64-jwt)-\d+>|<time>|<microtime>|<pem>|<base64-pem>|<server>|<webhook>|<host-ip>|<host>/g;
const AGE = /^(\d+[smhdy])+$/;
const ADDRESS = /^10\.96\.\d+\.\d+$/;

export class Matching {
  readonly #bound = new Map<string, string>();
  /** Generated names and addresses of the recording -> ours. */
  readonly #renamed = new Map<string, string>();

  /** `text` of the recording with our values in it. */
  fill(text: string): string {
    let out = text.replace(PLACEHOLDER, (name) => this.#bound.get(name) ?? unbound(name));
    for (const [theirs, ours] of this.#renamed) out = out.replaceAll(theirs, ours);
    return out;
  }

  /** Where `actual` is not as recorded: "path: ours, recorded theirs". */
  compare(expected: unknown, actual: unknown, path: string): string[] {
    if (isIgnored(path)) return [];
    if (Array.isArray(expected)) {
      if (!Array.isArray(actual)) return [difference(path, actual, expected)];
      const out = expected.flatMap((item, index) => this.compare(item, actual[index], `${path}[${index}]`));
      return actual.length === expected.length
        ? out
        : [...out, `${path}: ${actual.length} items, recorded ${expected.length}`];
    }
    if (typeof expected === 'object' && expected !== null) return this.#compareObject(expected as Json, actual, path);
    if (typeof expected === 'string') return this.#compareText(expected, actual, path);
    if (typeof expected === 'number' && isNodePort(expected) && isNodePort(actual)) return [];
    return expected === actual ? [] : [difference(path, actual, expected)];
  }

  /** Nothing to compare with, but names that later requests will use. */
  learn(_answer: unknown): void {}

  #compareObject(expected: Json, actual: unknown, path: string): string[] {
    if (typeof actual !== 'object' || actual === null || Array.isArray(actual))
      return [difference(path, actual, expected)];
    const ours = actual as Json;
    this.#rename(expected, ours);
    const names = new Set([...Object.keys(expected), ...Object.keys(ours)]);
    return [...names].flatMap((name) => {
      const here = path ? `${path}.${name}` : name;
      if (isIgnored(here)) return [];
      if (!(name in ours)) return [`${here}: missing, recorded ${short(expected[name])}`];
      if (!(name in expected)) return [`${here}: ${short(ours[name])}, not recorded`];
      return this.compare(expected[name], ours[name], here);
    });
  }

  /** Names that the server made up differ from run to run. */
  #rename(expected: Json, ours: Json): void {
    const [theirName, ourName] = [expected['name'], ours['name']];
    if (expected['generateName'] && typeof theirName === 'string' && typeof ourName === 'string') {
      this.#renamed.set(theirName, ourName);
    }
    if (typeof theirName === 'string' && typeof ourName === 'string' && /^kube-api-access-/.test(theirName)) {
      this.#renamed.set(theirName, ourName);
    }
  }

  #compareText(expected: string, actual: unknown, path: string): string[] {
    if (typeof actual !== 'string') return [difference(path, actual, expected)];
    if (ADDRESS.test(expected) && ADDRESS.test(actual)) return [];
    if (/\.cells\[\d+\]$/.test(path) && AGE.test(expected) && AGE.test(actual)) return [];
    const pieces = expected.split(PLACEHOLDER_SPLIT);
    let pattern = '';
    const captured: string[] = [];
    for (const piece of pieces) {
      if (!PLACEHOLDER_ONLY.test(piece)) {
        let text = piece;
        for (const [theirs, ours] of this.#renamed) text = text.replaceAll(theirs, ours);
        pattern += text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
        continue;
      }
      const known = this.#bound.get(piece);
      if (known !== undefined) pattern += known.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
      else if (/^<(uid|rv|continue|jwt|base64-jwt)-/.test(piece)) {
        captured.push(piece);
        pattern += '([^"\\s]+?)';
      } else pattern += '[^]*?';
    }
    const match = new RegExp(`^${pattern}$`).exec(actual);
    if (!match) return [difference(path, actual, expected)];
    for (const [index, name] of captured.entries()) this.#bound.set(name, match[index + 1]!);
    return [];
  }
}

const PLACEHOLDER_SPLIT = new RegExp(`(${PLACEHOLDER.source.replaceAll('(uid', '(?:uid')})`);
const PLACEHOLDER_ONLY = new RegExp(`^(?:${PLACEHOLDER.source})$`);

function unbound(name: string): string {
  return name === '<time>' ? '2026-01-01T00:00:00Z' : name === '<microtime>' ? '2026-01-01T00:00:00.000000Z' : name;
}

/** Descriptions are our own words; ages pass; hashes are not the contract. */
function isIgnored(path: string): boolean {
  return /columnDefinitions\[\d+\]\.description$|storageVersionHash|serverAddressByClientCIDRs|\.freshness$/.test(path);
}

function isNodePort(value: unknown): boolean {
  return typeof value === 'number' && value >= 30_000 && value <= 32_767;
}

function difference(path: string, actual: unknown, expected: unknown): string {
  return `${path}: ${short(actual)}, recorded ${short(expected)}`;
}

function short(value: unknown): string {
  const text = JSON.stringify(value) ?? 'nothing';
  return text.length > 220 ? `${text.slice(0, 220)}...` : text;
}
