// SPDX-License-Identifier: Apache-2.0
// Whom a cluster leads to, and by which TLS.
import { isDeepStrictEqual } from 'node:util';
import { anyUnpack } from '@bufbuild/protobuf/wkt';
import { type Cluster, Cluster_DiscoveryType, Cluster_LbPolicy } from '#gen/envoy/config/cluster/v3/cluster_pb.ts';
import type { Locality, Metadata, TransportSocket } from '#gen/envoy/config/core/v3/base_pb.ts';
import type { LbEndpoint, LocalityLbEndpoints } from '#gen/envoy/config/endpoint/v3/endpoint_components_pb.ts';
import { ProxyProtocolUpstreamTransportSchema } from '#gen/envoy/extensions/transport_sockets/proxy_protocol/v3/upstream_proxy_protocol_pb.ts';
import { UpstreamTlsContextSchema } from '#gen/envoy/extensions/transport_sockets/tls/v3/tls_pb.ts';
import { BY_NAME_CLUSTER } from '../filters/by-name.ts';
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
  const all = [...Map.groupBy(manned, placeOf).values()].flatMap((place) => endpointsOf(cluster, place, weighted));
  const first = all[0]?.priority;
  return {
    endpoints: all.filter(({ priority }) => priority === first),
    standby: all.filter(({ priority }) => priority !== first),
    original: discovery.case === 'type' && discovery.value === Cluster_DiscoveryType.ORIGINAL_DST,
    byName: discovery.case === 'clusterType' && discovery.value.name === BY_NAME_CLUSTER,
    by: [Cluster_LbPolicy.RING_HASH, Cluster_LbPolicy.MAGLEV].includes(cluster.lbPolicy as 2) ? 'hash' : 'weight',
  };
}

function placeOf({ priority, locality: place }: LocalityLbEndpoints): string {
  return `${priority} ${place === undefined ? '' : nameOf(place)}`;
}

function nameOf({ region, zone, subZone }: Locality): string {
  return [region, zone, subZone].filter((part) => part !== '').join('/');
}

/** `groups`: of one locality, which Envoy takes together, and whose weight the last one says. */
function endpointsOf(cluster: Cluster, groups: readonly LocalityLbEndpoints[], weighted: boolean): UpstreamEndpoint[] {
  const { loadBalancingWeight = 0, priority, locality } = groups.at(-1)!;
  const sum = groups
    .flatMap(({ lbEndpoints }) => lbEndpoints)
    .reduce((total, member) => total + (member.loadBalancingWeight ?? 1), 0);
  const part = weighted ? loadBalancingWeight / sum : 1;
  return groups.flatMap(({ lbEndpoints, metadata }) =>
    lbEndpoints.map((member) => ({
      address: addressOf(member),
      weight: (member.loadBalancingWeight ?? 1) * part,
      tls: memberTls(cluster, [member.metadata, metadata]),
      locality: locality === undefined ? '' : nameOf(locality),
      priority,
    })),
  );
}

/** What the endpoint says goes before what its locality says, whichever choice of socket comes first. */
function memberTls(cluster: Cluster, words: readonly (Metadata | undefined)[]): UpstreamEndpoint['tls'] {
  for (const word of words) {
    const said = word?.filterMetadata['envoy.transport_socket_match'] ?? {};
    const matched = cluster.transportSocketMatches.find(({ match }) =>
      Object.entries(match ?? {}).every(([label, value]) => isDeepStrictEqual(said[label], value)),
    );
    if (matched !== undefined) return tlsOf(matched.transportSocket);
  }
  return tlsOf(cluster.transportSocket);
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
