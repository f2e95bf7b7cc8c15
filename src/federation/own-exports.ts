// SPDX-License-Identifier: Apache-2.0
// Which services of the own cluster are exported, and what the others are told of each. Kept up with the cluster's objects:
// a change costs the services that it concerns. Pure; in whichever order the objects come, the same is told.
import { isDeepStrictEqual } from 'node:util';
import { DESTINATION_RULE } from '../api/destination-rule.ts';
import { EXPORT_ANNOTATION, serviceKey } from '../api/export-names.ts';
import { asLabelSelector, EXPORT_POLICY, type ExportPolicy } from '../api/export-policy.ts';
import { EXPORTED_SERVICE, type ExportedGateway, type ExportedServiceSpec } from '../api/exported-service.ts';
import { decodeObject, refOf } from '../api/kind.ts';
import { selects } from '../api/kubernetes.ts';
import { spiffeId } from '../api/names.ts';
import { isRecord } from '../api/shape.ts';
import { TRAFFIC_ANNOTATION } from '../api/traffic-shares.ts';
import { matchesSelector } from '../kube/label-selector.ts';
import type { KubeObject } from '../kube/types.ts';
import { qualifyHost } from '../model/hosts.ts';
import { compare, digestService } from './digest.ts';
import { addressOfNode, GATEWAY_SERVICE, type GatewayPod, gatewaysOf } from './gateways.ts';
import type { Digest, ExportClaim, Labels, OwnSubset, ReadyEndpoint, SelectedPod, ServiceName } from './types.ts';

/** As sources tell of objects (src/sources/contract.ts). */
export type ObjectNews =
  | { readonly kind: 'upsert'; readonly object: KubeObject }
  | { readonly kind: 'delete'; readonly object: Pick<KubeObject, 'apiVersion' | 'kind' | 'metadata'> };

export interface OwnExportsOptions {
  readonly cluster: string;
  /** `cluster.local` */
  readonly dnsDomain: string;
  readonly trustDomain: string;
  readonly endpointsOf: (namespace: string, name: string) => readonly ReadyEndpoint[];
  readonly gatewayPods: () => readonly GatewayPod[];
  readonly nowMs: () => number;
}

interface RuleSubsets {
  readonly host: string;
  readonly createdAt: string;
  readonly subsets: readonly OwnSubset[];
}

export class OwnExports {
  readonly #options: OwnExportsOptions;
  readonly #services = new Map<ServiceName, KubeObject>();
  readonly #ofNamespace = new Map<string, Set<ServiceName>>();
  readonly #namespaces = new Map<string, Labels>();
  readonly #exports = new Map<ServiceName, KubeObject>();
  readonly #policies = new Map<string, ExportPolicy>();
  readonly #told = new Map<ServiceName, ExportedServiceSpec>();
  /** Namespace -> name -> pod. */
  readonly #pods = new Map<string, Map<string, SelectedPod>>();
  readonly #nodes = new Map<string, string>();
  readonly #rules = new Map<string, RuleSubsets>();
  readonly #rulesOfHost = new Map<string, Set<string>>();
  readonly #digests = new Map<ServiceName, Digest>();
  readonly #dirty = new Set<ServiceName>();
  #gateways: readonly ExportedGateway[] = [];

  constructor(options: OwnExportsOptions) {
    this.#options = options;
  }

  /** What each service that is exported, or is to be, is told as. */
  get digests(): ReadonlyMap<ServiceName, Digest> {
    return this.#digests;
  }

  get gateways(): readonly ExportedGateway[] {
    return this.#gateways;
  }

  get isDirty(): boolean {
    return this.#dirty.size > 0;
  }

