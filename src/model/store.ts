// SPDX-License-Identifier: Apache-2.0
// Events in, snapshots out. Nothing is read but the events, and their order does not matter to the snapshot.
import { isDeepStrictEqual } from 'node:util';
import { type Diagnostic, type ObjectRef, orderOf } from '../api/diagnostics.ts';
import { EXPORTED_SERVICE } from '../api/exported-service.ts';
import { groupOf, kindOf, MESH_GROUPS } from '../api/kinds.ts';
import type { Workload } from '../api/kubernetes.ts';
import type { MeshConfig } from '../api/mesh-config.ts';
import { type ClusterName, clusterName, type SpiffeId } from '../api/names.ts';
import { SERVICE_ENTRY, type ServiceEntry } from '../api/service-entry.ts';
import { notesOnService } from '../api/service-notes.ts';
import { unknownKind } from '../api/validate.ts';
import { WORKLOAD_ENTRY } from '../api/workload-entry.ts';
import { WORKLOAD_GROUP } from '../api/workload-group.ts';
import { regroup } from '../incremental/grouped-map.ts';
import { PendingChanges } from '../incremental/pending-changes.ts';
import { finish, type Steps, sortSteps } from '../incremental/steps.ts';
import { VersionedMap } from '../incremental/versioned-map.ts';
import { ClusterEndpoints } from './cluster-endpoints.ts';
import { MeshChecks } from './cross-rules/diagnose-mesh.ts';
import { emptySnapshot } from './empty-snapshot.ts';
import { EndpointCensus } from './endpoint-census.ts';
import { EntryServices, type MadeService } from './entry-services.ts';
import { type ExportDefaults, exportDefaults } from './export-defaults.ts';
import { KubeState } from './kube-state.ts';
import { MeshConfigState, type ObjectEvent } from './mesh-config-state.ts';
import { NetworkState } from './network-state.ts';
import type { NetworkIndex } from './networks.ts';
import { type EndpointSettings, endpointsOfEntry, endpointsOfWorkloads, servicesOfEntry } from './registry.ts';
import { RuleIndexes } from './rule-indexes.ts';
import { RuleState } from './rule-state.ts';
import { type SelectableWorkload, SelectedWorkloads } from './selected-workloads.ts';
import { compareKeys, compareServiceAges, headlessStatesOf, identitiesOf, placingOf } from './service-facts.ts';
import type {
  Endpoint,
  EndpointSet,
  HeadlessState,
  MeshIndex,
  MeshService,
  MeshSettings,
  MeshSnapshot,
  Placing,
  ServiceKey,
} from './snapshot.ts';
import { UnreachableEndpoints } from './unreachable-endpoints.ts';

