// SPDX-License-Identifier: Apache-2.0
// Envoy's choice of a virtual host and a route in it.
import type { HeaderMatcher, Route, VirtualHost } from '#gen/envoy/config/route/v3/route_components_pb.ts';
import type { RouteConfiguration } from '#gen/envoy/config/route/v3/route_pb.ts';
import type { StringMatcher } from '#gen/envoy/type/matcher/v3/string_pb.ts';
import type { TextMatch } from '../../intent/route-types.ts';
import { matchesText } from '../../intent/text-match.ts';

export interface HttpRequest {
  readonly method: string;
  readonly scheme: string;
  readonly authority: string;
  /** With its query. */
  readonly path: string;
  /** Lower-case names. */
  readonly headers: Readonly<Record<string, string>>;
}

/** An exact domain, else the longest wildcard in front, else the longest at the end, else `*`. */
export function chooseVirtualHost(table: RouteConfiguration, authority: string): VirtualHost | undefined {
  const host = (table.ignorePortInHostMatching ? authority.replace(/:\d+$/, '') : authority).toLowerCase();
  const claims = table.virtualHosts.flatMap((vhost) => vhost.domains.map((d) => ({ vhost, domain: d.toLowerCase() })));
  const longest = (fits: (domain: string) => boolean) =>
    claims.filter(({ domain }) => fits(domain)).sort((a, b) => b.domain.length - a.domain.length)[0]?.vhost;
  return (
    longest((d) => d === host) ??
    longest((d) => d.length > 1 && d.startsWith('*') && host.length >= d.length && host.endsWith(d.slice(1))) ??
    longest((d) => d.length > 1 && d.endsWith('*') && host.length >= d.length && host.startsWith(d.slice(0, -1))) ??
    longest((d) => d === '*')
  );
}

/** The first route that takes the request. */
export function chooseRoute(vhost: VirtualHost, request: HttpRequest): Route | undefined {
  return vhost.routes.find((route) => takes(route, request));
}

function takes({ match }: Route, request: HttpRequest): boolean {
  if (match === undefined) return false;
  const [path = '', query = ''] = request.path.replace(/#.*$/, '').split(/\?(.*)/s);
  if (!takesPath(match.pathSpecifier, path, match.caseSensitive ?? true)) return false;
  if (!match.headers.every((header) => takesHeader(header, request))) return false;
  const parameters = new URLSearchParams(query);
  return match.queryParameters.every(({ name, queryParameterMatchSpecifier: specifier }) => {
    const value = parameters.get(name);
    if (value === null) return false;
    return specifier.case !== 'stringMatch' || takesString(specifier.value, value);
  });
}

function takesPath(
  specifier: NonNullable<Route['match']>['pathSpecifier'],
  path: string,
  caseSensitive: boolean,
): boolean {
  const fold = (text: string) => (caseSensitive ? text : text.toLowerCase());
  switch (specifier.case) {
    case 'path':
      return fold(path) === fold(specifier.value);
    case 'prefix':
      return fold(path).startsWith(fold(specifier.value));
    case 'safeRegex':
      return matchesText({ kind: 'regex', value: specifier.value.regex }, path);
    default:
      return false;
  }
}

function takesHeader(header: HeaderMatcher, request: HttpRequest): boolean {
  const present = headerValue(header.name, request);
  const value = present ?? (header.treatMissingHeaderAsEmpty ? '' : undefined);
  const specifier = header.headerMatchSpecifier;
  switch (specifier.case) {
    case 'presentMatch':
      return ((present !== undefined) === specifier.value) !== header.invertMatch;
    case 'stringMatch':
      return value !== undefined && takesString(specifier.value, value) !== header.invertMatch;
    default:
      return false;
  }
}

function headerValue(name: string, request: HttpRequest): string | undefined {
  switch (name.toLowerCase()) {
    case ':method':
      return request.method;
    case ':scheme':
      return request.scheme;
    case ':path':
      return request.path;
    case ':authority':
    case 'host':
      return request.authority;
    default:
      return request.headers[name.toLowerCase()];
  }
}

export function takesString({ matchPattern }: StringMatcher, value: string): boolean {
  switch (matchPattern.case) {
    case 'exact':
    case 'prefix':
      return matchesText({ kind: matchPattern.case, value: matchPattern.value } satisfies TextMatch, value);
    case 'safeRegex':
      return matchesText({ kind: 'regex', value: matchPattern.value.regex }, value);
    default:
      return false;
  }
}

/** What the connection manager's `normalize_path` makes of a path, for routes, redirects and the server (RFC 3986, 6.2.2). */
export function normalizedPath(whole: string): string {
  const [path = '', query] = whole.split(/\?(.*)/s);
  return `${normalize(path)}${query === undefined ? '' : `?${query}`}`;
}

function normalize(path: string): string {
  const decoded = path
    .replace(/%([0-9a-f]{2})/gi, (escape_, hex: string) => {
      const char = String.fromCharCode(Number.parseInt(hex, 16));
      return /[A-Za-z0-9\-._~]/.test(char) ? char : escape_.toUpperCase();
    })
    .replaceAll('\\', '/');
  const kept: string[] = [];
  const segments = decoded.split('/').slice(1);
  segments.forEach((segment, i) => {
    const last = i === segments.length - 1;
    if (segment === '..') kept.pop();
    else if (segment !== '.') kept.push(segment);
    if (last && (segment === '.' || segment === '..')) kept.push('');
  });
  return `/${kept.join('/')}`;
}
