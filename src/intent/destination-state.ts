// SPDX-License-Identifier: Apache-2.0
// All destinations of the proxies that share a view, kept up service by service.

import { globalHost } from '../api/export-names.ts';
import { IdentityMemo } from '../incremental/identity-memo.ts';
import { VersionedMap } from '../incremental/versioned-map.ts';
import { lookUpHost } from '../model/hosts.ts';
import { networksOf, type Vantage, vantageKeys } from '../model/networks.ts';
import type { MeshService } from '../model/snapshot.ts';
import { aliasTarget, headlessState, namespacesApart, type ProxyView, selectDestinationRule } from '../model/view.ts';
import { ANYWHERE } from '../model/visible-tables.ts';
import type { DestinationIntent, DestinationRef } from './destination-types.ts';
import {
  buildDestinations,
  buildExitDestinations,
  buildSniDestinations,
  type DestinationInputs,
} from './destinations.ts';
import { HostChanges } from './host-changes.ts';

/** `proxy`: connections of the proxy itself. `sni` and `exit`: TLS that a gateway passes on, into its cluster or out of it. */
export type DestinationUse = 'proxy' | 'sni' | 'exit';

const USES = { proxy: {}, sni: {}, exit: {} } as const;

/** Destinations of a service by what they were made from: proxies that reach it in the same way share them. */
export class DestinationCache {
  readonly #memo = new IdentityMemo<readonly DestinationIntent[]>();

  of(view: ProxyView, service: MeshService, use: DestinationUse): readonly DestinationIntent[] {
    const target = aliasTarget(view, service);
    if (target === undefined) return this.#own(view, service, use);
    // By whichever of its names, a service of several clusters is one destination.
    if (use !== 'proxy' || target.traffic !== undefined) return [];
    const own = this.#own(view, target, use);
    const { hostname: host } = service;
    return this.#memo.get([own], `alias ${host}`, () => own.map((d) => ({ ...d, ref: { ...d.ref, host } })));
  }

  #own(view: ProxyView, service: MeshService, use: DestinationUse): readonly DestinationIntent[] {
    const rule = selectDestinationRule(view, service);
    const identities = view.identities.get(service.key);
    const { mesh, kind, vantage, place, cluster } = view;
    const headlessMeshed = headlessState(view, service)?.meshed ?? false;
    const { keys: ways, tag } = vantageKeys(networksOf(service.dnsEndpoints), vantage);
    const near = placeMatters(service, rule, mesh) ? place.key : '';
    const spare = use === 'proxy' ? spareOf(view, service) : undefined;
    // No object can be two of these, so what is missing needs no place.
    const keys = [mesh, USES[use], service, rule, identities, spare, ...ways].filter((key) => key !== undefined);
    const far = use === 'sni' ? undefined : farFrom(service, vantage);
    const from = { mesh, kind, vantage, place, cluster };
    const inputs = { service, rule, identities: identities ?? [], headlessMeshed, far, spare, ...from };
    const own = near === '' ? '' : cluster;
    return this.#memo.get(keys, `${kind}/${headlessMeshed}/${far}/${tag}/${near}/${own}`, () => {
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
}

export class DestinationState {
  readonly #use: DestinationUse;
  readonly #cache: DestinationCache;
  readonly #changes: HostChanges;
  readonly #byHost = new Map<string, readonly DestinationIntent[]>();
  /** Namespaces for whose clients a host may have other destinations, if the views are of a client anywhere. */
  readonly #apart = new Map<string, Set<string>>();
  readonly #apartBy = new Map<string, readonly string[]>();
  #all = new VersionedMap<string, DestinationIntent>();
  #of: ProxyView | undefined;

  constructor(view: ProxyView, use: DestinationUse, cache: DestinationCache) {
    this.#use = use;
    this.#cache = cache;
    this.#changes = new HostChanges(view);
  }

