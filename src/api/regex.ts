// SPDX-License-Identifier: Apache-2.0
// RE2 without RE2: enough of its grammar (https://github.com/google/re2/wiki/Syntax) to tell which expressions Envoy
// refuses, and to run the others by JavaScript's engine in the simulator.

/** Why RE2 would refuse the expression, or undefined when it takes it. */
export function faultOfRegex(source: string): string | undefined {
  if (source.length > 4096) return 'it is longer than 4096 characters';
  const lookaround = /\(\?(<?[=!]|>)/.exec(withoutEscapes(source));
  if (lookaround) return `${lookaround[0]} (look-around, atomic groups) does not exist there`;
  for (const [, letter] of source.matchAll(/\\(.)/gs)) {
    if (/[1-9]/.test(letter!)) return `\\${letter} (a back-reference) does not exist there`;
    if (/[a-z]/i.test(letter!) && !'aftnrvbBAzdDsSwWCQEpPx'.includes(letter!))
      return `\\${letter} does not exist there`;
  }
  const wrongEscape = faultOfEscapes(source);
  if (wrongEscape !== undefined) return wrongEscape;
  if (programSize(source) > 10_000) return 'it is too large once its repetitions are written out';
  for (const [bound, low, high] of source.matchAll(/\{(\d+)(?:,(\d*))?\}/g)) {
    if (Number(low) > 1000 || Number(high ?? 0) > 1000) return `${bound} repeats more than 1000 times`;
  }
  try {
    toJavaScript(source);
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message.replace(/^.*: /, '') : 'it cannot be read';
  }
}

/** JavaScript without its `u` flag reads these as plain letters: a wrong one would pass here and be refused by Envoy. */
function faultOfEscapes(source: string): string | undefined {
  for (const [token, hex, name] of source.matchAll(
    /\\(?:[^xpP]|x([0-9a-f]{2}|\{[0-9a-f]+\})?|[pP](\w|\{\^?\w+\})?)/gis,
  )) {
    if (token.startsWith('\\x')) {
      if (hex === undefined) return '\\x needs two hexadecimal digits, or any number of them in braces';
      if (Number.parseInt(hex.replace('{', ''), 16) > 0x10ffff) return `${token} is beyond the last character`;
    } else if (/^\\p/i.test(token) && !isUnicodeClass(name?.replace(/[{}^]/g, '') ?? '')) {
      return `${token} names no class of characters`;
    }
  }
  return undefined;
}

/** General categories and scripts, as RE2 has them: `L`, `Lu`, `Greek`. */
function isUnicodeClass(name: string): boolean {
  if (name === 'Any') return true;
  return [`General_Category=${name}`, `Script=${name}`].some((property) => {
    try {
      return new RegExp(`\\p{${property}}`, 'u').global === false;
    } catch {
      return false;
    }
  });
}

/** Number of groups that `\\1`, `\\2`, ... can stand for. */
export function groupCount(source: string): number {
  return [
    ...withoutEscapes(source)
      .replace(/\[\^?\]?[^\]]*\]/g, '')
      .matchAll(/\((?!\?(?!P?<))/g),
  ].length;
}

/** A JavaScript expression that matches whole strings as RE2 does. Throws SyntaxError for what RE2 would refuse too. */
export function toJavaScript(source: string): RegExp {
  let flags = 's';
  const body = source
    .replace(/^\(\?([imsU]+)\)/, (_, letters: string) => {
      for (const letter of letters) if ('im'.includes(letter)) flags += letter;
      return '';
    })
    .replace(/\(\?P</g, '(?<')
    .replace(/\\A/g, '^')
    .replace(/\\z/g, '$')
    .replace(/\\x\{([0-9a-f]+)\}/gi, (_, hex: string) => String.fromCodePoint(Number.parseInt(hex, 16)))
    .replace(/\\Q(.*?)\\E/gs, (_, literal: string) => literal.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'))
    .replace(/\[:(\w+):\]/g, (_, name: string) => posixClass(name));
  return new RegExp(`^(?:${body})$`, [...new Set(flags)].join(''));
}

function posixClass(name: string): string {
  const classes: Readonly<Record<string, string>> = {
    alnum: '0-9A-Za-z',
    alpha: 'A-Za-z',
    digit: '0-9',
    lower: 'a-z',
    upper: 'A-Z',
    space: '\\s',
    word: '\\w',
    xdigit: '0-9A-Fa-f',
    punct: '!-\\/:-@\\[-`{-~',
  };
  const found = classes[name];
  if (found === undefined) throw new SyntaxError(`[:${name}:] does not exist`);
  return found;
}

function withoutEscapes(source: string): string {
  return source.replace(/\\./gs, '');
}

/** Instructions that RE2 makes of it, roughly and never too few by much: counted repetitions are copies. */
function programSize(source: string): number {
  const sums = [0];
  let atom = 0;
  const close = () => {
    sums[sums.length - 1]! += atom;
    atom = 0;
  };
  for (const [token] of source.matchAll(/\\.|\[\^?\]?(?:\\.|[^\]])*\]|\{\d+(?:,\d*)?\}|\(\?[^:)]*:?|./gs)) {
    const [, low, high] = /^\{(\d+)(?:,(\d*))?\}$/.exec(token) ?? [];
    if (low !== undefined) atom *= Math.max(1, Number(low), Number(high ?? 0));
    else if (token.startsWith('(')) {
      close();
      sums.push(0);
    } else if (token === ')' && sums.length > 1) {
      close();
      atom = sums.pop()! + 2;
    } else if (!'*+?'.includes(token)) {
      close();
      atom = token.startsWith('[') || token.startsWith('\\p') ? 4 : 1;
    }
  }
  close();
  return sums.reduce((a, b) => a + b, 0);
}
