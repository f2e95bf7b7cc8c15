// SPDX-License-Identifier: Apache-2.0
// What a line of an access log says, read by the very format that it was written in: any text or JSON of Envoy's format
// commands. https://www.envoyproxy.io/docs/envoy/latest/configuration/observability/access_log/usage
import { ACCESS_LOG_FORMAT } from '../../envoy/filters/access-log.ts';
import type { JsonFormat, LogIntent } from '../../intent/telemetry-types.ts';

export type LogFormat = LogIntent['format'];

/** One request, as the proxy that it went through logged it. */
export interface LoggedRequest {
  readonly method: string;
  /** With its query. */
  readonly path: string;
  readonly authority: string;
  /** Of those headers that the format holds; undefined: the request had none. */
  readonly headers: ReadonlyMap<string, string | undefined>;
  /** `outbound|9080|v2|reviews.default.svc.cluster.local`; '' where none was chosen, undefined where the format does not say. */
  readonly upstreamCluster: string | undefined;
  /** `address:port` that the connection came to: of a redirected one, where it was going. */
  readonly localAddress: string | undefined;
  /** `address:port` of who asked. */
  readonly remoteAddress: string | undefined;
  readonly serverName: string | undefined;
  /** `HTTP/1.1`; undefined where the format does not say. */
  readonly protocol: string | undefined;
  readonly status: number | undefined;
  /** Milliseconds since 1970. */
  readonly startedAtMs: number | undefined;
}

export interface LogReader {
  /** 'connection': a line about a connection that is not HTTP. undefined: no line of this format. */
  read(line: string): LoggedRequest | 'connection' | undefined;
  /** Lower-case names of the request headers that every line tells. */
  readonly headers: ReadonlySet<string>;
  /** Without which nothing can be replayed; empty when the format has all. */
  readonly missing: readonly string[];
}

/** Of a request, and what may be gone without it being of no use. */
const NEEDED = { method: '%REQ(:METHOD)%', path: '%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%', authority: '%REQ(:AUTHORITY)%' };
const PSEUDO = new Set([':method', ':path', ':authority', ':scheme', ':protocol']);
const COMMAND = /%([A-Z_0-9]+)(?:\(([^)]*)\))?(?::(\d+))?%/g;

/** `undefined`: the usual line. */
export function readerOf(format: LogFormat): LogReader {
  if (format?.kind === 'json') return jsonReader(format.members);
  return textReader(format?.text ?? ACCESS_LOG_FORMAT);
}

/** The command’s name and argument, as a key: `REQ(:METHOD)`. */
type Values = ReadonlyMap<string, string | undefined>;

function textReader(text: string): LogReader {
  const line = lineOf(text);
  return {
    ...knowledgeOf(line.keys),
    read: (written) => {
      const values = line.read(written);
      return values && requestOf(values);
    },
  };
}

function jsonReader(members: JsonFormat): LogReader {
  const leaves = leavesOf(members, []);
  return {
    ...knowledgeOf(leaves.flatMap(({ line }) => line.keys)),
    read: (written) => {
      const object = parsed(written);
      if (object === undefined) return undefined;
      const values = new Map<string, string | undefined>();
      for (const { path, line } of leaves) {
        const value = path.reduce<unknown>(
          (at, member) => (at as Record<string, unknown> | undefined)?.[member],
          object,
        );
        if (value === null || value === undefined) for (const key of line.keys) values.set(key, undefined);
        else for (const [key, part] of line.read(String(value)) ?? []) values.set(key, part);
      }
      return requestOf(values);
    },
  };
}

interface Line {
  readonly keys: readonly string[];
  read(written: string): Values | undefined;
}

