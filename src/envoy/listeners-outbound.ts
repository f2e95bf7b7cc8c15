// SPDX-License-Identifier: Apache-2.0
// All of a pod's outgoing connections arrive at 15001, which hands each to the listener of the address that it was
// meant for. Those listeners bind no port: an exact address goes before 0.0.0.0, and the rest stays with 15001.
import { isIPv6 } from 'node:net';
import { create, fromBinary, type MessageInitShape } from '@bufbuild/protobuf';
import { TrafficDirection } from '#gen/envoy/config/core/v3/base_pb.ts';
import type { FilterChainSchema } from '#gen/envoy/config/listener/v3/listener_components_pb.ts';
import { type Listener, ListenerSchema } from '#gen/envoy/config/listener/v3/listener_pb.ts';
import { RouteConfigurationSchema } from '#gen/envoy/config/route/v3/route_pb.ts';
import type { IpFamilies } from '../intent/destination-types.ts';
import type { SideTelemetry } from '../intent/telemetry-types.ts';
import type {
  OnDemand,
  OutboundHttpPortIntent,
  OutboundIntent,
  TcpChainIntent,
  TcpPortIntent,
} from '../intent/types.ts';
import { httpConnectionManager } from './filters/http-connection-manager.ts';
import { HTTP_PROTOCOLS, httpInspector, tlsInspector } from './filters/listener-filters.ts';
import { chainName, lookUps, sharesOf, tcpProxy } from './filters/tcp-proxy.ts';
import { duration, socketAddress } from './messages.ts';
import {
  BLACK_HOLE,
  listenerName,
  OUTBOUND_PORT,
  PASSTHROUGH,
  STRANGERS,
  unclaimedName,
  VIRTUAL_OUTBOUND,
} from './names.ts';
import { encodeRouteConfiguration } from './route-configurations.ts';
import { ruleMetadata } from './rule-metadata.ts';

type ChainInit = MessageInitShape<typeof FilterChainSchema>;
type MatchInit = { readonly transportProtocol?: string };

/** On ports that no service has. A server may speak first there: who says nothing in a second is not taken for HTTP. */
export function buildVirtualOutbound(
  { unknown, strangers }: Pick<OutboundIntent, 'unknown' | 'strangers'>,
  telemetry: SideTelemetry,
): Listener {
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
        filters: [tcpProxy({ to: BLACK_HOLE, telemetry })],
      },
      ...(strangers ? [requestsByName(strangers.families, telemetry)] : []),
      { name: 'virtualOutbound-rest', filters: [unclaimed(unknown, telemetry)] },
    ],
    ...(strangers && {
      listenerFilters: [httpInspector()],
      listenerFiltersTimeout: duration(1000),
      continueOnListenerFiltersTimeout: true,
    }),
  });
}

function requestsByName(byName: IpFamilies, telemetry: SideTelemetry): ChainInit {
  const table = { name: STRANGERS, hosts: new Map(), otherwise: 'by-name' as const };
  const manager = httpConnectionManager({
    role: 'outbound',
    statPrefix: 'outbound_virtualOutbound_by_name',
    routes: { table: fromBinary(RouteConfigurationSchema, encodeRouteConfiguration(table, [])) },
    telemetry,
    byName,
  });
  return {
    name: 'virtualOutbound-http',
    filterChainMatch: { applicationProtocols: [...HTTP_PROTOCOLS] },
    filters: [manager],
  };
}

