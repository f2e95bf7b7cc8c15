// SPDX-License-Identifier: Apache-2.0
// What a proxy will do with a call, read off the very resources that it gets.
import { anyUnpack } from '@bufbuild/protobuf/wkt';
import { type Cluster, Cluster_DiscoveryType } from '#gen/envoy/config/cluster/v3/cluster_pb.ts';
import type { TransportSocket } from '#gen/envoy/config/core/v3/base_pb.ts';
import type { LbEndpoint, LocalityLbEndpoints } from '#gen/envoy/config/endpoint/v3/endpoint_components_pb.ts';
import type { FilterChain } from '#gen/envoy/config/listener/v3/listener_components_pb.ts';
import type { Listener } from '#gen/envoy/config/listener/v3/listener_pb.ts';
import {
  type RedirectAction,
  type Route,
  type VirtualHost,
  VirtualHost_TlsRequirementType,
} from '#gen/envoy/config/route/v3/route_components_pb.ts';
import {
  type HttpConnectionManager,
  HttpConnectionManagerSchema,
} from '#gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts';
import { TcpProxySchema } from '#gen/envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy_pb.ts';
import { ProxyProtocolUpstreamTransportSchema } from '#gen/envoy/extensions/transport_sockets/proxy_protocol/v3/upstream_proxy_protocol_pb.ts';
import {
  DownstreamTlsContextSchema,
  UpstreamTlsContextSchema,
} from '#gen/envoy/extensions/transport_sockets/tls/v3/tls_pb.ts';
import { BLACK_HOLE, VIRTUAL_INBOUND, VIRTUAL_OUTBOUND } from '../names.ts';
import { type RuleRef, readRuleMetadata } from '../rule-metadata.ts';
import type { DecodedState } from './decoded-state.ts';
import { type Connection, selectChain } from './filter-chain.ts';
import { answerBeforeRouting } from './http-filters.ts';
import { chooseRoute, chooseVirtualHost, type HttpRequest, normalizedPath } from './route-choice.ts';

export interface Call {
  /** `outbound`: from the application; `inbound`: to it; `gateway`: to a port that the proxy itself has open. */
  readonly direction: 'outbound' | 'inbound' | 'gateway';
  readonly connection: Connection;
  /** Absent: bytes that are no HTTP, or that nobody on the way reads. */
  readonly request?: HttpRequest;
}

export type Outcome = {
  /** '' where nothing listens. */
  readonly listener: string;
  /** Absent for TCP, and where no virtual host takes the request. */
  readonly virtualHost?: string;
  readonly route?: string;
  /** The rule that made the route; absent where a Service alone did. */
  readonly rule?: RuleRef;
  readonly chosen: Chosen;
} & Verdict;

/** The very messages that the call met, as far as it came. */
export interface Chosen {
  readonly chain?: FilterChain;
  readonly manager?: HttpConnectionManager;
  /** Name of the route configuration. */
  readonly table?: string;
  readonly virtualHost?: VirtualHost;
  readonly route?: Route;
}

type Verdict =
  | { readonly kind: 'forward'; readonly to: readonly ForwardTarget[] }
  | { readonly kind: 'redirect'; readonly status: number; readonly location: string }
  | { readonly kind: 'respond'; readonly status: number }
  | { readonly kind: 'refuse'; readonly why: string };

export interface ForwardTarget {
  readonly cluster: string;
  /** 0 to 1; all of them add up to 1. */
  readonly probability: number;
  /** Absent: Envoy has no such cluster, and answers 503. */
  readonly upstream?: Upstream;
}

export interface Upstream {
  readonly endpoints: readonly UpstreamEndpoint[];
  /** Where the client was going anyway. */
  readonly original: boolean;
}

export interface UpstreamEndpoint {
  /** `10.1.0.7:9080` */
  readonly address: string;
  /** Its part of the sum of all weights. */
  readonly weight: number;
  readonly tls: { readonly serverName: string; readonly alpn: readonly string[] } | undefined;
}

export function simulate(state: DecodedState, call: Call): Outcome {
  const listener = chooseListener(state, call);
  if (listener === undefined)
    return { kind: 'refuse', listener: '', why: `nothing listens on ${call.connection.port}`, chosen: {} };
  const chain = selectChain(listener, call.connection, call.request === undefined ? undefined : 'http/1.1');
  if (chain === undefined)
    return { kind: 'refuse', listener: listener.name, why: 'no filter chain takes the connection', chosen: {} };
  if (call.direction === 'gateway' && asksInVain(chain, call.connection))
    return { kind: 'refuse', listener: listener.name, why: 'it asks for a client certificate', chosen: { chain } };
  return runChain(state, listener, chain, call);
}

/** Of clients in the mesh a certificate is taken for granted. */
function asksInVain({ transportSocket }: FilterChain, { tls }: Connection): boolean {
  if (transportSocket?.configType.case !== 'typedConfig' || tls?.certificate === true) return false;
  return anyUnpack(transportSocket.configType.value, DownstreamTlsContextSchema)?.requireClientCertificate === true;
}

