// SPDX-License-Identifier: Apache-2.0
// View -> intent. Parts that many proxies share are built once for their view and shared as objects.

import type { Workload } from '../api/kubernetes.ts';
import { hostname } from '../api/names.ts';
import type { Telemetry } from '../api/telemetry.ts';
import { IdentityMemo } from '../incremental/identity-memo.ts';
import { RecentValues } from '../incremental/recent-values.ts';
import type { MeshProxy } from '../model/proxy.ts';
import type { MeshIndex, MeshService } from '../model/snapshot.ts';
import { type ProxyView, selectDestinationRule } from '../model/view.ts';
import {
  byName,
  DestinationCache,
  DestinationState,
  type DestinationUse,
  destinationKey,
  refKey,
} from './destination-state.ts';
import type { DestinationIntent, DestinationRef } from './destination-types.ts';
import { buildGateway, isEgress, isExit } from './gateway.ts';
import { buildInbound, type InboundMesh, selectServices } from './inbound.ts';
import { DestinationNames, NamedDestinations } from './named-destinations.ts';
import { OutboundState } from './outbound-state.ts';
import { refsOf } from './route-refs.ts';
import type { RouteTableIntent } from './route-types.ts';
import { buildTelemetry, telemetriesOf } from './telemetry.ts';
import { needsCollectors } from './telemetry-providers.ts';
import type { EdgeIntent, SideTelemetry, TelemetryIntent } from './telemetry-types.ts';
import type { GatewayIntent, InboundIntent, OutboundIntent, ProxyIntent } from './types.ts';
import { VirtualHostCache } from './virtual-hosts.ts';

/** Keeps what was built, by the identity of what it was built from, or view by view. One for each process. */
export class IntentCache {
  readonly destinations = new DestinationCache();
  readonly telemetry = new IdentityMemo<TelemetryIntent>();
  readonly telemetries = new IdentityMemo<readonly Telemetry[]>();
  readonly inbound = new IdentityMemo<InboundIntent>();
  readonly gateways = new IdentityMemo<GatewayParts>();
  readonly services = new IdentityMemo<readonly MeshService[]>();
  readonly #virtualHosts = new VirtualHostCache();
  readonly #outbound = new RecentValues<OutboundState>();
  readonly #destinations = new RecentValues<DestinationState>();
  readonly #names = new DestinationNames();
  readonly #named = new RecentValues<NamedDestinations>();
  /** Of clients that see the same from several namespaces, one. */
  readonly #siblings = new WeakMap<ProxyView, OutboundState>();

  sidecar(view: ProxyView): { readonly outbound: OutboundIntent; readonly destinations: ProxyIntent['destinations'] } {
    return { outbound: this.#outboundOf(view), destinations: this.#destinationsOf(view, 'proxy') };
  }

  /** Of a sidecar's destinations, those that its routes, its listeners and its telemetry name. */
  named(
    view: ProxyView,
    { outbound, destinations }: ReturnType<IntentCache['sidecar']>,
    collectors: readonly DestinationRef[],
  ): ProxyIntent['destinations'] {
    const key = [view.key, ...collectors.map(refKey)].join(' ');
    const named = this.#named.get(key, () => new NamedDestinations(this.#names, collectors));
    return this.#names.select(destinations, named.of(outbound));
  }

  /** Each namespace has its own, for short names; but most of it is the same for all. */
  #outboundOf(view: ProxyView): OutboundIntent {
    const { anywhere } = view;
    const sibling = anywhere && this.#siblings.get(anywhere);
    const like = sibling?.isLike(view) ? sibling : undefined;
    const state = this.#outbound.get(view.key, () => new OutboundState(view, this.#virtualHosts, like));
    const outbound = state.of(view);
    if (anywhere !== undefined) this.#siblings.set(anywhere, state);
    return outbound;
  }

  /** Where the TLS of others can be passed on to. */
  passedOn(view: ProxyView, use: 'sni' | 'exit'): ProxyIntent['destinations'] {
    return this.#destinationsOf(view, use);
  }

  turn(): void {
    this.#outbound.turn();
    this.#destinations.turn();
    this.#named.turn();
  }