/** What a source emits (structurally src/sources/contract.ts). `locate` gives the line of a field, where text is known. */
export type StoreEvent = ObjectEvent | { kind: 'synced'; cluster: string };

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
  /** Objects of kinds that we do not have, by kind and name. */
  readonly #strangers = new Map<string, Diagnostic>();
  readonly #entryServices = new EntryServices();
  /** Kubernetes service `NAMESPACE/NAME` -> its key. */
  readonly #keyOfService = new Map<string, ServiceKey>();
  readonly #checks: MeshChecks;
  #crossDiagnostics: readonly Diagnostic[] = [];
  /** All that is to be said, as it was gathered last, and sorted. */
  #said: readonly Diagnostic[] = [];
  #sorted: readonly Diagnostic[] = [];
  #gatewayNames: readonly string[] = [];
  #exportDefaults: ExportDefaults = {};
  #exportDefaultsOf: MeshConfig | undefined;
  readonly #selected = new SelectedWorkloads();
  /** WorkloadEntries and WorkloadGroups of which there is news: kind and `NAMESPACE/NAME`. */
  readonly #news = new Map<string, readonly [kind: string, name: string]>();
  /** By cluster, namespace and name: what is to be said of a Service by itself. */
  readonly #notes = new Map<string, readonly Diagnostic[]>();
  readonly #networks: NetworkState;
  readonly #settings: MeshConfigState;
  readonly #clusters: ClusterEndpoints;
  readonly #census = new EndpointCensus();
  /** Services by what they ask their clients for. */
  readonly #placed: Readonly<Record<Placing, Set<ServiceKey>>> = {
    nowhere: new Set(),
    zone: new Set(),
    node: new Set(),
  };
  readonly #unreachable = new UnreachableEndpoints();
  #services = new VersionedMap<ServiceKey, MeshService>();
  #byHost = new VersionedMap<string, readonly MeshService[]>();
  #byNamespace = new VersionedMap<string, readonly MeshService[]>();
  #endpoints = new VersionedMap<ServiceKey, EndpointSet>();
  #identities = new VersionedMap<ServiceKey, readonly SpiffeId[]>();
  #headless = new VersionedMap<ServiceKey, Readonly<Record<ClusterName, HeadlessState>>>();
  #workloads = new VersionedMap<string, Workload>();
  readonly #indexes: RuleIndexes;
  #snapshot: MeshSnapshot;

  constructor(options: MeshStoreOptions) {
    this.#options = options;
    const { dnsDomain } = options;
    this.#indexes = new RuleIndexes(dnsDomain);
    this.#checks = new MeshChecks(options);
    this.#networks = new NetworkState(options.configCluster);
    this.#clusters = new ClusterEndpoints(dnsDomain);
    this.#settings = new MeshConfigState(options, this.#networks);
    this.#snapshot = emptySnapshot(options);
  }

  get snapshot(): MeshSnapshot {
    return this.#snapshot;
  }

  apply(events: readonly StoreEvent[]): StoreUpdate {
    return finish(this.applySteps(events));
  }

  /**
   * The same, for those who have something else to do between two steps. `snapshot` is the one before until the last of them, and
   * nothing else may be told to the store meanwhile.
   */
  *applySteps(events: readonly StoreEvent[]): Steps<StoreUpdate> {
    for (const event of events) {
      this.#take(event);
      yield;
    }
    return yield* this.#update();
  }

  /** Names of gateways that `answer` should be told the addresses of, sorted. */
  get gatewayNames(): readonly string[] {
    const { names } = this.#clusters;
    const both = names.length === 0 ? this.#networks.names : [...new Set([...this.#networks.names, ...names])].sort();
    if (!isDeepStrictEqual(both, this.#gatewayNames)) this.#gatewayNames = both;
    return this.#gatewayNames;
  }

  /** The IP addresses of gateways' names: all that are known, sorted each. */
  answer(addresses: ReadonlyMap<string, readonly string[]>): StoreUpdate {
    this.#networks.setAnswers(addresses);
    this.#clusters.setAnswers(addresses);
    return finish(this.#update());
  }

  /** Leaves out the latest change of an object that Envoy refuses: the value before it stays in force, if there is one. */
  refuse(ref: ObjectRef, diagnostic: Diagnostic): StoreUpdate {
    this.#rules.refuse(ref, diagnostic);
    return finish(this.#update());
  }

  /** Takes a refusal back: it was not this object's fault. */
  restore(ref: ObjectRef, diagnostic: Diagnostic): StoreUpdate {
    this.#rules.restore(ref, diagnostic);
    return finish(this.#update());
  }

  /** A number that grows with each change of any mesh object; 0 for an object that is refused, or is none of the mesh's. */
  changedAt(ref: ObjectRef): number {
    return this.#rules.changedAt(ref);
  }

  *#update(): Steps<StoreUpdate> {
    const snapshot = yield* this.#advance();
    this.#kube.settle();
    this.#selected.settle();
    this.#news.clear();
    this.#rules.settle();
    const diagnostics = yield* this.#sortedDiagnostics();
    this.#snapshot = snapshot;
    return { snapshot, diagnostics };
  }

  #take(event: StoreEvent): void {
    if (event.kind === 'synced') return;
    const { object } = event;
    const cluster = clusterName(event.cluster);
    if (!MESH_GROUPS.has(groupOf(object.apiVersion))) {
      if (object.kind === 'ConfigMap') this.#settings.take(event);
      else if (event.kind === 'delete') this.#kube.delete(cluster, object);
      else this.#kube.upsert(cluster, event.object);
      if (object.kind === 'Service') this.#note(event);
      return;
    }
    if (event.cluster !== this.#options.configCluster) return;
    const kind = kindOf(object);
    if (kind === undefined) {
      const key = `${object.kind}/${object.metadata.namespace ?? ''}/${object.metadata.name ?? ''}`;
      if (event.kind === 'delete') this.#strangers.delete(key);
      else this.#strangers.set(key, unknownKind(object, event.locate, cluster));
    } else {
      if (event.kind === 'delete') this.#rules.delete(kind, object);
      else this.#rules.upsert(kind, event.object, cluster, event.locate);
      if (!object.kind.startsWith('Workload')) return;
      const name = `${object.metadata.namespace ?? ''}/${object.metadata.name ?? ''}`;
      this.#news.set(`${object.kind} ${name}`, [object.kind, name]);
    }
  }

  #note(event: ObjectEvent): void {
    const { cluster, object } = event;
    const key = `${cluster}/${object.metadata.namespace}/${object.metadata.name}`;
    const notes = event.kind === 'delete' ? [] : notesOnService(event.object, { cluster, locate: event.locate });
    if (notes.length === 0) this.#notes.delete(key);
    else this.#notes.set(key, notes);
  }

  *#advance(): Steps<MeshSnapshot> {
    const before = this.#snapshot;
    this.#applyMeshConfig();
    this.#networks.settle((cluster, name) => this.#kube.externalAddressesOf(cluster, name));
    if (this.#networks.members !== before.index.networks.members) {
      this.#kube.recountEndpoints();
      this.#selected.recount();
      this.#clusters.recount();
    }
    yield* this.#select();
    const services = new PendingChanges(this.#services);
    const endpoints = new PendingChanges(this.#endpoints);
    yield* this.#advanceEntries(services, endpoints);
    yield* this.#advanceKube(services, endpoints);
    yield* this.#advanceClusters(services, endpoints);
    const identities = new PendingChanges(this.#identities);
    const headless = new PendingChanges(this.#headless);
    for (const key of endpoints.keys) {
      // Of a service of several clusters only the own pods are known, and any of them may answer.
      const isOfSeveral = services.get(key)?.traffic !== undefined;
      identities.set(key, isOfSeveral ? undefined : identitiesOf(endpoints.get(key)));
      headless.set(key, headlessStatesOf(services.get(key), endpoints.get(key)));
      yield;
    }
    yield* this.#census.update([...endpoints.keys].map((key) => [key, before.endpoints.get(key), endpoints.get(key)]));
    const workloads = new PendingChanges(this.#workloads);
    for (const key of this.#kube.dirtyWorkloads) {
      workloads.set(key, this.#kube.workload(key));
      yield;
    }

    yield* this.#regroupServices(services);
    this.#services = yield* services.done();
    this.#identities = yield* identities.done();
    this.#headless = yield* headless.done();
    this.#endpoints = yield* endpoints.done();
    this.#workloads = yield* workloads.done();
    const index = yield* this.#nextIndex();
    this.#unreachable.update(index, this.#census.unmeshed);
    const next = { index, endpoints: this.#endpoints, workloads: this.#workloads };
    const same =
      next.index === before.index && next.endpoints === before.endpoints && next.workloads === before.workloads;
    if (same) return before;
    if (index !== before.index) {
      this.#crossDiagnostics = yield* this.#checks.diagnose(index, ({ kind, namespace, name }) =>
        kind === 'ConfigMap' ? this.#settings.locate : this.#rules.locate(kind, namespace, name),
      );
    }
    return Object.freeze({ revision: before.revision + 1, ...next });
  }

  /** What objects do not say themselves. */
  #applyMeshConfig(): void {
    const { mesh } = this.#settings;
    if (mesh === this.#exportDefaultsOf) return;
    const next = exportDefaults(mesh);
    if (!isDeepStrictEqual(next['Service'], this.#exportDefaults['Service'])) this.#kube.recountServices();
    this.#rules.setExportDefaults(next);
    this.#exportDefaults = next;
    this.#exportDefaultsOf = mesh;
  }

  #nextNetworks(): NetworkIndex {
    const before = this.#snapshot.index.networks;
    const { members, gateways } = this.#networks;
    const { occupied } = this.#census;
    const same = before.members === members && before.gateways === gateways && before.occupied === occupied;
    return same ? before : Object.freeze({ members, gateways, occupied });
  }

  *#regroupServices(services: PendingChanges<MeshService>): Steps<void> {
    const changes = services.list();
    if (changes.length === 0) return;
    this.#byHost = yield* regroup(this.#byHost, changes, (s) => [s.hostname], compareKeys);
    this.#byNamespace = yield* regroup(this.#byNamespace, changes, (s) => [s.namespace], compareServiceAges);
    for (const [before, after] of changes) {
      if (before !== undefined) this.#placed[placingOf(before)].delete(before.key);
      if (after !== undefined) this.#placed[placingOf(after)].add(after.key);
    }
  }

  *#nextIndex(): Steps<MeshIndex> {
    const before = this.#snapshot.index;
    const { settings } = before;
    const networks = this.#nextNetworks();
    const rules = yield* this.#indexes.follow(before, this.#rules);
    const next: MeshIndex = {
      settings,
      mesh: this.#settings.mesh,
      networks,
      services: this.#services,
      servicesByHost: this.#byHost,
      servicesByNamespace: this.#byNamespace,
      ...rules,
      placing: this.#placed.node.size > 0 ? 'node' : this.#placed.zone.size > 0 ? 'zone' : 'nowhere',
      identities: this.#identities,
      headless: this.#headless,
    };
    const same = (Object.keys(next) as (keyof MeshIndex)[]).every((part) => next[part] === before[part]);
    return same ? before : Object.freeze(next);
  }

  /** Who selects workloads learns what there is now, and looks again where it concerns him. */
  *#select(): Steps<void> {
    const selected = this.#selected;
    for (const [kind, name] of this.#news.values()) {
      const [namespace = '', own = ''] = name.split('/');
      if (kind === WORKLOAD_GROUP.kind) selected.setGroup(namespace, own, this.#rules.valueOf(WORKLOAD_GROUP, name));
      else selected.setEntry(namespace, own, this.#rules.valueOf(WORKLOAD_ENTRY, name));
      yield;
    }
    for (const key of new Set([...this.#kube.dirtyWorkloads, ...this.#kube.dirtyReadiness])) {
      selected.setPod(key.split('/')[1]!, key, this.#kube.readyWorkload(key));
      yield;
    }
    for (const name of this.#kube.dirtyServices) {
      const [namespace = '', own = ''] = name.split('/');
      const { selector = {} } = this.#kube.copyOf(clusterName(this.#options.configCluster), name) ?? {};
      selected.setSelector('service', namespace, own, Object.keys(selector).length > 0 ? selector : undefined);
      yield;
    }
    for (const name of selected.dirty.service) this.#kube.dirtyEndpoints.add(name);
  }

  /** Workloads that are no pods, behind a Kubernetes service. */
  #workloadsBehind(name: string, settings: EndpointSettings): Endpoint[] {
    const copy = this.#kube.copyOf(clusterName(this.#options.configCluster), name);
    if (copy?.selector === undefined || Object.keys(copy.selector).length === 0) return [];
    return endpointsOfWorkloads(copy, this.#selected.entries(copy.ref.namespace, copy.selector), settings);
  }

  #selectedBy(entry: ServiceEntry | undefined): SelectableWorkload[] {
    const labels = entry?.spec.workloadSelector?.labels;
    if (entry === undefined || labels === undefined) return [];
    const { namespace } = entry.ref;
    return [...this.#selected.entries(namespace, labels), ...this.#selected.pods(namespace, labels)];
  }

  *#advanceEntries(services: PendingChanges<MeshService>, endpoints: PendingChanges<EndpointSet>): Steps<void> {
    const settings = this.#endpointSettings;
    const changed = this.#rules.dirty.get(SERVICE_ENTRY.kind)?.keys() ?? [];
    for (const name of new Set([...changed, ...this.#selected.dirty.entry])) {
      const entry = this.#rules.serviceEntry(name);
      const [namespace = '', own = ''] = name.split('/');
      this.#selected.setSelector('entry', namespace, own, entry?.spec.workloadSelector?.labels);
      const selected = this.#selectedBy(entry);
      this.#clusters.setEntry(name, entry);
      this.#entryServices.set(name, entry === undefined ? [] : makeServices(entry, settings, selected));
      yield;
    }
    for (const [key, made] of yield* this.#entryServices.settle()) {
      services.set(key, made?.service);
      // Those of several clusters are made of other services: see below.
      if (made?.service.traffic !== undefined) continue;
      endpoints.set(key, made?.service.resolution === 'endpoints' ? made.endpoints : undefined);
      yield;
    }
  }

  get #endpointSettings(): EndpointSettings {
    return { trustDomain: this.#options.trustDomain, members: this.#networks.members };
  }

  *#advanceKube(services: PendingChanges<MeshService>, endpoints: PendingChanges<EndpointSet>): Steps<void> {
    const settings = this.#endpointSettings;
    const exports = this.#rules.dirty.get(EXPORTED_SERVICE.kind)?.keys() ?? [];
    for (const name of new Set([...this.#kube.dirtyServices, ...exports])) {
      const service = this.#kubeService(name);
      const key = service?.key ?? this.#keyOfService.get(name);
      if (key === undefined) continue;
      services.set(key, service);
      if (service === undefined) {
        endpoints.set(key, undefined);
        this.#keyOfService.delete(name);
      } else this.#keyOfService.set(name, key);
      yield;
    }
    for (const name of this.#kube.dirtyEndpoints) {
      const key = this.#keyOfService.get(name);
      if (key !== undefined)
        endpoints.set(key, this.#kube.endpointsOf(name, settings, this.#workloadsBehind(name, settings)));
      yield;
    }
  }

  #kubeService(name: string): MeshService | undefined {
    const service = this.#kube.serviceNamed(name, this.#options, this.#exportDefaults['Service']!);
    const exported = this.#rules.valueOf(EXPORTED_SERVICE, name);
    if (service === undefined || exported === undefined) return service;
    // How many pods are ready is no business of those who pass its connections on.
    return { ...service, exported: exported.spec.subsets.map(({ name: part, labels }) => ({ name: part, labels })) };
  }

  /** After the Kubernetes services, whose endpoints may be part of these. */
  *#advanceClusters(services: PendingChanges<MeshService>, endpoints: PendingChanges<EndpointSet>): Steps<void> {
    for (const name of this.#kube.dirtyServices) this.#clusters.noteService(name);
    for (const name of this.#kube.dirtyEndpoints) this.#clusters.noteService(name);
    const find = (name: string) => {
      const key = this.#keyOfService.get(name);
      const service = key === undefined ? undefined : services.get(key);
      return service && { ports: service.ports, endpoints: endpoints.get(service.key) ?? [] };
    };
    for (const name of this.#clusters.takeDirty()) {
      const entry = this.#rules.serviceEntry(name);
      if (entry?.spec.traffic === undefined) continue;
      const found = this.#clusters.endpointsOf(entry, find);
      for (const { key } of servicesOfEntry(entry)) endpoints.set(key, found);
      yield;
    }
  }

  /** The same list while the same is to be said. */
  *#sortedDiagnostics(): Steps<readonly Diagnostic[]> {
    const said = [
      ...this.#rules.diagnostics(),
      ...this.#strangers.values(),
      ...[...this.#notes.values()].flat(),
      ...this.#settings.diagnostics,
      ...this.#networks.diagnostics,
      ...this.#unreachable.diagnostics,
      ...this.#crossDiagnostics,
    ];
    const before = this.#said;
    if (said.length === before.length && said.every((each, i) => each === before[i])) return this.#sorted;
    this.#said = said;
    const ordered = said.map((diagnostic) => ({ diagnostic, order: orderOf(diagnostic) }));
    const sorted = yield* sortSteps(ordered, (a, b) => (a.order < b.order ? -1 : a.order > b.order ? 1 : 0));
    this.#sorted = sorted.map(({ diagnostic }) => diagnostic);
    return this.#sorted;
  }
}

function makeServices(
  entry: ServiceEntry,
  settings: EndpointSettings,
  selected: readonly SelectableWorkload[],
): MadeService[] {
  const endpoints = entry.spec.traffic === undefined ? endpointsOfEntry(entry, settings, selected) : [];
  return servicesOfEntry(entry, selected).map((service) => ({ service, endpoints }));
}
