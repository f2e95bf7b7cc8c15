// SPDX-License-Identifier: Apache-2.0
// Destinations as Envoy clusters.
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import { DurationSchema } from '@bufbuild/protobuf/wkt';
import { CircuitBreakers_Thresholds_RetryBudgetSchema } from '#gen/envoy/config/cluster/v3/circuit_breaker_pb.ts';
import {
  type Cluster,
  Cluster_DiscoveryType,
  Cluster_LbPolicy,
  ClusterSchema,
} from '#gen/envoy/config/cluster/v3/cluster_pb.ts';
import type { MatchPredicateSchema } from '#gen/envoy/config/common/matcher/v3/matcher_pb.ts';
import { type BindConfig, BindConfigSchema } from '#gen/envoy/config/core/v3/address_pb.ts';
import type { TransportSocketSchema } from '#gen/envoy/config/core/v3/base_pb.ts';
import type { ConfigSource } from '#gen/envoy/config/core/v3/config_source_pb.ts';
import { SocketOption_SocketState } from '#gen/envoy/config/core/v3/socket_option_pb.ts';
import { HttpProtocolOptionsSchema } from '#gen/envoy/extensions/upstreams/http/v3/http_protocol_options_pb.ts';
import type { DestinationIntent, OutlierIntent, PoolIntent } from '../intent/destination-types.ts';
import type { InboundPortIntent, LocalEndpointIntent, ProxyIntent, StrangersIntent } from '../intent/types.ts';
import { encode } from './encode.ts';
import { buildOwnLoadAssignment } from './endpoints.ts';
import { byNameDiscovery } from './filters/by-name.ts';
import { keptCase } from './header-case.ts';
import { balancing, commonLb } from './load-balancing.ts';
import { allAtOnce, eachByItself } from './lookup-families.ts';
import { byAds, duration, type Init, packed, socketAddress } from './messages.ts';
import { BLACK_HOLE, destinationName, INBOUND_PASSTHROUGH, inboundName, PASSTHROUGH, STRANGERS } from './names.ts';
import { type ServiceLabels, serviceMetadata } from './telemetry-metadata.ts';
import { clientSocket, proxyProtocolSocket, RAW_BUFFER } from './tls.ts';

const UNLIMITED = 0xffff_ffff;
/** What Envoy takes for what is left out (its cluster.proto and outlier_detection.proto): thousands of clusters need not say it. */
const USUAL = {
  connectTimeoutMs: 5_000,
  intervalMs: 10_000,
  baseEjectionMs: 30_000,
  maxEjectionPercent: 10,
  failures: 5,
};
/** Applications see connections of their own sidecar as local ones that are not from 127.0.0.1. */
const INBOUND_SOURCE = '127.0.0.6';
/** The same of IPv6: `isthmus proxy-init` gives it to the pod's loopback interface. */
const INBOUND_SOURCE_V6 = '::6';

export function buildCluster(destination: DestinationIntent, secrets: ConfigSource): ClusterInit {
  const { pool, discovery } = destination;
  return {
    name: destinationName(destination.ref, destination.use),
    metadata: serviceMetadata({ host: destination.ref.host, ...destination.service }, destination.rule),
    ...(destination.connectTimeoutMs !== USUAL.connectTimeoutMs && {
      connectTimeout: duration(destination.connectTimeoutMs),
    }),
    ...discoveryOf(destination),
    ...transport(destination, secrets),
    ...(discovery.kind === 'original' || discovery.kind === 'by-name'
      ? { lbPolicy: Cluster_LbPolicy.CLUSTER_PROVIDED }
      : balancing(destination.balancing)),
    circuitBreakers: breakers(pool),
    ...(destination.protocol !== 'tcp' &&
      httpOptions(destination.protocol, pool, {
        errorCodes: destination.outlier?.errorCodes,
        names: namesOf(destination),
        keepsCase: destination.keepsCase,
      })),
    ...keepalive(pool),
    ...(destination.outlier && outlier(destination.outlier)),
    ...commonLb(destination),
  };
}

