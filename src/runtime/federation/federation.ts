// SPDX-License-Identifier: Apache-2.0
// Exports and imports of one cluster, as one replica of its control plane carries them out: what is there and what the peers
// tell goes in, what follows from it (src/federation/) is applied. docs/decisions/0028
import type { Logger } from 'pino';
import { DESTINATION_RULE } from '../../api/destination-rule.ts';
import { refName } from '../../api/diagnostics.ts';
import { FEDERATION_LEASE, serviceKey } from '../../api/export-names.ts';
import { EXPORTED_SERVICE, type ExportedServiceSpec } from '../../api/exported-service.ts';
import { resourceOf } from '../../api/kind.ts';
import { SERVICE_ENTRY } from '../../api/service-entry.ts';
import { SERVICE_EXPORT, SERVICE_IMPORT } from '../../api/service-export.ts';
import { changedServices } from '../../federation/changed-services.ts';
import { exportedObject, exportOf, isDerived } from '../../federation/derived-objects.ts';
import { GATEWAY_SERVICE, type GatewayPod } from '../../federation/gateways.ts';
import { Imports } from '../../federation/imports.ts';
import { OwnExports } from '../../federation/own-exports.ts';
import { readExported } from '../../federation/read-exported.ts';
import type { Condition, Digest, Disagreement, Import, ReadyEndpoint, ServiceName } from '../../federation/types.ts';
import type { KubeClient } from '../../kube/client.ts';
import { holdLease } from '../../kube/lease.ts';
import { objectName } from '../../kube/object-name.ts';
import type { KubeObject } from '../../kube/types.ts';
import { SeenFamilies } from '../../model/seen-families.ts';
import type { Endpoint, EndpointSet, MeshSnapshot, ServiceKey } from '../../model/snapshot.ts';
import type { SourceEvent } from '../../sources/contract.ts';
import { ISTIO_NAMESPACE } from '../mesh-resources.ts';
import type { RegistryTrouble } from '../registries/registry-reports.ts';
import type { OpenSource } from '../registries/remote-registry.ts';
import { DisagreementEvents } from './disagreement-events.ts';
import { countsOf, type FederationCounts, type FederationView, type ViewInput, viewOf } from './federation-view.ts';
import { NotOursError, ObjectApplier, type ObjectIdentity } from './object-applier.ts';
import { PeerFaults } from './peer-faults.ts';
import { type PeerListener, Peers } from './peers.ts';

export interface FederationOptions {
  readonly client: KubeClient;
  /** The own cluster's name in the mesh. */
  readonly cluster: string;
  readonly dnsDomain: string;
  readonly trustDomain: string;
  /** Tells replicas apart. */
  readonly replica: string;
  readonly log: Logger;
  readonly nowMs: () => number;
  readonly snapshot: () => MeshSnapshot;
  /** Until the mesh has been read in full, nobody knows how many endpoints are ready. */
  readonly whenRead: () => Promise<void>;
  /** Called again and again while it stands. */
  readonly trouble: (trouble: RegistryTrouble) => void;
  /** Others who make objects of what peers tell. */
  readonly followers?: readonly FederationFollower[];
  readonly times?: Partial<FederationTimes>;
  readonly open?: OpenSource;
}

/** What else follows from the peers: told of all that the exports are told of, in the same order. */
export interface FederationFollower extends PeerListener {
  /** Of the own cluster. */
  events(batch: readonly SourceEvent[]): void;
  /** Of several replicas one leads: only then has anybody told of peers. */
  lead(isLeader: boolean): void;
}

export interface FederationTimes {
  /** How long changes of counts wait for others. */
  readonly coalesceMs: number;
  readonly lookMs: number;
  readonly removalMs: number;
  readonly lease: { readonly durationMs: number; readonly intervalMs: number };
}

const TIMES: FederationTimes = {
  coalesceMs: 200,
  lookMs: 5_000,
  removalMs: 10_000,
  lease: { durationMs: 15_000, intervalMs: 5_000 },
};

