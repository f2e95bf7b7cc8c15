// SPDX-License-Identifier: Apache-2.0
// Events in, snapshots out. Nothing is read but the events, and their order does not matter to the snapshot.
import { isDeepStrictEqual } from 'node:util';
import { compareDiagnostics, type Diagnostic, type ObjectRef } from '../api/diagnostics.ts';
import { refOf } from '../api/kind.ts';
import { groupOf, kindOf, MESH_GROUPS } from '../api/kinds.ts';
import { DEFAULT_MESH_CONFIG, decodeMeshConfig, type MeshConfig } from '../api/mesh-config.ts';
import { decodeMeshNetworks } from '../api/mesh-networks.ts';
import { type ClusterName, clusterName, type SpiffeId } from '../api/names.ts';
import { diagnose, type Locate } from '../api/report.ts';
import { unknownKind } from '../api/validate.ts';
import type { KubeObject } from '../kube/types.ts';
import { diagnoseMesh } from './cross-rules/diagnose-mesh.ts';
import { Delegation } from './delegation.ts';
import { EndpointCensus } from './endpoint-census.ts';
import { KubeState } from './kube-state.ts';
import { NetworkState } from './network-state.ts';
import { type NetworkIndex, NO_NETWORKS } from './networks.ts';
import { endpointsOfEntry, servicesOfEntry } from './registry.ts';
import { RuleState } from './rule-state.ts';
import type {
  EndpointSet,
  HeadlessState,
  MeshIndex,
  MeshService,
  MeshSettings,
  MeshSnapshot,
  ServiceKey,
} from './snapshot.ts';
import { UnreachableEndpoints } from './unreachable-endpoints.ts';

/** What a source emits (structurally src/sources/contract.ts). `locate` gives the line of a field, where text is known. */
export type StoreEvent =
  | { kind: 'upsert'; cluster: string; object: KubeObject; locate?: Locate | undefined }
  | { kind: 'delete'; cluster: string; object: Pick<KubeObject, 'apiVersion' | 'kind' | 'metadata'> }
  | { kind: 'synced'; cluster: string };

export interface MeshStoreOptions extends MeshSettings {
  /** The cluster whose VirtualServices, DestinationRules, ... rule the mesh; Services and Pods count from every one. */
  readonly configCluster: string;
}

export interface StoreUpdate {
  /** The same object as before when the events changed nothing. */
  readonly snapshot: MeshSnapshot;
  /** All that is to be said now, not only what the events brought; sorted. */
  readonly diagnostics: readonly Diagnostic[];
}

export class MeshStore {
  readonly #options: MeshStoreOptions;
  readonly #kube = new KubeState();
  readonly #rules = new RuleState();
  readonly #delegation: Delegation;
  /** Objects of kinds that we do not have, by kind and name. */
  readonly #strangers = new Map<string, Diagnostic>();
  /** ServiceEntry `NAMESPACE/NAME` -> keys of the services it made. */
  readonly #keysOfEntry = new Map<string, readonly ServiceKey[]>();
  /** Kubernetes service `NAMESPACE/NAME` -> its key. */
  readonly #keyOfService = new Map<string, ServiceKey>();
  #meshDiagnostics: readonly Diagnostic[] = [];
  #crossDiagnostics: readonly Diagnostic[] = [];
  #mesh: MeshConfig = DEFAULT_MESH_CONFIG;
  #locateMesh: Locate | undefined;
  readonly #networks: NetworkState;
  readonly #census = new EndpointCensus();
  readonly #unreachable = new UnreachableEndpoints();
  #snapshot: MeshSnapshot;

  constructor(options: MeshStoreOptions) {
    this.#options = options;
    this.#delegation = new Delegation(options.dnsDomain);
    this.#networks = new NetworkState(options.configCluster);
    this.#snapshot = emptySnapshot(options);
  }

  get snapshot(): MeshSnapshot {
    return this.#snapshot;
  }

  apply(events: readonly StoreEvent[]): StoreUpdate {
    for (const event of events) this.#take(event);
    return this.#update();
  }

