// SPDX-License-Identifier: Apache-2.0
// View -> intent. Parts that many proxies share are built once for their view and shared as objects.

import type { Workload } from '../api/kubernetes.ts';
import { hostname } from '../api/names.ts';
import { networksOf, type Vantage, vantageKeys } from '../model/networks.ts';
import type { MeshProxy } from '../model/proxy.ts';
import type { MeshIndex, MeshService } from '../model/snapshot.ts';
import { headlessState, type ProxyView, selectDestinationRule } from '../model/view.ts';
import {
  buildDestinations,
  buildExitDestinations,
  buildSniDestinations,
  type DestinationInputs,
} from './destinations.ts';
import { buildGateway, isExit } from './gateway.ts';
import { IdentityMemo } from './identity-memo.ts';
import { buildInbound, groupServices, type ServicesByNamespace, servicesOfWorkload } from './inbound.ts';
import { buildOutbound } from './outbound.ts';
import { refsOf } from './route-refs.ts';
import { buildTelemetry } from './telemetry.ts';
import type {
  DestinationIntent,
  DestinationRef,
  GatewayIntent,
  OutboundIntent,
  ProxyIntent,
  RouteTableIntent,
  TelemetryIntent,
} from './types.ts';
import { VirtualHostCache } from './virtual-hosts.ts';

/** Keeps what was built, by the identity of what it was built from. One for each process. */
export class IntentCache {
  readonly destinations = new IdentityMemo<readonly DestinationIntent[]>();
  readonly dnsNetworks = new IdentityMemo<readonly string[]>();
  readonly outbound = new IdentityMemo<OutboundIntent>();
  readonly services = new IdentityMemo<ServicesByNamespace>();
  readonly telemetry = new IdentityMemo<TelemetryIntent>();
  readonly virtualHosts = new VirtualHostCache();
}

export interface IntentInputs {
  readonly index: MeshIndex;
  readonly view: ProxyView;
  readonly proxy: MeshProxy;
  readonly workload: Workload | undefined;
}

export function buildIntent(inputs: IntentInputs, cache: IntentCache): ProxyIntent {
  const { view, proxy } = inputs;
  const all = cache.services.get([inputs.index.services], '', () => groupServices(inputs.index.services));
  const services = servicesOfWorkload(all, proxy);
  const telemetry = cache.telemetry.get([view.mesh], '', () => buildTelemetry(view.mesh));
  const frame = { kind: proxy.kind, telemetry, upstreamMark: proxy.upstreamMark };
  if (proxy.kind === 'gateway') {
    const sniDestinations = allDestinations(view, cache, isExit(proxy) ? 'exit' : 'sni');
    const gateway = buildGateway({ view, proxy, workload: inputs.workload, services, sniDestinations });
    const destinations = [...sniUsed(gateway, sniDestinations), ...referred(view, gateway, cache)].sort(byName);
    return { ...frame, outbound: undefined, inbound: undefined, gateway, destinations };
  }
  const parts = [view.services, view.virtualServices, view.headless, view.mesh, view.settings];
  const client = JSON.stringify([view.cluster, view.namespace, Object.entries(view.labels)]);
  const outbound = cache.outbound.get(parts, client, () => buildOutbound(view, cache.virtualHosts));
  const destinations = allDestinations(view, cache, 'proxy');
  const inbound = buildInbound(services, proxy, inputs.workload);
  const onDemand = proxy.delivery === undefined || proxy.delivery === 'FULL' ? {} : { onDemand: proxy.delivery };
  return { ...frame, ...onDemand, outbound, inbound, gateway: undefined, destinations };
}

/** One array for all views that agree on services, rules for them, and identities. */
function allDestinations(view: ProxyView, cache: IntentCache, use: Use): readonly DestinationIntent[] {
  const { keys, tag } = vantageKeys(
    cache.dnsNetworks.get([view.services], '', () => dnsNetworksOf(view)),
    view.vantage,
  );
  const all = [view.services, view.destinationRules, view.identities, view.headless, view.mesh, USES[use], ...keys];
  return cache.destinations.get(
    all,
    `${view.kind}/${view.vantage.requested}/${JSON.stringify(view.vantage.far)}/${tag}`,
    () => {
      return view.services
        .filter((s) => isFor(use, s, view))
        .flatMap((s) => memoized(view, s, cache, use))
        .sort(byName);
    },
  );
}