function keepalive(pool: PoolIntent): ClusterInit {
  if (pool.keepalive === undefined) return {};
  const { probes, timeMs, intervalMs } = pool.keepalive;
  return {
    upstreamConnectionOptions: {
      tcpKeepalive: {
        ...(probes !== undefined && { keepaliveProbes: probes }),
        ...(timeMs !== undefined && { keepaliveTime: Math.ceil(timeMs / 1000) }),
        ...(intervalMs !== undefined && { keepaliveInterval: Math.ceil(intervalMs / 1000) }),
      },
    },
  };
}

/** Where the client was going anyway, without the mesh's TLS. */
export function buildPassthrough(connectTimeoutMs: number, keepsCase: boolean): Cluster {
  return create(ClusterSchema, {
    name: PASSTHROUGH,
    metadata: serviceMetadata(strangers(PASSTHROUGH)),
    connectTimeout: duration(connectTimeoutMs),
    clusterDiscoveryType: { case: 'type', value: Cluster_DiscoveryType.ORIGINAL_DST },
    lbPolicy: Cluster_LbPolicy.CLUSTER_PROVIDED,
    circuitBreakers: breakers({}),
    typedExtensionProtocolOptions: downstreamProtocol(keepsCase),
  });
}

/** Names that no service has, each looked up when a request is for it. */
export function buildStrangers(intent: StrangersIntent, keepsCase: boolean, secrets: ConfigSource): Cluster {
  const { security, connectTimeoutMs, families } = intent;
  const asked = namesOf({ discovery: { kind: 'original' }, security });
  const names = security.kind === 'plain' ? PROVED : asked;
  return create(ClusterSchema, {
    name: STRANGERS,
    metadata: serviceMetadata(strangers(STRANGERS)),
    connectTimeout: duration(connectTimeoutMs),
    ...byNameDiscovery(families, names?.autoSanValidation !== true),
    lbPolicy: Cluster_LbPolicy.CLUSTER_PROVIDED,
    circuitBreakers: breakers({}),
    ...(security.kind === 'tls' && { transportSocket: clientSocket(security, 'as-client', secrets) }),
    typedExtensionProtocolOptions: downstreamProtocol(keepsCase, names),
  });
}

const PROVED: RequestNames = { autoSni: true, autoSanValidation: true };

/** Has no endpoints: what is sent there is refused. */
export function buildBlackHole(): Cluster {
  return create(ClusterSchema, {
    name: BLACK_HOLE,
    metadata: serviceMetadata(strangers(BLACK_HOLE)),
    connectTimeout: duration(10_000),
    clusterDiscoveryType: { case: 'type', value: Cluster_DiscoveryType.STATIC },
  });
}

/** The application behind the sidecar, at the very address that the client dialled. */
export function buildInboundCluster(
  port: InboundPortIntent | undefined,
  own: Pick<ProxyIntent, 'upstreamMark' | 'hasIpv6'>,
): Cluster {
  const pool = port?.pool ?? {};
  return create(ClusterSchema, {
    name: port === undefined ? INBOUND_PASSTHROUGH : inboundName(port.port),
    metadata: serviceMetadata(port === undefined ? strangers(INBOUND_PASSTHROUGH) : ownService(port)),
    connectTimeout: duration(port?.connectTimeoutMs ?? 10_000),
    ...applicationAt(port?.endpoint, port),
    circuitBreakers: breakers(pool),
    ...(port?.endpoint?.kind !== 'unix' && { upstreamBindConfig: bindConfig(own) }),
    ...keepalive(pool),
    ...(port !== undefined &&
      port.protocol !== 'tcp' &&
      httpOptions(port.protocol === 'auto' || port.asClient ? 'as-client' : port.protocol, pool, {
        keepsCase: port.keepsCase,
      })),
  });
}

