// SPDX-License-Identifier: Apache-2.0
import { create } from '@bufbuild/protobuf';
import { TrafficDirection } from '#gen/envoy/config/core/v3/base_pb.ts';
import { type Listener, ListenerSchema } from '#gen/envoy/config/listener/v3/listener_pb.ts';
import type { HttpPortIntent, SniPortIntent } from '../intent/types.ts';
import { accessLog, refusedConnections } from './filters/access-log.ts';
import { httpConnectionManager } from './filters/http-connection-manager.ts';
import { tlsInspector } from './filters/listener-filters.ts';
import { chainName, sharesOf, tcpProxy } from './filters/tcp-proxy.ts';
import { socketAddress } from './messages.ts';
import { listenerName } from './names.ts';

export function buildGatewayHttpListener(intent: HttpPortIntent, accessLogFile: string): Listener {
  const name = listenerName('', intent.port);
  const manager = httpConnectionManager({
    role: 'gateway',
    statPrefix: `outbound_${name}`,
    routes: { name: intent.table.name },
    accessLogFile,
  });
  return create(ListenerSchema, {
    name,
    address: socketAddress('0.0.0.0', intent.port),
    trafficDirection: TrafficDirection.OUTBOUND,
    filterChains: [{ filters: [manager] }],
  });
}

/** A pod that has just gone must not cost a connection: there are others. */
const CONNECT_ATTEMPTS = 3;

/**
 * A chain for each server name, so that a service that comes or goes disturbs no connection but its own. Plaintext and
 * unknown names match none and are closed. Undefined without chains: Envoy takes no listener like that.
 */
export function buildSniListener(intent: SniPortIntent, accessLogFile: string): Listener | undefined {
  if (intent.chains.length === 0) return undefined;
  return create(ListenerSchema, {
    name: listenerName('', intent.port),
    address: socketAddress('0.0.0.0', intent.port),
    trafficDirection: TrafficDirection.OUTBOUND,
    listenerFilters: [tlsInspector()],
    filterChains: intent.chains.map((chain) => {
      const to = sharesOf(chain);
      return {
        name: chainName(to),
        filterChainMatch: { transportProtocol: 'tls', serverNames: [...chain.serverNames] },
        filters: [tcpProxy({ to, accessLogFile, logOnConnected: true, connectAttempts: CONNECT_ATTEMPTS })],
      };
    }),
    accessLog: accessLog(accessLogFile, refusedConnections()),
  });
}
