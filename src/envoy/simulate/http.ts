// SPDX-License-Identifier: Apache-2.0
// A connection manager: from the request as it comes to what its route does with it.
import { HttpProtocolOptions_HeadersWithUnderscoresAction as Underscores } from '#gen/envoy/config/core/v3/protocol_pb.ts';
import {
  type RedirectAction,
  type Route,
  VirtualHost_TlsRequirementType,
} from '#gen/envoy/config/route/v3/route_components_pb.ts';
import type { RouteConfiguration } from '#gen/envoy/config/route/v3/route_pb.ts';
import type { HttpConnectionManager } from '#gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts';
import { readRuleMetadata } from '../rule-metadata.ts';
import type { DecodedState } from './decoded-state.ts';
import { forward, type Levels, responseChanges, strangeFields } from './forwarding.ts';
import { runFilters, strangeFilters } from './http-filters.ts';
import type { Call, Chosen, HttpRequest, Outcome, Place, Response, Verdict } from './outcome.ts';
import { normalizePath } from './path-normalization.ts';
import { locationOf } from './path-rewrites.ts';
import { chooseRoute, chooseVirtualHost } from './route-choice.ts';

export interface HttpContext {
  readonly state: DecodedState;
  readonly manager: HttpConnectionManager;
  readonly call: Call & { readonly request: HttpRequest };
  readonly listener: string;
  readonly chosen: Chosen;
}

export function runHttp(context: HttpContext): Outcome {
  const { manager, listener, chosen } = context;
  const outcome = runRequest(context);
  const filters = strangeFilters(manager);
  if (filters.length === 0) return outcome;
  const why = `only the proxy knows what ${[...new Set(filters)].join(', ')} does`;
  return { kind: 'unknown', listener, chosen, why, filters, otherwise: outcome };
}

function runRequest(context: HttpContext): Outcome {
  const { state, manager, call, listener } = context;
  const place: Place = { listener, chosen: context.chosen };
  const received = receive(context);
  if ('kind' in received) return { ...place, ...received };
  const { request, upgrade } = received;
  const table = tableOf(state, manager);
  if (table === undefined) return { ...place, ...localReply(request, 404, 'no-route') };
  const hosts = [...table.virtualHosts, ...(table.vhds ? state.virtualHosts(table.name, request.authority) : [])];
  const virtualHost = chooseVirtualHost(table, hosts, request.authority);
  const met: Place = {
    listener,
    chosen: { ...context.chosen, table: table.name, ...(virtualHost && { virtualHost }) },
  };
  if (virtualHost === undefined) return { ...met, ...localReply(request, 404, 'no-route') };
  if (virtualHost.requireTls === VirtualHost_TlsRequirementType.ALL && forwardedProto(manager, call) === 'http') {
    if (!takesUpgrade(manager, upgrade)) return { ...met, ...localReply(request, 403, 'request') };
    const location = `https://${request.authority}${request.path}`;
    return { ...met, virtualHost: virtualHost.name, ...redirectReply(request, 301, location) };
  }
  const { route, doubts } = chooseRoute(virtualHost, request);
  const serverName = call.connection.tls?.serverName ?? '';
  const outcome: Outcome =
    route === undefined
      ? { ...met, ...localReply(request, 404, 'no-route') }
      : !takesUpgrade(manager, upgrade)
        ? { ...met, ...localReply(request, 403, 'request') }
        : runRoute({ state, levels: { route, virtualHost, table }, serverName, upgrade }, request, manager, met);
  if (doubts.length === 0) return outcome;
  const why = `only the proxy knows whether the route ${doubts.join(', ')} takes it`;
  return { ...met, virtualHost: virtualHost.name, kind: 'unknown', why, filters: doubts, otherwise: outcome };
}

function takesUpgrade({ upgradeConfigs }: HttpConnectionManager, upgrade: string | undefined): boolean {
  return upgrade === undefined || upgradeConfigs.some(({ upgradeType }) => upgradeType.toLowerCase() === upgrade);
}

