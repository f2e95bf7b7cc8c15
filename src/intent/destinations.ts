// SPDX-License-Identifier: Apache-2.0
// What traffic can be sent to: for each port of a service, all of its endpoints and each subset that its rule names.
import type {
  ConnectionPool,
  DestinationRule,
  OutlierDetection,
  PortPolicy,
  Subset,
  TrafficPolicy,
} from '../api/destination-rule.ts';
import type { Vantage } from '../model/networks.ts';
import type { MeshService, ServicePort } from '../model/snapshot.ts';
import type { ProxyView } from '../model/view.ts';
import { chooseNetworks, placeEndpoints } from './endpoints.ts';
import { clientSecurity, sniName } from './security.ts';
import type {
  DestinationIntent,
  DestinationRef,
  Discovery,
  EndpointIntent,
  Origin,
  OutlierIntent,
  PoolIntent,
} from './types.ts';

/** What a destination is made of, so that equal inputs give the very same destinations. */
export interface DestinationInputs {
  readonly service: MeshService;
  readonly rule: DestinationRule | undefined;
  readonly identities: readonly string[];
  /** Of a headless service: every endpoint has a sidecar. */
  readonly headlessMeshed: boolean;
  readonly mesh: ProxyView['mesh'];
  /** Of an egress gateway: nothing but what is in those networks. */
  readonly exit?: boolean;
  readonly kind: ProxyView['kind'];
  readonly vantage: Vantage;
  /** Some of its endpoints are gateways to others, or on another network that may not be reached from here. */
  readonly far: 'gateway' | 'direct' | undefined;
}

/** Destinations of a service for a proxy that opens connections itself. */
export function buildDestinations(inputs: DestinationInputs): DestinationIntent[] {
  const { service, rule } = inputs;
  return service.ports
    .filter((port) => port.protocol !== 'udp')
    .flatMap((port) =>
      [undefined, ...(rule?.spec.subsets ?? [])].map((subset) => buildDestination(inputs, port, subset)),
    );
}

/** Destinations for TLS that passes through a gateway: only workloads of its own network that can answer with a sidecar. */
export function buildSniDestinations(inputs: DestinationInputs): DestinationIntent[] {
  return buildDestinations(inputs).flatMap((destination): DestinationIntent[] => {
    const { discovery } = destination;
    if (discovery.kind !== 'endpoints') return [];
    const filter = { ...discovery.filter, networks: 'own' as const, meshedOnly: true };
    return [{ ...destination, ...PASSED_ON, discovery: { ...discovery, filter } }];
  });
}

/** Destinations for TLS that leaves by an egress gateway: endpoints of the networks that it requests, and no others. */
export function buildExitDestinations(inputs: DestinationInputs): DestinationIntent[] {
  return buildDestinations({ ...inputs, exit: true }).map((destination) => ({ ...destination, ...PASSED_ON }));
}

const PASSED_ON = { use: 'sni', protocol: 'tcp', security: { kind: 'plain' } } as const;

/** Server names under which a gateway takes traffic for a local service: its own, and its name in other clusters. */
export function sniNames(ref: DestinationRef, dnsDomain: string): string[] {
  const suffix = `.svc.${dnsDomain}`;
  const names = [sniName(ref)];
  if (ref.host.endsWith(suffix)) names.push(sniName({ ...ref, host: `${ref.host.slice(0, -suffix.length)}.global` }));
  return names;
}

function buildDestination(inputs: DestinationInputs, port: ServicePort, subset: Subset | undefined): DestinationIntent {
  const { service, rule, mesh } = inputs;
  const ref = { host: service.hostname, port: port.number, subset: subset?.name ?? '' };
  const policy = effectivePolicy(rule, subset, port.number);
  const protocol = destinationProtocol(port, inputs.kind);
  return {
    use: 'proxy',
    ref,
    protocol,
    discovery: discoveryOf(inputs, port, subset),
    security: clientSecurity(inputs, ref, policy?.tls),
    service: serviceName(service),
    balancing: balancingOf(policy, inputs),
    connectTimeoutMs: policy?.connectionPool?.tcp?.connectTimeout ?? mesh.connectTimeout,
    pool: {
      ...poolOf(policy?.connectionPool),
      ...(inputs.far === 'gateway' && { lifetimeMs: GATEWAY_POOL_LIFETIME_MS }),
    },
    outlier: outlierOf(policy?.outlierDetection) ?? (inputs.far === undefined ? undefined : LOST_GATEWAYS),
    origin: originOf(service, rule, subset),
  };
}

/**
 * A gateway that is on its way out cannot tell the clients of the TLS that passes through it, as it could with HTTP: they
 * have to leave by themselves, and well before it ends (docs/decisions/0013).
 */
const GATEWAY_POOL_LIFETIME_MS = 10_000;

/**
 * Of several gateways, one that does not answer is left alone for some seconds: every request would wait for it before it
 * tries the next. Where all are lost, all are tried (below 1 % of health), so that nothing waits for an ejection's end.
 */
const LOST_GATEWAYS: OutlierIntent = {
  consecutive5xx: 0,
  consecutiveGatewayErrors: 0,
  connectFailures: 3,
  intervalMs: 1_000,
  baseEjectionMs: 5_000,
  maxEjectionMs: 10_000,
  maxEjectionPercent: 100,
  minHealthPercent: 1,
};

/** A Kubernetes service by its short name; what others have is known by its host. */
function serviceName({ registry, hostname, namespace, origin }: MeshService): DestinationIntent['service'] {
  return { name: registry === 'kubernetes' ? origin.name : hostname, namespace };
}