  /** The destinations of a view with the same key as the first. */
  of(view: ProxyView): VersionedMap<string, DestinationIntent> {
    if (view === this.#of) return this.#all;
    this.#of = view;
    const changes = new Map<string, DestinationIntent | undefined>();
    for (const host of this.#changes.advance(view)) {
      const before = this.#byHost.get(host) ?? [];
      const after = this.#changes.compute(host, (recorded) => {
        if (view.namespace === ANYWHERE) this.#setApart(host, namespacesOf(recorded, host));
        return this.#build(recorded, host);
      });
      if (before === after) continue;
      for (const destination of before) changes.set(destinationKey(destination), undefined);
      for (const destination of after) changes.set(destinationKey(destination), destination);
      if (after.length === 0) this.#byHost.delete(host);
      else this.#byHost.set(host, after);
    }
    this.#all = this.#all.with(changes);
    return this.#all;
  }

  /** Of views of a client anywhere: clients in the namespace have the same destinations. */
  isFor(namespace: string): boolean {
    return !this.#apart.has(namespace);
  }

  #setApart(host: string, namespaces: readonly string[]): void {
    for (const namespace of this.#apartBy.get(host) ?? []) {
      const hosts = this.#apart.get(namespace);
      hosts?.delete(host);
      if (hosts?.size === 0) this.#apart.delete(namespace);
    }
    if (namespaces.length === 0) this.#apartBy.delete(host);
    else this.#apartBy.set(host, namespaces);
    for (const namespace of namespaces) {
      this.#apart.set(namespace, (this.#apart.get(namespace) ?? new Set()).add(host));
    }
  }

  #build(view: ProxyView, host: string): readonly DestinationIntent[] {
    const service = view.serviceOf.get(host);
    return service !== undefined && isFor(this.#use, service, view) ? this.#cache.of(view, service, this.#use) : [];
  }
}

/** Whose clients reach the host, or what it is another name of, by a policy of their own. */
function namespacesOf(anywhere: ProxyView, host: string): string[] {
  const service = anywhere.serviceOf.get(host);
  if (service === undefined) return [];
  const target = aliasTarget(anywhere, service);
  return (target === undefined ? [service] : [service, target]).flatMap((each) => namespacesApart(anywhere, each));
}

function isFor(use: DestinationUse, service: MeshService, { vantage, mesh }: ProxyView): boolean {
  if (use === 'proxy') return true;
  if (!service.meshInternal) return false;
  if (use === 'sni') {
    // Who reaches its network by meshNetworks reaches all that is there: nothing is exported between such clusters.
    const isOpen = mesh.gatewayServices === 'ALL' || vantage.gateways.has(vantage.network);
    return service.registry === 'kubernetes' && (isOpen || service.exported !== undefined);
  }
  return service.networks.some((network) => vantage.requested.includes(network));
}

/**
 * The service of several clusters of the same name and namespace, which serves while this one has no endpoint: unless the
 * Service or a VirtualService for it says where its requests go.
 */
function spareOf(view: ProxyView, service: MeshService): MeshService | undefined {
  if (service.registry !== 'kubernetes' || service.resolution !== 'endpoints' || !service.fallback) return undefined;
  const spare = view.serviceOf.get(globalHost(service.namespace, service.origin.name));
  if (spare?.traffic === undefined) return undefined;
  return lookUpHost(view.rules, service.hostname).length > 0 ? undefined : spare;
}

/** Of endpoints that are part of the cluster, their order is too. */
function placeMatters(service: MeshService, rule: object | undefined, mesh: ProxyView['mesh']): boolean {
  return service.dnsEndpoints.length > 0 && (rule !== undefined || mesh.localityLbSetting !== undefined);
}

/**
 * Endpoints of the mesh that somebody had to write down are mostly other clusters' gateways, unless they are workloads by
 * what is said of them, and none of the mesh's gateways stands in anybody's place.
 */
function farFrom(service: MeshService, { far }: Vantage): DestinationInputs['far'] {
  if (service.registry === 'service-entry') {
    const isDirect = service.selecting || (service.namesWorkloads && far.gateway.length === 0);
    return service.meshInternal && !isDirect && service.resolution !== 'by-name' ? 'gateway' : undefined;
  }
  const isIn = (clusters: readonly string[]) => clusters.some((cluster) => Object.hasOwn(service.clusters, cluster));
  return isIn(far.gateway) ? 'gateway' : isIn(far.direct) ? 'direct' : undefined;
}

export function destinationKey({ use, ref }: Pick<DestinationIntent, 'use' | 'ref'>): string {
  return `${use}|${refKey(ref)}`;
}

export function refKey(ref: DestinationRef): string {
  return `${ref.host}|${ref.port}|${ref.subset}`;
}

export function byName(a: DestinationIntent, b: DestinationIntent): number {
  const [left, right] = [destinationKey(a), destinationKey(b)];
  return left < right ? -1 : left > right ? 1 : 0;
}