  /** Names of gateways that `answer` should be told the addresses of, sorted. */
  get gatewayNames(): readonly string[] {
    return this.#networks.names;
  }

  /** The IP addresses of gateways' names: all that are known, sorted each. */
  answer(addresses: ReadonlyMap<string, readonly string[]>): StoreUpdate {
    this.#networks.setAnswers(addresses);
    return this.#update();
  }

  /** Leaves out the latest change of an object that Envoy refuses: the value before it stays in force, if there is one. */
  refuse(ref: ObjectRef, diagnostic: Diagnostic): StoreUpdate {
    this.#rules.refuse(ref, diagnostic);
    return this.#update();
  }

  /** Takes a refusal back: it was not this object's fault. */
  restore(ref: ObjectRef, diagnostic: Diagnostic): StoreUpdate {
    this.#rules.restore(ref, diagnostic);
    return this.#update();
  }

  /** A number that grows with each change of any mesh object; 0 for an object that is refused, or is none of the mesh's. */
  changedAt(ref: ObjectRef): number {
    return this.#rules.changedAt(ref);
  }

  #update(): StoreUpdate {
    this.#advance();
    this.#kube.settle();
    this.#rules.settle();
    return { snapshot: this.#snapshot, diagnostics: this.#diagnostics() };
  }

  #take(event: StoreEvent): void {
    if (event.kind === 'synced') return;
    const { object } = event;
    const cluster = clusterName(event.cluster);
    if (!MESH_GROUPS.has(groupOf(object.apiVersion))) {
      if (object.kind === 'ConfigMap') this.#takeMeshConfig(event);
      else if (event.kind === 'delete') this.#kube.delete(cluster, object);
      else this.#kube.upsert(cluster, event.object);
      return;
    }
    if (event.cluster !== this.#options.configCluster) return;
    const kind = kindOf(object);
    if (kind === undefined) {
      const key = `${object.kind}/${object.metadata.namespace ?? ''}/${object.metadata.name ?? ''}`;
      if (event.kind === 'delete') this.#strangers.delete(key);
      else this.#strangers.set(key, unknownKind(object, event.locate, cluster));
    } else if (event.kind === 'delete') this.#rules.delete(kind, object);
    else this.#rules.upsert(kind, event.object, cluster, event.locate);
  }

