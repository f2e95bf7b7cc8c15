// SPDX-License-Identifier: Apache-2.0
// The http part of a VirtualService as an ordered list of routes, for one port of one client.

import type { Destination } from '../api/destination.ts';
import { type HeaderOperations, isAuthority } from '../api/header-operations.ts';
import type { DirectResponse, Redirect } from '../api/http-actions.ts';
import type { CorsPolicy } from '../api/http-cors.ts';
import { type Fault, GRPC_STATUS } from '../api/http-fault.ts';
import type { Condition, HttpMatch } from '../api/http-match.ts';
import type { Retries } from '../api/http-retries.ts';
import type { HttpRoute } from '../api/http-route.ts';
import type { MeshConfig } from '../api/mesh-config.ts';
import type { StringMatch } from '../api/values.ts';
import type { VirtualService } from '../api/virtual-service.ts';
import { qualifyHost } from '../model/hosts.ts';
import { qualifyGateway } from '../model/qualify-gateway.ts';
import { aliasTarget, type ProxyView } from '../model/view.ts';
import type { DestinationRef } from './destination-types.ts';
import type { Origin } from './origin.ts';
import { retryConditions } from './retry-conditions.ts';
import type {
  CorsIntent,
  FaultError,
  FaultIntent,
  HeaderEdits,
  HttpRouteIntent,
  NamedMatch,
  RequestMatch,
  ResponseBody,
  RetryIntent,
  RewriteIntent,
  RouteAction,
  WeightedDestination,
} from './route-types.ts';

/** Who asks: a rule can name the gateways, ports, namespaces and labels that it is for. */
export interface RouteClient {
  readonly view: ProxyView;
  /** `mesh`, or the gateway as NAMESPACE/NAME. */
  readonly gateway: string;
  readonly port: number;
  /** The gateway has opened TLS. */
  readonly tls?: boolean;
}

const NO_EDITS: HeaderEdits = { set: {}, add: {}, remove: [] };
const ANY_REQUEST: RequestMatch = {
  path: { kind: 'prefix', value: '/' },
  ignoreCase: false,
  headers: [],
  query: [],
};
/** Istio's: a request that cannot have done anything yet is tried twice more. */
export const DEFAULT_RETRIES: RetryIntent = {
  attempts: 2,
  perTryTimeoutMs: undefined,
  on: ['connect-failure', 'refused-stream', 'unavailable', 'cancelled'],
  statusCodes: [],
  avoidPreviousHosts: true,
  otherPriorities: false,
  backoffMs: undefined,
};

/** Everything to one destination, as without a rule. */
export function plainRoute(to: DestinationRef, origin: Origin, mesh: MeshConfig): HttpRouteIntent {
  return {
    name: 'default',
    statPrefix: '',
    match: ANY_REQUEST,
    action: {
      kind: 'forward',
      to: [{ to, weight: 100, requestHeaders: NO_EDITS, responseHeaders: NO_EDITS, authority: undefined, origin }],
      timeoutMs: 0,
      retries: retriesOf(undefined, mesh),
      rewrite: { path: undefined, pattern: undefined, authority: undefined },
      mirrors: [],
    },
    fault: undefined,
    cors: undefined,
    requestHeaders: NO_EDITS,
    responseHeaders: NO_EDITS,
    origin,
  };
}

export function buildRoutes(vs: VirtualService, client: RouteClient): HttpRouteIntent[] {
  const routes: HttpRouteIntent[] = [];
  for (const [i, http] of vs.spec.http.entries()) {
    const { object, field, matches: places } = http.writtenAt ?? { object: vs.ref, field: `spec.http[${i}]` };
    const matches = http.match.length === 0 ? [undefined] : http.match;
    for (const [j, match] of matches.entries()) {
      if (match !== undefined && !concerns(match, vs, client)) continue;
      const origin = { object, field: match === undefined ? field : (places?.[j] ?? `${field}.match[${j}]`) };
      routes.push(buildRoute(vs, http, match, { object, field }, origin, client));
      // Nothing behind a route that takes everything can be reached: keep it out of every proxy.
      if (takesEverything(routes.at(-1)!.match)) return routes;
    }
  }
  return routes;
}

function concerns(match: HttpMatch, vs: VirtualService, client: RouteClient): boolean {
  const { view } = client;
  if (match.port !== undefined && match.port !== client.port) return false;
  const gateways = match.gateways.map((name) => qualifyGateway(name, vs.ref.namespace));
  if (gateways.length > 0 && !gateways.includes(client.gateway)) return false;
  // Whoever names a gateway asks nothing more of what comes through it.
  if (gateways.length > 0 && client.gateway !== 'mesh') return true;
  if (match.sourceNamespace !== undefined && !view.isIn(match.sourceNamespace)) return false;
  return Object.entries(match.sourceLabels).every(([key, value]) => view.labels[key] === value);
}