type RouteContext = Parameters<typeof forward>[2];

function runRoute(context: RouteContext, request: HttpRequest, manager: HttpConnectionManager, met: Place): Outcome {
  const { route, virtualHost } = context.levels;
  const rule = readRuleMetadata(route.metadata, virtualHost.metadata);
  const before = runFilters(route, request, manager);
  const place: Place = {
    listener: met.listener,
    chosen: { ...met.chosen, route },
    virtualHost: virtualHost.name,
    route: route.name,
    ...(rule !== undefined && { rule }),
    ...(before.faults && { faults: before.faults }),
  };
  const always = before.responseHeaders;
  if (before.answer !== undefined) {
    const { status, grpcStatus, by } = before.answer;
    const answer = by === 'fault' ? localReply(request, status, by, grpcStatus) : before.answer;
    return { ...place, ...answer, responseHeaders: always };
  }
  const strange = route.action.case === 'route' ? strangeFields(route.action.value) : [];
  const verdict = act(context, request);
  const outcome: Outcome = { ...place, ...withHeaders(verdict, always) };
  if (strange.length === 0) return outcome;
  const why = `only the proxy knows what its route's ${strange.join(', ')} comes to`;
  return { ...place, kind: 'unknown', why, filters: strange, otherwise: outcome };
}

/** CORS comes last on the way back. */
function withHeaders(verdict: Verdict, always: Response['responseHeaders'] & object): Verdict {
  switch (verdict.kind) {
    case 'forward':
      return {
        ...verdict,
        to: verdict.to.map((to) => ({ ...to, responseHeaders: [...(to.responseHeaders ?? []), ...always] })),
      };
    case 'redirect':
    case 'respond':
      return { ...verdict, responseHeaders: [...(verdict.responseHeaders ?? []), ...always] };
    default:
      return verdict;
  }
}

function act(context: RouteContext, request: HttpRequest): Verdict {
  const { levels } = context;
  const { action } = levels.route;
  switch (action.case) {
    case 'directResponse': {
      const { status, body } = action.value;
      const reply = localReply(request, status, 'rule');
      return { ...reply, ...bodyOf(body?.specifier), responseHeaders: responseChanges(levels) };
    }
    case 'redirect':
      return redirect(action.value, levels, request);
    case 'route':
      return { kind: 'forward', ...forward(action.value, request, context) };
    default:
      return localReply(request, 500, 'rule');
  }
}

const REDIRECT_STATUS = [301, 302, 303, 307, 308];

function redirect(action: RedirectAction, levels: Levels, request: HttpRequest): Verdict {
  const status = REDIRECT_STATUS[action.responseCode] ?? 301;
  const location = locationOf(action, levels.route.match, request);
  return { ...redirectReply(request, status, location), responseHeaders: responseChanges(levels) };
}

type BodySpecifier = NonNullable<Extract<Route['action'], { case: 'directResponse' }>['value']['body']>['specifier'];

function bodyOf(specifier: BodySpecifier | undefined): { body?: Uint8Array } {
  if (specifier?.case === 'inlineString') return { body: new Uint8Array(Buffer.from(specifier.value)) };
  return specifier?.case === 'inlineBytes' ? { body: specifier.value } : {};
}

/** https://github.com/grpc/grpc/blob/master/doc/http-grpc-status-mapping.md */
const GRPC_STATUS: Readonly<Record<number, number>> = {
  400: 13,
  401: 16,
  403: 7,
  404: 12,
  429: 14,
  502: 14,
  503: 14,
  504: 14,
};

function redirectReply(request: HttpRequest, asked: number, location: string): Extract<Verdict, { kind: 'redirect' }> {
  const { status, grpcStatus } = localReply(request, asked, 'rule');
  return { kind: 'redirect', status, location, ...(grpcStatus !== undefined && { grpcStatus }) };
}