  #takeMeshConfig(event: Exclude<StoreEvent, { kind: 'synced' }>): void {
    const { name, namespace } = event.object.metadata;
    if (event.cluster !== this.#options.configCluster) return;
    if (name !== 'istio' || namespace !== this.#options.rootNamespace) return;
    if (event.kind === 'delete') {
      this.#mesh = DEFAULT_MESH_CONFIG;
      this.#meshDiagnostics = [];
      const { apiVersion, kind, metadata } = event.object;
      this.#networks.setNetworks(decodeMeshNetworks({ apiVersion, kind, metadata }));
      return;
    }
    const source = { cluster: event.cluster, locate: event.locate };
    this.#locateMesh = event.locate;
    const { value, diagnostics } = decodeMeshConfig(event.object, source);
    this.#meshDiagnostics = [...diagnostics, ...this.#contradictions(value, event)];
    // What cannot be used leaves the settings before it in force.
    if (value !== undefined && !isDeepStrictEqual(value, this.#mesh)) this.#mesh = value;
    this.#networks.setNetworks(decodeMeshNetworks(event.object, source));
  }

  /** What the control plane was started with is not changed by a ConfigMap. */
  #contradictions(mesh: MeshConfig | undefined, event: Extract<StoreEvent, { kind: 'upsert' }>): Diagnostic[] {
    return (['trustDomain', 'rootNamespace'] as const).flatMap((name) => {
      const [asked, real] = [mesh?.[name], this.#options[name]];
      if (asked === undefined || asked === real) return [];
      const ref = refOf(event.object, event.cluster);
      const message = `the control plane was started with ${name} ${real}, and keeps it`;
      const cure = 'install the mesh with this value, or remove it here';
      return [diagnose(ref, 'ISM0005', `data.mesh.${name}`, message, cure, { locate: event.locate })];
    });
  }

  #advance(): void {
    const before = this.#snapshot;
    this.#networks.settle((cluster, name) => this.#kube.externalAddressesOf(cluster, name));
    if (this.#networks.members !== before.index.networks.members) this.#kube.recountEndpoints();
    const services = new Changes(before.index.services);
    const endpoints = new Changes(before.endpoints);
    this.#advanceEntries(services, endpoints);
    this.#advanceKube(services, endpoints);
    const identities = new Changes(before.index.identities);
    const headless = new Changes(before.index.headless);
    for (const key of endpoints.keys) {
      identities.set(key, identitiesOf(endpoints.get(key)));
      headless.set(key, headlessStatesOf(services.get(key), endpoints.get(key)));
    }
    this.#census.update([...endpoints.keys].map((key) => [key, before.endpoints.get(key), endpoints.get(key)]));
    const workloads = new Changes(before.workloads);
    for (const key of this.#kube.dirtyWorkloads) workloads.set(key, this.#kube.workload(key));

    const index = this.#nextIndex({
      services: services.done(),
      identities: identities.done(),
      headless: headless.done(),
      networks: this.#nextNetworks(),
    });
    this.#unreachable.update(index, this.#census.unmeshed);
    const next = { index, endpoints: endpoints.done(), workloads: workloads.done() };
    const same =
      next.index === before.index && next.endpoints === before.endpoints && next.workloads === before.workloads;
    if (same) return;
    this.#snapshot = Object.freeze({ revision: before.revision + 1, ...next });
    if (index !== before.index) {
      this.#crossDiagnostics = diagnoseMesh(index, ({ kind, namespace, name }) =>
        kind === 'ConfigMap' ? this.#locateMesh : this.#rules.locate(kind, namespace, name),
      );
    }
  }

  #nextNetworks(): NetworkIndex {
    const before = this.#snapshot.index.networks;
    const { members, gateways } = this.#networks;
    const { occupied } = this.#census;
    const same = before.members === members && before.gateways === gateways && before.occupied === occupied;
    return same ? before : Object.freeze({ members, gateways, occupied });
  }

  #nextIndex(derived: Pick<MeshIndex, 'services' | 'identities' | 'headless' | 'networks'>): MeshIndex {
    const before = this.#snapshot.index;
    const dirty = this.#rules.dirtyKinds;
    const ruled = ['VirtualService', 'DestinationRule', 'Gateway'].some((kind) => dirty.has(kind));
    const { services, identities, headless, networks } = derived;
    const same =
      services === before.services &&
      identities === before.identities &&
      headless === before.headless &&
      networks === before.networks;
    if (same && this.#mesh === before.mesh && !ruled) return before;
    return Object.freeze({
      settings: before.settings,
      mesh: this.#mesh,
      networks,
      services,
      ...this.#nextRules(),
      destinationRules: dirty.has('DestinationRule') ? this.#rules.destinationRules() : before.destinationRules,
      gateways: dirty.has('Gateway') ? this.#rules.gateways() : before.gateways,
      identities,
      headless,
    });
  }

  #nextRules(): Pick<MeshIndex, 'virtualServices' | 'writtenRules'> {
    const { virtualServices, writtenRules } = this.#snapshot.index;
    if (!this.#rules.dirtyKinds.has('VirtualService')) return { virtualServices, writtenRules };
    const written = this.#rules.virtualServices();
    return { virtualServices: this.#delegation.resolve(written), writtenRules: written };
  }

  #advanceEntries(services: Changes<MeshService>, endpoints: Changes<EndpointSet>): void {
    for (const name of this.#rules.dirtyEntries) {
      const entry = this.#rules.serviceEntry(name);
      const made = entry === undefined ? [] : servicesOfEntry(entry);
      for (const key of this.#keysOfEntry.get(name) ?? []) {
        services.set(key, undefined);
        endpoints.set(key, undefined);
      }
      for (const service of made) {
        services.set(service.key, service);
        const found = endpointsOfEntry(entry!, this.#options.trustDomain);
        if (service.resolution === 'endpoints') endpoints.set(service.key, found);
      }
      if (made.length === 0) this.#keysOfEntry.delete(name);
      else
        this.#keysOfEntry.set(
          name,
          made.map((s) => s.key),
        );
    }
  }