/** Routes of several rules for one host: those that take everything come last, and only the first of them counts. */
export function catchAllLast(routes: readonly HttpRouteIntent[]): readonly HttpRouteIntent[] {
  const rest = routes.filter((route) => takesEverything(route.match));
  if (rest.length === 0 || rest[0] === routes.at(-1)) return routes;
  return [...routes.filter((route) => !takesEverything(route.match)), rest[0]!];
}

function takesEverything(match: RequestMatch): boolean {
  const { kind, value } = match.path;
  const anyPath = (kind === 'prefix' && (value === '/' || value === '')) || (kind === 'regex' && value === '.*');
  return anyPath && match.headers.length === 0 && match.query.length === 0;
}

function buildRoute(
  vs: VirtualService,
  http: HttpRoute,
  match: HttpMatch | undefined,
  place: Origin,
  origin: Origin,
  client: RouteClient,
): HttpRouteIntent {
  const headers = routeHeadersOf(http);
  return {
    name: [http.name, match?.name].filter((part) => part !== undefined).join('.') || 'default',
    statPrefix: match?.statPrefix ?? '',
    match: match === undefined ? ANY_REQUEST : buildMatch(match),
    action: buildAction(vs, http, place, headers, client),
    fault: http.fault && buildFault(http.fault),
    cors: http.corsPolicy && buildCors(http.corsPolicy),
    requestHeaders: headers.request,
    responseHeaders: headers.response,
    origin,
  };
}

function buildMatch(match: HttpMatch): RequestMatch {
  const pseudo = (name: string, condition: StringMatch | undefined): NamedMatch[] =>
    condition === undefined ? [] : [{ name, condition, invert: false }];
  const named = (from: Readonly<Record<string, Condition>>, invert: boolean): NamedMatch[] =>
    Object.entries(from).map(([name, condition]) => ({ name: name.toLowerCase(), condition, invert }));
  return {
    path: match.uri ?? ANY_REQUEST.path,
    ignoreCase: match.ignoreUriCase && match.uri !== undefined && match.uri.kind !== 'regex',
    headers: [
      ...pseudo(':scheme', match.scheme),
      ...pseudo(':method', match.method),
      ...pseudo(':authority', match.authority),
      ...named(match.headers, false),
      ...named(match.withoutHeaders, true),
    ],
    query: Object.entries(match.queryParams).map(([name, condition]) => ({ name, condition, invert: false })),
  };
}

function buildAction(
  vs: VirtualService,
  http: HttpRoute,
  place: Origin,
  headers: RouteHeaders,
  client: RouteClient,
): RouteAction {
  if (http.redirect !== undefined) return buildRedirect(http.redirect, client);
  if (http.directResponse !== undefined) {
    const { status, body } = http.directResponse;
    return { kind: 'respond', status, body: body && bodyOf(body) };
  }
  const authority = http.rewrite?.authority ?? headers.authority;
  const mirrors = http.mirror ? [{ destination: http.mirror, percentage: http.mirrorPercentage }] : http.mirrors;
  return {
    kind: 'forward',
    to: buildWeights(vs, http, place, client),
    timeoutMs: http.timeout ?? 0,
    retries: retriesOf(http.retries, client.view.mesh),
    rewrite: {
      path: http.rewrite?.uri,
      pattern: http.rewrite?.uriRegexRewrite,
      authority,
      ...(authority !== undefined && tellsHost(client.view.mesh)),
    },
    mirrors: mirrors
      .map((mirror) => ({
        to: resolveDestination(mirror.destination, vs, client),
        percent: mirror.percentage?.value ?? 100,
      }))
      .filter(({ percent }) => percent > 0),
  };
}

function tellsHost({ defaultConfig }: MeshConfig): Pick<RewriteIntent, 'tellsHost'> {
  return defaultConfig?.proxyHeaders?.xForwardedHost?.enabled ? { tellsHost: true } : {};
}

function buildRedirect(redirect: Redirect, client: RouteClient): RouteAction {
  const { uri, prefixRewrite, authority, scheme, derivePort, redirectCode } = redirect;
  const asked = derivePort === 'FROM_REQUEST_PORT' ? client.port : redirect.port;
  // The scheme's own port is not written out.
  const implied = (scheme ?? (client.tls === true ? 'https' : 'http')) === 'https' ? 443 : 80;
  const port = asked === implied ? undefined : asked;
  return { kind: 'redirect', path: uri, prefix: prefixRewrite, authority, scheme, port, code: redirectCode };
}

function bodyOf({ string, bytes }: NonNullable<DirectResponse['body']>): ResponseBody | undefined {
  if (bytes !== undefined) return { base64: bytes };
  return string === undefined || string === '' ? undefined : { text: string };
}

interface RouteHeaders {
  readonly request: HeaderEdits;
  readonly response: HeaderEdits;
  readonly authority: string | undefined;
}

