// SPDX-License-Identifier: Apache-2.0
// What a destination asks of its connections, in words, off the cluster that Envoy is given.
import { anyUnpack } from '@bufbuild/protobuf/wkt';
import { type Cluster, Cluster_LbPolicy } from '#gen/envoy/config/cluster/v3/cluster_pb.ts';
import type { OutlierDetection } from '#gen/envoy/config/cluster/v3/outlier_detection_pb.ts';
import type { TransportSocket } from '#gen/envoy/config/core/v3/base_pb.ts';
import { ProxyProtocolUpstreamTransportSchema } from '#gen/envoy/extensions/transport_sockets/proxy_protocol/v3/upstream_proxy_protocol_pb.ts';
import {
  type CommonTlsContext,
  UpstreamTlsContextSchema,
} from '#gen/envoy/extensions/transport_sockets/tls/v3/tls_pb.ts';
import type { UpstreamEndpoint } from '../envoy/simulate/outcome.ts';
import { WORKLOAD_SECRET } from '../xds/envoy-client.ts';
import { milliseconds } from './describe-route.ts';
import type { Destination, Step, Why } from './path.ts';

/** `outbound|9080|v2|reviews.default.global`, or with `_.` in between as gateways pass it on. */
export function readDestination(cluster: string): Destination {
  const [, port, subset = '', host = cluster] =
    /^(?:outbound|inbound)\|(\d+)\|([^|]*)\|(.*)$/.exec(cluster) ??
    /^outbound_\.(\d+)_\.([^_]*)_\.(.*)$/.exec(cluster) ??
    [];
  return { cluster, host, port: port === undefined ? undefined : Number(port), subset };
}

const BALANCING: Partial<Record<Cluster_LbPolicy, string>> = {
  [Cluster_LbPolicy.ROUND_ROBIN]: 'round robin',
  [Cluster_LbPolicy.LEAST_REQUEST]: 'whoever has the fewest requests',
  [Cluster_LbPolicy.RANDOM]: 'at random',
  [Cluster_LbPolicy.RING_HASH]: 'by hash (ring)',
  [Cluster_LbPolicy.MAGLEV]: 'by hash (Maglev)',
};

const UNLIMITED = 0xffff_ffff;

/** Limits and outlier detection. `why`: the DestinationRule; nothing is said of what nobody wrote. */
export function destinationSteps(cluster: Cluster, endpoints: number, why: readonly Why[]): Step[] {
  const [limits] = cluster.circuitBreakers?.thresholds ?? [];
  const bounded = Object.entries({
    connections: limits?.maxConnections,
    'waiting requests': limits?.maxPendingRequests,
    'requests at once': limits?.maxRequests,
    'retries at once': limits?.maxRetries,
  }).flatMap(([what, most]) => (most === undefined || most === UNLIMITED ? [] : [`${most} ${what}`]));
  const { outlierDetection: outlier } = cluster;
  const failures = outlier === undefined ? 0 : failuresBeforeEjection(outlier);
  const ejection = milliseconds(Number(outlier?.baseEjectionTime?.seconds ?? 30) * 1000);
  const texts = [
    ...(endpoints > 1 && why.length > 0 && cluster.lbPolicy in BALANCING
      ? [`endpoints are chosen ${BALANCING[cluster.lbPolicy]!}`]
      : []),
    ...(bounded.length > 0 ? [`at most ${bounded.join(', ')}`] : []),
    ...(outlier && failures > 0 ? [`an endpoint is left out for ${ejection} after ${failures} failures in a row`] : []),
  ];
  return texts.map((text) => ({ kind: 'policy', text, why }));
}

/** With Envoy's defaults for what is not said. 0: answers lead to no ejection. */
function failuresBeforeEjection(outlier: OutlierDetection): number {
  if (outlier.enforcingConsecutive5xx !== 0) return outlier.consecutive5xx ?? 5;
  return (outlier.enforcingConsecutiveGatewayFailure ?? 0) > 0 ? (outlier.consecutiveGatewayFailure ?? 5) : 0;
}

/** The TLS that a proxy opens to an endpoint. */
export interface OpenedTls {
  readonly serverName: string;
  readonly alpn: readonly string[];
  /** With the workload's own certificate of the mesh. */
  readonly mesh: boolean;
  /** It shows a certificate, of whatever CA. */
  readonly certificate: boolean;
  /** Whom it takes for the server: SPIFFE ids or DNS names; empty: whoever has a certificate of a CA that it trusts. */
  readonly peers: readonly string[];
}

export function readOpenedTls(cluster: Cluster | undefined, { tls }: UpstreamEndpoint): OpenedTls | undefined {
  if (tls === undefined || cluster === undefined) return undefined;
  const sockets = [...cluster.transportSocketMatches.map((match) => match.transportSocket), cluster.transportSocket];
  const contexts = sockets.flatMap((socket) => contextOf(socket) ?? []);
  const common = contexts.find(({ sni }) => sni === tls.serverName)?.commonTlsContext;
  return {
    serverName: tls.serverName,
    alpn: tls.alpn,
    mesh: common?.tlsCertificateSdsSecretConfigs.some(({ name }) => name === WORKLOAD_SECRET) === true,
    certificate:
      common !== undefined && (common.tlsCertificateSdsSecretConfigs.length > 0 || common.tlsCertificates.length > 0),
    peers: peersOf(common),
  };
}

function contextOf(socket: TransportSocket | undefined) {
  if (socket?.configType.case !== 'typedConfig') return undefined;
  const inner = anyUnpack(socket.configType.value, ProxyProtocolUpstreamTransportSchema)?.transportSocket;
  const config = inner?.configType.case === 'typedConfig' ? inner.configType.value : socket.configType.value;
  return anyUnpack(config, UpstreamTlsContextSchema);
}

function peersOf(common: CommonTlsContext | undefined): string[] {
  const validation = common?.validationContextType;
  const context =
    validation?.case === 'combinedValidationContext'
      ? validation.value.defaultValidationContext
      : validation?.case === 'validationContext'
        ? validation.value
        : undefined;
  return (context?.matchTypedSubjectAltNames ?? []).flatMap(({ matcher }) =>
    matcher?.matchPattern.case === 'exact' ? [matcher.matchPattern.value] : [],
  );
}
