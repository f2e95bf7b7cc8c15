// SPDX-License-Identifier: Apache-2.0
// The part of curl's command line that people type into a pod.

export interface CurlOptions {
  readonly urls: readonly string[];
  readonly method: string | undefined;
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly data: string | undefined;
  readonly head: boolean;
  readonly include: boolean;
  readonly silent: boolean;
  readonly showError: boolean;
  readonly verbose: boolean;
  readonly fail: boolean;
  readonly follow: boolean;
  readonly insecure: boolean;
  readonly output: string | undefined;
  readonly writeOut: string | undefined;
  /** 0: no limit. */
  readonly maxTimeMs: number;
  readonly connectTimeoutMs: number;
  readonly user: string | undefined;
  /** Files: roots to trust instead of the system's, and the client's certificate with its key. */
  readonly cacert: string | undefined;
  readonly cert: string | undefined;
  readonly key: string | undefined;
  /** `HOST:PORT` -> the address to connect to. */
  readonly resolve: ReadonlyMap<string, string>;
  /** Between the starts of two transfers; 0: none. */
  readonly spacingMs: number;
}

/** curl's own exit code 2. */
export class CurlUsageError extends Error {}

type Flag = 'head' | 'include' | 'silent' | 'showError' | 'verbose' | 'fail' | 'follow' | 'insecure';
type Valued =
  | 'request'
  | 'header'
  | 'data'
  | 'output'
  | 'writeOut'
  | 'maxTime'
  | 'connectTimeout'
  | 'user'
  | 'userAgent'
  | 'rate'
  | 'cacert'
  | 'cert'
  | 'key'
  | 'resolve'
  | 'url';

const FLAGS: Readonly<Record<string, Flag>> = {
  I: 'head',
  head: 'head',
  i: 'include',
  include: 'include',
  s: 'silent',
  silent: 'silent',
  S: 'showError',
  'show-error': 'showError',
  v: 'verbose',
  verbose: 'verbose',
  f: 'fail',
  fail: 'fail',
  L: 'follow',
  location: 'follow',
  k: 'insecure',
  insecure: 'insecure',
};
const VALUED: Readonly<Record<string, Valued>> = {
  X: 'request',
  request: 'request',
  H: 'header',
  header: 'header',
  d: 'data',
  data: 'data',
  'data-raw': 'data',
  o: 'output',
  output: 'output',
  w: 'writeOut',
  'write-out': 'writeOut',
  m: 'maxTime',
  'max-time': 'maxTime',
  'connect-timeout': 'connectTimeout',
  u: 'user',
  user: 'user',
  A: 'userAgent',
  'user-agent': 'userAgent',
  rate: 'rate',
  cacert: 'cacert',
  E: 'cert',
  cert: 'cert',
  key: 'key',
  resolve: 'resolve',
  url: 'url',
};

/** Reads curl's arguments; throws CurlUsageError for an option that this curl does not have. */
export function parseCurlOptions(args: readonly string[]): CurlOptions {
  const flags = new Set<Flag>();
  const values = new Map<Valued, string[]>();
  const urls: string[] = [];
  const queue = [...args];
  const take = (name: string, key: Valued, attached: string | undefined): void => {
    const value = attached ?? queue.shift();
    if (value === undefined) throw new CurlUsageError(`option ${name}: requires parameter`);
    values.set(key, [...(values.get(key) ?? []), value]);
  };
  let onlyUrls = false;
  while (queue.length > 0) {
    const arg = queue.shift()!;
    if (onlyUrls || !arg.startsWith('-') || arg === '-') urls.push(arg);
    else if (arg === '--') onlyUrls = true;
    else if (arg.startsWith('--')) {
      const name = arg.slice(2);
      const flag = FLAGS[name];
      const valued = VALUED[name];
      if (name.length > 1 && flag) flags.add(flag);
      else if (name.length > 1 && valued) take(arg, valued, undefined);
      else throw new CurlUsageError(`option ${arg}: is unknown`);
    } else parseShort(arg, flags, take);
  }
  const last = (key: Valued): string | undefined => values.get(key)?.at(-1);
  const agent = last('userAgent');
  return {
    urls: [...urls, ...(values.get('url') ?? [])],
    method: last('request'),
    headers: [
      ...(values.get('header') ?? []).map(splitHeader),
      ...(agent === undefined ? [] : [['User-Agent', agent] as const]),
    ],
    data: values.get('data')?.join('&'),
    head: flags.has('head'),
    include: flags.has('include'),
    silent: flags.has('silent'),
    showError: flags.has('showError'),
    verbose: flags.has('verbose'),
    fail: flags.has('fail'),
    follow: flags.has('follow'),
    insecure: flags.has('insecure'),
    output: last('output'),
    writeOut: last('writeOut'),
    maxTimeMs: seconds('--max-time', last('maxTime')),
    connectTimeoutMs: seconds('--connect-timeout', last('connectTimeout')),
    user: last('user'),
    cacert: last('cacert'),
    cert: last('cert'),
    key: last('key'),
    resolve: new Map((values.get('resolve') ?? []).map(resolution)),
    spacingMs: spacing(last('rate')),
  };
}

/** `-sS`, `-ofile`, `-XPOST`: letters up to the first one that takes a value, which the rest of the word is. */
function parseShort(
  arg: string,
  flags: Set<Flag>,
  take: (name: string, key: Valued, attached: string | undefined) => void,
): void {
  for (let i = 1; i < arg.length; i++) {
    const letter = arg[i]!;
    const flag = FLAGS[letter];
    const valued = VALUED[letter];
    if (flag) flags.add(flag);
    else if (valued) {
      take(`-${letter}`, valued, i + 1 < arg.length ? arg.slice(i + 1) : undefined);
      return;
    } else throw new CurlUsageError(`option -${letter}: is unknown`);
  }
}

function splitHeader(text: string): readonly [string, string] {
  const colon = text.indexOf(':');
  if (colon < 1) throw new CurlUsageError(`header ${JSON.stringify(text)} has no colon`);
  return [text.slice(0, colon).trim(), text.slice(colon + 1).trim()];
}

function seconds(name: string, value: string | undefined): number {
  if (value === undefined) return 0;
  const number = Number(value);
  if (!Number.isFinite(number) || number < 0)
    throw new CurlUsageError(`expected a proper numerical parameter for ${name}`);
  return number * 1000;
}

/** `HOST:PORT:ADDRESS`, where an IPv6 address may stand in brackets. */
function resolution(text: string): readonly [string, string] {
  const [, place, address] = /^\+?([^:]+:\d+):\[?([0-9a-fA-F.:]+)\]?$/.exec(text) ?? [];
  if (place === undefined || address === undefined)
    throw new CurlUsageError(`Couldn't parse CURLOPT_RESOLVE entry '${text}'`);
  return [place.toLowerCase(), address];
}

const UNIT_MS: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** `--rate 50/s`: transfers in a unit of time, an hour when none is named (curl(1)). */
function spacing(rate: string | undefined): number {
  if (rate === undefined) return 0;
  const [, count, unit = 'h'] = /^(\d+)(?:\/([smhd]))?$/.exec(rate) ?? [];
  if (!Number(count)) throw new CurlUsageError('expected a proper numerical parameter for --rate');
  return UNIT_MS[unit]! / Number(count);
}
