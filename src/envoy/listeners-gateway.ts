// SPDX-License-Identifier: Apache-2.0
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { TrafficDirection } from '#gen/envoy/config/core/v3/base_pb.ts';
import type { ConfigSource } from '#gen/envoy/config/core/v3/config_source_pb.ts';
import type {
  FilterChainMatchSchema,
  FilterChainSchema,
  ListenerFilter,
} from '#gen/envoy/config/listener/v3/listener_components_pb.ts';
import { type Listener, ListenerSchema } from '#gen/envoy/config/listener/v3/listener_pb.ts';
import type { SideTelemetry } from '../intent/telemetry-types.ts';
import type { GatewayPortIntent, HttpPortIntent, HttpsChainIntent, TcpChainIntent } from '../intent/types.ts';
import { accessLogs, refusedConnections } from './filters/access-log.ts';
import { httpConnectionManager } from './filters/http-connection-manager.ts';
import { proxyProtocol, tlsInspector } from './filters/listener-filters.ts';
import { chainName, lookUps, sharesOf, tcpProxy } from './filters/tcp-proxy.ts';
import { listenAddress } from './messages.ts';
import { listenerName } from './names.ts';
import { ruleMetadata } from './rule-metadata.ts';
import { ownServerSocket } from './server-tls.ts';

type ChainInit = MessageInitShape<typeof FilterChainSchema>;

export function buildGatewayHttpListener(intent: HttpPortIntent, telemetry: SideTelemetry): Listener {
  const name = listenerName(intent.address ?? '', intent.port);
  const manager = httpConnectionManager({
    role: 'gateway',
    statPrefix: `outbound_${name}`,
    routes: { name: intent.table.name },
    telemetry,
    byName: intent.table.byName,
  });
  return create(ListenerSchema, {
    name,
    address: listenAddress(intent.address ?? '', intent.port),
    trafficDirection: TrafficDirection.OUTBOUND,
    ...inFront(telemetry, []),
    ...buffers(telemetry),
    filterChains: [{ filters: [manager] }],
  });
}

/** What is read of a connection before anything else. The mesh's own TLS comes past load balancers, too. */
function inFront(
  { edge }: SideTelemetry,
  inspectors: readonly ListenerFilter[],
  chains: readonly TcpChainIntent[] = [],
) {
  const isOptional = edge?.proxyProtocol === 'optional' || chains.some(({ use }) => use === 'sni');
  const listenerFilters = [...(edge?.proxyProtocol ? [proxyProtocol(isOptional)] : []), ...inspectors];
  return listenerFilters.length === 0 ? {} : { listenerFilters };
}

function buffers({ edgeConnections, connections }: SideTelemetry) {
  const { bufferBytes } = edgeConnections ?? connections ?? {};
  return bufferBytes === undefined ? {} : { perConnectionBufferLimitBytes: bufferBytes };
}

/** A pod that has just gone must not cost a connection: there are others. */
const CONNECT_ATTEMPTS = 3;
const HTTP_ALPN = ['h2', 'http/1.1'];

export interface GatewayListenerContext {
  readonly telemetry: SideTelemetry;
  /** Where the mesh's own keys come from. */
  readonly secrets: ConfigSource;
}

/**
 * A chain for each server name, so that a service that comes or goes disturbs no connection but its own. Plaintext and
 * unknown names match none and are closed. Undefined without chains: Envoy takes no listener like that.
 */
export function buildGatewayTcpListener(
  intent: GatewayPortIntent,
  context: GatewayListenerContext,
): Listener | undefined {
  const { address, port, secure, chains, https } = intent;
  if (chains.length + https.length === 0) return undefined;
  return create(ListenerSchema, {
    name: listenerName(address, port),
    address: listenAddress(address, port),
    trafficDirection: TrafficDirection.OUTBOUND,
    ...inFront(context.telemetry, secure ? [tlsInspector()] : [], chains),
    ...buffers(context.telemetry),
    filterChains: [
      ...chains.map((chain) => tcpChain(chain, secure, context)),
      ...https.map((chain) => httpsChain(chain, context)),
    ],
    accessLog: accessLogs(context.telemetry.logs, 'connections', refusedConnections()),
  });
}

function tcpChain(chain: TcpChainIntent, secure: boolean, { telemetry, secrets }: GatewayListenerContext): ChainInit {
  const to = sharesOf(chain);
  const alpn = chain.tls?.certificates === 'mesh' ? [] : HTTP_ALPN;
  return {
    name: chainName(to),
    ...ruleMetadata(chain.origin),
    ...(secure && { filterChainMatch: tlsMatch(chain.serverNames) }),
    filters: [
      ...lookUps(chain.policy),
      tcpProxy({ to, telemetry, logOnConnected: true, connectAttempts: CONNECT_ATTEMPTS, policy: chain.policy }),
    ],
    ...(chain.tls && { transportSocket: ownServerSocket(chain.tls, alpn, secrets) }),
  };
}

function httpsChain(chain: HttpsChainIntent, { telemetry, secrets }: GatewayListenerContext): ChainInit {
  const { name, byName } = chain.table;
  const manager = httpConnectionManager({
    role: 'gateway',
    statPrefix: `outbound_${name}`,
    routes: { name },
    telemetry,
    byName,
  });
  return {
    name,
    filterChainMatch: tlsMatch(chain.serverNames),
    filters: [manager],
    transportSocket: ownServerSocket(chain.tls, HTTP_ALPN, secrets),
  };
}

function tlsMatch(serverNames: readonly string[]): MessageInitShape<typeof FilterChainMatchSchema> {
  return { transportProtocol: 'tls', serverNames: [...serverNames] };
}
