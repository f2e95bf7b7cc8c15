// SPDX-License-Identifier: Apache-2.0
// What traffic can be sent to: for each port of a service, all of its endpoints and each subset that its rule names.

import type { Place } from '../api/localities.ts';
import type { DestinationPolicy, PolicySubset } from '../model/destination-policies.ts';
import type { Vantage } from '../model/networks.ts';
import type { MeshService, ServicePort } from '../model/snapshot.ts';
import type { ProxyView } from '../model/view.ts';
import type {
  DestinationIntent,
  DestinationRef,
  Discovery,
  EndpointIntent,
  LocalityIntent,
  NameFamilies,
  OutlierIntent,
  PoolIntent,
} from './destination-types.ts';
import { chooseNetworks, placeEndpoints } from './endpoints.ts';
import { asDialled, clientSecurity, sniName } from './security.ts';
import {
  balancingOf,
  connectionPoolOf,
  effectivePolicy,
  localityOf,
  outlierOf,
  type Policy,
  poolOf,
  protocolOf,
} from './traffic-policy.ts';

/** What a destination is made of, so that equal inputs give the very same destinations. */
export interface DestinationInputs {
  readonly service: MeshService;
  readonly rule: DestinationPolicy | undefined;
  readonly identities: readonly string[];
  /** Of a headless service: every endpoint has a sidecar. */
  readonly headlessMeshed: boolean;
  readonly mesh: ProxyView['mesh'];
  /** Of an egress gateway: nothing but what is in those networks. */
  readonly exit?: boolean;
  readonly kind: ProxyView['kind'];
  readonly vantage: Vantage;
  readonly place: Place;
  readonly cluster: string;
  /** Some of its endpoints are gateways to others, or on another network that may not be reached from here. */
  readonly far: 'gateway' | 'direct' | undefined;
  /** The service of several clusters that has the same name, and serves while this one has no endpoints. */
  readonly spare?: MeshService | undefined;
}

/** Destinations of a service for a proxy that opens connections itself. */
export function buildDestinations(
  inputs: DestinationInputs,
  subsets: readonly DestinationSubset[] = inputs.rule?.subsets ?? [],
): DestinationIntent[] {
  // Of what nobody knows before it is asked for, there are no parts.
  const parts = inputs.service.resolution === 'by-name' ? [undefined] : [undefined, ...subsets];
  return inputs.service.ports
    .filter((port) => port.protocol !== 'udp')
    .flatMap((port) => parts.map((subset) => buildDestination(inputs, port, subset)));
}

type DestinationSubset = Pick<PolicySubset, 'name' | 'labels' | 'origin'>;

/** Other clusters may ask for what they are told of, whether a rule of this one has subsets of these names or not. */
function askedSubsets({ service, rule }: DestinationInputs): DestinationSubset[] {
  const ruled = rule?.subsets ?? [];
  const others = (service.exported ?? []).filter(({ name }) => ruled.every((subset) => subset.name !== name));
  const origin = { object: service.origin, field: 'metadata' };
  return [...ruled, ...others.map((part) => ({ ...part, origin }))];
}