function chooseListener(state: DecodedState, { direction, connection }: Call): Listener | undefined {
  if (direction === 'inbound') return state.listener(VIRTUAL_INBOUND);
  const at = (address: string) =>
    state.listeners().find((l) => {
      const socket = l.address?.address;
      if (socket?.case !== 'socketAddress' || socket.value.portSpecifier.case !== 'portValue') return false;
      // Redirected connections are handed to whatever listener has their address, whether it binds its port or not.
      const isReached = direction !== 'gateway' || l.bindToPort !== false;
      return isReached && socket.value.address === address && socket.value.portSpecifier.value === connection.port;
    });
  const exact = at(connection.address) ?? at('0.0.0.0');
  return direction === 'gateway' ? exact : (exact ?? state.listener(VIRTUAL_OUTBOUND));
}

function runChain(state: DecodedState, listener: Listener, chain: FilterChain, call: Call): Outcome {
  const config = chain.filters.at(-1)?.configType;
  if (config?.case !== 'typedConfig')
    return { kind: 'refuse', listener: listener.name, why: 'the chain has no filter', chosen: { chain } };
  const manager = anyUnpack(config.value, HttpConnectionManagerSchema);
  if (manager !== undefined) return runHttp(state, listener, { chain, manager }, call);
  const proxy = anyUnpack(config.value, TcpProxySchema);
  const specifier = proxy?.clusterSpecifier;
  const rule = readRuleMetadata(chain.metadata);
  const place = { listener: listener.name, ...(rule !== undefined && { rule }), chosen: { chain } };
  if (specifier?.case === 'weightedClusters') {
    return { kind: 'forward', ...place, to: shares(state, specifier.value.clusters) };
  }
  const cluster = specifier?.case === 'cluster' ? specifier.value : '';
  if (cluster === BLACK_HOLE) return { kind: 'refuse', ...place, why: 'it leads into the black hole' };
  return { kind: 'forward', ...place, to: [target(state, cluster, 1)] };
}

interface Share {
  readonly name: string;
  readonly weight: number;
}

function shares(state: DecodedState, clusters: readonly Share[]): ForwardTarget[] {
  const sum = clusters.reduce((total, { weight }) => total + weight, 0);
  return clusters.map(({ name, weight }) => target(state, name, weight / sum));
}

function runHttp(
  state: DecodedState,
  { name: listener }: Listener,
  { chain, manager }: { chain: FilterChain; manager: HttpConnectionManager },
  call: Call,
): Outcome {
  if (call.request === undefined)
    return { kind: 'refuse', listener, why: 'the port speaks HTTP', chosen: { chain, manager } };
  const named = manager.stripTrailingHostDot ? withoutFinalDot(call.request) : call.request;
  const request = manager.normalizePath === true ? { ...named, path: normalizedPath(named.path) } : named;
  const specifier = manager.routeSpecifier;
  const table =
    specifier.case === 'rds'
      ? state.routes(specifier.value.routeConfigName)
      : specifier.case === 'routeConfig'
        ? specifier.value
        : undefined;
  const vhost = table && chooseVirtualHost(table, request.authority);
  const met = { chain, manager, ...(table && { table: table.name }), ...(vhost && { virtualHost: vhost }) };
  if (vhost?.requireTls === VirtualHost_TlsRequirementType.ALL && request.scheme === 'http') {
    const location = `https://${request.authority}${request.path}`;
    return { kind: 'redirect', listener, virtualHost: vhost.name, status: 301, location, chosen: met };
  }
  const route = vhost && chooseRoute(vhost, request);
  if (vhost === undefined || route === undefined) return { kind: 'respond', listener, status: 404, chosen: met };
  const rule = readRuleMetadata(route.metadata);
  const answer = answerBeforeRouting(route, request);
  return {
    listener,
    virtualHost: vhost.name,
    route: route.name,
    chosen: { ...met, route },
    ...(rule !== undefined && { rule }),
    ...(answer === undefined ? runRoute(state, route, request) : { kind: 'respond', status: answer }),
  };
}

/** `reviews.default.global.:9080` is the same name. */
function withoutFinalDot(request: HttpRequest): HttpRequest {
  return { ...request, authority: request.authority.replace(/\.(?=(:\d+)?$)/, '') };
}

const REDIRECT_STATUS = [301, 302, 303, 307, 308];

function runRoute(state: DecodedState, route: Route, request: HttpRequest): Verdict {
  switch (route.action.case) {
    case 'directResponse':
      return { kind: 'respond', status: route.action.value.status };
    case 'redirect': {
      const status = REDIRECT_STATUS[route.action.value.responseCode] ?? 301;
      return { kind: 'redirect', status, location: locationOf(route.action.value, route.match, request) };
    }
    case 'route': {
      const specifier = route.action.value.clusterSpecifier;
      if (specifier.case === 'cluster') return { kind: 'forward', to: [target(state, specifier.value, 1)] };
      if (specifier.case !== 'weightedClusters') break;
      const clusters = specifier.value.clusters.map(({ name, weight = 0 }) => ({ name, weight }));
      return { kind: 'forward', to: shares(state, clusters) };
    }
  }
  return { kind: 'respond', status: 500 };
}