  /** One map for all namespaces, unless rules or services are not the same for all of them. */
  #destinationsOf(view: ProxyView, use: DestinationUse): ProxyIntent['destinations'] {
    const { anywhere } = view;
    if (anywhere !== undefined) {
      const state = this.#destinationState(anywhere, use);
      const destinations = state.of(anywhere);
      if (state.isFor(view.namespace)) return destinations;
    }
    return this.#destinationState(view, use).of(view);
  }

  #destinationState(view: ProxyView, use: DestinationUse): DestinationState {
    // Of endpoints that are part of clusters, where the proxy is makes the order.
    const name = `${use} ${view.key} ${view.place.key}`;
    return this.#destinations.get(name, () => new DestinationState(view, use, this.destinations));
  }
}

export interface IntentInputs {
  readonly index: MeshIndex;
  readonly view: ProxyView;
  readonly proxy: MeshProxy;
  readonly workload: Workload | undefined;
  /** EnvoyFilters are done to it, and there is no telling what those name. */
  readonly isPatched: boolean;
}

export function buildIntent(inputs: IntentInputs, cache: IntentCache): ProxyIntent {
  const { index, view, proxy } = inputs;
  const services = servicesOfWorkload(index.servicesByNamespace.get(proxy.namespace) ?? NO_SERVICES, proxy, cache);
  const telemetry = telemetryOf(inputs, cache);
  const { kind, upstreamMark, families } = proxy;
  const frame = { kind, telemetry, upstreamMark, ...(families !== undefined && { hasIpv6: true as const }) };
  if (proxy.kind === 'gateway') return { ...frame, ...gatewayParts(inputs, services, telemetry, cache) };
  const sidecar = cache.sidecar(view);
  const { outbound, destinations } = sidecar;
  const whole = { ...frame, outbound, inbound: inboundOf(inputs, services, cache), gateway: undefined, destinations };
  if (proxy.delivery !== undefined && proxy.delivery !== 'FULL') return { ...whole, onDemand: proxy.delivery };
  if (inputs.isPatched) return whole;
  const collectors = [...collectorsOf(telemetry.client), ...collectorsOf(telemetry.server)];
  return { ...whole, destinations: cache.named(view, sidecar, collectors), nameable: destinations };
}

/** One object for all proxies that the same Telemetry concerns, and that see the same collectors. */
function telemetryOf({ index, view, proxy }: IntentInputs, cache: IntentCache): TelemetryIntent {
  const { telemetries, settings } = index;
  const own = cache.telemetries.get([telemetries, proxy], '', () =>
    telemetriesOf(telemetries, proxy, settings.rootNamespace),
  );
  // Without collectors, no service matters.
  const seen = needsCollectors(view.mesh) ? [view.mesh, view.serviceOf, ...own] : [view.mesh, ...own];
  const speaks = balancersAt(proxy);
  return cache.telemetry.get(seen, speaks ?? '', () => buildTelemetry(view, own, speaks));
}

/**
 * Whether load balancers, where they speak the PROXY protocol, do so for all clients of a gateway, or for some. Never for those of
 * an egress gateway: what one of them said of itself would be believed, and a server that speaks first be waited for in vain.
 */
function balancersAt(proxy: MeshProxy): EdgeIntent['proxyProtocol'] {
  if (proxy.kind !== 'gateway') return 'required';
  if (isEgress(proxy)) return undefined;
  return isExit(proxy) ? 'optional' : 'required';
}

const NO_SERVICES: readonly MeshService[] = [];

/** What a sidecar's inbound side depends on of MeshConfig. */
const INBOUND_SETTINGS: readonly (keyof InboundMesh)[] = [
  'meshMTLS',
  'tlsDefaults',
  'defaultTrafficPolicy',
  'tcpKeepalive',
  'defaultConfig',
  'inboundTrafficPolicy',
  'defaultInboundHttpRetryPolicy',
];

