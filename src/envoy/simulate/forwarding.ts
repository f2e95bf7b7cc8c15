// SPDX-License-Identifier: Apache-2.0
// A route that sends requests on: to whom, as what, and what is done when that fails.
import type { Cluster } from '#gen/envoy/config/cluster/v3/cluster_pb.ts';
import { Cluster_DiscoveryType } from '#gen/envoy/config/cluster/v3/cluster_pb.ts';
import type { HeaderValueOption } from '#gen/envoy/config/core/v3/base_pb.ts';
import type {
  RetryPolicy,
  Route,
  RouteAction,
  RouteAction_HashPolicy,
  VirtualHost,
  WeightedCluster_ClusterWeight,
} from '#gen/envoy/config/route/v3/route_components_pb.ts';
import type { RouteConfiguration } from '#gen/envoy/config/route/v3/route_pb.ts';
import type { DecodedState } from './decoded-state.ts';
import { applyChanges, changesOf, type FormatContext, formatRequestValue } from './header-operations.ts';
import { milliseconds } from './http-filters.ts';
import type { Forwarding, ForwardTarget, HashKey, HeaderChange, HttpRequest, Mirror, Retries } from './outcome.ts';
import { replaceByPattern, replacePrefix } from './path-rewrites.ts';
import { headerValue, probabilityOf } from './route-choice.ts';
import { targetOf, upstreamOf } from './upstream.ts';

/** Everything that changes headers. */
export interface Levels {
  readonly route: Route;
  readonly virtualHost: VirtualHost;
  readonly table: RouteConfiguration;
}

export interface ForwardContext {
  readonly state: DecodedState;
  readonly levels: Levels;
  /** Of the client's TLS; '': none. */
  readonly serverName: string;
  readonly upgrade: string | undefined;
}

type Weighted = Pick<WeightedCluster_ClusterWeight, 'name' | 'hostRewriteSpecifier'> & { readonly weight: number };

export function forward(
  action: RouteAction,
  request: HttpRequest,
  context: ForwardContext,
): { readonly to: readonly ForwardTarget[]; readonly http: Forwarding } {
  const weighted = clustersOf(action, request);
  const sum = weighted.reduce((total, { weight }) => total + weight, 0);
  const to = weighted.map((cluster): ForwardTarget => {
    const target = targetOf(context.state, cluster.name, cluster.weight / sum);
    const responseHeaders = responseChanges(context.levels, cluster);
    return { ...target, request: outgoing(action, cluster, request, context), responseHeaders };
  });
  const retries = action.retryPolicy ?? context.levels.virtualHost.retryPolicy;
  const http: Forwarding = {
    timeoutMs: action.timeout === undefined ? 15_000 : milliseconds(action.timeout),
    ...(retries && retries.retryOn !== '' && retriesOf(retries)),
    mirrors: mirrorsOf(action, context.state),
    hashes: action.hashPolicy.map((policy) => hashKey(policy, to[0]?.request ?? request)),
    ...(context.upgrade !== undefined && { upgrade: context.upgrade }),
  };
  return { to, http };
}

/** Fields of a route that lead where nobody can follow. */
export function strangeFields({ clusterSpecifier, hostRewriteSpecifier, ...action }: RouteAction): string[] {
  const known = ['cluster', 'weightedClusters', 'clusterHeader'];
  const strange = {
    [clusterSpecifier.case ?? 'clusterSpecifier']: !known.includes(clusterSpecifier.case ?? ''),
    [hostRewriteSpecifier.case ?? '']: hostRewriteSpecifier.case === 'hostRewritePathRegex',
    pathRewritePolicy: action.pathRewritePolicy !== undefined,
    internalRedirectPolicy: action.internalRedirectPolicy !== undefined,
    metadataMatch: action.metadataMatch !== undefined,
    retryPolicyTypedConfig: action.retryPolicyTypedConfig !== undefined,
    'weightedClusters.headerName':
      clusterSpecifier.case === 'weightedClusters' && clusterSpecifier.value.randomValueSpecifier.case !== undefined,
  };
  return Object.keys(strange).filter((name) => strange[name]);
}

function clustersOf({ clusterSpecifier: specifier }: RouteAction, request: HttpRequest): Weighted[] {
  const only = (name: string): Weighted[] => [{ name, weight: 1, hostRewriteSpecifier: { case: undefined } }];
  switch (specifier.case) {
    case 'cluster':
      return only(specifier.value);
    case 'clusterHeader':
      return only(headerValue(specifier.value, request) ?? '');
    case 'weightedClusters':
      return specifier.value.clusters
        .map((cluster) => ({ ...cluster, weight: cluster.weight ?? 0 }))
        .filter(({ weight }) => weight > 0);
    default:
      return [];
  }
}

/** A weighted cluster is asked before the route, the route before the virtual host, and the table last. */
function levelsOf({ route, virtualHost, table }: Levels, cluster: object | undefined): RequestAndResponse[] {
  return [
    ...(cluster && 'requestHeadersToAdd' in cluster ? [cluster as RequestAndResponse] : []),
    route,
    virtualHost,
    table,
  ];
}

interface RequestAndResponse {
  readonly requestHeadersToAdd: readonly HeaderValueOption[];
  readonly requestHeadersToRemove: readonly string[];
  readonly responseHeadersToAdd: readonly HeaderValueOption[];
  readonly responseHeadersToRemove: readonly string[];
}

