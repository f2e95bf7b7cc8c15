// SPDX-License-Identifier: Apache-2.0
// RE2 without RE2: its grammar (https://github.com/google/re2/wiki/Syntax, parse.cc), to tell which expressions Envoy
// refuses, and to run the others by JavaScript's engine in the simulator. Envoy refuses a whole route table for one bad
// expression, so that "probably fine" is not enough: a test compares random expressions with a real Envoy.
import { classEscape, type Fragment, literal, perlClass, unicodeClass } from './regex-classes.ts';
import { RegexFault } from './regex-fault.ts';

/** Why RE2 would refuse the expression, or undefined when it takes it. */
export function faultOfRegex(source: string): string | undefined {
  if (source.length > 4096) return 'it is longer than 4096 characters';
  try {
    const { size } = new Parser(source).parse();
    return size > MAX_SIZE ? 'it is too large once its repetitions are written out' : undefined;
  } catch (error) {
    if (error instanceof RegexFault) return error.message;
    throw error;
  }
}

/** Number of groups that `\1`, `\2`, ... can stand for; 0 for an expression that RE2 refuses. */
export function groupCount(source: string): number {
  return faultOfRegex(source) === undefined ? new Parser(source).parse().groups : 0;
}

/** A JavaScript expression that matches whole texts as RE2 does. @throws Error for what RE2 refuses */
export function toJavaScript(source: string): RegExp {
  return new RegExp(`^(?:${new Parser(source).parse().source})$`, 'v');
}

/**
 * RE2's GlobalReplace: every match by `rewrite`, in which `\1` is the first group and `\0` all of the match. Where one match
 * ends no empty one begins.
 * @throws Error for what RE2 refuses
 */
export function replaceMatches(text: string, source: string, rewrite: string): string {
  const pattern = new RegExp(new Parser(source, true).parse().source, 'vg');
  let result = '';
  let end = 0;
  let previous = -1;
  for (const match of text.matchAll(pattern)) {
    if (match[0] === '' && match.index === previous) continue;
    result += text.slice(end, match.index);
    result += rewrite.replace(/\\(\d|\\)/g, (_, what: string) => (what === '\\' ? what : (match[Number(what)] ?? '')));
    end = match.index + match[0].length;
    previous = end;
  }
  return result + text.slice(end);
}

/** Instructions, roughly; the bootstrap lets Envoy take 32,768 of them. */
const MAX_SIZE = 20_000;
/** RE2's limit, which keeps this parser within its stack too. */
const MAX_NESTING = 1000;
/** RE2's limit on counted repetitions, nested ones multiplied. */
const MAX_REPEAT = 1000;

interface Flags {
  readonly i: boolean;
  readonly m: boolean;
  readonly s: boolean;
  /** Greediness is swapped. */
  readonly U: boolean;
}

class Parser {
  readonly #source: string;
  readonly #captures: boolean;
  readonly #names = new Set<string>();
  #at = 0;
  #groups = 0;
  #nesting = 0;
  #flags: Flags = { i: false, m: false, s: false, U: false };

  /** `captures`: its groups are JavaScript's, too. */
  constructor(source: string, captures = false) {
    this.#source = source;
    this.#captures = captures;
  }