  take(news: ObjectNews): void {
    const { object } = news;
    const { namespace = '', name = '' } = object.metadata;
    const raw = news.kind === 'upsert' ? news.object : undefined;
    switch (object.kind) {
      case 'Service':
        this.#setService(serviceKey(namespace, name), namespace, raw);
        break;
      case 'Namespace':
        this.#setNamespace(name, raw?.metadata.labels ?? {}, raw !== undefined);
        break;
      case 'Node':
        this.#setNode(name, raw);
        break;
      case 'Pod':
        this.#setPod(namespace, name, raw && this.#podOf(namespace, raw));
        break;
      case 'ServiceExport':
        if (raw === undefined) this.#exports.delete(serviceKey(namespace, name));
        else this.#exports.set(serviceKey(namespace, name), raw);
        this.#dirty.add(serviceKey(namespace, name));
        break;
      case 'ExportPolicy':
        this.#setPolicy(name, raw);
        break;
      case 'ExportedService':
        this.#setTold(serviceKey(namespace, name), raw);
        break;
      case 'DestinationRule':
        this.#setRule(serviceKey(namespace, name), raw);
        break;
    }
  }

  /** True when it is exported, and where its endpoints came or went as a whole. */
  endpointsChanged(service: ServiceName): 'none' | 'count' | 'edge' {
    if (service === serviceKey(GATEWAY_SERVICE.namespace, GATEWAY_SERVICE.name) && this.#followGateways())
      return 'edge';
    const before = this.#digests.get(service)?.spec;
    if (before === undefined && !this.#digests.has(service)) return 'none';
    this.#dirty.add(service);
    const [namespace = '', name = ''] = service.split('/');
    const isThere = this.#options.endpointsOf(namespace, name).some(({ meshed }) => meshed);
    return isThere === (before?.ready ?? 0) > 0 ? 'count' : 'edge';
  }

  /** Everything is to be told again. */
  markAll(): void {
    this.#followGateways();
    for (const service of [...this.#services.keys(), ...this.#exports.keys(), ...this.#told.keys()]) {
      this.#dirty.add(service);
    }
  }

  /** What has changed since the last time; a digest that says nothing is of a service that is not exported. */
  plan(): Map<ServiceName, Digest> {
    const changed = new Map<ServiceName, Digest>();
    for (const service of [...this.#dirty].sort(compare)) {
      const before = this.#digests.get(service);
      const digest = this.#digest(service);
      if (digest.spec === undefined && digest.conditions.length === 0) this.#digests.delete(service);
      else this.#digests.set(service, digest);
      if (!isDeepStrictEqual(before, digest)) changed.set(service, digest);
    }
    this.#dirty.clear();
    return changed;
  }

  #digest(key: ServiceName): Digest {
    const { cluster, endpointsOf, nowMs } = this.#options;
    const [namespace = '', name = ''] = key.split('/');
    const service = this.#services.get(key);
    const claims = this.#claimsOf(key, namespace, service);
    if (claims.length === 0) return { spec: undefined, conditions: [] };
    return digestService({
      cluster,
      namespace,
      name,
      service,
      claims,
      endpoints: service === undefined ? [] : endpointsOf(namespace, name),
      pods: this.#podsOf(namespace, service),
      subsets: this.#subsetsOf(namespace, name),
      gateways: this.#gateways,
      before: this.#told.get(key) ?? this.#digests.get(key)?.spec,
      nowMs: nowMs(),
    });
  }

  /** In an order that is always the same: whose word on traffic counts depends on it. */
  #claimsOf(key: ServiceName, namespace: string, service: KubeObject | undefined): ExportClaim[] {
    const claims: ExportClaim[] = [];
    const asked = this.#exports.get(key);
    if (asked !== undefined) {
      const traffic = asked.metadata.annotations?.[TRAFFIC_ANNOTATION];
      claims.push({ kind: 'ServiceExport', ref: refOf(asked), since: asked.metadata.creationTimestamp, traffic });
    }
    if (service === undefined) return claims;
    const { annotations = {}, labels = {}, creationTimestamp = '' } = service.metadata;
    if (annotations[EXPORT_ANNOTATION] === 'true') {
      claims.push({ kind: 'annotation', ref: refOf(service), since: undefined, traffic: undefined });
    }
    for (const [, policy] of [...this.#policies].sort(([a], [b]) => compare(a, b))) {
      if (!this.#isMeant(policy, namespace, labels)) continue;
      const createdAt = Math.max(policy.createdAtMs, Date.parse(creationTimestamp) || 0);
      const since = createdAt === 0 ? undefined : new Date(createdAt).toISOString().replace(/\.\d+Z$/, 'Z');
      claims.push({ kind: 'ExportPolicy', ref: policy.ref, since, traffic: undefined });
    }
    return claims;
  }

  #isMeant({ spec }: ExportPolicy, namespace: string, labels: Labels): boolean {
    const { namespaces, namespaceSelector, selector } = spec;
    const isNamed = namespaces.includes(namespace);
    // The mesh's own services are not what somebody means who says "all".
    const isSelected =
      namespace !== GATEWAY_SERVICE.namespace && this.#selectsNamespace(namespace, namespaces, namespaceSelector);
    if (!isNamed && !isSelected) return false;
    return selector === undefined || matchesSelector(asLabelSelector(selector), labels);
  }

  #selectsNamespace(
    namespace: string,
    names: readonly string[],
    selector: ExportPolicy['spec']['namespaceSelector'],
  ): boolean {
    if (names.includes('*')) return true;
    return selector !== undefined && matchesSelector(asLabelSelector(selector), this.#namespaces.get(namespace));
  }

  #podsOf(namespace: string, service: KubeObject | undefined): SelectedPod[] {
    const selector = selectorOf(service);
    if (selector === undefined) return [];
    return [...(this.#pods.get(namespace)?.values() ?? [])].filter(({ labels }) => selects(selector, labels));
  }

  #subsetsOf(namespace: string, name: string): OwnSubset[] {
    const host = `${name}.${namespace}.svc.${this.#options.dnsDomain}`;
    const rules = [...(this.#rulesOfHost.get(host) ?? [])].map((key) => [key, this.#rules.get(key)!] as const);
    return rules
      .sort(([a, x], [b, y]) => compare(x.createdAt, y.createdAt) || compare(a, b))
      .flatMap(([, { subsets }]) => subsets);
  }

  #setService(key: ServiceName, namespace: string, raw: KubeObject | undefined): void {
    const before = this.#services.get(key);
    const next = raw && keptOfService(raw);
    const ofNamespace = this.#ofNamespace.get(namespace) ?? new Set();
    if (next === undefined) {
      this.#services.delete(key);
      ofNamespace.delete(key);
    } else {
      this.#services.set(key, next);
      ofNamespace.add(key);
    }
    if (ofNamespace.size === 0) this.#ofNamespace.delete(namespace);
    else this.#ofNamespace.set(namespace, ofNamespace);
    if (isDeepStrictEqual(before, next)) return;
    this.#dirty.add(key);
    if (key === serviceKey(GATEWAY_SERVICE.namespace, GATEWAY_SERVICE.name)) this.#followGateways();
  }

  #setNamespace(name: string, labels: Labels, isThere: boolean): void {
    const before = this.#namespaces.get(name);
    if (isThere) this.#namespaces.set(name, labels);
    else this.#namespaces.delete(name);
    if (isThere && isDeepStrictEqual(before, labels)) return;
    if (this.#policies.size > 0) for (const key of this.#ofNamespace.get(name) ?? []) this.#dirty.add(key);
  }

  #setPolicy(name: string, raw: KubeObject | undefined): void {
    const before = this.#policies.get(name);
    // Of one that is refused what it said before stays in force: its status and `analyze` say why.
    const next = raw && (decodeObject(EXPORT_POLICY, raw).value ?? before);
    if (next === undefined) this.#policies.delete(name);
    else this.#policies.set(name, next);
    if (isDeepStrictEqual(before, next)) return;
    for (const key of this.#services.keys()) this.#dirty.add(key);
  }

  #setTold(key: ServiceName, raw: KubeObject | undefined): void {
    const spec = raw && decodeObject(EXPORTED_SERVICE, raw).value?.spec;
    if (spec === undefined) this.#told.delete(key);
    else this.#told.set(key, spec);
    // It is there since before we were: whether it is still to be there is to be decided.
    if (!this.#digests.has(key)) this.#dirty.add(key);
  }

  #podOf(namespace: string, { metadata, spec }: KubeObject): SelectedPod {
    const said = isRecord(spec) ? spec['serviceAccountName'] : undefined;
    const account = typeof said === 'string' ? said : 'default';
    return { labels: metadata.labels ?? {}, identity: spiffeId(this.#options.trustDomain, namespace, account) };
  }

  #setPod(namespace: string, name: string, pod: SelectedPod | undefined): void {
    const pods = this.#pods.get(namespace) ?? new Map<string, SelectedPod>();
    const before = pods.get(name);
    if (pod === undefined) pods.delete(name);
    else pods.set(name, pod);
    if (pods.size === 0) this.#pods.delete(namespace);
    else this.#pods.set(namespace, pods);
    if (isDeepStrictEqual(before, pod)) return;
    for (const key of this.#ofNamespace.get(namespace) ?? []) {
      if (!this.#digests.has(key)) continue;
      const selector = selectorOf(this.#services.get(key));
      const concerns = [before, pod].some((each) => each && selector && selects(selector, each.labels));
      if (concerns) this.#dirty.add(key);
    }
  }

  #setNode(name: string, raw: KubeObject | undefined): void {
    const address = raw && addressOfNode(raw);
    if (this.#nodes.get(name) === address) return;
    if (address === undefined) this.#nodes.delete(name);
    else this.#nodes.set(name, address);
    this.#followGateways();
  }

  #setRule(key: string, raw: KubeObject | undefined): void {
    const before = this.#rules.get(key);
    const next = raw && this.#subsetsOfRule(raw);
    if (isDeepStrictEqual(before, next)) return;
    if (next === undefined) this.#rules.delete(key);
    else this.#rules.set(key, next);
    for (const [rule, isThere] of [
      [before, false],
      [next, true],
    ] as const) {
      if (rule === undefined) continue;
      const keys = this.#rulesOfHost.get(rule.host) ?? new Set();
      if (isThere) keys.add(key);
      else keys.delete(key);
      if (keys.size === 0) this.#rulesOfHost.delete(rule.host);
      else this.#rulesOfHost.set(rule.host, keys);
      const [name = '', namespace = ''] = rule.host.split('.');
      if (this.#digests.has(serviceKey(namespace, name))) this.#dirty.add(serviceKey(namespace, name));
    }
  }

  /** Of a rule for a service of a cluster; every other is none of exports' business. */
  #subsetsOfRule(raw: KubeObject): RuleSubsets | undefined {
    const { value } = decodeObject(DESTINATION_RULE, raw);
    if (value === undefined || value.spec.subsets.length === 0) return undefined;
    const suffix = `.svc.${this.#options.dnsDomain}`;
    const host = qualifyHost(value.spec.host, value.ref.namespace, this.#options.dnsDomain);
    if (!host.endsWith(suffix) || host.includes('*')) return undefined;
    const subsets = value.spec.subsets.map(({ name, labels }) => ({ name, labels }));
    return { host, createdAt: raw.metadata.creationTimestamp ?? '', subsets };
  }

  /** True when they are others than before, which everybody who imports anything has to know. */
  #followGateways(): boolean {
    const { namespace, name } = GATEWAY_SERVICE;
    const service = this.#services.get(serviceKey(namespace, name));
    const next = gatewaysOf(service, this.#options.gatewayPods(), this.#nodes, this.#options.cluster);
    if (isDeepStrictEqual(next, this.#gateways)) return false;
    this.#gateways = next;
    for (const [key, { spec }] of this.#digests) if (spec !== undefined) this.#dirty.add(key);
    return true;
  }
}

function selectorOf(service: KubeObject | undefined): Labels | undefined {
  const spec = service?.['spec'];
  const selector = isRecord(spec) ? spec['selector'] : undefined;
  return isRecord(selector) && Object.keys(selector).length > 0 ? (selector as Labels) : undefined;
}

/** What exports depend on: a Service's status changes without them. */
function keptOfService({ apiVersion, kind, metadata, spec, status }: KubeObject): KubeObject {
  const { name, namespace, uid, creationTimestamp, labels, annotations } = metadata;
  const kept = { name, namespace, uid, creationTimestamp, labels, annotations } as KubeObject['metadata'];
  return { apiVersion, kind, metadata: kept, spec, status };
}
