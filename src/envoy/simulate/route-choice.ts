// SPDX-License-Identifier: Apache-2.0
// Envoy's choice of a virtual host and a route in it. What hangs on something that is not in the request is `undefined`,
// which is neither yes nor no.
import type {
  HeaderMatcher,
  QueryParameterMatcher,
  Route,
  RouteMatch,
  VirtualHost,
} from '#gen/envoy/config/route/v3/route_components_pb.ts';
import type { RouteConfiguration } from '#gen/envoy/config/route/v3/route_pb.ts';
import type { StringMatcher } from '#gen/envoy/type/matcher/v3/string_pb.ts';
import { type FractionalPercent, FractionalPercent_DenominatorType as Of } from '#gen/envoy/type/v3/percent_pb.ts';
import { matchesText } from '../../intent/text-match.ts';
import { ASKED_STATE } from '../filters/on-demand.ts';
import type { HttpRequest } from './outcome.ts';

/** Undefined: nobody but the proxy knows. */
type Maybe = boolean | undefined;

/** An exact domain, else the longest wildcard in front, else the longest at the end, else `*`. */
export function chooseVirtualHost(
  table: Pick<RouteConfiguration, 'ignorePortInHostMatching'>,
  hosts: readonly VirtualHost[],
  authority: string,
): VirtualHost | undefined {
  const host = (table.ignorePortInHostMatching ? authority.replace(/:\d+$/, '') : authority).toLowerCase();
  const claims = hosts.flatMap((vhost) => vhost.domains.map((d) => ({ vhost, domain: d.toLowerCase() })));
  const longest = (fits: (domain: string) => boolean) =>
    claims.filter(({ domain }) => fits(domain)).sort((a, b) => b.domain.length - a.domain.length)[0]?.vhost;
  return (
    longest((d) => d === host) ??
    longest((d) => d.length > 1 && d.startsWith('*') && host.length >= d.length && host.endsWith(d.slice(1))) ??
    longest((d) => d.length > 1 && d.endsWith('*') && host.length >= d.length && host.startsWith(d.slice(0, -1))) ??
    longest((d) => d === '*')
  );
}

export interface RouteChoice {
  readonly route: Route | undefined;
  /** Names of routes before it of which nobody knows whether they take the request. */
  readonly doubts: readonly string[];
}

/** The first route that takes the request. */
export function chooseRoute(vhost: VirtualHost, request: HttpRequest): RouteChoice {
  const doubts: string[] = [];
  for (const route of vhost.routes) {
    const taken = takes(route.match, request);
    if (taken === true) return { route, doubts };
    if (taken === undefined) doubts.push(route.name);
  }
  return { route: undefined, doubts };
}

export function probabilityOf(percentage: FractionalPercent | undefined): number {
  if (percentage === undefined) return 0;
  const whole = { [Of.HUNDRED]: 100, [Of.TEN_THOUSAND]: 10_000, [Of.MILLION]: 1_000_000 };
  return Math.min(1, percentage.numerator / whole[percentage.denominator]);
}

function all(conditions: readonly Maybe[]): Maybe {
  if (conditions.includes(false)) return false;
  return conditions.includes(undefined) ? undefined : true;
}

function takes(match: RouteMatch | undefined, request: HttpRequest): Maybe {
  if (match === undefined) return false;
  const [path = '', query = ''] = request.path.split(/\?(.*)/s);
  const parameters = rawParameters(query);
  return all([
    takesPath(match.pathSpecifier, path, match.caseSensitive ?? true),
    ...match.headers.map((header) => takesHeader(header, request)),
    ...match.queryParameters.map((parameter) => takesParameter(parameter, parameters)),
    takesRest(match),
  ]);
}

/** Conditions that our own rules have no words for. */
function takesRest(match: RouteMatch): Maybe {
  const { grpc, tlsContext, dynamicMetadata, runtimeFraction, $unknown = [] } = match;
  const odd = grpc ?? tlsContext ?? dynamicMetadata[0] ?? runtimeFraction;
  const asked = $unknown.every(({ data }) => Buffer.from(data).includes(ASKED_STATE.key));
  return odd === undefined && asked ? true : undefined;
}

/** As they are written, by which Envoy goes: the first one of a name counts. */
function rawParameters(query: string): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  for (const part of query.split('&')) {
    const [name = '', value = ''] = part.split(/=(.*)/s);
    if (!found.has(name)) found.set(name, value);
  }
  return found;
}

function takesParameter(
  { name, queryParameterMatchSpecifier: specifier }: QueryParameterMatcher,
  parameters: ReadonlyMap<string, string>,
): Maybe {
  const value = parameters.get(name);
  if (specifier.case === 'presentMatch') return (value !== undefined) === specifier.value;
  if (value === undefined) return false;
  return specifier.case !== 'stringMatch' || takesString(specifier.value, value);
}

function takesPath(specifier: RouteMatch['pathSpecifier'], path: string, caseSensitive: boolean): Maybe {
  const fold = (text: string) => (caseSensitive ? text : text.toLowerCase());
  switch (specifier.case) {
    case 'path':
      return fold(path) === fold(specifier.value);
    case 'prefix':
      return fold(path).startsWith(fold(specifier.value));
    case 'pathSeparatedPrefix': {
      const prefix = fold(specifier.value);
      return fold(path) === prefix || fold(path).startsWith(`${prefix}/`);
    }
    case 'safeRegex':
      return matchesText({ kind: 'regex', value: specifier.value.regex }, path);
    default:
      return undefined;
  }
}

function takesHeader(header: HeaderMatcher, request: HttpRequest): Maybe {
  const decided = request.decide?.(header);
  if (decided !== undefined) return decided;
  const present = headerValue(header.name, request);
  const value = present ?? (header.treatMissingHeaderAsEmpty ? '' : undefined);
  const specifier = header.headerMatchSpecifier;
  if (specifier.case === 'presentMatch') return ((present !== undefined) === specifier.value) !== header.invertMatch;
  if (value === undefined) return false;
  const fits = takesValue(specifier, value);
  return fits === undefined ? undefined : fits !== header.invertMatch;
}

function takesValue(specifier: HeaderMatcher['headerMatchSpecifier'], value: string): Maybe {
  switch (specifier.case) {
    case 'stringMatch':
      return takesString(specifier.value, value);
    case 'exactMatch':
      return value === specifier.value;
    case 'prefixMatch':
      return value.startsWith(specifier.value);
    case 'suffixMatch':
      return value.endsWith(specifier.value);
    case 'containsMatch':
      return value.includes(specifier.value);
    case 'safeRegexMatch':
      return matchesText({ kind: 'regex', value: specifier.value.regex }, value);
    default:
      return undefined;
  }
}

export function headerValue(name: string, request: HttpRequest): string | undefined {
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

export function takesString({ matchPattern, ignoreCase }: StringMatcher, text: string): Maybe {
  const fold = (each: string) => (ignoreCase ? each.toLowerCase() : each);
  const value = fold(text);
  switch (matchPattern.case) {
    case 'exact':
      return value === fold(matchPattern.value);
    case 'prefix':
      return value.startsWith(fold(matchPattern.value));
    case 'suffix':
      return value.endsWith(fold(matchPattern.value));
    case 'contains':
      return value.includes(fold(matchPattern.value));
    case 'safeRegex':
      return matchesText({ kind: 'regex', value: matchPattern.value.regex }, text);
    default:
      return undefined;
  }
}
