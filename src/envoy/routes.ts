// SPDX-License-Identifier: Apache-2.0
// Route tables as Envoy route configurations.
import { create, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import {
  type DataSourceSchema,
  HeaderValueOption_HeaderAppendAction,
  type HeaderValueOptionSchema,
} from '#gen/envoy/config/core/v3/base_pb.ts';
import {
  type RedirectActionSchema,
  RedirectAction_RedirectResponseCode as RedirectCode,
  type RouteActionSchema,
  type RouteMatch,
  RouteMatchSchema,
  type RouteSchema,
  VirtualHost_TlsRequirementType,
  VirtualHostSchema,
} from '#gen/envoy/config/route/v3/route_components_pb.ts';
import { RouteConfigurationSchema } from '#gen/envoy/config/route/v3/route_pb.ts';
import { FilterStateMatcherSchema } from '#gen/envoy/type/matcher/v3/filter_state_pb.ts';
import type {
  HeaderEdits,
  HttpRouteIntent,
  ResponseBody,
  RouteAction,
  RouteTableIntent,
  VirtualHostIntent,
  WeightedDestination,
} from '../intent/route-types.ts';
import { encodeFields, type Field } from '../xds/delimited.ts';
import { corsConfig } from './filters/cors.ts';
import { faultConfig } from './filters/fault.ts';
import { ASKED_STATE } from './filters/on-demand.ts';
import { hashPolicy } from './hash-policies.ts';
import { byAds, duration, fraction, stringMatcher, withField } from './messages.ts';
import { destinationName, PASSTHROUGH } from './names.ts';
import { buildRetryPolicy } from './retries.ts';
import { buildMatch } from './route-match.ts';
import { ruleMetadata } from './rule-metadata.ts';

type VirtualHostInit = MessageInitShape<typeof VirtualHostSchema>;
type RouteInit = MessageInitShape<typeof RouteSchema>;
type ActionInit = MessageInitShape<typeof RouteActionSchema>;

/**
 * A serialized envoy.config.route.v3.RouteConfiguration, put together from its virtual hosts' bytes: protobuf lets a
 * repeated field be written piece by piece, and with one changed host a thousand others need not be written anew.
 */
export function encodeRouteConfiguration(table: RouteTableIntent, virtualHosts: readonly Uint8Array[]): Uint8Array {
  return encodeTable(table.name, [...virtualHosts, ...otherwise(table.otherwise).map(encodeVirtualHost)]);
}

/**
 * The same for a proxy that gets virtual hosts as resources of their own (VHDS): what the table says of hosts that are
 * none of the mesh's. `asked`: hosts come with the first request for them, so that those routes must wait until the proxy
 * has asked whether there is one.
 */
export function encodeOnDemandTable(
  table: RouteTableIntent,
  { isAsked, isTaken }: { readonly isAsked: boolean; readonly isTaken: boolean },
): Uint8Array {
  const others = isTaken ? [] : otherwise(table.otherwise, isAsked);
  const vhds = toBinary(
    RouteConfigurationSchema,
    create(RouteConfigurationSchema, { vhds: { configSource: byAds() } }),
  );
  return Buffer.concat([encodeTable(table.name, others.map(encodeVirtualHost)), vhds]);
}

/** Every request; `asked`: only after the proxy has asked whether there is a host for it. */
function everything(asked: boolean): RouteMatch {
  const match = create(RouteMatchSchema, { pathSpecifier: { case: 'prefix', value: '/' } });
  if (!asked) return match;
  const matcher = create(FilterStateMatcherSchema, {
    key: ASKED_STATE.key,
    matcher: { case: 'stringMatch', value: stringMatcher({ kind: 'exact', value: ASKED_STATE.value }) },
  });
  const data = new BinaryWriter().bytes(toBinary(FilterStateMatcherSchema, matcher)).finish();
  // repeated FilterStateMatcher filter_state = 16
  return withField(match, 16, WireType.LengthDelimited, data);
}

/**
 * A virtual host as a resource: the same bytes, and behind them what is said anew (of a field that is there twice, the
 * last one counts). A request for which it has no route is refused by itself: Envoy would ask for the host once more.
 */
export function encodeHostResource(host: VirtualHostIntent, name: string, bytes: Uint8Array): Uint8Array {
  const rest = create(VirtualHostSchema, {
    name,
    routes: host.routes.some(takesAll)
      ? []
      : [
          {
            name: 'no_route',
            match: { pathSpecifier: { case: 'prefix', value: '/' } },
            action: { case: 'directResponse', value: { status: 404 } },
          },
        ],
  });
  return Buffer.concat([bytes, toBinary(VirtualHostSchema, rest)]);
}

function takesAll({ match }: HttpRouteIntent): boolean {
  const { path, headers, query } = match;
  return path.kind === 'prefix' && path.value === '/' && headers.length === 0 && query.length === 0;
}

const TABLE_FIELDS = new Map(RouteConfigurationSchema.fields.map(({ name, number }) => [name, number]));
const fieldOf = (name: 'name' | 'virtual_hosts'): number => TABLE_FIELDS.get(name)!;

const TABLE_REST = toBinary(
  RouteConfigurationSchema,
  create(RouteConfigurationSchema, {
    // The port of `Host: reviews:9080` is known already: it chose this table.
    ignorePortInHostMatching: true,
    // A route to a cluster that does not exist (yet) answers 503; it must not hold up all other routes.
    validateClusters: false,
    maxDirectResponseBodySizeBytes: 1 << 20,
  }),
);

function encodeTable(name: string, hosts: readonly Uint8Array[]): Uint8Array {
  const number = fieldOf('virtual_hosts');
  const fields = hosts.map((host): Field => [number, host]);
  return encodeFields([[fieldOf('name'), Buffer.from(name)], ...fields], TABLE_REST);
}

export function buildVirtualHost(host: VirtualHostIntent): Uint8Array {
  return encodeVirtualHost(virtualHost(host));
}

function encodeVirtualHost(host: VirtualHostInit): Uint8Array {
  return toBinary(VirtualHostSchema, create(VirtualHostSchema, host));
}

function virtualHost(host: VirtualHostIntent): VirtualHostInit {
  return {
    name: host.name,
    domains: [...host.domains],
    routes: host.routes.map(buildRoute),
    includeRequestAttemptCount: true,
    ...(host.httpsOnly && { requireTls: VirtualHost_TlsRequirementType.ALL }),
  };
}

function otherwise(kind: RouteTableIntent['otherwise'], asked = false): VirtualHostInit[] {
  const match = everything(asked);
  const to = (cluster: string): VirtualHostInit => {
    const value: ActionInit = { clusterSpecifier: { case: 'cluster', value: cluster }, timeout: duration(0) };
    const action = { case: 'route' as const, value };
    return { name: 'allow_any', domains: ['*'], routes: [{ name: 'allow_any', match, action }] };
  };
  switch (kind) {
    case 'not-found':
      return [];
    case 'refuse': {
      const action = { case: 'directResponse' as const, value: { status: 502 } };
      return [{ name: 'block_all', domains: ['*'], routes: [{ name: 'block_all', match, action }] }];
    }
    case 'pass-through':
      return [to(PASSTHROUGH)];
    default:
      return [to(destinationName(kind))];
  }
}

function buildRoute(route: HttpRouteIntent): RouteInit {
  return {
    name: route.name,
    statPrefix: route.statPrefix,
    match: buildMatch(route.match),
    action: buildAction(route.action),
    ...ruleMetadata(route.origin),
    typedPerFilterConfig: { ...(route.cors && corsConfig(route.cors)), ...(route.fault && faultConfig(route.fault)) },
    ...edits(route.requestHeaders, route.responseHeaders),
  };
}

function buildAction(action: RouteAction): RouteInit['action'] {
  switch (action.kind) {
    case 'forward':
      return { case: 'route', value: forward(action) };
    case 'redirect':
      return { case: 'redirect', value: redirect(action) };
    case 'respond': {
      const { status, body } = action;
      return { case: 'directResponse', value: { status, ...(body && { body: { specifier: bodySpecifier(body) } }) } };
    }
  }
}

function bodySpecifier(body: ResponseBody): NonNullable<MessageInitShape<typeof DataSourceSchema>['specifier']> {
  return 'text' in body
    ? { case: 'inlineString', value: body.text }
    : { case: 'inlineBytes', value: new Uint8Array(Buffer.from(body.base64, 'base64')) };
}

function forward(action: Extract<RouteAction, { kind: 'forward' }>): ActionInit {
  const { rewrite } = action;
  return {
    clusterSpecifier: clusterSpecifier(action.to),
    timeout: duration(action.timeoutMs),
    ...(action.retries && { retryPolicy: buildRetryPolicy(action.retries) }),
    ...(rewrite.path !== undefined && { prefixRewrite: rewrite.path }),
    ...(rewrite.pattern && {
      regexRewrite: { pattern: { regex: rewrite.pattern.match }, substitution: rewrite.pattern.rewrite },
    }),
    ...(rewrite.authority !== undefined && {
      hostRewriteSpecifier: { case: 'hostRewriteLiteral', value: rewrite.authority },
    }),
    ...(action.hashes && { hashPolicy: action.hashes.map(hashPolicy) }),
    requestMirrorPolicies: action.mirrors.map((mirror) => ({
      cluster: destinationName(mirror.to),
      runtimeFraction: { defaultValue: fraction(mirror.percent) },
    })),
  };
}

function clusterSpecifier(to: readonly WeightedDestination[]): NonNullable<ActionInit['clusterSpecifier']> {
  const [only] = to;
  if (to.length === 1 && only !== undefined && isPlain(only))
    return { case: 'cluster', value: destinationName(only.to) };
  return {
    case: 'weightedClusters',
    value: {
      clusters: to.map((destination) => ({
        name: destinationName(destination.to),
        weight: destination.weight,
        ...edits(destination.requestHeaders, destination.responseHeaders),
        ...(destination.authority !== undefined && {
          hostRewriteSpecifier: { case: 'hostRewriteLiteral' as const, value: destination.authority },
        }),
      })),
    },
  };
}

function isPlain(destination: WeightedDestination): boolean {
  const untouched = (e: HeaderEdits) =>
    Object.keys(e.set).length === 0 && Object.keys(e.add).length === 0 && e.remove.length === 0;
  const { requestHeaders, responseHeaders, authority } = destination;
  return authority === undefined && untouched(requestHeaders) && untouched(responseHeaders);
}

function redirect(action: Extract<RouteAction, { kind: 'redirect' }>): MessageInitShape<typeof RedirectActionSchema> {
  return {
    responseCode: REDIRECTS[action.code] ?? RedirectCode.MOVED_PERMANENTLY,
    ...(action.authority !== undefined && { hostRedirect: action.authority }),
    ...(action.port !== undefined && { portRedirect: action.port }),
    ...(action.scheme !== undefined && { schemeRewriteSpecifier: { case: 'schemeRedirect', value: action.scheme } }),
    ...(action.prefix !== undefined && { pathRewriteSpecifier: { case: 'prefixRewrite', value: action.prefix } }),
    ...(action.path !== undefined && { pathRewriteSpecifier: { case: 'pathRedirect', value: action.path } }),
  };
}

const REDIRECTS: Readonly<Record<number, RedirectCode>> = {
  301: RedirectCode.MOVED_PERMANENTLY,
  302: RedirectCode.FOUND,
  303: RedirectCode.SEE_OTHER,
  307: RedirectCode.TEMPORARY_REDIRECT,
  308: RedirectCode.PERMANENT_REDIRECT,
};

function edits(request: HeaderEdits, response: HeaderEdits) {
  return {
    requestHeadersToAdd: additions(request),
    requestHeadersToRemove: [...request.remove],
    responseHeadersToAdd: additions(response),
    responseHeadersToRemove: [...response.remove],
  };
}

function additions(headers: HeaderEdits): MessageInitShape<typeof HeaderValueOptionSchema>[] {
  const option = (from: Readonly<Record<string, string>>, appendAction: HeaderValueOption_HeaderAppendAction) =>
    Object.entries(from).map(([key, value]) => ({ header: { key, value }, appendAction }));
  return [
    ...option(headers.set, HeaderValueOption_HeaderAppendAction.OVERWRITE_IF_EXISTS_OR_ADD),
    ...option(headers.add, HeaderValueOption_HeaderAppendAction.APPEND_IF_EXISTS_OR_ADD),
  ];
}
