// SPDX-License-Identifier: Apache-2.0
// A proxy's resources with the patches of EnvoyFilters. What nobody patches is passed on as it is, and what is patched is
// kept by the resource that it was made of, so that proxies with the same patches share it.
import { type DescMessage, fromBinary, type MessageShape, toBinary } from '@bufbuild/protobuf';
import { ClusterSchema } from '#gen/envoy/config/cluster/v3/cluster_pb.ts';
import { ListenerSchema } from '#gen/envoy/config/listener/v3/listener_pb.ts';
import { VirtualHostSchema } from '#gen/envoy/config/route/v3/route_components_pb.ts';
import { RouteConfigurationSchema } from '#gen/envoy/config/route/v3/route_pb.ts';
import { DerivedMap } from '../../incremental/derived-map.ts';
import { IdentityMemo } from '../../incremental/identity-memo.ts';
import { LayeredMap, Layers } from '../../incremental/layered-map.ts';
import { LineageMemo } from '../../incremental/lineage-memo.ts';
import type { Origin } from '../../intent/origin.ts';
import type { PatchContext, PatchIntent } from '../../intent/patch-types.ts';
import type { ProxyIntent } from '../../intent/types.ts';
import type { DesiredState, Offer, OfferedState, XdsResource } from '../../xds/types.ts';
import { INBOUND_PASSTHROUGH, TYPE_URL, VIRTUAL_INBOUND } from '../names.ts';
import { destinationNamesIn } from '../on-demand.ts';
import { type ResourceMap, versionOf } from '../resource-cache.ts';
import { patchCluster } from './clusters.ts';
import { patchListener } from './listeners.ts';
import { Findings, PatchSet, SCHEMAS } from './patch-set.ts';
import { patchRouteConfiguration, patchVirtualHost } from './routes.ts';

/** What a proxy has without the patches, or with them. */
interface States {
  readonly desired: DesiredState;
  readonly offered: OfferedState;
}

const NOTHING: ResourceMap = new Map();

/** One for each list of patches and kind of proxy; forgotten with the list. */
export class Patchers {
  readonly #known = new IdentityMemo<Patcher>();

  of(patches: readonly PatchIntent[], kind: ProxyIntent['kind']): Patcher {
    return this.#known.get([patches], kind, () => new Patcher(patches, kind));
  }
}

class Patcher {
  readonly #intents: readonly PatchIntent[];
  readonly #kind: ProxyIntent['kind'];
  readonly #patches: PatchSet;
  readonly #types: ReadonlyMap<string, (resource: XdsResource) => XdsResource | undefined>;
  readonly #added: ReadonlyMap<string, ResourceMap>;
  /**
   * `TYPE NAME` -> the patches that found something in a resource of that name, by the resource: proxies that share the
   * patches may have different ones.
   */
  readonly #found = new Map<string, WeakMap<XdsResource, ReadonlySet<number>>>();
  readonly #maps = new LineageMemo<DerivedMap<XdsResource, XdsResource>>();
  readonly #layers = new Layers<XdsResource>();
  readonly #states = new IdentityMemo<States>();
  readonly #offers = new WeakMap<Offer, Offer>();

  constructor(intents: readonly PatchIntent[], kind: ProxyIntent['kind']) {
    this.#intents = intents;
    this.#kind = kind;
    this.#patches = new PatchSet(intents);
    this.#types = this.#typesTouched();
    this.#added = this.#additions();
  }

  /** The very same states for the same states. */
  patch(desired: DesiredState, offered: OfferedState): States {
    return this.#states.get([desired, offered], '', () => this.#patch(desired, offered));
  }

