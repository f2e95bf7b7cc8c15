// SPDX-License-Identifier: Apache-2.0
// All connections that come to a pod arrive at 15006. Every filter chain asks for the mesh's mutual TLS; plaintext
// finds no chain and is refused.
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { TrafficDirection } from '#gen/envoy/config/core/v3/base_pb.ts';
import type { ConfigSource } from '#gen/envoy/config/core/v3/config_source_pb.ts';
import type { FilterChainSchema } from '#gen/envoy/config/listener/v3/listener_components_pb.ts';
import { type Listener, ListenerSchema } from '#gen/envoy/config/listener/v3/listener_pb.ts';
import { RouteConfigurationSchema } from '#gen/envoy/config/route/v3/route_pb.ts';
import type { SideTelemetry } from '../intent/telemetry-types.ts';
import type { InboundIntent, InboundPortIntent } from '../intent/types.ts';
import { accessLogs, refusedConnections } from './filters/access-log.ts';
import { httpConnectionManager } from './filters/http-connection-manager.ts';
import { originalDst, tlsInspector } from './filters/listener-filters.ts';
import { peerIdentity } from './filters/peer-identity.ts';
import { tcpProxy } from './filters/tcp-proxy.ts';
import { duration, socketAddress } from './messages.ts';
import { BLACK_HOLE, INBOUND_PASSTHROUGH, INBOUND_PORT, inboundName, listenerName, VIRTUAL_INBOUND } from './names.ts';
import { localRetries, UNSERVED_HEADER } from './retries.ts';
import { ownServerSocket } from './server-tls.ts';
import { serverSocket } from './tls.ts';

/** Every chain asks for a certificate of the mesh. */
const SERVER = { side: 'server', secured: true } as const;

type ChainInit = MessageInitShape<typeof FilterChainSchema>;

export function buildVirtualInbound(inbound: InboundIntent, secrets: ConfigSource, telemetry: SideTelemetry): Listener {
  return create(ListenerSchema, {
    name: VIRTUAL_INBOUND,
    address: socketAddress('0.0.0.0', INBOUND_PORT),
    trafficDirection: TrafficDirection.INBOUND,
    listenerFilters: [originalDst(), tlsInspector()],
    filterChains: [
      // Whoever dials this port itself would be passed on to it again, and again.
      {
        name: 'virtualInbound-trap',
        filterChainMatch: { destinationPort: INBOUND_PORT },
        filters: [tcpProxy({ to: BLACK_HOLE, telemetry })],
      },
      ...inbound.ports.flatMap((port) => (port.open === undefined ? portChains(port, secrets, telemetry) : [])),
      {
        name: 'virtualInbound-rest',
        filterChainMatch: { transportProtocol: 'tls' },
        transportSocket: serverSocket('tcp', secrets, inbound.minTls),
        filters: [peerIdentity(), tcpProxy({ to: INBOUND_PASSTHROUGH, telemetry, ...SERVER })],
      },
    ],
    accessLog: accessLogs(telemetry.logs, 'connections', refusedConnections()),
  });
}

/** A port that the proxy has open itself, without a redirect. */
export function buildOpenInbound(
  port: InboundPortIntent,
  address: string,
  { secrets, telemetry }: { readonly secrets: ConfigSource; readonly telemetry: SideTelemetry },
): Listener {
  return create(ListenerSchema, {
    name: listenerName(address, port.port),
    address: socketAddress(address, port.port),
    trafficDirection: TrafficDirection.INBOUND,
    listenerFilters: [tlsInspector()],
    filterChains: portChains(port, secrets, telemetry),
    accessLog: accessLogs(telemetry.logs, 'connections', refusedConnections()),
  });
}

/** Where nobody says what a port speaks, the client's sidecar knows: it offers HTTP within its TLS, or nothing. */
function portChains(port: InboundPortIntent, secrets: ConfigSource, telemetry: SideTelemetry): ChainInit[] {
  const name = `0.0.0.0_${port.port}`;
  const cluster = inboundName(port.port);
  const match = { transportProtocol: 'tls', ...(port.open === undefined && { destinationPort: port.port }) };
  const secured = port.tls === undefined;
  const identity = secured ? [peerIdentity()] : [];
  const socket = (protocol: 'http' | 'tcp') =>
    port.tls === undefined
      ? serverSocket(protocol, secrets, port.minTls)
      : ownServerSocket(port.tls, protocol === 'http' ? ['h2', 'http/1.1'] : [], secrets);
  const tcp = (): ChainInit => ({
    name,
    filterChainMatch: match,
    transportSocket: socket('tcp'),
    filters: [...identity, tcpProxy({ to: cluster, telemetry, ...SERVER, secured })],
  });
  const http = (chainName: string, applicationProtocols: string[]): ChainInit => ({
    name: chainName,
    filterChainMatch: { ...match, applicationProtocols },
    transportSocket: socket('http'),
    filters: [
      ...identity,
      httpConnectionManager({
        role: 'inbound',
        statPrefix: `inbound_0.0.0.0_${port.port}`,
        routes: { table: inboundTable(port, cluster) },
        telemetry,
        secured,
      }),
    ],
  });
  switch (port.protocol) {
    case 'tcp':
      return [tcp()];
    case 'http':
    case 'http2':
      return [http(name, [])];
    case 'auto':
      return [http(`${name}_http`, ['h2', 'http/1.1']), tcp()];
  }
}

/** Every request goes to the one application; time-outs, and retries of what it saw, are its clients' business. */
function inboundTable(port: InboundPortIntent, cluster: string) {
  return create(RouteConfigurationSchema, {
    name: cluster,
    validateClusters: false,
    responseHeadersToRemove: [UNSERVED_HEADER],
    virtualHosts: [
      {
        name: `inbound|http|${port.port}`,
        domains: ['*'],
        routes: [
          {
            name: 'default',
            match: { pathSpecifier: { case: 'prefix', value: '/' } },
            action: {
              case: 'route',
              value: {
                clusterSpecifier: { case: 'cluster', value: cluster },
                timeout: duration(0),
                ...localRetries(port.retries),
              },
            },
          },
        ],
      },
    ],
  });
}
