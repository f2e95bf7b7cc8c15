// SPDX-License-Identifier: Apache-2.0
// Routes of virtual hosts.
import type { MessageInitShape } from '@bufbuild/protobuf';
import {
  type DataSourceSchema,
  HeaderValueOption_HeaderAppendAction,
  type HeaderValueOptionSchema,
} from '#gen/envoy/config/core/v3/base_pb.ts';
import {
  type RedirectActionSchema,
  RedirectAction_RedirectResponseCode as RedirectCode,
  type RouteActionSchema,
  type RouteSchema,
} from '#gen/envoy/config/route/v3/route_components_pb.ts';
import type {
  HeaderEdits,
  HttpRouteIntent,
  ResponseBody,
  RetryIntent,
  RouteAction,
  WeightedDestination,
} from '../intent/route-types.ts';
import { corsConfig } from './filters/cors.ts';
import { faultConfig } from './filters/fault.ts';
import { hashPolicy } from './hash-policies.ts';
import { duration, fraction, type Init } from './messages.ts';
import { destinationName } from './names.ts';
import { buildRetryPolicy, NO_RETRIES, retriesKey } from './retries.ts';
import { buildMatch } from './route-match.ts';
import { ruleMetadata } from './rule-metadata.ts';

type RouteInit = MessageInitShape<typeof RouteSchema>;
type ActionInit = Init<typeof RouteActionSchema>;

/** What a virtual host says for those of its routes that say nothing themselves. */
export interface HostDefaults {
  /** Equal retries have equal keys (`retriesKey`). */
  readonly retries: string | undefined;
  /** The rule that its routes are of. */
  readonly config: string | undefined;
}

export function buildRoute(route: HttpRouteIntent, defaults: HostDefaults): RouteInit {
  return {
    name: route.name,
    statPrefix: route.statPrefix,
    match: buildMatch(route.match),
    action: buildAction(route.action, defaults),
    ...ruleMetadata(route.origin, defaults.config),
    typedPerFilterConfig: { ...(route.cors && corsConfig(route.cors)), ...(route.fault && faultConfig(route.fault)) },
    ...edits(route.requestHeaders, route.responseHeaders),
  };
}

function buildAction(action: RouteAction, defaults: HostDefaults): RouteInit['action'] {
  switch (action.kind) {
    case 'forward':
      return { case: 'route', value: forward(action, defaults) };
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

function forward(action: Extract<RouteAction, { kind: 'forward' }>, defaults: HostDefaults): ActionInit {
  const { rewrite } = action;
  return {
    clusterSpecifier: clusterSpecifier(action.to),
    timeout: duration(action.timeoutMs),
    ...ownRetries(action.retries, defaults.retries),
    ...(rewrite.path !== undefined && { prefixRewrite: rewrite.path }),
    ...(rewrite.pattern && {
      regexRewrite: { pattern: { regex: rewrite.pattern.match }, substitution: rewrite.pattern.rewrite },
    }),
    ...(rewrite.authority !== undefined && {
      hostRewriteSpecifier: { case: 'hostRewriteLiteral', value: rewrite.authority },
      ...(rewrite.tellsHost && { appendXForwardedHost: true }),
    }),
    ...(action.hashes && { hashPolicy: action.hashes.map(hashPolicy) }),
    requestMirrorPolicies: action.mirrors.map((mirror) => ({
      cluster: destinationName(mirror.to),
      runtimeFraction: { defaultValue: fraction(mirror.percent) },
    })),
  };
}

/** Nothing where it is as its virtual host says. */
function ownRetries(retries: RetryIntent | undefined, usual: string | undefined): Pick<ActionInit, 'retryPolicy'> {
  if (retries === undefined) return usual === undefined ? {} : { retryPolicy: NO_RETRIES };
  return retriesKey(retries) === usual ? {} : { retryPolicy: buildRetryPolicy(retries) };
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
