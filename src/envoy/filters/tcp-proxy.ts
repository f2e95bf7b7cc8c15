// SPDX-License-Identifier: Apache-2.0
import { isIP } from 'node:net';
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { type Filter, FilterSchema } from '#gen/envoy/config/listener/v3/listener_components_pb.ts';
import { type TcpProxy, TcpProxySchema } from '#gen/envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy_pb.ts';
import type { SideTelemetry } from '../../intent/telemetry-types.ts';
import type { TcpChainIntent, TcpPolicyIntent } from '../../intent/types.ts';
import { duration, packed } from '../messages.ts';
import { BLACK_HOLE, destinationName } from '../names.ts';
import { accessLogs, endedConnections } from './access-log.ts';
import { byServerNameFilter } from './by-name.ts';
import { type Side, tcpMetrics } from './metrics.ts';

/** A cluster, or several with the weight of each. */
export type TcpTarget = string | readonly TcpShare[];

interface TcpShare {
  readonly cluster: string;
  readonly weight: number;
}

export interface TcpProxyOptions {
  readonly to: TcpTarget;
  readonly telemetry: SideTelemetry;
  /** Default: client. */
  readonly side?: Side;
  /** Every client has shown a certificate of the mesh. */
  readonly secured?: boolean;
  /** Log when the connection is made, not only when it ends: pooled connections live long. */
  readonly logOnConnected?: boolean;
  /** Endpoints to try until one takes the connection; 1 unless given. */
  readonly connectAttempts?: number;
  readonly policy?: TcpPolicyIntent | undefined;
}

export function sharesOf(chain: TcpChainIntent): readonly TcpShare[] {
  return chain.to.map(({ ref, weight }) => ({ cluster: destinationName(ref, chain.use), weight }));
}

export function chainName(to: readonly TcpShare[]): string {
  return to.map(({ cluster }) => cluster).join(',');
}

/** What has to be known before a connection can go on. */
export function lookUps(policy: TcpPolicyIntent | undefined): Filter[] {
  return policy?.byName === undefined ? [] : [byServerNameFilter(policy.byName)];
}

export function tcpProxy(options: TcpProxyOptions): Filter {
  const { telemetry, side = 'client', secured = false } = options;
  const counted = telemetry.metrics && options.to !== BLACK_HOLE ? tcpMetrics(telemetry.metrics, side, secured) : [];
  return create(FilterSchema, {
    name: 'envoy.filters.network.tcp_proxy',
    configType: {
      case: 'typedConfig',
      value: packed(TcpProxySchema, {
        ...specifier(options.to),
        accessLog: [
          ...accessLogs(telemetry.logs, 'connections', options.logOnConnected ? undefined : endedConnections()),
          ...counted,
        ],
        ...(options.connectAttempts !== undefined && { maxConnectAttempts: options.connectAttempts }),
        ...(options.policy && policed(options.policy)),
        accessLogOptions: { flushAccessLogOnConnected: true },
      }),
    },
  });
}

type ProxyInit = Exclude<MessageInitShape<typeof TcpProxySchema>, TcpProxy>;

function policed({ hashed, idleTimeoutMs, lifetimeMs, connectAttempts, tunnel }: TcpPolicyIntent): ProxyInit {
  return {
    ...(connectAttempts !== undefined && { maxConnectAttempts: connectAttempts }),
    ...(hashed && { hashPolicy: [{ policySpecifier: { case: 'sourceIp', value: {} } }] }),
    ...(idleTimeoutMs !== undefined && { idleTimeout: duration(idleTimeoutMs) }),
    ...(lifetimeMs !== undefined && { maxDownstreamConnectionDuration: duration(lifetimeMs) }),
    ...(tunnel && {
      tunnelingConfig: {
        hostname: `${isIP(tunnel.host) === 6 ? `[${tunnel.host}]` : tunnel.host}:${tunnel.port}`,
        usePost: tunnel.method === 'POST',
      },
    }),
  };
}

function specifier(to: TcpTarget): Pick<ProxyInit, 'statPrefix' | 'clusterSpecifier'> {
  if (typeof to === 'string') return { statPrefix: to, clusterSpecifier: { case: 'cluster', value: to } };
  if (to.length === 1) return specifier(to[0]!.cluster);
  const clusters = to.map(({ cluster, weight }) => ({ name: cluster, weight }));
  return {
    statPrefix: chainName(to),
    clusterSpecifier: { case: 'weightedClusters', value: { clusters } },
  };
}
