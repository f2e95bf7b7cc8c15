// SPDX-License-Identifier: Apache-2.0
// What DestinationRules say of one destination, with every default resolved.
import type {
  ConnectionPool,
  ConsistentHash,
  LoadBalancer,
  OutlierDetection,
  RetryBudget,
  TrafficPolicy,
} from '../api/destination-rule.ts';
import type { LocalityLbSetting } from '../api/locality.ts';
import type { MeshConfig } from '../api/mesh-config.ts';
import type { DestinationPolicy } from '../model/destination-policies.ts';
import type { MeshService, ServicePort } from '../model/snapshot.ts';
import { PLACES, type ProxyView } from '../model/view.ts';
import type {
  BalancingIntent,
  DestinationIntent,
  HashIntent,
  LocalityIntent,
  OutlierIntent,
  PoolIntent,
  WarmupIntent,
} from './destination-types.ts';
import type { TcpPolicyIntent } from './types.ts';

export type Policy = Omit<TrafficPolicy, 'portLevelSettings'>;

/**
 * A subset's settings replace the rule's one by one; a port's replace all of the others, which then have their defaults, as
 * Istio has it.
 */
export function effectivePolicy(
  service: MeshService,
  rule: DestinationPolicy | undefined,
  subset: string,
  port: number,
): Partial<Policy> | undefined {
  return withAffinity(service, ruledPolicy(rule, subset, port));
}

/** A Service that keeps each client with one endpoint, unless a rule says how endpoints are chosen. */
function withAffinity({ sessionAffinity }: MeshService, policy: Partial<Policy> | undefined) {
  const { loadBalancer } = policy ?? {};
  const isChosen = loadBalancer?.simple !== undefined || loadBalancer?.consistentHash !== undefined;
  if (sessionAffinity === 'none' || isChosen) return policy;
  return { ...policy, loadBalancer: { ...NO_BALANCER, ...loadBalancer, consistentHash: BY_SOURCE } };
}

const BY_SOURCE: ConsistentHash = {
  httpHeaderName: undefined,
  httpCookie: undefined,
  useSourceIp: true,
  httpQueryParameterName: undefined,
  ringHash: undefined,
  maglev: undefined,
  minimumRingSize: 0,
};
const NO_BALANCER: LoadBalancer = {
  simple: undefined,
  consistentHash: undefined,
  localityLbSetting: undefined,
  warmup: undefined,
  warmupDurationSecs: undefined,
};

function ruledPolicy(rule: DestinationPolicy | undefined, subset: string, port: number): Partial<Policy> | undefined {
  if (rule === undefined) return undefined;
  const outer = atPort(rule.trafficPolicy, port)?.policy;
  const inner = atPort(rule.subsets.find(({ name }) => name === subset)?.trafficPolicy, port);
  if (outer === undefined || inner === undefined) return inner?.policy ?? outer;
  const own = present(inner.policy);
  if (!inner.ofPort) return { ...outer, ...own };
  const { tunnel, proxyProtocol, retryBudget } = outer;
  return { tunnel, proxyProtocol, retryBudget, ...own };
}

function atPort(
  policy: TrafficPolicy | undefined,
  port: number,
): { readonly policy: Partial<Policy>; readonly ofPort: boolean } | undefined {
  if (policy === undefined) return undefined;
  const { portLevelSettings, ...whole } = policy;
  const settings = portLevelSettings.find((p) => p.port.number === port);
  if (settings === undefined) return { policy: whole, ofPort: false };
  const { tls, loadBalancer, connectionPool, outlierDetection } = settings;
  return { policy: { tls, loadBalancer, connectionPool, outlierDetection }, ofPort: true };
}

export function protocolOf(
  port: ServicePort,
  policy: Partial<Policy> | undefined,
  { mesh, kind }: { readonly mesh: MeshConfig; readonly kind: ProxyView['kind'] },
): DestinationIntent['protocol'] {
  const usual = usualProtocol(port, kind);
  const { useClientProtocol = false, h2UpgradePolicy = 'DEFAULT' } = policy?.connectionPool?.http ?? {};
  if (usual === 'tcp') return 'tcp';
  if (useClientProtocol) return 'as-client';
  if (h2UpgradePolicy === 'UPGRADE') return 'http2';
  const byMesh = h2UpgradePolicy === 'DEFAULT' && mesh.h2UpgradePolicy === 'UPGRADE' && port.protocol === 'http';
  return byMesh ? 'http2' : usual;
}

/** A gateway cannot ask its client what the destination speaks; what it routes by requests is HTTP, and every server has 1.1. */
function usualProtocol({ protocol }: ServicePort, kind: ProxyView['kind']): DestinationIntent['protocol'] {
  if (protocol === 'auto') return kind === 'sidecar' ? 'as-client' : 'as-routed';
  return protocol === 'http' || protocol === 'http2' ? protocol : 'tcp';
}

