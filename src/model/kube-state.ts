// SPDX-License-Identifier: Apache-2.0
// Kubernetes' own objects of every cluster, with the indexes that say which services a slice or a pod is part of.
import { isDeepStrictEqual } from 'node:util';
import {
  decodeEndpointSlice,
  decodePod,
  decodeService,
  isReadyPod,
  type KubeEndpointSlice,
  type KubeService,
  type Workload,
} from '../api/kubernetes.ts';
import { labelledLocality, nodeLocality } from '../api/localities.ts';
import type { ClusterName } from '../api/names.ts';
import type { KubeObject } from '../kube/types.ts';
import { type EndpointSettings, endpointsOfSlices, mergeKubeServices, sortEndpoints } from './registry.ts';
import { type Endpoint, type EndpointSet, type MeshService, type MeshSettings, workloadKey } from './snapshot.ts';

type Reference = Pick<KubeObject, 'apiVersion' | 'kind' | 'metadata'>;
/** `NAMESPACE/NAME` of a service. */
type ServiceName = string;

export class KubeState {
  /** What has changed since the last `settle`. */
  readonly dirtyServices = new Set<ServiceName>();
  readonly dirtyEndpoints = new Set<ServiceName>();
  readonly dirtyWorkloads = new Set<string>();
  /** Pods that take requests now, or no more; with `dirtyWorkloads`, all that a selector of pods has to know. */
  readonly dirtyReadiness = new Set<string>();

  readonly #services = new Map<ServiceName, Map<ClusterName, KubeService>>();
  /** `CLUSTER/NAMESPACE/SERVICE` -> slices by name. */
  readonly #slices = new Map<string, Map<string, KubeEndpointSlice>>();
  /** `CLUSTER/NAMESPACE/SLICE` -> the service that it was last seen with. */
  readonly #serviceOfSlice = new Map<string, ServiceName>();
  readonly #workloads = new Map<string, Workload>();
  readonly #readyPods = new Set<string>();
  /** `CLUSTER/NODE` -> where it is, for nodes that say so. */
  readonly #nodes = new Map<string, string>();
  /** `CLUSTER/NODE` -> keys of the workloads there. */
  readonly #workloadsOfNode = new Map<string, Set<string>>();
  /** Workload -> services with an endpoint at it. */
  readonly #servicesOfWorkload = new Map<string, Set<ServiceName>>();

  /** True when the kind is one that the mesh reads. */
  upsert(cluster: ClusterName, object: KubeObject): boolean {
    switch (`${object.apiVersion}/${object.kind}`) {
      case 'v1/Service':
        this.#setService(cluster, object, decodeService(object, cluster));
        return true;
      case 'v1/Pod':
        this.#setReadiness(cluster, object, isReadyPod(object));
        this.#setWorkload(cluster, object, decodePod(object, cluster));
        return true;
      case 'v1/Node':
        this.#setNode(cluster, object, nodeLocality(object));
        return true;
      case 'discovery.k8s.io/v1/EndpointSlice':
      case 'discovery.k8s.io/v1beta1/EndpointSlice':
        this.#setSlice(cluster, object, decodeEndpointSlice(object));
        return true;
      default:
        return false;
    }
  }

  delete(cluster: ClusterName, object: Reference): void {
    switch (object.kind) {
      case 'Service':
        this.#setService(cluster, object, undefined);
        break;
      case 'Pod':
        this.#setReadiness(cluster, object, false);
        this.#setWorkload(cluster, object, undefined);
        break;
      case 'Node':
        this.#setNode(cluster, object, '');
        break;
      case 'EndpointSlice':
        this.#setSlice(cluster, object, undefined);
        break;
    }
  }

  settle(): void {
    this.dirtyServices.clear();
    this.dirtyEndpoints.clear();
    this.dirtyWorkloads.clear();
    this.dirtyReadiness.clear();
  }

  workload(key: string): Workload | undefined {
    return this.#workloads.get(key);
  }

  /** Only while it takes requests. */
  readyWorkload(key: string): Workload | undefined {
    return this.#readyPods.has(key) ? this.#workloads.get(key) : undefined;
  }

  /** The service as one cluster has it. */
  copyOf(cluster: ClusterName, name: ServiceName): KubeService | undefined {
    return this.#services.get(name)?.get(cluster);
  }

  /** `exportTo`: of services that do not say who sees them. */
  serviceNamed(name: ServiceName, settings: MeshSettings, exportTo: readonly string[]): MeshService | undefined {
    const copies = this.#services.get(name);
    return copies === undefined ? undefined : mergeKubeServices(copies, settings, exportTo);
  }

  /** See KubeService; undefined where the cluster has no such service. */
  externalAddressesOf(cluster: ClusterName, name: ServiceName): readonly string[] | undefined {
    return this.#services.get(name)?.get(cluster)?.externalAddresses;
  }