function inboundOf(
  { proxy, workload, view }: IntentInputs,
  services: readonly MeshService[],
  cache: IntentCache,
): InboundIntent {
  const sidecar = view.scope?.sidecar;
  const { mesh } = view;
  const policies = services.map((service) => selectDestinationRule(view, service, 'server'));
  const parts = [services, workload, sidecar, ...INBOUND_SETTINGS.map((name) => mesh[name]), ...policies];
  // Only where a Sidecar has listeners of its own does the pod's address matter.
  const tag = sidecar?.spec.ingress.some(({ captureMode }) => captureMode === 'NONE') ? proxy.ip : '';
  return cache.inbound.get(
    parts.map((part) => part ?? NOTHING),
    `${proxy.cluster} ${tag} ${proxy.families ?? ''}`,
    () => buildInbound(services, proxy, workload, { sidecar, policies, mesh }),
  );
}

/** Services of the proxy's own cluster and namespace that select its pod, oldest first; the same array for the same. */
function servicesOfWorkload(all: readonly MeshService[], proxy: MeshProxy, cache: IntentCache): readonly MeshService[] {
  return cache.services.get([all, proxy], '', () => selectServices(all, proxy));
}

type GatewayParts = Pick<ProxyIntent, 'outbound' | 'inbound' | 'gateway' | 'destinations'>;

/** A gateway's own whole: what its Gateways and rules say, and what those lead to. */
function gatewayParts(
  { view, proxy, workload }: IntentInputs,
  services: readonly MeshService[],
  telemetry: TelemetryIntent,
  cache: IntentCache,
): GatewayParts {
  const sni = cache.passedOn(view, isExit(proxy) ? 'exit' : 'sni');
  const { serviceOf, destinationRules, identities, headless, mesh, gateways, gatewayRules, vantage } = view;
  const tables = [serviceOf, destinationRules, identities, headless, mesh, vantage];
  return cache.gateways.get(
    [...tables, gateways, gatewayRules, services, workload ?? NOTHING, sni, telemetry],
    `${view.key} ${view.place.key}`,
    () => {
      const sniDestinations = [...sni.values()].sort(byName);
      const gateway = buildGateway({ view, proxy, workload, services, sniDestinations });
      const used = [
        ...sniUsed(gateway, sniDestinations),
        ...referred(view, gateway, collectorsOf(telemetry.client), cache),
      ].sort(byName);
      const destinations = new Map(used.map((destination) => [destinationKey(destination), destination]));
      return { outbound: undefined, inbound: undefined, gateway, destinations };
    },
  );
}

const NOTHING: object = Object.freeze({});

function collectorsOf({ logs, tracing }: SideTelemetry): DestinationRef[] {
  const told = logs.flatMap(({ sink }) => (sink.kind === 'file' ? [] : sink.collector.to));
  return tracing === undefined || tracing.exporter.kind === 'none' ? told : [...told, tracing.exporter.collector.to];
}

/** A gateway gets only what its routes name: a mesh of a thousand services has a dozen of them at its edge. */
function referred(
  view: ProxyView,
  gateway: GatewayIntent,
  collectors: readonly DestinationRef[],
  cache: IntentCache,
): DestinationIntent[] {
  const passed = gateway.tcpPorts.flatMap((port) =>
    port.chains.filter((c) => c.use === 'proxy').flatMap((c) => c.to.map((share) => share.ref)),
  );
  const refs = [
    ...tablesOf(gateway).flatMap((table) => [...table.hosts.values()].flatMap((host) => refsOf(host.routes))),
    ...passed,
    ...collectors,
  ];
  const wanted = new Set(refs.map(refKey));
  return [...new Set(refs.map((ref) => hostname(ref.host)))].flatMap((host) => {
    const service = view.serviceOf.get(host);
    return service === undefined
      ? []
      : cache.destinations.of(view, service, 'proxy').filter((d) => wanted.has(refKey(d.ref)));
  });
}

/** Of plain ports, and of TLS that is opened. */
function tablesOf({ httpPorts, tcpPorts }: GatewayIntent): RouteTableIntent[] {
  return [...httpPorts, ...tcpPorts.flatMap((port) => port.https)].map(({ table }) => table);
}

function sniUsed(gateway: GatewayIntent, all: readonly DestinationIntent[]): DestinationIntent[] {
  const chains = gateway.tcpPorts.flatMap((port) => port.chains.filter((c) => c.use === 'sni'));
  const wanted = new Set(chains.flatMap((chain) => chain.to.map((share) => refKey(share.ref))));
  return all.filter((d) => wanted.has(refKey(d.ref)));
}