  #advanceKube(services: Changes<MeshService>, endpoints: Changes<EndpointSet>): void {
    const settings = { trustDomain: this.#options.trustDomain, members: this.#networks.members };
    for (const name of this.#kube.dirtyServices) {
      const service = this.#kube.serviceNamed(name, this.#options);
      const key = service?.key ?? this.#keyOfService.get(name);
      if (key === undefined) continue;
      services.set(key, service);
      if (service === undefined) {
        endpoints.set(key, undefined);
        this.#keyOfService.delete(name);
      } else this.#keyOfService.set(name, key);
    }
    for (const name of this.#kube.dirtyEndpoints) {
      const key = this.#keyOfService.get(name);
      if (key !== undefined) endpoints.set(key, this.#kube.endpointsOf(name, settings));
    }
  }

  #diagnostics(): readonly Diagnostic[] {
    const own = [...this.#rules.diagnostics(), ...this.#strangers.values(), ...this.#meshDiagnostics];
    const networks = [...this.#networks.diagnostics, ...this.#unreachable.diagnostics];
    return [...own, ...networks, ...this.#crossDiagnostics].sort(compareDiagnostics);
  }
}

/** Changes to a map that is published: copied at the first real change, and returned as it was without one. */
class Changes<V> {
  readonly #before: ReadonlyMap<string, V>;
  #after: Map<string, V> | undefined;
  /** Every key that was set, changed or not. */
  readonly keys = new Set<string>();

  constructor(before: ReadonlyMap<string, V>) {
    this.#before = before;
  }

  set(key: string, next: V | undefined): void {
    this.keys.add(key);
    if (isDeepStrictEqual(this.get(key), next)) return;
    this.#after ??= new Map(this.#before);
    const published = this.#before.get(key);
    if (next === undefined) this.#after.delete(key);
    else this.#after.set(key, isDeepStrictEqual(published, next) ? published! : next);
  }

  get(key: string): V | undefined {
    return (this.#after ?? this.#before).get(key);
  }

  done(): ReadonlyMap<string, V> {
    if (this.#after === undefined) return this.#before;
    // What was taken out and put back again is no change.
    const same =
      this.#after.size === this.#before.size &&
      [...this.keys].every((k) => this.#after!.get(k) === this.#before.get(k));
    return same ? this.#before : this.#after;
  }
}

function identitiesOf(endpoints: EndpointSet | undefined): readonly SpiffeId[] | undefined {
  const ids = new Set((endpoints ?? []).flatMap((e) => (e.identity === undefined ? [] : [e.identity])));
  return ids.size === 0 ? undefined : [...ids].sort();
}

function headlessStatesOf(
  service: MeshService | undefined,
  endpoints: EndpointSet = [],
): Readonly<Record<ClusterName, HeadlessState>> | undefined {
  if (service?.registry !== 'kubernetes' || service.resolution !== 'none' || endpoints.length === 0) return undefined;
  const byCluster = [...Map.groupBy(endpoints, (e) => e.cluster)].map(([cluster, members]) => {
    const addresses = [...new Set(members.map((e) => e.address))].sort();
    return [cluster, { addresses, meshed: members.every((e) => e.meshed) }] as const;
  });
  return Object.fromEntries(byCluster);
}

function emptySnapshot(options: MeshStoreOptions): MeshSnapshot {
  const { trustDomain, dnsDomain, rootNamespace } = options;
  const index: MeshIndex = Object.freeze({
    settings: { trustDomain, dnsDomain, rootNamespace },
    mesh: DEFAULT_MESH_CONFIG,
    networks: NO_NETWORKS,
    services: new Map(),
    virtualServices: [],
    writtenRules: [],
    destinationRules: [],
    gateways: [],
    identities: new Map(),
    headless: new Map(),
  });
  return Object.freeze({ revision: 0, index, endpoints: new Map(), workloads: new Map() });
}
