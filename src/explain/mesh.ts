// SPDX-License-Identifier: Apache-2.0
// The clusters as their control planes see them: who rules whom, and what each proxy is given.

import type { Diagnostic } from '../api/diagnostics.ts';
import { decodeMeshConfig } from '../api/mesh-config.ts';
import type { Locate } from '../api/report.ts';
import { collectNames, type GlobalNames } from '../dns/global-names.ts';
import { DecodedState } from '../envoy/simulate/decoded-state.ts';
import { objectName } from '../kube/object-name.ts';
import type { KubeObject } from '../kube/types.ts';
import type { MeshProxy } from '../model/proxy.ts';
import type { MeshSnapshot } from '../model/snapshot.ts';
import { MeshStore } from '../model/store.ts';
import { CompileCache, type CompiledProxy, compileProxy } from '../pipeline.ts';
import { AddressBook } from './address-book.ts';
import type { Place } from './path.ts';
import { placeOf, proxyOfPod } from './pods.ts';

export const ROOT_NAMESPACE = 'istio-system';
const DNS_DOMAIN = 'cluster.local';

/** An object, and where it was read, if from a file. */
export interface SeenObject {
  readonly object: KubeObject;
  readonly file?: string;
  readonly locate?: Locate;
}

export interface ClusterInput {
  /** As the user calls it: unique. */
  readonly id: string;
  /** As its control plane calls it; absent: the id. */
  readonly name?: string;
  /** Id of the cluster whose control plane rules its proxies; absent: its own. */
  readonly ruledBy?: string;
  /** Whose services and pods its control plane reads beside its own: ids, and the names that it gives them. */
  readonly watches?: readonly { readonly cluster: string; readonly name: string }[];
  readonly objects: readonly SeenObject[];
  /** DNS zones that are answered by istiocoredns there; absent: `global` and `clusterset.local`. */
  readonly zones?: readonly string[];
  /** Fingerprints of the roots that its workloads trust; absent: not known. */
  readonly roots?: readonly string[];
}

export interface MeshInput {
  readonly clusters: readonly ClusterInput[];
  /** IP addresses of gateways that rules name by DNS names. */
  readonly names?: ReadonlyMap<string, readonly string[]>;
}

/** One control plane with the clusters that it watches. */
export interface Plane {
  readonly id: string;
  /** Ids of the clusters that it reads, by the names that it gives them. */
  readonly members: ReadonlyMap<string, string>;
  readonly snapshot: MeshSnapshot;
  readonly trustDomain: string;
  /** Of everything that it was given. */
  readonly diagnostics: readonly Diagnostic[];
  /** Names of gateways whose addresses it wants to be told. */
  readonly gatewayNames: readonly string[];
}

export interface MeshCluster {
  readonly id: string;
  /** As its control plane calls it. */
  readonly name: string;
  readonly plane: Plane;
  readonly objects: readonly SeenObject[];
  readonly zones: readonly string[];
  readonly roots: readonly string[] | undefined;
}

export interface ProxyResources {
  readonly proxy: MeshProxy;
  readonly compiled: CompiledProxy;
  readonly state: DecodedState;
}

const MESH_ZONES = ['global', 'clusterset.local'];

/** Clusters of which each is ruled by one of them. Cheap to ask: what was computed for one request is kept for the next. */
export class Mesh {
  readonly clusters: ReadonlyMap<string, MeshCluster>;
  /** Addresses of gateways that rules name by DNS names. */
  readonly names: ReadonlyMap<string, readonly string[]>;
  /** Who is at which address. */
  readonly book = new AddressBook(this);
  readonly planes: readonly Plane[];
  readonly #caches = new Map<Plane, CompileCache>();
  readonly #proxies = new WeakMap<KubeObject, ProxyResources | 'none'>();
  readonly #places = new WeakMap<KubeObject, Place>();
  readonly #names = new Map<string, GlobalNames>();
  readonly #objects = new Map<string, Map<string, SeenObject>>();