export function responseChanges(levels: Levels, cluster?: object): HeaderChange[] {
  return levelsOf(levels, cluster).flatMap((level) =>
    changesOf({ add: level.responseHeadersToAdd, remove: level.responseHeadersToRemove }),
  );
}

/** Headers that are of one connection (RFC 9110, section 7.6.1). */
const HOP = ['connection', 'keep-alive', 'proxy-connection', 'transfer-encoding', 'upgrade'];

function outgoing(
  action: RouteAction,
  cluster: Weighted,
  request: HttpRequest,
  { state, levels, serverName, upgrade }: ForwardContext,
): HttpRequest {
  const isKept = (name: string) => upgrade !== undefined || !HOP.includes(name);
  let headers: Readonly<Record<string, string>> = Object.fromEntries(
    Object.entries(request.headers).filter(([name]) => isKept(name)),
  );
  for (const level of levelsOf(levels, cluster)) {
    const changes = changesOf({ add: level.requestHeadersToAdd, remove: level.requestHeadersToRemove });
    headers = applyChanges(headers, changes, (value, current) => {
      const seen = { ...request, headers: current };
      const format: FormatContext = { request: seen, routeName: levels.route.name, cluster: cluster.name, serverName };
      return formatRequestValue(value, format);
    });
  }
  const path = rewrittenPath(action, levels.route, request.path);
  const authority = authorityOf(action, cluster, { ...request, headers }, state.cluster(cluster.name));
  return { ...request, path, authority, headers };
}

function rewrittenPath({ prefixRewrite, regexRewrite }: RouteAction, { match }: Route, path: string): string {
  if (regexRewrite !== undefined) return replaceByPattern(path, regexRewrite);
  return prefixRewrite === '' ? path : replacePrefix(path, match, prefixRewrite);
}

/** The route's word goes before a weighted cluster's. */
function authorityOf(
  action: RouteAction,
  { hostRewriteSpecifier: own }: Weighted,
  request: HttpRequest,
  cluster: Cluster | undefined,
): string {
  const specifier = action.hostRewriteSpecifier;
  switch (specifier.case) {
    case 'hostRewriteLiteral':
      return specifier.value;
    case 'hostRewriteHeader':
      return headerValue(specifier.value, request) ?? request.authority;
    case 'autoHostRewrite':
      return (specifier.value ? hostnameOf(cluster) : undefined) ?? request.authority;
    default:
      return own.case === 'hostRewriteLiteral' ? own.value : request.authority;
  }
}

/** Endpoints have a name where Envoy has looked it up. */
function hostnameOf(cluster: Cluster | undefined): string | undefined {
  const { case: kind, value: type } = cluster?.clusterDiscoveryType ?? {};
  const isLookedUp =
    kind === 'type' && (type === Cluster_DiscoveryType.STRICT_DNS || type === Cluster_DiscoveryType.LOGICAL_DNS);
  const member = cluster?.loadAssignment?.endpoints[0]?.lbEndpoints[0]?.hostIdentifier;
  if (!isLookedUp || member?.case !== 'endpoint') return undefined;
  const address = member.value.address?.address;
  return member.value.hostname || (address?.case === 'socketAddress' ? address.value.address : undefined);
}

function retriesOf(policy: RetryPolicy): { retries: Retries } {
  const { perTryTimeout, numRetries = 1, retriableStatusCodes, retryOn } = policy;
  return {
    retries: {
      attempts: numRetries,
      on: retryOn.split(',').filter((condition) => condition !== ''),
      statusCodes: retriableStatusCodes,
      ...(perTryTimeout !== undefined && { perTryTimeoutMs: milliseconds(perTryTimeout) }),
    },
  };
}

function mirrorsOf({ requestMirrorPolicies }: RouteAction, state: DecodedState): Mirror[] {
  return requestMirrorPolicies.map(({ cluster, runtimeFraction }) => {
    const upstream = upstreamOf(state, cluster);
    const probability = runtimeFraction === undefined ? 1 : probabilityOf(runtimeFraction.defaultValue);
    return { cluster, probability, ...(upstream && { upstream }) };
  });
}

function hashKey({ policySpecifier: specifier }: RouteAction_HashPolicy, request: HttpRequest): HashKey {
  const key = (by: HashKey['by'], name: string, value: string | undefined): HashKey => ({
    by,
    name,
    ...(value !== undefined && { value }),
  });
  switch (specifier.case) {
    case 'header':
      return key('header', specifier.value.headerName, headerValue(specifier.value.headerName, request));
    case 'cookie':
      return key('cookie', specifier.value.name, cookieOf(request, specifier.value.name));
    case 'queryParameter': {
      const query = new URLSearchParams(request.path.split(/\?(.*)/s)[1] ?? '');
      return key('query', specifier.value.name, query.get(specifier.value.name) ?? undefined);
    }
    case 'connectionProperties':
      return { by: 'source-ip' };
    default:
      return { by: 'other' };
  }
}

function cookieOf({ headers }: HttpRequest, name: string): string | undefined {
  const pairs = (headers['cookie'] ?? '').split(';').map((pair) => pair.trim().split(/=(.*)/s));
  return pairs.find(([key]) => key === name)?.[1];
}
