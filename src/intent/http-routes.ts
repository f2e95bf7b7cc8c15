// SPDX-License-Identifier: Apache-2.0
// The http part of a VirtualService as an ordered list of routes, for one port of one client.

import type { HeaderOperations } from '../api/header-operations.ts';
import type { HeaderCondition, HttpMatch } from '../api/http-match.ts';
import type { CorsPolicy, Destination, Fault, HttpRoute, Retries } from '../api/http-route.ts';
import type { StringMatch } from '../api/values.ts';
import type { VirtualService } from '../api/virtual-service.ts';
import { qualifyHost } from '../model/hosts.ts';
import { type ProxyView, qualifyGateway } from '../model/view.ts';
import type {
  CorsIntent,
  DestinationRef,
  FaultIntent,
  HeaderEdits,
  HttpRouteIntent,
  NamedMatch,
  Origin,
  RequestMatch,
  RetryIntent,
  RouteAction,
  WeightedDestination,
} from './types.ts';

/** Who asks: a rule can name the gateways, ports, namespaces and labels that it is for. */
export interface RouteClient {
  readonly view: ProxyView;
  /** `mesh`, or the gateway as NAMESPACE/NAME. */
  readonly gateway: string;
  readonly port: number;
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
  backoffMs: undefined,
};

/** Everything to one destination, as without a rule. */
export function plainRoute(to: DestinationRef, origin: Origin): HttpRouteIntent {
  return {
    name: 'default',
    match: ANY_REQUEST,
    action: {
      kind: 'forward',
      to: [{ to, weight: 100, requestHeaders: NO_EDITS, responseHeaders: NO_EDITS, authority: undefined, origin }],
      timeoutMs: 0,
      retries: DEFAULT_RETRIES,
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
    const field = `spec.http[${i}]`;
    const matches = http.match.length === 0 ? [undefined] : http.match;
    for (const [j, match] of matches.entries()) {
      if (match !== undefined && !concerns(match, vs, client)) continue;
      const origin = { object: vs.ref, field: match === undefined ? field : `${field}.match[${j}]` };
      routes.push(buildRoute(vs, http, match, field, origin, client));
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
  if (client.gateway !== 'mesh') return true;
  if (match.sourceNamespace !== undefined && match.sourceNamespace !== view.namespace) return false;
  return Object.entries(match.sourceLabels).every(([key, value]) => view.labels[key] === value);
}

function takesEverything(match: RequestMatch): boolean {
  const anyPath = match.path.kind === 'prefix' && match.path.value === '/';
  return anyPath && match.headers.length === 0 && match.query.length === 0;
}

function buildRoute(
  vs: VirtualService,
  http: HttpRoute,
  match: HttpMatch | undefined,
  field: string,
  origin: Origin,
  client: RouteClient,
): HttpRouteIntent {
  const request = edits(http.headers?.request);
  return {
    name: [http.name, match?.name].filter((part) => part !== undefined).join('.') || 'default',
    match: match === undefined ? ANY_REQUEST : buildMatch(match),
    action: buildAction(vs, http, field, request.authority, client),
    fault: http.fault && buildFault(http.fault),
    cors: http.corsPolicy && buildCors(http.corsPolicy),
    requestHeaders: request.edits,
    responseHeaders: edits(http.headers?.response).edits,
    origin,
  };
}

function buildMatch(match: HttpMatch): RequestMatch {
  const pseudo = (name: string, condition: StringMatch | undefined): NamedMatch[] =>
    condition === undefined ? [] : [{ name, condition, invert: false }];
  const named = (from: Readonly<Record<string, HeaderCondition>>, invert: boolean): NamedMatch[] =>
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
  field: string,
  authority: string | undefined,
  client: RouteClient,
): RouteAction {
  if (http.redirect !== undefined) {
    const { uri, authority: host, scheme, port, redirectCode } = http.redirect;
    return { kind: 'redirect', path: uri, authority: host, scheme, port, code: redirectCode };
  }
  if (http.directResponse !== undefined) {
    return { kind: 'respond', status: http.directResponse.status, body: http.directResponse.body?.string ?? '' };
  }
  const mirrors = http.mirror ? [{ destination: http.mirror, percentage: http.mirrorPercentage }] : http.mirrors;
  return {
    kind: 'forward',
    to: buildWeights(vs, http, field, client),
    timeoutMs: http.timeout ?? 0,
    retries: http.retries === undefined ? DEFAULT_RETRIES : buildRetries(http.retries),
    rewrite: {
      path: http.rewrite?.uri,
      pattern: http.rewrite?.uriRegexRewrite,
      authority: http.rewrite?.authority ?? authority,
    },
    mirrors: mirrors.map((mirror) => ({
      to: resolveDestination(mirror.destination, vs, client),
      percent: mirror.percentage?.value ?? 100,
    })),
  };
}

function buildWeights(vs: VirtualService, http: HttpRoute, field: string, client: RouteClient): WeightedDestination[] {
  const single = http.route.length === 1;
  return http.route.flatMap((route, i) => {
    const weight = single ? 100 : (route.weight ?? 0);
    if (weight === 0) return [];
    const request = edits(route.headers?.request);
    return [
      {
        to: resolveDestination(route.destination, vs, client),
        weight,
        requestHeaders: request.edits,
        responseHeaders: edits(route.headers?.response).edits,
        authority: request.authority,
        origin: { object: vs.ref, field: `${field}.route[${i}]` },
      },
    ];
  });
}

/** A destination without a port takes the only port of its service, or else the one that the request came to. */
export function resolveDestination(destination: Destination, vs: VirtualService, client: RouteClient): DestinationRef {
  const { view } = client;
  const host = qualifyHost(destination.host, vs.ref.namespace, view.settings.dnsDomain);
  const ports = view.serviceOf.get(host)?.ports.filter((p) => p.protocol !== 'udp') ?? [];
  const only = ports.length === 1 ? ports[0]!.number : client.port;
  return { host, port: destination.port?.number ?? only, subset: destination.subset ?? '' };
}

/** `Host` is no header like the others: setting it rewrites the authority. */
function edits(operations: HeaderOperations | undefined): { edits: HeaderEdits; authority: string | undefined } {
  if (operations === undefined) return { edits: NO_EDITS, authority: undefined };
  let authority: string | undefined;
  const set: Record<string, string> = {};
  for (const [name, value] of Object.entries(operations.set)) {
    if (['host', ':authority'].includes(name.toLowerCase())) authority = value;
    else set[name.toLowerCase()] = value;
  }
  const add = Object.fromEntries(Object.entries(operations.add).map(([name, value]) => [name.toLowerCase(), value]));
  return { edits: { set, add, remove: operations.remove.map((name) => name.toLowerCase()) }, authority };
}

function buildRetries(retries: Retries): RetryIntent | undefined {
  if (retries.attempts === 0) return undefined;
  const conditions = (retries.retryOn ?? '')
    .split(',')
    .map((c) => c.trim())
    .filter((c) => c !== '');
  const statusCodes = conditions.filter((c) => /^\d{3}$/.test(c)).map(Number);
  const named = conditions.filter((c) => !/^\d{3}$/.test(c));
  return {
    attempts: retries.attempts,
    perTryTimeoutMs: retries.perTryTimeout,
    on:
      conditions.length === 0
        ? DEFAULT_RETRIES.on
        : [...named, ...(statusCodes.length > 0 ? ['retriable-status-codes'] : [])],
    statusCodes,
    avoidPreviousHosts: retries.retryIgnorePreviousHosts,
    backoffMs: retries.backoff,
  };
}

function buildFault(fault: Fault): FaultIntent {
  const { delay, abort } = fault;
  return {
    delay: delay && { percent: delay.percentage?.value ?? 100, delayMs: delay.fixedDelay },
    abort: abort && { percent: abort.percentage?.value ?? 100, status: abort.httpStatus },
  };
}

function buildCors(cors: CorsPolicy): CorsIntent {
  return {
    origins: cors.allowOrigins,
    methods: cors.allowMethods,
    headers: cors.allowHeaders,
    exposed: cors.exposeHeaders,
    maxAgeMs: cors.maxAge,
    credentials: cors.allowCredentials,
  };
}