/** At the address that the client dialled, on another port of it, or somewhere else in the pod. */
function applicationAt(endpoint: LocalEndpointIntent | undefined, port: InboundPortIntent | undefined): ClusterInit {
  if (endpoint === undefined || endpoint.kind === 'port') {
    const lbConfig = endpoint && {
      lbConfig: { case: 'originalDstLbConfig' as const, value: { upstreamPortOverride: endpoint.port } },
    };
    return {
      clusterDiscoveryType: { case: 'type', value: Cluster_DiscoveryType.ORIGINAL_DST },
      lbPolicy: Cluster_LbPolicy.CLUSTER_PROVIDED,
      ...lbConfig,
    };
  }
  const address =
    endpoint.kind === 'unix'
      ? { address: { case: 'pipe' as const, value: { path: endpoint.path } } }
      : socketAddress(endpoint.address, endpoint.port);
  return {
    clusterDiscoveryType: { case: 'type', value: Cluster_DiscoveryType.STATIC },
    loadAssignment: {
      clusterName: inboundName(port!.port),
      endpoints: [{ lbEndpoints: [{ hostIdentifier: { case: 'endpoint', value: { address } } }] }],
    },
  };
}

/** Istio's words for a destination that is nobody's service. */
function strangers(name: string): ServiceLabels {
  return { host: 'unknown', name, namespace: 'unknown' };
}

function ownService({ host, origin }: InboundPortIntent): ServiceLabels {
  return { host, name: origin.object.name, namespace: origin.object.namespace };
}

const ANY_PORT = { case: 'portValue', value: 0 } as const;

/** A cluster with a bind configuration of its own loses the bootstrap's, and with it the mark that tells its packets. */
function bindConfig({ upstreamMark: mark, hasIpv6 }: Pick<ProxyIntent, 'upstreamMark' | 'hasIpv6'>): BindConfig {
  return create(BindConfigSchema, {
    sourceAddress: { address: INBOUND_SOURCE, portSpecifier: ANY_PORT },
    // Envoy takes that of the family which it dials.
    ...(hasIpv6 && { extraSourceAddresses: [{ address: { address: INBOUND_SOURCE_V6, portSpecifier: ANY_PORT } }] }),
    socketOptions:
      mark === undefined
        ? []
        : [
            {
              description: 'SO_MARK',
              level: 1n,
              name: 36n,
              value: { case: 'intValue', value: BigInt(mark) },
              state: SocketOption_SocketState.STATE_PREBIND,
            },
          ],
  });
}

type ClusterInit = Init<typeof ClusterSchema>;
type SocketInit = MessageInitShape<typeof TransportSocketSchema>;

function discoveryOf(destination: DestinationIntent): ClusterInit {
  const { discovery } = destination;
  switch (discovery.kind) {
    case 'endpoints':
      return {
        clusterDiscoveryType: { case: 'type', value: Cluster_DiscoveryType.EDS },
        edsClusterConfig: { edsConfig: byAds() },
      };
    case 'by-name':
      return byNameDiscovery(discovery.families);
    case 'original':
      return {
        clusterDiscoveryType: { case: 'type', value: Cluster_DiscoveryType.ORIGINAL_DST },
        ...(discovery.port !== undefined && {
          lbConfig: { case: 'originalDstLbConfig' as const, value: { upstreamPortOverride: discovery.port } },
        }),
      };
    case 'dns': {
      const { families = 'IPv4' } = discovery;
      const name = destinationName(destination.ref, destination.use);
      const value = discovery.once ? Cluster_DiscoveryType.LOGICAL_DNS : Cluster_DiscoveryType.STRICT_DNS;
      // LOGICAL_DNS takes one endpoint exactly, so a subset without any is a cluster without hosts.
      const hollow = discovery.once && discovery.endpoints.length === 0;
      return {
        clusterDiscoveryType: { case: 'type', value: hollow ? Cluster_DiscoveryType.STATIC : value },
        dnsLookupFamily: discovery.once ? allAtOnce(families) : eachByItself(families),
        // An answer holds for its TTL; this is for a name that has none, and may have one at any moment.
        dnsRefreshRate: duration(discovery.againMs),
        respectDnsTtl: true,
        loadAssignment: buildOwnLoadAssignment(name, discovery.endpoints, destination.locality),
      };
    }
  }
}