function locationOf(redirect: RedirectAction, match: Route['match'], request: HttpRequest): string {
  const { hostRedirect, portRedirect, pathRewriteSpecifier, schemeRewriteSpecifier, stripQuery } = redirect;
  const scheme = schemeRewriteSpecifier.case === 'schemeRedirect' ? schemeRewriteSpecifier.value : request.scheme;
  const [, host, asked] = /^(.*?)(?::(\d+))?$/.exec(request.authority)!;
  // A port that was only the old scheme's default would be wrong for the new one.
  const fellAway = scheme !== request.scheme && asked === (request.scheme === 'http' ? '80' : '443');
  const kept = hostRedirect === '' && !fellAway ? asked : undefined;
  const port = portRedirect > 0 ? `:${portRedirect}` : kept === undefined ? '' : `:${kept}`;
  const [path = '', query] = request.path.split(/\?(.*)/s);
  const newPath = redirectedPath(pathRewriteSpecifier, match, path);
  const rest = query === undefined || stripQuery || newPath.includes('?') ? '' : `?${query}`;
  return `${scheme}://${hostRedirect || host}${port}${newPath}${rest}`;
}

function redirectedPath(to: RedirectAction['pathRewriteSpecifier'], match: Route['match'], path: string): string {
  if (to.case === 'pathRedirect') return to.value;
  if (to.case !== 'prefixRewrite') return path;
  const prefix = match?.pathSpecifier.case === 'prefix' ? match.pathSpecifier.value : path;
  return `${to.value}${path.slice(prefix.length)}`;
}

function target(state: DecodedState, name: string, probability: number): ForwardTarget {
  const cluster = state.cluster(name);
  if (cluster === undefined) return { cluster: name, probability };
  const original =
    cluster.clusterDiscoveryType.case === 'type' &&
    cluster.clusterDiscoveryType.value === Cluster_DiscoveryType.ORIGINAL_DST;
  const assignment = cluster.loadAssignment ?? state.endpoints(name);
  const weighted = cluster.commonLbConfig?.localityConfigSpecifier.case === 'localityWeightedLbConfig';
  const endpoints = nearest(assignment?.endpoints ?? []).flatMap((locality) => {
    const sum = locality.lbEndpoints.reduce((total, member) => total + (member.loadBalancingWeight ?? 1), 0);
    const part = weighted ? (locality.loadBalancingWeight ?? 0) / sum : 1;
    return locality.lbEndpoints.map((member) => upstreamOf(cluster, member, part));
  });
  return { cluster: name, probability, upstream: { endpoints, original } };
}

/** The localities of the first priority that has an endpoint: all are taken for healthy. */
function nearest(localities: readonly LocalityLbEndpoints[]): readonly LocalityLbEndpoints[] {
  const manned = localities.filter(({ lbEndpoints }) => lbEndpoints.length > 0);
  const first = Math.min(...manned.map(({ priority }) => priority));
  return manned.filter(({ priority }) => priority === first);
}

function upstreamOf(cluster: Cluster, member: LbEndpoint, part: number): UpstreamEndpoint {
  const mode = member.metadata?.filterMetadata['envoy.transport_socket_match']?.['tlsMode'];
  const matched = cluster.transportSocketMatches.find(
    (m) => m.match?.['tlsMode'] === undefined || m.match['tlsMode'] === mode,
  );
  const tls = tlsOf(matched?.transportSocket ?? cluster.transportSocket);
  return { address: addressOf(member), weight: (member.loadBalancingWeight ?? 1) * part, tls };
}

function addressOf(member: LbEndpoint): string {
  if (member.hostIdentifier.case !== 'endpoint') return '';
  const address = member.hostIdentifier.value.address?.address;
  if (address?.case === 'pipe') return `unix://${address.value.path}`;
  if (address?.case !== 'socketAddress') return '';
  const { address: host, portSpecifier } = address.value;
  return `${host}:${portSpecifier.case === 'portValue' ? portSpecifier.value : ''}`;
}

function tlsOf(socket: TransportSocket | undefined): UpstreamEndpoint['tls'] {
  if (socket?.configType.case !== 'typedConfig') return undefined;
  const inner = anyUnpack(socket.configType.value, ProxyProtocolUpstreamTransportSchema)?.transportSocket;
  if (inner !== undefined) return tlsOf(inner);
  const context = anyUnpack(socket.configType.value, UpstreamTlsContextSchema);
  return context && { serverName: context.sni, alpn: context.commonTlsContext?.alpnProtocols ?? [] };
}
