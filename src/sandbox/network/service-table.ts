// SPDX-License-Identifier: Apache-2.0
// What the service proxy and the DNS know of a cluster: its services, who stands behind them, its namespaces.
import type { KubeObject } from '../../kube/types.ts';

export interface ServicePort {
  readonly name: string;
  readonly port: number;
  readonly nodePort: number | undefined;
  readonly protocol: 'TCP' | 'UDP';
}

export interface Service {
  readonly namespace: string;
  readonly name: string;
  readonly type: 'ClusterIP' | 'NodePort' | 'LoadBalancer' | 'ExternalName';
  /** undefined: headless, external, or not given yet. */
  readonly clusterIp: string | undefined;
  readonly isHeadless: boolean;
  readonly externalName: string | undefined;
  readonly loadBalancerIps: readonly string[];
  /** sessionAffinity: ClientIP, and for how long after its last connection a client is remembered. */
  readonly affinityMs: number | undefined;
  /** Only endpoints of this node answer, to clients inside (cluster address) and outside (node port, load balancer). */
  readonly isLocalOnly: { readonly internal: boolean; readonly external: boolean };
  readonly ports: readonly ServicePort[];
}

/** One address behind a service. */
export interface Endpoint {
  readonly address: string;
  readonly hostname: string | undefined;
  readonly nodeName: string | undefined;
  /** Takes new connections. */
  readonly ready: boolean;
  /** On its way out, but still able to answer: used when nobody is ready (as kube-proxy does). */
  readonly draining: boolean;
  /** By port name, as in the service. */
  readonly ports: ReadonlyMap<string, number>;
}

/** `namespace/name`. */
export type ServiceKey = string;

export class ServiceTable {
  readonly #services = new Map<ServiceKey, Service>();
  readonly #slices = new Map<ServiceKey, Map<string, readonly Endpoint[]>>();
  readonly #sliceOwners = new Map<string, ServiceKey>();
  readonly #namespaces = new Set<string>();
  readonly #onChange: (key: ServiceKey) => void;

  /** @param onChange called after each change of a service or of its endpoints. */
  constructor(onChange: (key: ServiceKey) => void = () => {}) {
    this.#onChange = onChange;
  }

  get(namespace: string, name: string): Service | undefined {
    return this.#services.get(`${namespace}/${name}`);
  }

  byKey(key: ServiceKey): Service | undefined {
    return this.#services.get(key);
  }

  services(): IterableIterator<Service> {
    return this.#services.values();
  }

  hasNamespace(name: string): boolean {
    return this.#namespaces.has(name);
  }

  endpoints(key: ServiceKey): Endpoint[] {
    return [...(this.#slices.get(key)?.values() ?? [])].flat();
  }

  upsertService(object: KubeObject): void {
    const service = readService(object);
    const key = `${service.namespace}/${service.name}`;
    this.#services.set(key, service);
    this.#onChange(key);
  }

  deleteService(object: KubeObject): void {
    const key = `${object.metadata.namespace}/${object.metadata.name}`;
    if (this.#services.delete(key)) this.#onChange(key);
  }

  upsertSlice(object: KubeObject): void {
    const slice = `${object.metadata.namespace}/${object.metadata.name}`;
    const owner = object.metadata.labels?.['kubernetes.io/service-name'];
    const key = owner === undefined ? undefined : `${object.metadata.namespace}/${owner}`;
    if (this.#sliceOwners.get(slice) !== key) this.#dropSlice(slice);
    if (key === undefined) return;
    const slices = this.#slices.get(key) ?? new Map<string, readonly Endpoint[]>();
    this.#slices.set(key, slices);
    slices.set(slice, readSlice(object));
    this.#sliceOwners.set(slice, key);
    this.#onChange(key);
  }

  deleteSlice(object: KubeObject): void {
    this.#dropSlice(`${object.metadata.namespace}/${object.metadata.name}`);
  }

  upsertNamespace(object: KubeObject): void {
    this.#namespaces.add(object.metadata.name!);
  }

  deleteNamespace(object: KubeObject): void {
    this.#namespaces.delete(object.metadata.name!);
  }

  #dropSlice(slice: string): void {
    const key = this.#sliceOwners.get(slice);
    if (key === undefined) return;
    this.#sliceOwners.delete(slice);
    const slices = this.#slices.get(key);
    slices?.delete(slice);
    if (slices?.size === 0) this.#slices.delete(key);
    this.#onChange(key);
  }
}

interface RawServiceSpec {
  type?: Service['type'];
  clusterIP?: string;
  externalName?: string;
  sessionAffinity?: string;
  sessionAffinityConfig?: { clientIP?: { timeoutSeconds?: number } };
  internalTrafficPolicy?: string;
  externalTrafficPolicy?: string;
  ports?: { name?: string; port: number; nodePort?: number; protocol?: string }[];
}

function readService(object: KubeObject): Service {
  const spec = (object['spec'] ?? {}) as RawServiceSpec;
  const status = object['status'] as { loadBalancer?: { ingress?: { ip?: string }[] } } | undefined;
  const type = spec.type ?? 'ClusterIP';
  const isHeadless = spec.clusterIP === 'None';
  return {
    namespace: object.metadata.namespace!,
    name: object.metadata.name!,
    type,
    isHeadless,
    clusterIp: isHeadless || type === 'ExternalName' || !spec.clusterIP ? undefined : spec.clusterIP,
    externalName: type === 'ExternalName' ? spec.externalName : undefined,
    loadBalancerIps: (status?.loadBalancer?.ingress ?? []).flatMap(({ ip }) => (ip === undefined ? [] : [ip])),
    affinityMs: spec.sessionAffinity === 'ClientIP' ? affinitySeconds(spec) * 1000 : undefined,
    isLocalOnly: {
      internal: spec.internalTrafficPolicy === 'Local',
      external: spec.externalTrafficPolicy === 'Local',
    },
    ports: (spec.ports ?? []).flatMap(({ name, port, nodePort, protocol = 'TCP' }) =>
      protocol === 'TCP' || protocol === 'UDP' ? [{ name: name ?? '', port, nodePort, protocol }] : [],
    ),
  };
}

/** Three hours, unless the service says another time. */
function affinitySeconds({ sessionAffinityConfig }: RawServiceSpec): number {
  return sessionAffinityConfig?.clientIP?.timeoutSeconds ?? 10_800;
}

interface RawSlice {
  addressType?: string;
  endpoints?: {
    addresses?: string[];
    hostname?: string;
    nodeName?: string;
    conditions?: { ready?: boolean | null; serving?: boolean | null; terminating?: boolean | null };
  }[];
  ports?: { name?: string | null; port?: number | null }[];
}

/** discovery.k8s.io/v1: an unknown `ready` counts as true. */
function readSlice(object: KubeObject): Endpoint[] {
  const { addressType, endpoints = [], ports = [] } = object as unknown as RawSlice;
  if (addressType !== 'IPv4') return [];
  const byName = new Map((ports ?? []).flatMap(({ name, port }) => (port ? [[name ?? '', port] as const] : [])));
  return (endpoints ?? []).flatMap(({ addresses = [], hostname, nodeName, conditions = {} }) => {
    const ready = conditions.ready ?? true;
    const draining = !ready && conditions.serving === true && conditions.terminating === true;
    return addresses.map((address) => ({ address, hostname, nodeName, ready, draining, ports: byName }));
  });
}