function transport(destination: DestinationIntent, secrets: ConfigSource): ClusterInit {
  const { security, protocol, proxyProtocol } = destination;
  const wrapped = (socket: SocketInit) => (proxyProtocol ? proxyProtocolSocket(proxyProtocol, socket) : socket);
  if (security.kind === 'plain') return proxyProtocol ? { transportSocket: wrapped(RAW_BUFFER) } : {};
  const transportSocket = wrapped(clientSocket(security, protocol, secrets));
  if (security.kind === 'tls' || security.when === 'always') return { transportSocket };
  return {
    transportSocketMatches: [{ name: 'tlsMode-istio', match: { tlsMode: 'istio' }, transportSocket }],
    // For all other endpoints; without one it is plaintext.
    ...(proxyProtocol && { transportSocket: wrapped(RAW_BUFFER) }),
  };
}

/** No limits but those that a rule sets: Envoy's own default of 1,024 surprises. */
function breakers(pool: PoolIntent): ClusterInit['circuitBreakers'] {
  return {
    thresholds: [
      {
        maxConnections: pool.maxConnections ?? UNLIMITED,
        maxPendingRequests: pool.maxPendingRequests ?? UNLIMITED,
        maxRequests: pool.maxRequests ?? UNLIMITED,
        maxRetries: pool.maxRetries ?? UNLIMITED,
        ...(pool.retryBudget && { retryBudget: retryBudget(pool.retryBudget) }),
      },
    ],
  };
}

function retryBudget(budget: NonNullable<PoolIntent['retryBudget']>) {
  const message = create(CircuitBreakers_Thresholds_RetryBudgetSchema, {
    budgetPercent: { value: budget.percent },
    minRetryConcurrency: budget.minConcurrency,
  });
  if (budget.intervalMs !== undefined) {
    // budget_interval: newer than the messages that we have.
    const data = new BinaryWriter().bytes(encode(DurationSchema, duration(budget.intervalMs))).finish();
    message.$unknown = [{ no: 3, wireType: WireType.LengthDelimited, data }];
  }
  return message;
}

interface RequestNames {
  readonly autoSni: true;
  readonly autoSanValidation: boolean;
}

/**
 * Below a wildcard nothing but the request says whose server is meant: that name is asked for, and has to be proved, unless the
 * rule says what else has to be, or that nothing has.
 */
function namesOf({ discovery, security }: Pick<DestinationIntent, 'discovery' | 'security'>): RequestNames | undefined {
  if (discovery.kind === 'by-name') return PROVED;
  if (security.kind !== 'tls' || security.sni !== '') return undefined;
  return { autoSni: true, autoSanValidation: security.roots !== undefined && security.peers.length === 0 };
}

const HTTP_OPTIONS = 'envoy.extensions.upstreams.http.v3.HttpProtocolOptions';