/** HTTP by its routes; any other protocol goes its own way, so that it is not broken by a stranger's choice of port. */
export function buildHttpListener(
  intent: OutboundHttpPortIntent,
  { unknown, detectionTimeoutMs }: Pick<OutboundIntent, 'unknown' | 'detectionTimeoutMs'>,
  telemetry: SideTelemetry,
  onDemand?: OnDemand,
): Listener {
  const { chains, httpBlocks } = intent;
  const name = listenerName(intent.address, intent.port);
  const manager = httpConnectionManager({
    role: 'outbound',
    statPrefix: `outbound_${name}`,
    routes: { name: intent.table.name },
    telemetry,
    onDemand,
    byName: intent.table.byName,
  });
  const rest = chains.find(takesAll);
  const named = chains.some(isNamed);
  // What is inspected as TLS may offer HTTP as well, in vain: it is not for the eyes of this proxy.
  const plaintext = named ? { transportProtocol: 'raw_buffer' } : {};
  const http = { ...plaintext, applicationProtocols: [...HTTP_PROTOCOLS] };
  return create(ListenerSchema, {
    name,
    address: listenAddress(intent),
    bindToPort: intent.open === true,
    trafficDirection: TrafficDirection.OUTBOUND,
    listenerFilters: [...(named ? [tlsInspector()] : []), httpInspector()],
    listenerFiltersTimeout: duration(detectionTimeoutMs),
    continueOnListenerFiltersTimeout: true,
    filterChains: [
      { filterChainMatch: http, filters: [manager] },
      // Envoy asks for the address before it asks for what is spoken, and never comes back.
      ...(httpBlocks.length === 0
        ? []
        : [{ filterChainMatch: { ...http, prefixRanges: httpBlocks.map(prefixRange) }, filters: [manager] }]),
      ...chains
        .filter((chain) => chain !== rest)
        .flatMap((chain) => {
          const shared = named && chain.blocks.some((block) => httpBlocks.includes(block));
          return [tcpChain(chain, telemetry), ...(shared ? [tcpChain(chain, telemetry, plaintext)] : [])];
        }),
    ],
    defaultFilterChain: rest === undefined ? { filters: [unclaimed(unknown, telemetry)] } : tcpChain(rest, telemetry),
  });
}

function takesAll(chain: TcpChainIntent): boolean {
  return chain.serverNames.length === 0 && chain.blocks.length === 0;
}

function isNamed(chain: TcpChainIntent): boolean {
  return chain.serverNames.length > 0;
}

function listenAddress({ address, port }: { address: string; port: number }) {
  return socketAddress(address === '' ? '0.0.0.0' : address, port);
}

export function buildTcpListener(
  intent: TcpPortIntent,
  unknown: OutboundIntent['unknown'],
  telemetry: SideTelemetry,
): Listener {
  const named = intent.chains.some(isNamed);
  const complete = intent.chains.some(takesAll);
  return create(ListenerSchema, {
    name: listenerName(intent.address, intent.port),
    address: listenAddress(intent),
    bindToPort: intent.open === true,
    trafficDirection: TrafficDirection.OUTBOUND,
    filterChains: intent.chains.map((chain) => tcpChain(chain, telemetry)),
    ...(!complete && { defaultFilterChain: { filters: [unclaimed(unknown, telemetry)] } }),
    ...(named && {
      listenerFilters: [tlsInspector()],
      // A client that waits for the server to speak first is no TLS client.
      listenerFiltersTimeout: duration(1000),
      continueOnListenerFiltersTimeout: true,
    }),
  });
}

function tcpChain(chain: TcpChainIntent, telemetry: SideTelemetry, also: MatchInit = {}): ChainInit {
  const to = sharesOf(chain);
  return {
    name: chainName(to),
    ...ruleMetadata(chain.origin),
    filterChainMatch: {
      serverNames: [...chain.serverNames],
      ...(chain.serverNames.length > 0 && { transportProtocol: 'tls' }),
      prefixRanges: chain.blocks.map(prefixRange),
      ...also,
    },
    filters: [...lookUps(chain.policy), tcpProxy({ to, telemetry, policy: chain.policy })],
  };
}

function prefixRange(block: string) {
  const [addressPrefix = '', bits = ''] = block.split('/');
  const whole = isIPv6(addressPrefix) ? 128 : 32;
  return { addressPrefix, prefixLen: bits === '' ? whole : Number(bits) };
}

function unclaimed(unknown: OutboundIntent['unknown'], telemetry: SideTelemetry) {
  // Bytes name nobody.
  return tcpProxy({ to: unknown === 'by-name' ? PASSTHROUGH : unclaimedName(unknown), telemetry });
}