  /** The patches behind a resource of a proxy. */
  origins(typeUrl: string, name: string, { desired, offered }: States): Origin[] {
    const resource = desired.get(typeUrl)?.get(name) ?? offered.get(typeUrl)?.resources.get(name);
    const found = (resource && this.#found.get(`${typeUrl} ${name}`)?.get(resource)) ?? [];
    const added = this.#added.get(typeUrl)?.has(name) === true ? this.#adders(typeUrl) : [];
    return [...new Set([...found, ...added])].map((index) => this.#intents[index]!.origin);
  }

  /** Patches that find nothing to change in what the proxy has, or may ask for. */
  idle({ desired, offered }: States): Origin[] {
    const active = new Set(TYPES.flatMap((typeUrl) => this.#adders(typeUrl)));
    for (const [key, found] of this.#found) {
      const [typeUrl = '', name = ''] = key.split(/ (.*)/s);
      for (const resource of [desired.get(typeUrl)?.get(name), offered.get(typeUrl)?.resources.get(name)]) {
        for (const index of (resource && found.get(resource)) ?? []) active.add(index);
      }
    }
    return this.#intents.filter((_, i) => !active.has(i)).map(({ origin }) => origin);
  }

  #patch(desired: DesiredState, offered: OfferedState): States {
    const types = new Set([...desired.keys(), ...this.#added.keys()]);
    const patched = new Map([...types].map((type) => [type, this.#patchMap(type, desired.get(type) ?? NOTHING)]));
    const offers = new Map([...offered].map(([type, offer]) => [type, this.#patchOffer(type, offer)]));
    // A listener that is patched may name a cluster that nothing asks for.
    const spare = offers.get(TYPE_URL.cluster)?.resources;
    if (spare !== undefined) {
      const listeners = [...(patched.get(TYPE_URL.listener) ?? NOTHING).values()];
      const changed = listeners.filter((r) => desired.get(TYPE_URL.listener)?.get(r.name) !== r);
      const pushed = patched.get(TYPE_URL.cluster) ?? NOTHING;
      const named = changed
        .flatMap(({ value }) => destinationNamesIn(value))
        .filter((name) => spare.has(name) && !pushed.has(name));
      const more = new Map(named.map((name) => [name, spare.get(name)!]));
      patched.set(TYPE_URL.cluster, this.#layers.of(pushed, more));
    }
    return { desired: patched, offered: offers };
  }

  #patchOffer(typeUrl: string, offer: Offer): Offer {
    const resources = this.#patchMap(typeUrl, offer.resources, false);
    if (resources === offer.resources) return offer;
    const known = this.#offers.get(offer) ?? { ...offer, resources };
    this.#offers.set(offer, known);
    return known;
  }

  #patchMap(typeUrl: string, map: ResourceMap, mayAdd = true): ResourceMap {
    const change = this.#types.get(typeUrl);
    const changed = change === undefined ? map : this.#changeMap(typeUrl, map, change);
    const added = mayAdd ? (this.#added.get(typeUrl) ?? NOTHING) : NOTHING;
    const own = [...added].some(([name]) => changed.has(name))
      ? new Map([...added].filter(([name]) => !changed.has(name)))
      : added;
    return this.#layers.of(changed, own);
  }

  #changeMap(
    typeUrl: string,
    map: ResourceMap,
    change: (resource: XdsResource) => XdsResource | undefined,
  ): ResourceMap {
    if (map instanceof LayeredMap) {
      const { shared, own } = map as LayeredMap<XdsResource>;
      return this.#layers.of(this.#changeMap(typeUrl, shared, change), this.#changeMap(typeUrl, own, change));
    }
    return this.#maps.get(map, typeUrl, () => new DerivedMap(change)).of(map);
  }

  #typesTouched(): ReadonlyMap<string, (resource: XdsResource) => XdsResource | undefined> {
    const patches = this.#patches;
    const types = new Map<string, (resource: XdsResource) => XdsResource | undefined>();
    const touchesRoutes = patches.touches('ROUTE_CONFIGURATION', 'VIRTUAL_HOST', 'HTTP_ROUTE');
    if (
      patches.touches('LISTENER', 'LISTENER_FILTER', 'FILTER_CHAIN', 'NETWORK_FILTER', 'HTTP_FILTER') ||
      touchesRoutes
    ) {
      types.set(TYPE_URL.listener, (resource) =>
        this.#change(resource, ListenerSchema, (message, findings) => {
          const context = resource.name === VIRTUAL_INBOUND ? 'SIDECAR_INBOUND' : 'SIDECAR_OUTBOUND';
          return patchListener(message, patches, this.#context(context), findings);
        }),
      );
    }
    if (patches.touches('CLUSTER')) {
      types.set(TYPE_URL.cluster, (resource) =>
        this.#change(resource, ClusterSchema, (message, findings) => {
          const isInbound = resource.name.startsWith('inbound|') || resource.name === INBOUND_PASSTHROUGH;
          const context = this.#context(isInbound ? 'SIDECAR_INBOUND' : 'SIDECAR_OUTBOUND');
          return patchCluster(message, patches, context, findings);
        }),
      );
    }
    if (!touchesRoutes) return types;
    types.set(TYPE_URL.routes, (resource) =>
      this.#change(resource, RouteConfigurationSchema, (message, findings) =>
        patchRouteConfiguration(message, patches, this.#context('SIDECAR_OUTBOUND'), findings),
      ),
    );
    types.set(TYPE_URL.virtualHost, (resource) =>
      this.#change(resource, VirtualHostSchema, (message, findings) => {
        const table = resource.name.slice(0, resource.name.indexOf('/'));
        return patchVirtualHost(message, table, patches, this.#context('SIDECAR_OUTBOUND'), findings);
      }),
    );
    return types;
  }

  #context(context: 'SIDECAR_INBOUND' | 'SIDECAR_OUTBOUND'): PatchContext {
    return this.#kind === 'gateway' ? 'GATEWAY' : context;
  }

  #change<D extends DescMessage>(
    resource: XdsResource,
    schema: D,
    change: (message: MessageShape<D>, findings: Findings) => MessageShape<D> | undefined,
  ): XdsResource | undefined {
    const findings = new Findings();
    const patched = change(fromBinary(schema, resource.value), findings);
    if (findings.found.size === 0) return resource;
    const key = `${resource.typeUrl} ${resource.name}`;
    this.#found.set(key, (this.#found.get(key) ?? new WeakMap()).set(resource, findings.found));
    return patched && resourceOf(resource.typeUrl, resource.name, toBinary(schema, patched));
  }

  /** Listeners and clusters that are added wherever somebody listens; of sidecars, on the side of their own clients. */
  #additions(): ReadonlyMap<string, ResourceMap> {
    const outgoing = this.#context('SIDECAR_OUTBOUND');
    const isSidecar = this.#kind === 'sidecar';
    const inbound = (target: 'LISTENER' | 'CLUSTER') =>
      isSidecar ? this.#patches.of(target, 'SIDECAR_INBOUND').filter(({ intent }) => intent.context !== 'ANY') : [];
    const all = {
      LISTENER: [...this.#patches.of('LISTENER', outgoing), ...inbound('LISTENER')],
      CLUSTER: [...this.#patches.of('CLUSTER', outgoing), ...inbound('CLUSTER')],
      EXTENSION_CONFIG: this.#patches.of('EXTENSION_CONFIG', outgoing),
    };
    const added = new Map<string, ResourceMap>();
    for (const target of ['LISTENER', 'CLUSTER', 'EXTENSION_CONFIG'] as const) {
      const typeUrl = ADDED[target];
      const made = all[target]
        .filter(({ intent }) => intent.operation === 'ADD')
        .map((patch) => {
          const message = patch.value();
          const bytes = toBinary(SCHEMAS[target] as DescMessage, message);
          return [message.name, resourceOf(typeUrl, message.name, bytes)] as const;
        });
      if (made.length > 0) added.set(typeUrl, new Map(made));
    }
    return added;
  }

  /** Places of the patches that add resources of a type. */
  #adders(typeUrl: string): number[] {
    if (!this.#added.has(typeUrl)) return [];
    return this.#intents.flatMap(({ applyTo, operation }, i) =>
      operation === 'ADD' && ADDED[applyTo as keyof typeof ADDED] === typeUrl ? [i] : [],
    );
  }
}

const ADDED = {
  LISTENER: TYPE_URL.listener,
  CLUSTER: TYPE_URL.cluster,
  /** What a filter's config_discovery asks for. */
  EXTENSION_CONFIG: 'type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig',
} as const;

const TYPES: readonly string[] = Object.values(ADDED);

function resourceOf(typeUrl: string, name: string, value: Uint8Array): XdsResource {
  return Object.freeze({ typeUrl, name, version: versionOf(value), value });
}