/** HTTP/1.1 without limits is what Envoy speaks unasked. */
function httpOptions(
  protocol: 'http' | 'http2' | 'as-client' | 'as-routed',
  pool: PoolIntent,
  {
    errorCodes,
    names,
    keepsCase,
  }: {
    readonly errorCodes?: readonly number[] | undefined;
    readonly names?: RequestNames | undefined;
    readonly keepsCase?: true | undefined;
  } = {},
): ClusterInit {
  const { maxConcurrentStreams, pings, idleTimeoutMs, lifetimeMs, maxRequestsPerConnection = 0 } = pool;
  const isLimited = idleTimeoutMs !== undefined || lifetimeMs !== undefined || maxRequestsPerConnection > 0;
  const isHttp1 = protocol === 'http' || protocol === 'as-routed';
  if (isHttp1 && !isLimited && errorCodes === undefined && names === undefined && !keepsCase) return {};
  const httpProtocolOptions = keepsCase ? keptCase() : {};
  const http2ProtocolOptions = {
    ...(maxConcurrentStreams !== undefined && { maxConcurrentStreams }),
    ...(pings && {
      connectionKeepalive: { interval: duration(pings.intervalMs), timeout: duration(pings.timeoutMs) },
    }),
  };
  const options = packed(HttpProtocolOptionsSchema, {
    ...(isLimited && {
      commonHttpProtocolOptions: {
        ...(idleTimeoutMs !== undefined && { idleTimeout: duration(idleTimeoutMs) }),
        ...(lifetimeMs !== undefined && { maxConnectionDuration: duration(lifetimeMs) }),
        ...(maxRequestsPerConnection > 0 && { maxRequestsPerConnection }),
      },
    }),
    ...(names && { upstreamHttpProtocolOptions: names }),
    ...(errorCodes && { outlierDetection: { errorMatcher: statusIn(errorCodes) } }),
    upstreamProtocolOptions:
      protocol === 'as-client'
        ? { case: 'useDownstreamProtocolConfig', value: { httpProtocolOptions, http2ProtocolOptions } }
        : {
            case: 'explicitHttpConfig',
            value: {
              protocolConfig: isHttp1
                ? { case: 'httpProtocolOptions', value: httpProtocolOptions }
                : { case: 'http2ProtocolOptions', value: http2ProtocolOptions },
            },
          },
  });
  return { typedExtensionProtocolOptions: { [HTTP_OPTIONS]: options } };
}

function statusIn(codes: readonly number[]): MessageInitShape<typeof MatchPredicateSchema> {
  const rules = codes.map((code): MessageInitShape<typeof MatchPredicateSchema> => {
    const headerMatchSpecifier = {
      case: 'stringMatch' as const,
      value: { matchPattern: { case: 'exact' as const, value: String(code) } },
    };
    const headers = [{ name: ':status', headerMatchSpecifier }];
    return { rule: { case: 'httpResponseHeadersMatch', value: { headers } } };
  });
  return rules.length === 1 ? rules[0]! : { rule: { case: 'orMatch', value: { rules } } };
}

function downstreamProtocol(
  keepsCase: boolean,
  names?: RequestNames,
): NonNullable<ClusterInit['typedExtensionProtocolOptions']> {
  return {
    [HTTP_OPTIONS]: packed(HttpProtocolOptionsSchema, {
      ...(names && { upstreamHttpProtocolOptions: names }),
      upstreamProtocolOptions: {
        case: 'useDownstreamProtocolConfig',
        value: { httpProtocolOptions: keepsCase ? keptCase() : {}, http2ProtocolOptions: {} },
      },
    }),
  };
}

function outlier(intent: OutlierIntent): ClusterInit {
  const { consecutive5xx, consecutiveGatewayErrors, connectFailures, maxEjectionMs, maxEjectionPercent } = intent;
  return {
    outlierDetection: {
      ...(consecutive5xx === 0
        ? { enforcingConsecutive5xx: 0 }
        : consecutive5xx !== USUAL.failures && { consecutive5xx }),
      ...(consecutiveGatewayErrors > 0 && {
        ...(consecutiveGatewayErrors !== USUAL.failures && { consecutiveGatewayFailure: consecutiveGatewayErrors }),
        enforcingConsecutiveGatewayFailure: 100,
      }),
      enforcingSuccessRate: 0,
      ...(connectFailures !== undefined && {
        splitExternalLocalOriginErrors: true,
        ...(connectFailures !== USUAL.failures && { consecutiveLocalOriginFailure: connectFailures }),
        enforcingLocalOriginSuccessRate: 0,
      }),
      ...(maxEjectionMs !== undefined && { maxEjectionTime: duration(maxEjectionMs) }),
      ...(intent.intervalMs !== USUAL.intervalMs && { interval: duration(intent.intervalMs) }),
      ...(intent.baseEjectionMs !== USUAL.baseEjectionMs && { baseEjectionTime: duration(intent.baseEjectionMs) }),
      ...(maxEjectionPercent !== USUAL.maxEjectionPercent && { maxEjectionPercent }),
    },
  };
}