/** Istio's number of places in a ring, if nobody gives another. */
const RING_SIZE = 1024;

export function balancingOf(
  loadBalancer: LoadBalancer | undefined,
  usual: 'least-request' | 'round-robin',
): BalancingIntent {
  const { simple, consistentHash } = loadBalancer ?? {};
  if (consistentHash !== undefined) return hashBalancing(consistentHash);
  const warmup = warmupOf(loadBalancer);
  switch (simple) {
    case 'ROUND_ROBIN':
      return { kind: 'round-robin', ...warmup };
    case 'RANDOM':
      return { kind: 'random' };
    case 'LEAST_REQUEST':
    case 'LEAST_CONN':
      return { kind: 'least-request', ...warmup };
    case 'UNSPECIFIED':
    case 'PASSTHROUGH':
    case undefined:
      return { kind: usual, ...warmup };
  }
}

function hashBalancing({ maglev, ringHash, minimumRingSize }: ConsistentHash): BalancingIntent {
  if (maglev !== undefined) return { kind: 'maglev', tableSize: maglev.tableSize };
  return { kind: 'ring-hash', minimumRingSize: ringHash?.minimumRingSize || minimumRingSize || RING_SIZE };
}

function warmupOf(loadBalancer: LoadBalancer | undefined): { warmup?: WarmupIntent } {
  const { warmup, warmupDurationSecs } = loadBalancer ?? {};
  const durationMs = warmup?.duration ?? warmupDurationSecs;
  if (durationMs === undefined) return {};
  const { minimumPercent = 10, aggression = 1 } = warmup ?? {};
  return { warmup: { durationMs, minimumPercent, aggression } };
}

export function hashOf(policy: Partial<Policy> | undefined): HashIntent | undefined {
  const { httpHeaderName, httpCookie, useSourceIp, httpQueryParameterName } =
    policy?.loadBalancer?.consistentHash ?? {};
  if (httpHeaderName !== undefined) return { kind: 'header', name: httpHeaderName };
  if (httpQueryParameterName !== undefined) return { kind: 'query', name: httpQueryParameterName };
  if (useSourceIp === true) return { kind: 'source-ip' };
  if (httpCookie === undefined) return undefined;
  const { name, path, ttl, attributes } = httpCookie;
  return { kind: 'cookie', name, path, ttlMs: ttl, attributes };
}

/**
 * Shares between localities hold by themselves. To fail over, Envoy has to find endpoints unhealthy, so that without
 * outlier detection it would never leave the nearest ones.
 */
export function localityOf(
  policy: Partial<Policy> | undefined,
  mesh: MeshConfig,
  { trafficDistribution, nodeLocal, traffic }: MeshService,
): LocalityIntent | undefined {
  const own = policy?.loadBalancer?.localityLbSetting;
  // Who divides by places divides the clusters too; a rule that says less leaves it to the entry.
  if (traffic !== undefined && !says(own)) return { kind: 'clusters', split: traffic };
  if (own === undefined && !nodeLocal && trafficDistribution !== 'any') {
    // Kubernetes asks for no health checks: who is not ready is no endpoint.
    const labels = PLACES[trafficDistribution === 'same-node' ? 'node' : 'zone'];
    return { kind: 'failover', labels, regions: [], weighted: false };
  }
  const setting = own ?? mesh.localityLbSetting;
  if (setting?.enabled === false) return undefined;
  const { distribute = [], failover = [], failoverPriority = [] } = setting ?? {};
  if (distribute.length > 0) {
    const rules = distribute.map(({ from, to }) => ({
      from,
      to: Object.entries(to).map(([locality, percent]) => ({ locality, percent })),
    }));
    return { kind: 'distribute', rules, ...(failover.length > 0 && { spare: failover }) };
  }
  if (policy?.outlierDetection === undefined) return undefined;
  const weighted = failover.length > 0 || failoverPriority.length > 0;
  return { kind: 'failover', labels: failoverPriority, regions: failover, weighted };
}

function says(setting: LocalityLbSetting | undefined): boolean {
  const { distribute = [], failover = [], failoverPriority = [] } = setting ?? {};
  return distribute.length + failover.length + failoverPriority.length > 0;
}

/** What the rule does not say, the mesh does. */
export function connectionPoolOf(
  ruled: ConnectionPool | undefined,
  { defaultTrafficPolicy, tcpKeepalive }: Pick<MeshConfig, 'defaultTrafficPolicy' | 'tcpKeepalive'>,
): ConnectionPool | undefined {
  const pool = ruled ?? defaultTrafficPolicy?.connectionPool;
  if (tcpKeepalive === undefined || pool?.tcp?.tcpKeepalive !== undefined) return pool;
  return { http: pool?.http, tcp: { ...NO_TCP_SETTINGS, ...pool?.tcp, tcpKeepalive } };
}