  /** Makes all services anew: who sees those that do not say it has changed. */
  recountServices(): void {
    for (const name of this.#services.keys()) this.dirtyServices.add(name);
  }

  /** Makes all endpoints anew: what they are given from elsewhere has changed. */
  recountEndpoints(): void {
    for (const name of this.#services.keys()) this.dirtyEndpoints.add(name);
  }

  /** `others`: what stands behind it and is no pod. */
  endpointsOf(name: ServiceName, settings: EndpointSettings, others: readonly Endpoint[] = []): EndpointSet {
    const copies = this.#services.get(name) ?? new Map<ClusterName, KubeService>();
    const all = [...copies.keys()].flatMap((cluster) =>
      endpointsOfSlices(
        cluster,
        this.#slices.get(`${cluster}/${name}`)?.values() ?? [],
        (namespace, pod) => this.#workloads.get(workloadKey(cluster, namespace, pod)),
        settings,
      ),
    );
    return sortEndpoints([...all, ...others]);
  }

  #setReadiness(cluster: ClusterName, { metadata }: Reference, isReady: boolean): void {
    const key = workloadKey(cluster, metadata.namespace ?? '', metadata.name ?? '');
    if (this.#readyPods.has(key) === isReady) return;
    if (isReady) this.#readyPods.add(key);
    else this.#readyPods.delete(key);
    this.dirtyReadiness.add(key);
  }

  #setService(cluster: ClusterName, object: Reference, next: KubeService | undefined): void {
    const name = `${object.metadata.namespace ?? ''}/${object.metadata.name ?? ''}`;
    const copies = this.#services.get(name) ?? new Map<ClusterName, KubeService>();
    if (isDeepStrictEqual(copies.get(cluster), next)) return;
    if (next === undefined) copies.delete(cluster);
    else copies.set(cluster, next);
    if (copies.size === 0) this.#services.delete(name);
    else this.#services.set(name, copies);
    this.dirtyServices.add(name);
    this.dirtyEndpoints.add(name);
  }

  #setWorkload(cluster: ClusterName, object: Reference, pod: Workload | undefined): void {
    const key = workloadKey(cluster, object.metadata.namespace ?? '', object.metadata.name ?? '');
    const before = this.#workloads.get(key);
    const next = pod && this.#placed(cluster, pod);
    if (isDeepStrictEqual(before, next)) return;
    if (before?.nodeName !== next?.nodeName) {
      if (before !== undefined) this.#workloadsOfNode.get(`${cluster}/${before.nodeName}`)?.delete(key);
      if (next !== undefined && next.nodeName !== '') {
        const node = `${cluster}/${next.nodeName}`;
        const there = this.#workloadsOfNode.get(node) ?? new Set<string>();
        this.#workloadsOfNode.set(node, there.add(key));
      }
    }
    if (next === undefined) this.#workloads.delete(key);
    else this.#workloads.set(key, next);
    this.#touch(key);
  }

  /** A pod's own word about its locality goes before its node's. */
  #placed(cluster: ClusterName, pod: Workload): Workload {
    return { ...pod, locality: labelledLocality(pod.labels) || (this.#nodes.get(`${cluster}/${pod.nodeName}`) ?? '') };
  }

  #setNode(cluster: ClusterName, { metadata }: Reference, locality: string): void {
    const node = `${cluster}/${metadata.name ?? ''}`;
    if ((this.#nodes.get(node) ?? '') === locality) return;
    if (locality === '') this.#nodes.delete(node);
    else this.#nodes.set(node, locality);
    for (const key of this.#workloadsOfNode.get(node) ?? []) {
      const before = this.#workloads.get(key)!;
      const next = this.#placed(cluster, before);
      if (next.locality === before.locality) continue;
      this.#workloads.set(key, next);
      this.#touch(key);
    }
  }

  #touch(key: string): void {
    this.dirtyWorkloads.add(key);
    for (const name of this.#servicesOfWorkload.get(key) ?? []) this.dirtyEndpoints.add(name);
  }

  #setSlice(cluster: ClusterName, object: Reference, next: KubeEndpointSlice | undefined): void {
    const namespace = object.metadata.namespace ?? '';
    const sliceName = object.metadata.name ?? '';
    const sliceKey = `${cluster}/${namespace}/${sliceName}`;
    const before = this.#serviceOfSlice.get(sliceKey);
    const after = next?.service === undefined ? undefined : `${namespace}/${next.service}`;
    if (before !== undefined && before !== after) this.#placeSlice(cluster, before, sliceName, undefined);
    if (after === undefined) this.#serviceOfSlice.delete(sliceKey);
    else {
      this.#serviceOfSlice.set(sliceKey, after);
      this.#placeSlice(cluster, after, sliceName, next);
    }
  }

  #placeSlice(cluster: ClusterName, service: ServiceName, name: string, next: KubeEndpointSlice | undefined): void {
    const key = `${cluster}/${service}`;
    const slices = this.#slices.get(key) ?? new Map<string, KubeEndpointSlice>();
    const before = slices.get(name);
    if (isDeepStrictEqual(before, next)) return;
    if (next === undefined) slices.delete(name);
    else slices.set(name, next);
    if (slices.size === 0) this.#slices.delete(key);
    else this.#slices.set(key, slices);
    this.dirtyEndpoints.add(service);
    this.#linkWorkloads(cluster, service, before);
    this.#linkWorkloads(cluster, service, next);
  }

  /** Links follow what the service's slices say now, wherever `slice` names a pod. */
  #linkWorkloads(cluster: ClusterName, service: ServiceName, slice: KubeEndpointSlice | undefined): void {
    const current = new Set(
      [...(this.#slices.get(`${cluster}/${service}`)?.values() ?? [])].flatMap((s) =>
        s.endpoints.map((e) => e.podName),
      ),
    );
    for (const { podName } of slice?.endpoints ?? []) {
      if (podName === undefined) continue;
      const key = workloadKey(cluster, slice!.namespace, podName);
      const users = this.#servicesOfWorkload.get(key) ?? new Set<ServiceName>();
      if (current.has(podName)) users.add(service);
      else users.delete(service);
      if (users.size === 0) this.#servicesOfWorkload.delete(key);
      else this.#servicesOfWorkload.set(key, users);
    }
  }
}
