// SPDX-License-Identifier: Apache-2.0
// What the own cluster is to have of the services that clusters export. Kept up with what each cluster tells and with the
// own cluster's objects: a change costs the services that it concerns. Pure.
import { isDeepStrictEqual } from 'node:util';
import { DESTINATION_RULE } from '../api/destination-rule.ts';
import { clustersetHost, globalHost, MANAGED_BY, serviceKey } from '../api/export-names.ts';
import type { ExportedServiceSpec } from '../api/exported-service.ts';
import { refOf } from '../api/kind.ts';
import { covers } from '../api/names.ts';
import { SERVICE_ENTRY } from '../api/service-entry.ts';
import { isRecord } from '../api/shape.ts';
import { objectName } from '../kube/object-name.ts';
import type { KubeObject } from '../kube/types.ts';
import { buildImport } from './build-import.ts';
import { serviceOfDerived } from './derived-objects.ts';
import { compare } from './digest.ts';
import type { ObjectNews } from './own-exports.ts';
import { recallExports } from './recall-exports.ts';
import type { Export, Import, PersonsObject, ServiceName } from './types.ts';
import { asIpv6, VirtualAddresses } from './virtual-addresses.ts';

interface Claims {
  readonly objects: readonly PersonsObject[];
  readonly addresses: readonly string[];
}

const NOTHING: Claims = { objects: [], addresses: [] };

export class Imports {
  readonly #cluster: string;
  readonly #dnsDomain: string;
  readonly #addresses: VirtualAddresses;
  /** Service -> cluster -> what it tells. */
  readonly #exports = new Map<ServiceName, Map<string, ExportedServiceSpec>>();
  readonly #ofCluster = new Map<string, Set<ServiceName>>();
  readonly #namespaces = new Set<string>();
  /** `KIND NAMESPACE/NAME` of a person's object -> what it claims. */
  readonly #claims = new Map<string, Claims>();
  /** Host -> keys of persons' objects for it; those for wildcards apart. */
  readonly #claimsOfHost = new Map<string, Set<string>>();
  readonly #wildcards = new Map<string, Set<string>>();
  /** Derived objects that are there, by service. */
  readonly #derived = new Map<ServiceName, Map<string, KubeObject>>();
  readonly #serviceOfDerived = new Map<string, ServiceName>();
  readonly #imports = new Map<ServiceName, Import>();
  readonly #dirty = new Set<ServiceName>();
  #hasIpv6 = false;

  constructor(cluster: string, dnsDomain: string, addresses = new VirtualAddresses()) {
    this.#cluster = cluster;
    this.#dnsDomain = dnsDomain;
    this.#addresses = addresses;
  }

  get imports(): ReadonlyMap<ServiceName, Import> {
    return this.#imports;
  }