const NO_TCP_SETTINGS: NonNullable<ConnectionPool['tcp']> = {
  maxConnections: undefined,
  connectTimeout: undefined,
  tcpKeepalive: undefined,
  maxConnectionDuration: undefined,
  idleTimeout: undefined,
};

const NO_LIMITS: PoolIntent = Object.freeze({});

/** In Istio's API a number of 0 is one that nobody gave. */
export function poolOf(pool: ConnectionPool | undefined, budget: RetryBudget | undefined): PoolIntent {
  if (pool === undefined && budget === undefined) return NO_LIMITS;
  const { tcp, http } = pool ?? {};
  const keepalive = tcp?.tcpKeepalive;
  const pings = http?.http2KeepAlive;
  return present({
    maxConnections: tcp?.maxConnections || undefined,
    maxPendingRequests: http?.http1MaxPendingRequests || undefined,
    maxRequests: http?.http2MaxRequests || undefined,
    maxRequestsPerConnection: http?.maxRequestsPerConnection || undefined,
    maxRetries: http?.maxRetries || undefined,
    maxConcurrentStreams: http?.maxConcurrentStreams || undefined,
    idleTimeoutMs: http?.idleTimeout ?? tcp?.idleTimeout,
    lifetimeMs: tcp?.maxConnectionDuration,
    keepalive:
      keepalive && present({ probes: keepalive.probes, timeMs: keepalive.time, intervalMs: keepalive.interval }),
    pings: pings && { intervalMs: pings.interval, timeoutMs: pings.timeout },
    retryBudget: budget && {
      percent: budget.percent ?? 20,
      minConcurrency: budget.minRetryConcurrency || 3,
      ...(budget.budgetInterval !== undefined && { intervalMs: budget.budgetInterval }),
    },
  });
}

export function tcpPolicyOf(policy: Partial<Policy> | undefined): TcpPolicyIntent | undefined {
  const tcp = policy?.connectionPool?.tcp;
  const tunnel = policy?.tunnel;
  const intent: TcpPolicyIntent = present({
    hashed: hashOf(policy)?.kind === 'source-ip' ? (true as const) : undefined,
    idleTimeoutMs: tcp?.idleTimeout,
    lifetimeMs: tcp?.maxConnectionDuration,
    tunnel: tunnel && {
      method: tunnel.protocol === 'POST' ? ('POST' as const) : ('CONNECT' as const),
      host: tunnel.targetHost,
      port: tunnel.targetPort,
    },
  });
  return Object.keys(intent).length === 0 ? undefined : intent;
}

/**
 * Istio's defaults, which are Envoy's but for the ejection by gateway errors. `consecutiveErrors`, the old name, counts
 * errors of gateways (502, 503, 504) and no others, as it did.
 */
export function outlierOf(detection: OutlierDetection | undefined): OutlierIntent | undefined {
  if (detection === undefined) return undefined;
  const { consecutive5xxErrors, consecutiveGatewayErrors, consecutiveErrors } = detection;
  const { outlierDetectionHttpErrorCodes: errorCodes } = detection;
  const newer = consecutive5xxErrors ?? consecutiveGatewayErrors;
  const old = newer === undefined ? consecutiveErrors || undefined : undefined;
  return {
    consecutive5xx: consecutive5xxErrors ?? (old === undefined ? 5 : 0),
    consecutiveGatewayErrors: consecutiveGatewayErrors ?? old ?? 0,
    ...(errorCodes.length > 0 && { errorCodes: [...new Set(errorCodes)].sort((a, b) => a - b) }),
    connectFailures: detection.splitExternalLocalOriginErrors
      ? detection.consecutiveLocalOriginFailures || LOCAL_FAILURES
      : undefined,
    intervalMs: detection.interval ?? 10_000,
    baseEjectionMs: detection.baseEjectionTime ?? 30_000,
    maxEjectionMs: undefined,
    maxEjectionPercent: detection.maxEjectionPercent || 10,
    minHealthPercent: detection.minHealthPercent ?? 0,
  };
}

/** Envoy's own. */
const LOCAL_FAILURES = 5;

type Present<T> = { [K in keyof T]?: Exclude<T[K], undefined> };

/** The same object without its undefined members. */
export function present<T extends object>(value: T): Present<T> {
  return Object.fromEntries(Object.entries(value).filter(([, v]) => v !== undefined)) as Present<T>;
}