const APPLIED = [EXPORTED_SERVICE, SERVICE_ENTRY, DESTINATION_RULE, SERVICE_IMPORT, SERVICE_EXPORT].map(resourceOf);

/** Of one peer: each becomes objects here, and no cluster may fill another one's storage. */
const MAX_EXPORTS = 10_000;
const TOO_MANY = { fault: `${MAX_EXPORTS} services of the cluster are taken already, and no more are` };

export class Federation {
  readonly #options: FederationOptions;
  readonly #times: FederationTimes;
  readonly #exports: OwnExports;
  readonly #imports: Imports;
  readonly #families = new SeenFamilies();
  readonly #applier: ObjectApplier;
  readonly #events: DisagreementEvents;
  /** ServiceExports that are there. */
  readonly #asked = new Set<ServiceName>();
  /** What stands in the way of an object, by its identity. */
  readonly #obstacles = new Map<string, string>();
  /** Peer -> why what it says is not taken. */
  readonly #faults = new PeerFaults();
  /** Services that cannot be exported as their annotation asks. */
  readonly #unfit = new Map<ServiceName, Disagreement>();
  readonly #disagreements = new Map<ServiceName, readonly Disagreement[]>();
  #peers: Peers | undefined;
  #endpoints: ReadonlyMap<ServiceKey, EndpointSet> | undefined;
  #isLeader = false;
  /** The secrets have been read, and what peers tell is known as far as it can be. */
  #isInformed = false;
  #timer: NodeJS.Timeout | undefined;
  #soon: NodeJS.Immediate | undefined;
  #leading: AbortController | undefined;
  #revision = 0;

