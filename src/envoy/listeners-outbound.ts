// SPDX-License-Identifier: Apache-2.0
// All of a pod's outgoing connections arrive at 15001, which hands each to the listener of the address that it was
// meant for. Those listeners bind no port: an exact address goes before 0.0.0.0, and the rest stays with 15001.
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { TrafficDirection } from '#gen/envoy/config/core/v3/base_pb.ts';
import type { FilterChainSchema } from '#gen/envoy/config/listener/v3/listener_components_pb.ts';
import { type Listener, ListenerSchema } from '#gen/envoy/config/listener/v3/listener_pb.ts';
import type { HttpPortIntent, OutboundIntent, TcpChainIntent, TcpPortIntent } from '../intent/types.ts';
import { httpConnectionManager } from './filters/http-connection-manager.ts';
import { tlsInspector } from './filters/listener-filters.ts';
import { chainName, sharesOf, tcpProxy } from './filters/tcp-proxy.ts';
import { duration, socketAddress } from './messages.ts';
import { BLACK_HOLE, listenerName, OUTBOUND_PORT, PASSTHROUGH, VIRTUAL_OUTBOUND } from './names.ts';

type ChainInit = MessageInitShape<typeof FilterChainSchema>;

export function buildVirtualOutbound(unknown: OutboundIntent['unknown'], accessLogFile: string): Listener {
  return create(ListenerSchema, {
    name: VIRTUAL_OUTBOUND,
    address: socketAddress('0.0.0.0', OUTBOUND_PORT),
    useOriginalDst: true,
    trafficDirection: TrafficDirection.OUTBOUND,
    filterChains: [
      // Whoever dials this port itself would be passed on to it again, and again.
      {
        name: 'virtualOutbound-trap',
        filterChainMatch: { destinationPort: OUTBOUND_PORT },
        filters: [tcpProxy({ to: BLACK_HOLE, accessLogFile })],
      },
      { name: 'virtualOutbound-rest', filters: [unclaimed(unknown, accessLogFile)] },
    ],
  });
}

export function buildHttpListener(intent: HttpPortIntent, accessLogFile: string): Listener {
  const name = listenerName('', intent.port);
  const manager = httpConnectionManager({
    role: 'outbound',
    statPrefix: `outbound_${name}`,
    routes: { name: intent.table.name },
    accessLogFile,
  });
  return create(ListenerSchema, {
    name,
    address: socketAddress('0.0.0.0', intent.port),
    bindToPort: false,
    trafficDirection: TrafficDirection.OUTBOUND,
    filterChains: [{ filters: [manager] }],
  });
}

export function buildTcpListener(
  intent: TcpPortIntent,
  unknown: OutboundIntent['unknown'],
  accessLogFile: string,
): Listener {
  const named = intent.chains.some((chain) => chain.serverNames.length > 0);
  const complete = intent.chains.some((chain) => chain.serverNames.length === 0 && chain.blocks.length === 0);
  return create(ListenerSchema, {
    name: listenerName(intent.address, intent.port),
    address: socketAddress(intent.address === '' ? '0.0.0.0' : intent.address, intent.port),
    bindToPort: false,
    trafficDirection: TrafficDirection.OUTBOUND,
    filterChains: intent.chains.map((chain) => tcpChain(chain, accessLogFile)),
    ...(!complete && { defaultFilterChain: { filters: [unclaimed(unknown, accessLogFile)] } }),
    ...(named && {
      listenerFilters: [tlsInspector()],
      // A client that waits for the server to speak first is no TLS client.
      listenerFiltersTimeout: duration(1000),
      continueOnListenerFiltersTimeout: true,
    }),
  });
}

function tcpChain(chain: TcpChainIntent, accessLogFile: string): ChainInit {
  const to = sharesOf(chain);
  return {
    name: chainName(to),
    filterChainMatch: {
      serverNames: [...chain.serverNames],
      ...(chain.serverNames.length > 0 && { transportProtocol: 'tls' }),
      prefixRanges: chain.blocks.map((block) => {
        const [addressPrefix = '', bits = ''] = block.split('/');
        return { addressPrefix, prefixLen: bits === '' ? 32 : Number(bits) };
      }),
    },
    filters: [tcpProxy({ to, accessLogFile })],
  };
}

function unclaimed(unknown: OutboundIntent['unknown'], accessLogFile: string) {
  return tcpProxy({ to: unknown === 'pass-through' ? PASSTHROUGH : BLACK_HOLE, accessLogFile });
}
