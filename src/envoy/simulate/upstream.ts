// SPDX-License-Identifier: Apache-2.0
// Whom a cluster leads to, and by which TLS.
import { anyUnpack } from '@bufbuild/protobuf/wkt';
import { type Cluster, Cluster_DiscoveryType, Cluster_LbPolicy } from '#gen/envoy/config/cluster/v3/cluster_pb.ts';
import type { TransportSocket } from '#gen/envoy/config/core/v3/base_pb.ts';
import type { LbEndpoint, LocalityLbEndpoints } from '#gen/envoy/config/endpoint/v3/endpoint_components_pb.ts';
import { ProxyProtocolUpstreamTransportSchema } from '#gen/envoy/extensions/transport_sockets/proxy_protocol/v3/upstream_proxy_protocol_pb.ts';
import { UpstreamTlsContextSchema } from '#gen/envoy/extensions/transport_sockets/tls/v3/tls_pb.ts';
import type { DecodedState } from './decoded-state.ts';
import type { ForwardTarget, Upstream, UpstreamEndpoint } from './outcome.ts';

export interface Share {
  readonly name: string;
  readonly weight: number;
}

export function sharesOf(state: DecodedState, clusters: readonly Share[]): ForwardTarget[] {
  const sum = clusters.reduce((total, { weight }) => total + weight, 0);
  return clusters.map(({ name, weight }) => targetOf(state, name, weight / sum));
}

export function targetOf(state: DecodedState, name: string, probability: number): ForwardTarget {
  const upstream = upstreamOf(state, name);
  return { cluster: name, probability, ...(upstream && { upstream }) };
}

/** Undefined: there is no such cluster. */
export function upstreamOf(state: DecodedState, name: string): Upstream | undefined {
  const cluster = state.cluster(name);
  if (cluster === undefined) return undefined;
  const discovery = cluster.clusterDiscoveryType;
  const assignment = cluster.loadAssignment ?? state.endpoints(name);
  const weighted = cluster.commonLbConfig?.localityConfigSpecifier.case === 'localityWeightedLbConfig';
  const manned = (assignment?.endpoints ?? [])
    .filter(({ lbEndpoints }) => lbEndpoints.length > 0)
    .sort((a, b) => a.priority - b.priority);
  const all = manned.flatMap((locality) => endpointsOf(cluster, locality, weighted));
  const first = all[0]?.priority;
  return {
    endpoints: all.filter(({ priority }) => priority === first),
    standby: all.filter(({ priority }) => priority !== first),
    original: discovery.case === 'type' && discovery.value === Cluster_DiscoveryType.ORIGINAL_DST,
    by: [Cluster_LbPolicy.RING_HASH, Cluster_LbPolicy.MAGLEV].includes(cluster.lbPolicy as 2) ? 'hash' : 'weight',
  };
}

function endpointsOf(cluster: Cluster, locality: LocalityLbEndpoints, weighted: boolean): UpstreamEndpoint[] {
  const { lbEndpoints, priority, locality: place } = locality;
  const sum = lbEndpoints.reduce((total, member) => total + (member.loadBalancingWeight ?? 1), 0);
  const part = weighted ? (locality.loadBalancingWeight ?? 0) / sum : 1;
  const name = place === undefined ? '' : [place.region, place.zone, place.subZone].filter((p) => p !== '').join('/');
  return lbEndpoints.map((member) => ({
    address: addressOf(member),
    weight: (member.loadBalancingWeight ?? 1) * part,
    tls: memberTls(cluster, member),
    locality: name,
    priority,
  }));
}

function memberTls(cluster: Cluster, member: LbEndpoint): UpstreamEndpoint['tls'] {
  const mode = member.metadata?.filterMetadata['envoy.transport_socket_match']?.['tlsMode'];
  const matched = cluster.transportSocketMatches.find(
    (m) => m.match?.['tlsMode'] === undefined || m.match['tlsMode'] === mode,
  );
  return tlsOf(matched?.transportSocket ?? cluster.transportSocket);
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