function originOf(service: MeshService, rule: DestinationRule | undefined, subset: Subset | undefined): Origin {
  if (rule === undefined || subset === undefined) return { object: service.origin, field: 'spec.ports' };
  return { object: rule.ref, field: `spec.subsets[${rule.spec.subsets.indexOf(subset)}]` };
}

/** A gateway cannot ask its client what the destination speaks; what it routes by requests is HTTP, and every server has 1.1. */
function destinationProtocol({ protocol }: ServicePort, kind: ProxyView['kind']): DestinationIntent['protocol'] {
  if (protocol === 'auto') return kind === 'sidecar' ? 'as-client' : 'http';
  return protocol === 'http' || protocol === 'http2' ? protocol : 'tcp';
}

type Policy = Pick<TrafficPolicy, 'tls' | 'loadBalancer' | 'connectionPool' | 'outlierDetection'>;

/** A subset's setting replaces the rule's; a port's settings replace all of the others, as Istio has it. */
function effectivePolicy(
  rule: DestinationRule | undefined,
  subset: Subset | undefined,
  port: number,
): Policy | undefined {
  const [outer, inner] = [rule?.spec.trafficPolicy, subset?.trafficPolicy];
  const forPort = (policy: TrafficPolicy | undefined): PortPolicy | undefined =>
    policy?.portLevelSettings.find((p) => p.port.number === port);
  const byPort = forPort(inner) ?? forPort(outer);
  if (byPort !== undefined) return byPort;
  if (outer === undefined || inner === undefined) return inner ?? outer;
  return {
    tls: inner.tls ?? outer.tls,
    loadBalancer: inner.loadBalancer ?? outer.loadBalancer,
    connectionPool: inner.connectionPool ?? outer.connectionPool,
    outlierDetection: inner.outlierDetection ?? outer.outlierDetection,
  };
}

function discoveryOf(inputs: DestinationInputs, port: ServicePort, subset: Subset | undefined): Discovery {
  const { service, kind } = inputs;
  const labels = subset?.labels ?? {};
  switch (service.resolution) {
    case 'none':
      // A gateway's clients were going to the gateway, so it has to know the endpoints of a headless service.
      if (kind === 'sidecar' || service.registry === 'service-entry') return { kind: 'original' };
      break;
    case 'dns':
    case 'dns-round-robin':
      return {
        kind: 'dns',
        once: service.resolution === 'dns-round-robin',
        endpoints: dnsEndpoints(inputs, port, labels),
      };
    case 'endpoints':
  }
  return {
    kind: 'endpoints',
    service: service.key,
    portName: port.name,
    filter: { labels, networks: inputs.exit ? 'requested' : 'all', meshedOnly: false },
  };
}

function dnsEndpoints(
  { service, vantage, exit }: DestinationInputs,
  port: ServicePort,
  labels: Readonly<Record<string, string>>,
): EndpointIntent[] {
  const choice = exit ? 'requested' : 'all';
  const wanted = Object.entries(labels);
  const able = chooseNetworks(service.dnsEndpoints, choice, vantage).filter((e) =>
    wanted.every(([key, value]) => e.labels[key] === value),
  );
  return placeEndpoints(able, (e) => e.ports[port.name] ?? port.number, vantage);
}

function balancingOf(policy: Policy | undefined, { service, far }: DestinationInputs): DestinationIntent['balancing'] {
  switch (policy?.loadBalancer?.simple) {
    case 'ROUND_ROBIN':
      return { kind: 'round-robin' };
    case 'RANDOM':
      return { kind: 'random' };
    case undefined:
      // Requests under way count against a gateway as against one pod, however many stand behind it: in turn, its share is
      // theirs under any load.
      return { kind: far === 'gateway' && service.registry === 'kubernetes' ? 'round-robin' : 'least-request' };
    default:
      return { kind: 'least-request' };
  }
}

function poolOf(pool: ConnectionPool | undefined): PoolIntent {
  const { tcp, http } = pool ?? {};
  const keepalive = tcp?.tcpKeepalive;
  return present({
    maxConnections: tcp?.maxConnections,
    maxPendingRequests: http?.http1MaxPendingRequests,
    maxRequests: http?.http2MaxRequests,
    maxRequestsPerConnection: http?.maxRequestsPerConnection,
    maxRetries: http?.maxRetries,
    maxConcurrentStreams: http?.maxConcurrentStreams,
    idleTimeoutMs: http?.idleTimeout,
    keepalive:
      keepalive && present({ probes: keepalive.probes, timeMs: keepalive.time, intervalMs: keepalive.interval }),
  });
}

/** Istio's defaults, which are Envoy's but for the ejection by gateway errors. */
function outlierOf(detection: OutlierDetection | undefined): OutlierIntent | undefined {
  if (detection === undefined) return undefined;
  return {
    consecutive5xx: detection.consecutive5xxErrors ?? 5,
    consecutiveGatewayErrors: detection.consecutiveGatewayErrors ?? 0,
    connectFailures: undefined,
    intervalMs: detection.interval ?? 10_000,
    baseEjectionMs: detection.baseEjectionTime ?? 30_000,
    maxEjectionMs: undefined,
    maxEjectionPercent: detection.maxEjectionPercent ?? 10,
    minHealthPercent: detection.minHealthPercent ?? 0,
  };
}

type Present<T> = { [K in keyof T]?: Exclude<T[K], undefined> };

/** The same object without its undefined members. */
function present<T extends object>(value: T): Present<T> {
  return Object.fromEntries(Object.entries(value).filter(([, v]) => v !== undefined)) as Present<T>;
}