  constructor(options: FederationOptions) {
    this.#options = options;
    this.#times = { ...TIMES, ...options.times };
    const { client, cluster, dnsDomain, trustDomain, log, nowMs } = options;
    this.#exports = new OwnExports({
      cluster,
      dnsDomain,
      trustDomain,
      endpointsOf: (namespace, name) => this.#endpointsOf(namespace, name).map(readyEndpoint),
      gatewayPods: () => this.#gatewayPods(),
      nowMs,
    });
    this.#imports = new Imports(cluster, dnsDomain);
    this.#events = new DisagreementEvents(client, log, nowMs);
    this.#applier = new ObjectApplier({
      client,
      types: APPLIED,
      owns: isDerived,
      told: (object, error) => this.#told(object, error),
      nowMs,
    });
  }

  /** Until `signal` aborts. Never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    const { client, replica: holder, log } = this.#options;
    const look = setInterval(() => this.#look(), this.#times.lookMs);
    const lease = { namespace: ISTIO_NAMESPACE, name: FEDERATION_LEASE, holder, signal, ...this.#times.lease };
    await holdLease(client, lease, {
      gained: () => void this.#lead(true, signal),
      lost: () => void this.#lead(false, signal),
      error: (error) => log.debug({ err: error.message }, 'the lease of exports could not be renewed'),
    });
    clearInterval(look);
    this.#stop();
  }

  /** What the source of the own cluster tells. */
  events(batch: readonly SourceEvent[]): void {
    for (const follower of this.#options.followers ?? []) follower.events(batch);
    for (const event of batch) {
      if (event.kind === 'synced') continue;
      this.#exports.take(event);
      this.#imports.take(event);
      this.#applier.seen(event);
      if (event.object.kind === SERVICE_EXPORT.kind) this.#noteAsked(event);
    }
    if (this.#exports.isDirty || this.#imports.isDirty) this.#schedule('now');
  }

  /** The mesh's state is another. */
  meshChanged(): void {
    const before = this.#endpoints;
    const { endpoints, workloads } = this.#options.snapshot();
    this.#endpoints = endpoints;
    this.#families.take(workloads);
    this.#imports.setIpv6(this.#families.hasIpv6);
    if (this.#imports.isDirty) this.#schedule('now');
    for (const service of changedServices(before, this.#endpoints, this.#options.dnsDomain)) {
      const effect = this.#exports.endpointsChanged(service);
      if (effect !== 'none') this.#schedule(effect === 'edge' ? 'now' : 'later');
    }
  }

  view(): FederationView {
    return viewOf(this.#state());
  }

  /** undefined: another replica leads. */
  counts(): FederationCounts | undefined {
    return countsOf(this.#state());
  }

  #state(): ViewInput {
    return {
      cluster: this.#options.cluster,
      isLeader: this.#isLeader && this.#isInformed,
      revision: this.#revision,
      peers: this.#peers?.status() ?? [],
      faults: this.#faults.told(),
      refused: this.#peers?.refused ?? [],
      digests: this.#isLeader ? this.#exports.digests : new Map(),
      imports: this.#imports,
      obstacles: this.#obstacles,
      failing: this.#applier.failing,
    };
  }

  async #lead(isLeader: boolean, signal: AbortSignal): Promise<void> {
    if (!isLeader) {
      this.#stop();
      return;
    }
    const leading = new AbortController();
    this.#leading = leading;
    const stop = (): void => leading.abort();
    signal.addEventListener('abort', stop, { once: true });
    leading.signal.addEventListener('abort', () => signal.removeEventListener('abort', stop), { once: true });
    await this.#options.whenRead();
    if (leading.signal.aborted || signal.aborted) return;
    this.#isLeader = true;
    this.#options.log.info('this replica keeps exports and imports');
    this.#endpoints = this.#options.snapshot().endpoints;
    const { client, cluster: local, log, nowMs, open } = this.#options;
    this.#peers = new Peers({
      client,
      local,
      log,
      nowMs,
      listener: this.#listener(leading.signal),
      removalMs: this.#times.removalMs,
      ...(open === undefined ? {} : { open }),
    });
    for (const follower of this.#options.followers ?? []) follower.lead(true);
    void this.#peers.run(leading.signal);
  }

  #stop(): void {
    this.#leading?.abort();
    this.#leading = undefined;
    if (!this.#isLeader) return;
    this.#isLeader = false;
    this.#isInformed = false;
    clearTimeout(this.#timer);
    clearImmediate(this.#soon);
    this.#timer = undefined;
    this.#soon = undefined;
    this.#applier.lead(false);
    this.#imports.forget();
    this.#peers = undefined;
    this.#faults.clear();
    this.#obstacles.clear();
    this.#disagreements.clear();
    this.#unfit.clear();
    for (const follower of this.#options.followers ?? []) follower.lead(false);
  }

  /** What comes after `signal` has aborted is of peers that somebody else follows. */
  #listener(signal: AbortSignal): PeerListener {
    const followers = this.#options.followers ?? [];
    return {
      named: (clusters) => {
        if (signal.aborted) return;
        for (const cluster of clusters) if (this.#imports.countOf(cluster) === 0) this.#recall(cluster);
        for (const follower of followers) follower.named(clusters);
        this.#begin();
      },
      listed: (cluster, objects) => {
        if (signal.aborted) return;
        this.#takeAll(cluster, objects);
        for (const follower of followers) follower.listed(cluster, objects);
        this.#schedule('now');
      },
      changed: (cluster, batch) => {
        if (signal.aborted) return;
        for (const event of batch) if (event.kind !== 'synced') this.#takeOne(cluster, event);
        for (const follower of followers) follower.changed(cluster, batch);
        this.#schedule('now');
      },
      gone: (cluster) => {
        if (signal.aborted) return;
        this.#faults.forget(cluster);
        this.#imports.setCluster(cluster, new Map());
        for (const follower of followers) follower.gone(cluster);
        this.#schedule('now');
      },
    };
  }

  /** What was made of the peer's word before is what is known of it, until it speaks. */
  #recall(cluster: string): void {
    if (this.#peers?.objectsOf(cluster) === undefined) this.#imports.recall(cluster);
  }

  /** All is known that can be known now: from here on what differs is written. */
  #begin(): void {
    if (this.#isInformed) {
      this.#schedule('now');
      return;
    }
    this.#isInformed = true;
    this.#exports.markAll();
    this.#imports.markAll();
    this.#plan();
    this.#applier.lead(true);
  }

  #takeAll(cluster: string, objects: ReadonlyMap<string, KubeObject>): void {
    this.#faults.forget(cluster);
    const specs = new Map<ServiceName, ExportedServiceSpec>();
    for (const object of objects.values()) {
      const read = this.#read(cluster, object, specs.size);
      if (read !== undefined) specs.set(read.service, read.spec);
    }
    this.#imports.setCluster(cluster, specs);
  }

  #takeOne(cluster: string, event: Exclude<SourceEvent, { kind: 'synced' }>): void {
    if (event.object.kind !== EXPORTED_SERVICE.kind) return;
    const { namespace = '', name = '' } = event.object.metadata;
    const isKnown = this.#imports.exportsOf(serviceKey(namespace, name)).some((known) => known.cluster === cluster);
    const others = this.#imports.countOf(cluster) - (isKnown ? 1 : 0);
    const read = event.kind === 'upsert' ? this.#read(cluster, event.object, others) : undefined;
    // Of one that cannot be read the last state stays.
    if (event.kind === 'upsert' && read === undefined) return;
    if (event.kind === 'delete') this.#faults.note(cluster, serviceKey(namespace, name), undefined);
    this.#imports.setExport(cluster, serviceKey(namespace, name), read?.spec);
  }

  /** `others`: how many services of the cluster are taken beside this one. */
  #read(
    cluster: string,
    object: KubeObject,
    others: number,
  ): { service: ServiceName; spec: ExportedServiceSpec } | undefined {
    if (object.kind !== EXPORTED_SERVICE.kind) return undefined;
    const { namespace = '', name = '' } = object.metadata;
    const service = serviceKey(namespace, name);
    const spec = others < MAX_EXPORTS ? readExported(object, cluster, this.#options.dnsDomain) : TOO_MANY;
    const fault = 'fault' in spec ? spec.fault : undefined;
    if (this.#faults.note(cluster, service, fault)) {
      this.#options.log.error({ cluster }, `the peer’s word is not taken: ExportedService ${service}: ${fault}`);
    }
    if (!('fault' in spec)) return { service, spec };
    return undefined;
  }

  #noteAsked({ kind, object }: Exclude<SourceEvent, { kind: 'synced' }>): void {
    const service = serviceKey(object.metadata.namespace ?? '', object.metadata.name ?? '');
    if (kind === 'delete') this.#asked.delete(service);
    else this.#asked.add(service);
  }

  #schedule(when: 'now' | 'later'): void {
    if (!this.#isLeader || !this.#isInformed) return;
    if (when === 'now') this.#soon ??= setImmediate(() => this.#plan());
    else this.#timer ??= setTimeout(() => this.#plan(), this.#times.coalesceMs).unref();
  }

  #plan(): void {
    clearTimeout(this.#timer);
    clearImmediate(this.#soon);
    this.#timer = undefined;
    this.#soon = undefined;
    const { cluster } = this.#options;
    const before = new Map<ServiceName, Import>();
    const digests = this.#exports.plan();
    for (const [service, digest] of digests) {
      this.#imports.setExport(cluster, service, digest.spec);
      this.#applyExport(service, digest);
    }
    for (const service of this.#imports.dirty) {
      const known = this.#imports.imports.get(service);
      if (known !== undefined) before.set(service, known);
    }
    const imports = this.#imports.plan();
    for (const [service, made] of imports) this.#applyImport(before.get(service), made);
    for (const service of new Set([...digests.keys(), ...imports.keys()])) this.#applyConditions(service);
    if (digests.size + imports.size === 0) return;
    this.#revision++;
    for (const [service, digest] of digests) {
      const fault = this.#faultOf(service, digest);
      if (fault === undefined) this.#unfit.delete(service);
      else this.#unfit.set(service, fault);
    }
    for (const [service, { disagreements }] of imports) {
      if (disagreements.length === 0) this.#disagreements.delete(service);
      else this.#disagreements.set(service, disagreements);
    }
    this.#events.take([...[...this.#disagreements.values()].flat(), ...this.#unfit.values()]);
  }

  /** Why an annotation exports nothing: a ServiceExport has conditions for it, a Service has Events. */
  #faultOf(service: ServiceName, { spec, conditions: [first] }: Digest): Disagreement | undefined {
    if (spec !== undefined || first === undefined || this.#asked.has(service)) return undefined;
    const [namespace = '', name = ''] = service.split('/');
    const ref = { apiVersion: 'v1', kind: 'Service', namespace, name };
    return { service, reason: first.reason, message: first.message, ref };
  }

  #applyExport(service: ServiceName, { spec }: Digest): void {
    const object = exportedObject(service, spec);
    if (spec === undefined) this.#applier.unwant(object);
    else this.#applier.want(object);
  }

  #applyImport(before: Import | undefined, { objects }: Import): void {
    const kept = new Set(objects.map(objectName));
    // A rule goes before the host that it is for.
    for (const object of before?.objects.toReversed() ?? []) {
      if (kept.has(objectName(object))) continue;
      this.#applier.unwant(object);
      this.#applier.wantStatus(object, undefined);
      this.#obstacles.delete(objectName(object));
    }
    for (const { status, ...object } of objects) {
      this.#applier.want(object as KubeObject);
      if (status !== undefined)
        this.#applier.wantStatus(object as KubeObject, { members: status as Record<string, unknown> });
    }
  }

  #applyConditions(service: ServiceName): void {
    const digest = this.#exports.digests.get(service);
    const conflict = digest?.spec === undefined ? undefined : (this.#imports.imports.get(service)?.conflict ?? AGREED);
    const conditions = digest && [...digest.conditions, ...(conflict === undefined ? [] : [conflict])];
    const status = conditions && conditions.length > 0 ? { conditions } : undefined;
    this.#applier.wantStatus(exportedObject(service, undefined), digest?.spec === undefined ? undefined : status);
    this.#applier.wantStatus(exportOf(service), this.#asked.has(service) ? status : undefined);
  }

  #told(of: ObjectIdentity, error: Error | undefined): void {
    const object = refName(of);
    if (error === undefined) {
      this.#obstacles.delete(object);
      return;
    }
    if (this.#obstacles.get(object) === error.message) return;
    this.#obstacles.set(object, error.message);
    const message = error instanceof NotOursError ? 'the name is taken' : 'it could not be written; trying again';
    this.#options.log.warn({ object, err: error.message }, message);
  }

  /** What stands is told again. */
  #look(): void {
    if (!this.#isLeader || this.#peers === undefined) return;
    const { trouble } = this.#options;
    const faults = this.#faults.told();
    for (const { trouble: kind, secret, secretUid, key, message, cure } of this.#peers.refused) {
      trouble({ kind, message: `${message}; ${cure}`, about: key, secret: { name: secret, uid: secretUid } });
    }
    for (const { cluster, secret, secretUid, error, cure } of this.#peers.status()) {
      const fault = error ?? faults.get(cluster);
      if (fault === undefined) continue;
      const message = `peer ${cluster}: ${fault}${cure === undefined ? '' : `; ${cure}`}`;
      trouble({ kind: 'RemoteCluster', message, about: cluster, secret: { name: secret, uid: secretUid } });
    }
  }

  #endpointsOf(namespace: string, name: string): readonly Endpoint[] {
    const host = `${name}.${namespace}.svc.${this.#options.dnsDomain}`;
    const all = this.#options.snapshot().endpoints.get(`${namespace}/${host}`) ?? [];
    return all.filter(({ draining }) => !draining);
  }

  #gatewayPods(): GatewayPod[] {
    return this.#endpointsOf(GATEWAY_SERVICE.namespace, GATEWAY_SERVICE.name)
      .filter(({ cluster }) => cluster === this.#options.cluster)
      .map(({ nodeName, locality, network }) => ({ nodeName, locality, network }));
  }
}

const AGREED: Condition = {
  type: 'Conflict',
  status: 'False',
  reason: 'NoConflicts',
  message: 'no other cluster exports it',
};

function readyEndpoint({ labels, locality, meshed }: Endpoint): ReadyEndpoint {
  return { labels, locality, meshed };
}