/** What the only destination of a route wants of headers is done after what the route wants. */
function routeHeadersOf(http: HttpRoute): RouteHeaders {
  const request = edits(http.headers?.request);
  const response = edits(http.headers?.response).edits;
  const own = http.route.length === 1 ? http.route[0]!.headers : undefined;
  if (own === undefined) return { request: request.edits, response, authority: request.authority };
  const ownRequest = edits(own.request);
  return {
    request: joined(request.edits, ownRequest.edits),
    response: joined(response, edits(own.response).edits),
    authority: request.authority ?? ownRequest.authority,
  };
}

function joined(first: HeaderEdits, second: HeaderEdits): HeaderEdits {
  const kept = Object.entries(first.add).filter(([name]) => !Object.hasOwn(second.set, name));
  return {
    set: { ...first.set, ...second.set },
    add: { ...Object.fromEntries(kept), ...second.add },
    remove: [...first.remove, ...second.remove],
  };
}

function buildWeights(vs: VirtualService, http: HttpRoute, place: Origin, client: RouteClient): WeightedDestination[] {
  const single = http.route.length === 1;
  return http.route.flatMap((route, i) => {
    const weight = single ? 100 : (route.weight ?? 0);
    if (weight === 0) return [];
    const request = edits(single ? undefined : route.headers?.request);
    return [
      {
        to: resolveDestination(route.destination, vs, client),
        weight,
        requestHeaders: request.edits,
        responseHeaders: edits(single ? undefined : route.headers?.response).edits,
        authority: request.authority,
        origin: { object: place.object, field: `${place.field}.route[${i}]` },
      },
    ];
  });
}

/** A destination without a port takes the only port of its service, or else the one that the request came to. */
export function resolveDestination(destination: Destination, vs: VirtualService, client: RouteClient): DestinationRef {
  const { view } = client;
  const named = qualifyHost(destination.host, vs.ref.namespace, view.settings.dnsDomain);
  const service = view.serviceOf.get(named);
  const ports = service?.ports.filter((p) => p.protocol !== 'udp') ?? [];
  const only = ports.length === 1 ? ports[0]!.number : client.port;
  const target = service && aliasTarget(view, service);
  // See DestinationCache: other names of such a service are no destinations of their own.
  const host = target?.traffic === undefined ? named : target.hostname;
  return { host, port: destination.port?.number ?? only, subset: destination.subset ?? '' };
}

/** `Host` is no header like the others: setting it rewrites the authority. */
function edits(operations: HeaderOperations | undefined): { edits: HeaderEdits; authority: string | undefined } {
  if (operations === undefined) return { edits: NO_EDITS, authority: undefined };
  let authority: string | undefined;
  const plain = (values: Readonly<Record<string, string>>) => {
    const entries = Object.entries(values).flatMap(([name, value]) => {
      if (isAuthority(name)) authority = value;
      return isAuthority(name) ? [] : [[name.toLowerCase(), value] as const];
    });
    return Object.fromEntries(entries);
  };
  const add = plain(operations.add);
  const set = plain(operations.set);
  return { edits: { set, add, remove: operations.remove.map((name) => name.toLowerCase()) }, authority };
}

function retriesOf(own: Retries | undefined, { defaultHttpRetryPolicy }: MeshConfig): RetryIntent | undefined {
  const retries = own ?? defaultHttpRetryPolicy;
  return retries === undefined ? DEFAULT_RETRIES : buildRetries(retries);
}

function buildRetries(retries: Retries): RetryIntent | undefined {
  if (retries.attempts === 0) return undefined;
  return {
    attempts: retries.attempts,
    perTryTimeoutMs: retries.perTryTimeout,
    ...retryConditions(retries.retryOn, DEFAULT_RETRIES.on),
    avoidPreviousHosts: retries.retryIgnorePreviousHosts,
    otherPriorities: retries.retryRemoteLocalities === true,
    ...(retries.retryRemoteLocalities === false && { samePriorities: true as const }),
    backoffMs: retries.backoff,
  };
}

function buildFault({ delay, abort }: Fault): FaultIntent {
  return { delay, abort: abort && { percent: abort.percent, error: faultError(abort.error) } };
}

function faultError(error: NonNullable<Fault['abort']>['error']): FaultError {
  return error.kind === 'http' ? error : { kind: 'grpc', status: GRPC_STATUS.indexOf(error.status) };
}

function buildCors(cors: CorsPolicy): CorsIntent {
  return {
    origins: cors.allowOrigins,
    methods: cors.allowMethods,
    headers: cors.allowHeaders,
    exposed: cors.exposeHeaders,
    maxAgeMs: cors.maxAge,
    credentials: cors.allowCredentials,
    forwardUnmatched: cors.unmatchedPreflights !== 'IGNORE',
  };
}