  parse(): Fragment & { groups: number } {
    const whole = this.#alternation();
    if (this.#at < this.#source.length) throw new RegexFault('it has a ) without a (');
    return { ...whole, groups: this.#groups };
  }

  /** Up to a `)` or the end; flags that are set inside end with it. */
  #alternation(): Fragment {
    const outer = this.#flags;
    const branches = [this.#concatenation()];
    while (this.#take('|')) branches.push(this.#concatenation());
    this.#flags = outer;
    return join(branches, '|');
  }

  #concatenation(): Fragment {
    const parts: Fragment[] = [];
    while (this.#at < this.#source.length && !this.#sees('|') && !this.#sees(')')) {
      // A repetition behind `(?i)` is one of what stands before it.
      const atom = this.#atom() ?? parts.pop();
      if (atom !== undefined) parts.push(this.#repeated(atom));
    }
    return join(parts, '');
  }

  #repeated(atom: Fragment): Fragment {
    const bounds = this.#quantifier();
    if (bounds === undefined) return atom;
    const lazy = this.#take('?') !== this.#flags.U;
    const before = this.#at;
    if (this.#quantifier() !== undefined) {
      throw new RegexFault(`it repeats a repetition, at ${this.#source.slice(before - 1, this.#at)}`);
    }
    const [min, max] = bounds;
    const times = Math.max(1, min, Number.isFinite(max) ? max : min);
    const repeats = atom.repeats * times;
    if (repeats > MAX_REPEAT) throw new RegexFault('it repeats more than 1000 times, nested repetitions multiplied');
    const written = `{${min},${Number.isFinite(max) ? max : ''}}`;
    return { source: `(?:${atom.source})${written}${lazy ? '?' : ''}`, size: atom.size * times + 1, repeats };
  }

  /** `*`, `+`, `?`, `{2}`, `{2,}`, `{2,3}`; braces that are none of these are plain characters. */
  #quantifier(): readonly [min: number, max: number] | undefined {
    if (this.#take('*')) return [0, Number.POSITIVE_INFINITY];
    if (this.#take('+')) return [1, Number.POSITIVE_INFINITY];
    if (this.#take('?')) return [0, 1];
    const found = this.#match(/\{(0|[1-9]\d*)(,(0|[1-9]\d*)?)?\}/y);
    if (found === undefined) return undefined;
    const [written, low, comma, high] = found;
    const min = Number(low);
    const max = comma === undefined ? min : high === undefined ? Number.POSITIVE_INFINITY : Number(high);
    if (min > MAX_REPEAT || (max !== Number.POSITIVE_INFINITY && max > MAX_REPEAT) || max < min) {
      throw new RegexFault(`${written} is no number of repetitions from 0 to 1000`);
    }
    return [min, max];
  }

  /** Undefined for `(?i)`, which changes flags and matches nothing. */
  #atom(): Fragment | undefined {
    if (this.#take('(')) return this.#group();
    if (this.#take('[')) return this.#class();
    if (this.#take('.')) return fragment(this.#flags.s ? '[^]' : '[^\\n]', 4);
    if (this.#take('^')) return fragment(this.#flags.m ? '(?m:^)' : '^', 1);
    if (this.#take('$')) return fragment(this.#flags.m ? '(?m:$)' : '$', 1);
    if (this.#sees('\\')) return this.#escape();
    const before = this.#at;
    if (this.#quantifier() !== undefined) {
      throw new RegexFault(`${this.#source.slice(before, this.#at)} has nothing to repeat`);
    }
    return this.#folded(literal(this.#character()));
  }

  #group(): Fragment | undefined {
    const outer = this.#flags;
    const before = this.#groups;
    const named = this.#match(/\?P?<([^>]*)>?/y);
    if (named !== undefined) this.#name(named);
    else if (this.#take('?')) {
      const changed = this.#match(/([imsU]*)(?:-([imsU]+))?([:)])/y);
      if (changed === undefined)
        throw new RegexFault(`(?${this.#source.slice(this.#at, this.#at + 2)} does not exist there`);
      const [, on = '', off = '', end] = changed;
      this.#flags = withFlags(this.#flags, on, off);
      if (end === ')') return undefined;
    } else this.#capture();
    const opened = this.#captures && this.#groups > before ? '(' : '(?:';
    if (++this.#nesting > MAX_NESTING) throw new RegexFault(`its groups are nested more than ${MAX_NESTING} deep`);
    const inside = this.#alternation();
    this.#nesting--;
    if (!this.#take(')')) throw new RegexFault('it has a ( without a )');
    this.#flags = outer;
    return { ...inside, source: `${opened}${inside.source})`, size: inside.size + 2 };
  }

  #name([written, name]: readonly (string | undefined)[]): void {
    if (!written!.endsWith('>') || !/^\w+$/.test(name!)) throw new RegexFault(`(${written} is no name for a group`);
    if (this.#names.has(name!)) throw new RegexFault(`two groups are named ${name}`);
    this.#names.add(name!);
    this.#capture();
  }

  #capture(): void {
    this.#groups++;
  }

  #escape(): Fragment {
    if (this.#take('\\Q')) return this.#quoted();
    for (const [written, js] of ASSERTIONS) if (this.#take(written)) return fragment(js, 1);
    if (this.#take('\\C')) return fragment('[^]', 4);
    const set = this.#match(/\\[dDsSwW]/y);
    if (set !== undefined) return fragment(perlClass(set[0]!), 4);
    const unicode = this.#match(/\\[pP](\{\^?\w+\}|\w)?/y);
    if (unicode !== undefined) return this.#folded(fragment(`[${unicodeClass(unicode[0]!)}]`, 500));
    return this.#folded(literal(this.#escapedCharacter()));
  }

  /** `\Q...\E`: the text itself; without `\E` up to the end. What follows repeats its last character. */
  #quoted(): Fragment {
    const end = this.#source.indexOf('\\E', this.#at);
    const text = this.#source.slice(this.#at, end < 0 ? undefined : end);
    this.#at = end < 0 ? this.#source.length : end + 2;
    const characters = [...text].map((c) => this.#folded(literal(c)));
    const last = characters.pop();
    return last === undefined ? fragment('', 0) : join([...characters, this.#repeated(last)], '');
  }

  #class(): Fragment {
    const negated = this.#take('^');
    let members = '';
    let size = 4;
    for (let first = true; first || !this.#sees(']'); first = false) {
      if (this.#at >= this.#source.length) throw new RegexFault('it has a [ without a ]');
      const posix = this.#match(/\[:(\^?\w*):\]/y);
      const unicode = posix === undefined ? this.#match(/\\[pP](\{\^?\w+\}|\w)?/y) : undefined;
      const perl = this.#match(/\\[dDsSwW]/y);
      if (posix !== undefined) members += classEscape(posix[1]!);
      else if (unicode !== undefined) {
        members += unicodeClass(unicode[0]!);
        size = 500;
      } else if (perl !== undefined) members += perlClass(perl[0]!);
      else members += this.#range();
    }
    this.#at++;
    return this.#folded(fragment(`[${negated ? '^' : ''}${members}]`, size));
  }

  #range(): string {
    const start = this.#at;
    const low = this.#member();
    if (!this.#sees('-') || this.#source[this.#at + 1] === ']' || this.#at + 1 >= this.#source.length)
      return codePoint(low);
    this.#at++;
    const high = this.#member();
    if (high.codePointAt(0)! < low.codePointAt(0)!) {
      throw new RegexFault(`${this.#source.slice(start, this.#at)} is a range from the last to the first`);
    }
    return `${codePoint(low)}-${codePoint(high)}`;
  }

  #member(): string {
    return this.#sees('\\') ? this.#escapedCharacter() : this.#character();
  }

  #escapedCharacter(): string {
    const found =
      this.#match(/\\x(?:\{([0-9a-f]{1,8})\}|([0-9a-f]{2}))/iy) ?? this.#match(/\\(?:0[0-7]{0,2}|[1-7][0-7]{1,2})/y);
    if (found !== undefined) {
      const [written, braced, two] = found;
      const hex = braced ?? two;
      const code = hex === undefined ? Number.parseInt(written!.slice(1), 8) : Number.parseInt(hex, 16);
      if (code > 0x10ffff) throw new RegexFault(`${written} is beyond the last character`);
      return String.fromCodePoint(code);
    }
    const [written = '\\'] = this.#match(/\\.?/suy) ?? [];
    const letter = CONTROL[written[1] ?? ''];
    if (letter !== undefined) return letter;
    if (/^\\[!-/:-@[-`{-~ ]$/.test(written)) return written[1]!;
    if (/^\\[1-9]$/.test(written)) throw new RegexFault(`${written} (a back-reference) does not exist there`);
    throw new RegexFault(written === '\\' ? 'it ends with a backslash' : `${written} does not exist there`);
  }

  #character(): string {
    const character = String.fromCodePoint(this.#source.codePointAt(this.#at) ?? 0);
    this.#at += character.length;
    return character;
  }

  #folded(inner: Fragment): Fragment {
    return this.#flags.i ? { ...inner, source: `(?i:${inner.source})`, size: inner.size * 2 } : inner;
  }

  #sees(text: string): boolean {
    return this.#source.startsWith(text, this.#at);
  }
  #take(text: string): boolean {
    if (!this.#sees(text)) return false;
    this.#at += text.length;
    return true;
  }
  #match(sticky: RegExp): readonly (string | undefined)[] | undefined {
    sticky.lastIndex = this.#at;
    const found = sticky.exec(this.#source);
    if (found === null) return undefined;
    this.#at = sticky.lastIndex;
    return found;
  }
}

const ASSERTIONS = [
  ['\\A', '^'],
  ['\\z', '$'],
  ['\\b', '\\b'],
  ['\\B', '\\B'],
] as const;
const CONTROL: Readonly<Record<string, string>> = {
  a: '\x07',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
  v: '\v',
};

function withFlags(flags: Flags, on: string, off: string): Flags {
  const state = (name: 'i' | 'm' | 's' | 'U') => (off.includes(name) ? false : on.includes(name) || flags[name]);
  return { i: state('i'), m: state('m'), s: state('s'), U: state('U') };
}

function fragment(source: string, size: number): Fragment {
  return { source, size, repeats: 1 };
}

function join(parts: readonly Fragment[], separator: string): Fragment {
  return {
    source: parts.map((part) => part.source).join(separator),
    size: parts.reduce((sum, part) => sum + part.size + separator.length, 0),
    repeats: Math.max(1, ...parts.map((part) => part.repeats)),
  };
}

function codePoint(character: string): string {
  return `\\u{${character.codePointAt(0)!.toString(16)}}`;
}