/** Each value ends where the format’s next character stands, so that one look at each character is enough. */
function lineOf(format: string): Line {
  const text = format.replace(/\n$/, '');
  const keys: string[] = [];
  let pattern = '^';
  let at = 0;
  for (const match of text.matchAll(COMMAND)) {
    pattern += escaped(text.slice(at, match.index));
    at = match.index + match[0].length;
    // A value that is cut off is not the value: it keeps the length in its key, under which nobody looks.
    const length = match[3] === undefined ? '' : `:${match[3]}`;
    keys.push(`${match[1]}${match[2] === undefined ? '' : `(${match[2].toLowerCase()})`}${length}`);
    const next = text[at];
    pattern +=
      next === undefined ? '(.*)' : next === '%' ? '(.*?)' : `([^${/[\]\\^-]/.test(next) ? `\\${next}` : next}]*)`;
  }
  const whole = new RegExp(`${pattern}${escaped(text.slice(at))}$`);
  return {
    keys,
    read: (written) => {
      const found = whole.exec(written);
      if (found === null) return undefined;
      return new Map(keys.map((key, i) => [key, found[i + 1] === '-' ? undefined : found[i + 1]]));
    },
  };
}

function escaped(text: string): string {
  return text.replaceAll('%%', '%').replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
}

function leavesOf(members: JsonFormat, path: readonly string[]): { path: readonly string[]; line: Line }[] {
  return Object.entries(members).flatMap(([name, value]) =>
    typeof value === 'string' ? [{ path: [...path, name], line: lineOf(value) }] : leavesOf(value, [...path, name]),
  );
}

function parsed(line: string): object | undefined {
  if (!line.startsWith('{')) return undefined;
  try {
    return JSON.parse(line) as object;
  } catch {
    return undefined;
  }
}

function knowledgeOf(keys: readonly string[]): Pick<LogReader, 'headers' | 'missing'> {
  const headers = keys.flatMap(headersAsked).filter((name) => !PSEUDO.has(name));
  const has = (pseudo: string): boolean => keys.some((key) => headersAsked(key).includes(pseudo));
  const missing = (['method', 'path', 'authority'] as const).filter((name) => !has(`:${name}`));
  return { headers: new Set(headers), missing: missing.map((name) => NEEDED[name]) };
}

/** `REQ(x?y)` tells x, and of a request without one, y: which of the two it was is not said, but for the two that are known. */
function headersAsked(key: string): string[] {
  const asked = /^REQ(?:UEST_HEADER)?\((.*)\)$/.exec(key)?.[1];
  if (asked === undefined) return [];
  const [main = '', fallback] = asked.split('?');
  return fallback === undefined ? [main] : fallback.startsWith(':') ? [fallback] : [];
}

function requestOf(values: Values): LoggedRequest | 'connection' | undefined {
  const pseudo = (name: string): string | undefined => {
    for (const [key, value] of values) if (value !== undefined && headersAsked(key).includes(name)) return value;
    return undefined;
  };
  const [method, path, authority] = [pseudo(':method'), pseudo(':path'), pseudo(':authority')];
  if (method === undefined) return 'connection';
  if (path === undefined || authority === undefined) return undefined;
  const headers = new Map<string, string | undefined>();
  for (const [key, value] of values)
    for (const name of headersAsked(key)) if (!PSEUDO.has(name)) headers.set(name, value);
  const clusterKey = ['UPSTREAM_CLUSTER_RAW', 'UPSTREAM_CLUSTER'].find((key) => values.has(key));
  const status = values.get('RESPONSE_CODE');
  const startedAtMs = Date.parse(values.get('START_TIME') ?? '');
  return {
    method,
    path,
    authority,
    headers,
    upstreamCluster: clusterKey === undefined ? undefined : (values.get(clusterKey) ?? ''),
    localAddress: values.get('DOWNSTREAM_LOCAL_ADDRESS'),
    remoteAddress: values.get('DOWNSTREAM_REMOTE_ADDRESS'),
    serverName: values.get('REQUESTED_SERVER_NAME'),
    protocol: values.get('PROTOCOL'),
    status: status === undefined ? undefined : Number(status),
    startedAtMs: Number.isNaN(startedAtMs) ? undefined : startedAtMs,
  };
}
