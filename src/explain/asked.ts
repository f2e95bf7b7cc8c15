// SPDX-License-Identifier: Apache-2.0
// The request that is asked about, as a person writes it.

import type { HttpRequest } from '../envoy/simulate/outcome.ts';

export type AskedRequest =
  | (Target & {
      readonly kind: 'http';
      readonly method: string;
      readonly scheme: 'http' | 'https';
      /** As it is in the request: with the port, if that was written. */
      readonly authority: string;
      /** With its query. */
      readonly path: string;
      /** Lower-case names. */
      readonly headers: Readonly<Record<string, string>>;
      readonly protocol: 'http/1.0' | 'http/1.1' | 'h2';
      /** More that the simulator is to know of it. */
      readonly more?: Partial<HttpRequest>;
    })
  | (Target & { readonly kind: 'tcp' })
  /** TLS that the client opens itself, whatever is in it. */
  | (Target & { readonly kind: 'tls'; readonly serverName: string; readonly alpn: readonly string[] });

interface Target {
  readonly host: string;
  readonly port: number;
  /** Where the client dials, in place of what its DNS says of the host. */
  readonly dial?: { readonly address: string; readonly port: number };
}

/** What was asked makes no sense; `cure` says how to ask. */
export class AskingError extends Error {
  readonly cure: string;

  constructor(message: string, cure: string) {
    super(message);
    this.cure = cure;
  }
}

const FORMS =
  'write it as GET http://HOST:PORT/PATH, grpc://HOST:PORT/SERVICE/METHOD, tcp://HOST:PORT or tls://HOST:PORT';
const DEFAULT_PORTS: Readonly<Record<string, number>> = { http: 80, https: 443, grpc: 80, tls: 443 };

/**
 * `['GET', 'http://reviews:9080/']`, or the URL alone.
 * @param headers `end-user: jason`
 * @throws AskingError
 */
export function readRequest(words: readonly string[], headers: readonly string[] = []): AskedRequest {
  if (words.length > 2) throw new AskingError(`"${words.join(' ')}" is more than a method and a URL`, FORMS);
  const url = words.at(-1) ?? '';
  const match = /^(http|https|grpc|tcp|tls):\/\/(\[[^\]]+\]|[^/:?#[\]]+)(?::(\d+))?([/?][^#]*)?$/i.exec(url);
  if (match === null) throw new AskingError(`"${url}" is no URL that can be followed`, FORMS);
  const scheme = match[1]!.toLowerCase();
  const host = match[2]!.replace(/^\[|\]$/g, '');
  const port = Number(match[3] ?? DEFAULT_PORTS[scheme] ?? 0);
  if (port < 1 || port > 65_535) {
    const cure = scheme === 'tcp' ? 'name it: tcp://HOST:PORT' : 'ports are from 1 to 65535';
    throw new AskingError(`${url} has no port that can be dialled`, cure);
  }
  const target = { host, port };
  if (scheme === 'tcp' || scheme === 'tls') return { ...target, ...readConnection(scheme, host, words, headers) };
  const given = readHeaders(headers);
  const method = words.length === 2 ? words[0]!.toUpperCase() : scheme === 'grpc' ? 'POST' : 'GET';
  if (!/^[A-Z]+$/.test(method)) throw new AskingError(`"${words[0]}" is no HTTP method`, FORMS);
  const own = given['host'] ?? given[':authority'];
  const written = match[3] === undefined ? match[2]! : `${match[2]}:${port}`;
  const isGrpc = scheme === 'grpc' || given['content-type']?.startsWith('application/grpc') === true;
  const { host: _host, ':authority': _authority, ...rest } = given;
  return {
    ...target,
    kind: 'http',
    method,
    scheme: scheme === 'https' ? 'https' : 'http',
    authority: own ?? written,
    path: normalizedStart(match[4]),
    headers: isGrpc ? { 'content-type': 'application/grpc', te: 'trailers', ...rest } : rest,
    protocol: isGrpc ? 'h2' : 'http/1.1',
  };
}

function readConnection(
  scheme: 'tcp' | 'tls',
  host: string,
  words: readonly string[],
  headers: readonly string[],
): { kind: 'tcp' } | { kind: 'tls'; serverName: string; alpn: string[] } {
  if (words.length > 1 || headers.length > 0)
    throw new AskingError(`${scheme}:// is a connection and no request: it has no method and no headers`, FORMS);
  return scheme === 'tcp' ? { kind: 'tcp' } : { kind: 'tls', serverName: host, alpn: [] };
}

function normalizedStart(rest: string | undefined): string {
  if (rest === undefined) return '/';
  return rest.startsWith('/') ? rest : `/${rest}`;
}

/** @throws AskingError */
function readHeaders(headers: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    headers.map((header) => {
      const [, name, value] = /^(:?[!#$%&'*+\-.^_`|~0-9A-Za-z]+)\s*:\s*(.*)$/.exec(header) ?? [];
      if (name === undefined)
        throw new AskingError(`header "${header}" has no name and value`, "write -H 'end-user: jason'");
      return [name.toLowerCase(), value ?? ''];
    }),
  );
}

/** `GET http://reviews:9080/reviews/0` */
export function describeRequest(request: AskedRequest): string {
  const { host, port } = request;
  const shown = host.includes(':') ? `[${host}]` : host;
  if (request.kind !== 'http') return `${request.kind}://${shown}:${port}`;
  const { method, scheme, path } = request;
  const isDefault = port === DEFAULT_PORTS[scheme];
  return `${method} ${scheme}://${shown}${isDefault ? '' : `:${port}`}${path}`;
}