/** What Envoy says itself, it says to gRPC clients in their way. */
function localReply(request: HttpRequest, status: number, by: Response['by'], grpcStatus?: number): Response {
  if (!/^application\/grpc(\+|$)/.test(request.headers['content-type'] ?? ''))
    return { kind: 'respond', by, status, ...(grpcStatus !== undefined && { grpcStatus }) };
  return { kind: 'respond', by, status: 200, grpcStatus: grpcStatus ?? GRPC_STATUS[status] ?? 2 };
}

/** The request as routes see it, or what is said at once of one that is not taken. */
function receive({
  manager,
  call,
}: HttpContext): Verdict | { readonly request: HttpRequest; readonly upgrade: string | undefined } {
  const { request } = call;
  if (request.protocol === 'http/1.0' && manager.httpProtocolOptions?.acceptHttp10 !== true)
    return { kind: 'respond', by: 'request', status: 426 };
  if (request.authority === '') return localReply(request, 400, 'request');
  const headers = takenHeaders(request.headers, manager);
  if (headers === undefined) return localReply(request, 400, 'request');
  const upgrade = upgradeOf(request);
  const normalized = normalizePath(request.path, manager);
  if (normalized.kind === 'refused') return localReply(request, 400, 'request');
  const scheme = request.protocol === 'h2' ? request.scheme : forwardedProto(manager, call);
  const authority = authorityOf(manager, request.authority, call.connection.port);
  if (normalized.kind === 'redirect') return redirectReply(request, 307, normalized.path);
  return { request: { ...request, headers, scheme, authority, path: normalized.path }, upgrade };
}

/** Undefined: the request is refused for a name with an underscore (by 400; of HTTP/2, its stream is reset). */
function takenHeaders(
  headers: HttpRequest['headers'],
  { commonHttpProtocolOptions: options }: HttpConnectionManager,
): HttpRequest['headers'] | undefined {
  const action = options?.headersWithUnderscoresAction ?? Underscores.ALLOW;
  if (action === Underscores.ALLOW || !Object.keys(headers).some((name) => name.includes('_'))) return headers;
  if (action === Underscores.REJECT_REQUEST) return undefined;
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !name.includes('_')));
}

function upgradeOf({ headers }: HttpRequest): string | undefined {
  const asks = (headers['connection'] ?? '').split(',').some((token) => token.trim().toLowerCase() === 'upgrade');
  return asks ? headers['upgrade']?.toLowerCase() : undefined;
}

/**
 * `x-forwarded-proto`, which is the scheme where the request does not say one: clients that are believed do by a header, and
 * else the connection does.
 */
function forwardedProto(
  manager: HttpConnectionManager,
  { request, connection, direction }: HttpContext['call'],
): string {
  const told = request.headers['x-forwarded-proto'];
  const isBelieved = manager.useRemoteAddress !== true || manager.xffNumTrustedHops > 0;
  if (isBelieved && (told === 'http' || told === 'https')) return told;
  // Between proxies of the mesh TLS says nothing of what the client asked for.
  return direction === 'inbound' ? request.scheme : connection.tls === undefined ? 'http' : 'https';
}

/** `reviews.default.global.:9080` is the same name without its dot. */
function authorityOf(manager: HttpConnectionManager, authority: string, port: number): string {
  const named = manager.stripTrailingHostDot ? authority.replace(/\.(?=(:\d+)?$)/, '') : authority;
  const { stripMatchingHostPort, stripPortMode } = manager;
  if (stripPortMode.case === 'stripAnyHostPort' && stripPortMode.value) return named.replace(/:\d+$/, '');
  return stripMatchingHostPort && named.endsWith(`:${port}`) ? named.slice(0, -`:${port}`.length) : named;
}

function tableOf(state: DecodedState, { routeSpecifier: specifier }: HttpConnectionManager) {
  const none: RouteConfiguration | undefined = undefined;
  if (specifier.case === 'rds') return state.routes(specifier.value.routeConfigName);
  return specifier.case === 'routeConfig' ? specifier.value : none;
}
