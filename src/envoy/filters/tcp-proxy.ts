// SPDX-License-Identifier: Apache-2.0
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { type Filter, FilterSchema } from '#gen/envoy/config/listener/v3/listener_components_pb.ts';
import { TcpProxySchema } from '#gen/envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy_pb.ts';
import type { TcpChainIntent } from '../../intent/types.ts';
import { packed } from '../messages.ts';
import { destinationName } from '../names.ts';
import { accessLog } from './access-log.ts';

/** A cluster, or several with the weight of each. */
export type TcpTarget = string | readonly TcpShare[];

interface TcpShare {
  readonly cluster: string;
  readonly weight: number;
}

export interface TcpProxyOptions {
  readonly to: TcpTarget;
  readonly accessLogFile: string;
  /** Log when the connection is made, not only when it ends: pooled connections live long. */
  readonly logOnConnected?: boolean;
  /** Endpoints to try until one takes the connection; 1 unless given. */
  readonly connectAttempts?: number;
}

export function sharesOf(chain: TcpChainIntent): readonly TcpShare[] {
  return chain.to.map(({ ref, weight }) => ({ cluster: destinationName(ref, chain.use), weight }));
}

export function chainName(to: readonly TcpShare[]): string {
  return to.map(({ cluster }) => cluster).join(',');
}

export function tcpProxy(options: TcpProxyOptions): Filter {
  return create(FilterSchema, {
    name: 'envoy.filters.network.tcp_proxy',
    configType: {
      case: 'typedConfig',
      value: packed(TcpProxySchema, {
        ...specifier(options.to),
        accessLog: accessLog(options.accessLogFile),
        ...(options.connectAttempts !== undefined && { maxConnectAttempts: options.connectAttempts }),
        ...(options.logOnConnected && { accessLogOptions: { flushAccessLogOnConnected: true } }),
      }),
    },
  });
}

function specifier(to: TcpTarget): Pick<MessageInitShape<typeof TcpProxySchema>, 'statPrefix' | 'clusterSpecifier'> {
  if (typeof to === 'string') return { statPrefix: to, clusterSpecifier: { case: 'cluster', value: to } };
  if (to.length === 1) return specifier(to[0]!.cluster);
  const clusters = to.map(({ cluster, weight }) => ({ name: cluster, weight }));
  return {
    statPrefix: chainName(to),
    clusterSpecifier: { case: 'weightedClusters', value: { clusters } },
  };
}