  constructor({ clusters, names = new Map() }: MeshInput) {
    this.names = names;
    const planeOf = (cluster: ClusterInput): string => cluster.ruledBy ?? cluster.id;
    const planes = new Map<string, Plane>();
    for (const id of new Set(clusters.map(planeOf))) {
      const { watches = [] } = clusters.find((cluster) => cluster.id === id) ?? {};
      const ruled = clusters.filter((cluster) => planeOf(cluster) === id);
      const members = [
        ...ruled.map((cluster) => ({ ...cluster, name: cluster.name ?? cluster.id })),
        ...watches.flatMap(({ cluster, name }) => {
          const found = ruled.some((each) => each.id === cluster)
            ? undefined
            : clusters.find((each) => each.id === cluster);
          return found === undefined ? [] : [{ ...found, name }];
        }),
      ];
      planes.set(id, buildPlane(id, members, names));
    }
    this.planes = [...planes.values()];
    this.clusters = new Map(
      clusters.map((cluster) => {
        const { id, name = id, objects, zones = MESH_ZONES, roots } = cluster;
        return [id, { id, name, plane: planes.get(planeOf(cluster))!, objects, zones, roots }];
      }),
    );
  }

  placeOf(cluster: MeshCluster, pod: KubeObject): Place {
    const known = this.#places.get(pod) ?? placeOf(cluster, pod);
    this.#places.set(pod, known);
    return known;
  }

  /** What the proxy of a Pod is given by its control plane; undefined for a Pod without one. */
  proxyOf(cluster: MeshCluster, pod: KubeObject): ProxyResources | undefined {
    const known = this.#proxies.get(pod) ?? this.#compile(cluster, pod) ?? 'none';
    this.#proxies.set(pod, known);
    return known === 'none' ? undefined : known;
  }

  #compile(cluster: MeshCluster, pod: KubeObject): ProxyResources | undefined {
    const { plane } = cluster;
    const proxy = proxyOfPod(cluster, pod);
    if (proxy === undefined) return undefined;
    const cache = this.#caches.get(plane) ?? new CompileCache();
    this.#caches.set(plane, cache);
    const compiled = compileProxy(plane.snapshot, proxy, cache);
    return { proxy, compiled, state: DecodedState.of(compiled) };
  }

  /** Of one kind; an object that several clusters have is another in each. */
  object(clusterId: string, kind: string, namespace: string, name: string): SeenObject | undefined {
    const known = this.#objects.get(clusterId) ?? this.#indexOf(clusterId);
    this.#objects.set(clusterId, known);
    return known.get(`${kind} ${namespace}/${name}`);
  }

  /** What istiocoredns of the cluster answers for. */
  namesIn(cluster: MeshCluster, zone: string): GlobalNames {
    const key = `${cluster.id} ${zone}`;
    const entries = () => cluster.objects.flatMap(({ object }) => (object.kind === 'ServiceEntry' ? [object] : []));
    const names = this.#names.get(key) ?? collectNames(entries(), [zone]);
    this.#names.set(key, names);
    return names;
  }

  #indexOf(clusterId: string): Map<string, SeenObject> {
    const objects = this.clusters.get(clusterId)?.objects ?? [];
    return new Map(
      objects.map((seen) => {
        return [objectName(seen.object), seen];
      }),
    );
  }
}

/** @throws nothing: what cannot be taken is among the planes' diagnostics */
export function openMesh(input: MeshInput): Mesh {
  return new Mesh(input);
}

function buildPlane(
  id: string,
  members: readonly (ClusterInput & { readonly name: string })[],
  names: ReadonlyMap<string, readonly string[]>,
): Plane {
  const own = members.find((cluster) => cluster.id === id);
  const trustDomain = trustDomainOf(own?.objects ?? []);
  const store = new MeshStore({
    trustDomain,
    dnsDomain: DNS_DOMAIN,
    rootNamespace: ROOT_NAMESPACE,
    configCluster: own?.name ?? id,
  });
  store.apply(
    members.flatMap(({ name, objects }) =>
      objects.map(({ object, locate }) => ({
        kind: 'upsert' as const,
        cluster: name,
        object,
        ...(locate && { locate }),
      })),
    ),
  );
  const { snapshot, diagnostics } = store.answer(names);
  const byName = new Map(members.map((member) => [member.name, member.id]));
  return { id, members: byName, snapshot, trustDomain, diagnostics, gatewayNames: store.gatewayNames };
}

/** The control plane was started with the one that the installation wrote there. */
export function trustDomainOf(objects: readonly Pick<SeenObject, 'object'>[]): string {
  const found = objects.find(
    ({ object: { kind, metadata } }) =>
      kind === 'ConfigMap' && metadata.name === 'istio' && metadata.namespace === ROOT_NAMESPACE,
  );
  return (found && decodeMeshConfig(found.object).value?.trustDomain) ?? 'cluster.local';
}