/** Destinations for TLS that passes through a gateway: only workloads of its own network that can answer with a sidecar. */
export function buildSniDestinations(inputs: DestinationInputs): DestinationIntent[] {
  return buildDestinations(inputs, askedSubsets(inputs)).flatMap((destination): DestinationIntent[] => {
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

function buildDestination(
  inputs: DestinationInputs,
  port: ServicePort,
  subset: DestinationSubset | undefined,
): DestinationIntent {
  const { service, rule, mesh, far } = inputs;
  const ref = { host: service.hostname, port: port.number, subset: subset?.name ?? '' };
  const policy = effectivePolicy(service, rule, ref.subset, port.number);
  const locality = localityOf(policy, mesh, service);
  const pool = connectionPoolOf(policy?.connectionPool, mesh);
  // Requests under way count against a gateway as against one pod, however many stand behind it: in turn, its share is
  // theirs under any load.
  const usual = far === 'gateway' && service.registry === 'kubernetes' ? 'round-robin' : 'least-request';
  return {
    use: 'proxy',
    ref,
    protocol: protocolOf(port, policy, inputs),
    ...(mesh.defaultConfig?.proxyHeaders?.preserveHttp1HeaderCase && { keepsCase: true }),
    discovery: discoveryOf(inputs, port, subset, { policy, locality }),
    security: clientSecurity(inputs, ref, policy),
    service: serviceName(service),
    balancing: balancingOf(policy?.loadBalancer, usual),
    ...(locality && { locality }),
    ...(policy?.proxyProtocol && { proxyProtocol: policy.proxyProtocol.version === 'V2' ? 'v2' : 'v1' }),
    connectTimeoutMs: pool?.tcp?.connectTimeout ?? usualTimeout(inputs),
    pool: limited(poolOf(pool, policy?.retryBudget), inputs),
    outlier:
      outlierOf(policy?.outlierDetection ?? mesh.defaultTrafficPolicy?.outlierDetection) ??
      (far === undefined && inputs.spare === undefined ? undefined : LOST_GATEWAYS),
    origin: subset?.origin ?? { object: service.origin, field: 'spec.ports' },
    ...(rule && { rule: subset?.origin.object ?? rule.policyRef }),
  };
}

/** A cluster that is gone answers nothing at all: how long that is waited for is how long its share takes to move. */
function usualTimeout({ service, spare, mesh }: DestinationInputs): number {
  const isOfSeveral = service.traffic !== undefined || spare !== undefined;
  return isOfSeveral ? Math.min(mesh.connectTimeout, CLUSTER_CONNECT_TIMEOUT_MS) : mesh.connectTimeout;
}

/** Three round trips around the world, and the handshake's arithmetic. */
const CLUSTER_CONNECT_TIMEOUT_MS = 2_000;

function limited(pool: PoolIntent, { far, service }: DestinationInputs): PoolIntent {
  if (far !== 'gateway') return pool;
  const lifetimeMs = Math.min(pool.lifetimeMs ?? GATEWAY_POOL_LIFETIME_MS, GATEWAY_POOL_LIFETIME_MS);
  return { ...(service.traffic && { idleTimeoutMs: CLUSTER_POOL_IDLE_MS }), ...pool, lifetimeMs };
}

/** When a cluster falls silent, each connection that waits for work still takes one request, and that one is lost. */
const CLUSTER_POOL_IDLE_MS = 2_000;

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

function familiesOf({ families }: Vantage): { families?: NameFamilies } {
  return families === 'IPv4' ? {} : { families };
}

function discoveryOf(
  inputs: DestinationInputs,
  port: ServicePort,
  subset: DestinationSubset | undefined,
  { policy, locality }: { policy: Partial<Policy> | undefined; locality: LocalityIntent | undefined },
): Discovery {
  const { service, kind } = inputs;
  const labels = subset?.labels ?? {};
  if (asDialled(inputs, policy)) return { kind: 'original' };
  switch (service.resolution) {
    case 'none':
      // A gateway's clients were going to the gateway, so it has to know the endpoints of a headless service.
      if (kind === 'sidecar' || service.registry === 'service-entry') return originalOf(service, port);
      break;
    case 'by-name':
      return { kind: 'by-name', ...familiesOf(inputs.vantage) };
    case 'dns':
    case 'dns-round-robin':
      return {
        kind: 'dns',
        once: service.resolution === 'dns-round-robin',
        ...familiesOf(inputs.vantage),
        againMs: inputs.mesh.dnsRefreshRate,
        // A name that is looked up once for all has one endpoint (Envoy's LOGICAL_DNS): the first.
        endpoints: dnsEndpoints(inputs, port, labels, locality).slice(0, service.resolution === 'dns' ? undefined : 1),
      };
    case 'endpoints':
  }
  const spare = subset === undefined ? spareOf(inputs, port) : undefined;
  return {
    kind: 'endpoints',
    service: service.key,
    portName: port.name,
    filter: {
      labels,
      networks: inputs.exit ? 'requested' : 'all',
      meshedOnly: false,
      ...(service.nodeLocal && kind === 'sidecar' && { sameNode: true as const }),
    },
    ...(spare && { spare }),
  };
}

function spareOf({ spare }: DestinationInputs, { number }: ServicePort): EndpointDiscovery['spare'] {
  const port = spare?.ports.find((p) => p.number === number);
  if (spare?.traffic === undefined || port === undefined) return undefined;
  return { service: spare.key, portName: port.name, split: spare.traffic };
}

type EndpointDiscovery = Extract<Discovery, { kind: 'endpoints' }>;

/** Where the client was going, at the port that the entry says it is. */
function originalOf({ registry }: MeshService, { number, targetPort }: ServicePort): Discovery {
  const moved = registry === 'service-entry' && typeof targetPort === 'number' && targetPort !== number;
  return { kind: 'original', ...(moved && { port: targetPort }) };
}

function dnsEndpoints(
  { service, vantage, place, cluster, exit }: DestinationInputs,
  port: ServicePort,
  labels: Readonly<Record<string, string>>,
  locality: LocalityIntent | undefined,
): EndpointIntent[] {
  const choice = exit ? 'requested' : 'all';
  const wanted = Object.entries(labels);
  const able = chooseNetworks(service.dnsEndpoints, choice, vantage).filter(
    (e) => e.ports[port.name] !== undefined && wanted.every(([key, value]) => e.labels[key] === value),
  );
  return placeEndpoints(able, (e) => e.ports[port.name]!, vantage, locality && { rule: locality, place, cluster });
}