  /** Whether pods dial IPv6: names then have an address of it as well. It stays so for as long as this lives. */
  setIpv6(hasIpv6: boolean): void {
    if (!hasIpv6 || this.#hasIpv6) return;
    this.#hasIpv6 = true;
    this.markAll();
  }

  get isDirty(): boolean {
    return this.#dirty.size > 0;
  }

  /** Services that `plan` will look at. */
  get dirty(): ReadonlySet<ServiceName> {
    return this.#dirty;
  }

  /** Of what clusters tell nothing is known any more: somebody else follows it. */
  forget(): void {
    this.#exports.clear();
    this.#ofCluster.clear();
    this.#imports.clear();
    this.#dirty.clear();
    this.#addresses.forget();
  }

  exportsOf(service: ServiceName): readonly Export[] {
    return [...(this.#exports.get(service) ?? [])].map(([cluster, spec]) => ({ cluster, spec }));
  }

  /** How many services the cluster tells of. */
  countOf(cluster: string): number {
    return this.#ofCluster.get(cluster)?.size ?? 0;
  }

  setExport(cluster: string, service: ServiceName, spec: ExportedServiceSpec | undefined): void {
    const exports = this.#exports.get(service) ?? new Map<string, ExportedServiceSpec>();
    const services = this.#ofCluster.get(cluster) ?? new Set<ServiceName>();
    if (isDeepStrictEqual(exports.get(cluster), spec)) return;
    if (spec === undefined) {
      exports.delete(cluster);
      services.delete(service);
    } else {
      exports.set(cluster, spec);
      services.add(service);
    }
    if (exports.size === 0) this.#exports.delete(service);
    else this.#exports.set(service, exports);
    if (services.size === 0) this.#ofCluster.delete(cluster);
    else this.#ofCluster.set(cluster, services);
    this.#dirty.add(service);
  }

  /** All that the cluster tells, in the place of whatever it told before. */
  setCluster(cluster: string, specs: ReadonlyMap<ServiceName, ExportedServiceSpec>): void {
    for (const service of [...(this.#ofCluster.get(cluster) ?? [])]) {
      if (!specs.has(service)) this.setExport(cluster, service, undefined);
    }
    for (const [service, spec] of specs) this.setExport(cluster, service, spec);
  }

  /** Of a cluster that has told nothing yet: what the objects that are there say of it. */
  recall(cluster: string): void {
    const found = new Map<ServiceName, ExportedServiceSpec>();
    for (const [service, objects] of this.#derived) {
      const all = [...objects.values()];
      const entry = all.find(({ kind }) => kind === SERVICE_ENTRY.kind);
      if (entry === undefined) continue;
      const rule = all.find(({ kind }) => kind === DESTINATION_RULE.kind);
      const told = recallExports(entry, rule).find((each) => each.cluster === cluster);
      if (told !== undefined) found.set(service, told.spec);
    }
    this.setCluster(cluster, found);
  }

  take(news: ObjectNews): void {
    const { kind, metadata } = news.object;
    // In one that ends nothing can be made any more.
    const isThere = news.kind === 'upsert' && metadata.deletionTimestamp === undefined;
    if (kind === 'Namespace') this.#setNamespace(metadata.name ?? '', isThere);
    if (kind !== SERVICE_ENTRY.kind && kind !== DESTINATION_RULE.kind) return;
    const key = objectName(news.object);
    const raw = news.kind === 'upsert' ? news.object : undefined;
    const service = raw && serviceOfDerived(raw);
    this.#setDerived(key, service, raw);
    this.#setClaims(key, service === undefined && raw !== undefined ? this.#claimsIn(raw) : NOTHING);
  }

  markAll(): void {
    for (const service of [...this.#exports.keys(), ...this.#derived.keys(), ...this.#imports.keys()]) {
      this.#dirty.add(service);
    }
  }

  /** What has changed since the last time. */
  plan(): Map<ServiceName, Import> {
    const wanted = [...this.#dirty].sort(compare);
    this.#dirty.clear();
    const seekers = wanted.flatMap((service) => {
      const exports = this.#exports.get(service);
      const isForeign = exports !== undefined && [...exports.keys()].some((cluster) => cluster !== this.#cluster);
      if (!isForeign) {
        this.#addresses.free(service);
        return [];
      }
      this.#recallAddress(service);
      const times = [...exports.values()].map(({ exportedAt }) => exportedAt);
      return [{ service, since: times.reduce((a, b) => (Date.parse(b) < Date.parse(a) ? b : a)) }];
    });
    const found = this.#addresses.assign(seekers);
    const changed = new Map<ServiceName, Import>();
    for (const service of wanted) {
      const made = this.#build(service, found.get(service) ?? '');
      const before = this.#imports.get(service);
      if (made.objects.length === 0 && made.conflict === undefined) this.#imports.delete(service);
      else this.#imports.set(service, made);
      if (!isDeepStrictEqual(before, made)) changed.set(service, made);
    }
    return changed;
  }

  #build(service: ServiceName, address: string): Import {
    const [namespace = '', name = ''] = service.split('/');
    return buildImport({
      cluster: this.#cluster,
      dnsDomain: this.#dnsDomain,
      namespace,
      name,
      exports: this.exportsOf(service),
      hasNamespace: this.#namespaces.has(namespace),
      addresses: [address, ...(this.#hasIpv6 && address !== '' ? [asIpv6(address)] : [])],
      claims: this.#claimsFor(namespace, name),
    });
  }

  #recallAddress(service: ServiceName): void {
    for (const { kind, spec } of this.#derived.get(service)?.values() ?? []) {
      if (kind !== SERVICE_ENTRY.kind || !isRecord(spec) || !Array.isArray(spec['addresses'])) continue;
      const [address] = spec['addresses'] as unknown[];
      if (typeof address === 'string') this.#addresses.recall(service, address);
    }
  }

  #claimsFor(namespace: string, name: string): PersonsObject[] {
    const hosts = [globalHost(namespace, name), clustersetHost(namespace, name)];
    const keys = new Set(hosts.flatMap((host) => [...(this.#claimsOfHost.get(host) ?? [])]));
    for (const [pattern, claimants] of this.#wildcards) {
      if (hosts.some((host) => covers(pattern, host))) for (const key of claimants) keys.add(key);
    }
    // An object has one claim for each of its hosts: the first that meets ours tells enough.
    return [...keys].sort(compare).flatMap((key) => {
      const { objects } = this.#claims.get(key)!;
      return objects.find(({ host }) => hosts.some((each) => covers(host, each))) ?? [];
    });
  }

  #setNamespace(name: string, isThere: boolean): void {
    if (this.#namespaces.has(name) === isThere) return;
    if (isThere) this.#namespaces.add(name);
    else this.#namespaces.delete(name);
    for (const service of this.#exports.keys()) if (service.startsWith(`${name}/`)) this.#dirty.add(service);
  }

  #setDerived(key: string, service: ServiceName | undefined, raw: KubeObject | undefined): void {
    const before = this.#serviceOfDerived.get(key);
    if (before !== undefined) {
      this.#serviceOfDerived.delete(key);
      this.#derived.get(before)?.delete(key);
      if (this.#derived.get(before)?.size === 0) this.#derived.delete(before);
    }
    if (service === undefined || raw === undefined) return;
    this.#serviceOfDerived.set(key, service);
    const objects = this.#derived.get(service) ?? new Map<string, KubeObject>();
    objects.set(key, raw);
    this.#derived.set(service, objects);
  }

  #claimsIn(raw: KubeObject): Claims {
    // What the installation brings is nobody's own word.
    const isInstalled = raw.metadata.labels?.['app.kubernetes.io/part-of'] === MANAGED_BY;
    const { spec } = raw;
    if (isInstalled || !isRecord(spec)) return NOTHING;
    const said = raw.kind === SERVICE_ENTRY.kind ? spec['hosts'] : [spec['host']];
    const hosts = (Array.isArray(said) ? said : []).filter((host): host is string => typeof host === 'string');
    const addresses = Array.isArray(spec['addresses']) && raw.kind === SERVICE_ENTRY.kind ? spec['addresses'] : [];
    const ref = refOf(raw);
    return {
      objects: hosts.map((host) => ({ ref, host: host.toLowerCase() })),
      addresses: addresses.filter((address): address is string => typeof address === 'string'),
    };
  }

  #setClaims(key: string, next: Claims): void {
    const before = this.#claims.get(key) ?? NOTHING;
    if (isDeepStrictEqual(before, next)) return;
    if (next === NOTHING) this.#claims.delete(key);
    else this.#claims.set(key, next);
    for (const { host } of before.objects) this.#indexClaim(host, key, false);
    for (const { host } of next.objects) this.#indexClaim(host, key, true);
    for (const address of before.addresses) this.#addresses.release(address);
    for (const address of next.addresses) for (const loser of this.#addresses.reserve(address)) this.#dirty.add(loser);
  }

  #indexClaim(host: string, key: string, isThere: boolean): void {
    const table = host.startsWith('*') ? this.#wildcards : this.#claimsOfHost;
    const keys = table.get(host) ?? new Set();
    if (isThere) keys.add(key);
    else keys.delete(key);
    if (keys.size === 0) table.delete(host);
    else table.set(host, keys);
    for (const service of this.#servicesAt(host)) this.#dirty.add(service);
  }

  #servicesAt(host: string): ServiceName[] {
    if (!host.startsWith('*')) {
      const [name = '', namespace = ''] = host.split('.');
      const service = serviceKey(namespace, name);
      return this.#exports.has(service) ? [service] : [];
    }
    return [...this.#exports.keys()].filter((service) => {
      const [namespace = '', name = ''] = service.split('/');
      return covers(host, globalHost(namespace, name)) || covers(host, clustersetHost(namespace, name));
    });
  }
}
