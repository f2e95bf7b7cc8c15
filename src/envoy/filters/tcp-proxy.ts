// SPDX-License-Identifier: Apache-2.0
import { create } from '@bufbuild/protobuf';
import { type Filter, FilterSchema } from '#gen/envoy/config/listener/v3/listener_components_pb.ts';
import { TcpProxySchema } from '#gen/envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy_pb.ts';
import { packed } from '../messages.ts';
import { accessLog } from './access-log.ts';

export interface TcpProxyOptions {
  readonly cluster: string;
  readonly accessLogFile: string;
  /** Log when the connection is made, not only when it ends: pooled connections live long. */
  readonly logOnConnected?: boolean;
  /** Endpoints to try until one takes the connection; 1 unless given. */
  readonly connectAttempts?: number;
}

export function tcpProxy(options: TcpProxyOptions): Filter {
  return create(FilterSchema, {
    name: 'envoy.filters.network.tcp_proxy',
    configType: {
      case: 'typedConfig',
      value: packed(TcpProxySchema, {
        statPrefix: options.cluster,
        clusterSpecifier: { case: 'cluster', value: options.cluster },
        accessLog: accessLog(options.accessLogFile),
        ...(options.connectAttempts !== undefined && { maxConnectAttempts: options.connectAttempts }),
        ...(options.logOnConnected && { accessLogOptions: { flushAccessLogOnConnected: true } }),
      }),
    },
  });
}