/** Networks of the endpoints that are part of clusters instead of being told apart, by EDS. */
function dnsNetworksOf(view: ProxyView): readonly string[] {
  return [...new Set(view.services.flatMap((service) => networksOf(service.dnsEndpoints)))].sort();
}

const NOTHING: object = Object.freeze({});
/** `sni` and `exit`: TLS that a gateway passes on, into its cluster or out of it. */
const USES = { proxy: {}, sni: {}, exit: {} } as const;
type Use = keyof typeof USES;

function isFor(use: Use, service: MeshService, { vantage }: ProxyView): boolean {
  if (use === 'proxy') return true;
  if (!service.meshInternal) return false;
  if (use === 'sni') return service.registry === 'kubernetes';
  return service.networks.some((network) => vantage.requested.includes(network));
}

function memoized(view: ProxyView, service: MeshService, cache: IntentCache, use: Use): readonly DestinationIntent[] {
  const rule = selectDestinationRule(view, service);
  const identities = view.identities.get(service.key);
  const { mesh, kind, vantage } = view;
  const headlessMeshed = headlessState(view, service)?.meshed ?? false;
  const { keys: ways, tag } = vantageKeys(networksOf(service.dnsEndpoints), vantage);
  const keys = [service, rule ?? NOTHING, identities ?? NOTHING, mesh, USES[use], ...ways];
  const far = use === 'sni' ? undefined : farFrom(service, vantage);
  const inputs = { service, rule, identities: identities ?? [], headlessMeshed, mesh, kind, vantage, far };
  return cache.destinations.get(keys, `${kind}/${headlessMeshed}/${far}/${tag}`, () => {
    switch (use) {
      case 'proxy':
        return buildDestinations(inputs);
      case 'sni':
        return buildSniDestinations(inputs);
      case 'exit':
        return buildExitDestinations(inputs);
    }
  });
}

/** Endpoints of the mesh that somebody had to write down are mostly other clusters' gateways. */
function farFrom(service: MeshService, { far }: Vantage): DestinationInputs['far'] {
  if (service.registry === 'service-entry') return service.meshInternal ? 'gateway' : undefined;
  const isIn = (clusters: readonly string[]) => clusters.some((cluster) => Object.hasOwn(service.clusters, cluster));
  return isIn(far.gateway) ? 'gateway' : isIn(far.direct) ? 'direct' : undefined;
}

/** A gateway gets only what its routes name: a mesh of a thousand services has a dozen of them at its edge. */
function referred(view: ProxyView, gateway: GatewayIntent, cache: IntentCache): DestinationIntent[] {
  const passed = gateway.tcpPorts.flatMap((port) =>
    port.chains.filter((c) => c.use === 'proxy').flatMap((c) => c.to.map((share) => share.ref)),
  );
  const refs = [...tablesOf(gateway).flatMap((table) => table.hosts.flatMap((host) => refsOf(host.routes))), ...passed];
  const wanted = new Set(refs.map(refKey));
  return [...new Set(refs.map((ref) => hostname(ref.host)))].flatMap((host) => {
    const service = view.serviceOf.get(host);
    return service === undefined
      ? []
      : memoized(view, service, cache, 'proxy').filter((d) => wanted.has(refKey(d.ref)));
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

function refKey(ref: DestinationRef): string {
  return `${ref.host}|${ref.port}|${ref.subset}`;
}

function byName(a: DestinationIntent, b: DestinationIntent): number {
  const [left, right] = [`${a.use}|${refKey(a.ref)}`, `${b.use}|${refKey(b.ref)}`];
  return left < right ? -1 : left > right ? 1 : 0;
}
