// SPDX-License-Identifier: Apache-2.0
// Workloads that ServiceEntries and Services select by labels: WorkloadEntries, and, for ServiceEntries, pods. Kept by
// namespace, since nobody selects beyond his own; a change costs the selectors of its namespace and nothing else.
import { isIP } from 'node:net';
import { selects, type Workload } from '../api/kubernetes.ts';
import { type ClusterName, clusterName } from '../api/names.ts';
import { isSocket, type WorkloadEntry, type WorkloadEntrySpec } from '../api/workload-entry.ts';
import type { WorkloadGroup } from '../api/workload-group.ts';

type Labels = Readonly<Record<string, string>>;

/** A workload, whatever kind of object told of it. */
export interface SelectableWorkload {
  /** An IP address, a DNS name, or '': reached by its network's gateway only. */
  readonly address: string;
  /** Name of a port -> number. */
  readonly ports: Readonly<Record<string, number>>;
  readonly labels: Labels;
  readonly cluster: ClusterName;
  /** Undefined: what its address, its labels and its cluster tell. */
  readonly network: string | undefined;
  readonly locality: string;
  /** Of a pod: its node. */
  readonly nodeName?: string;
  readonly weight: number;
  readonly serviceAccount: string | undefined;
  readonly meshed: boolean;
}

export class SelectedWorkloads {
  readonly #entries = new Map<string, Map<string, WorkloadEntry>>();
  readonly #groups = new Map<string, WorkloadGroup>();
  readonly #pods = new Map<string, Map<string, Workload>>();
  /** By namespace and name: what a ServiceEntry, and what a Service asks for. */
  readonly #selectors = {
    entry: new Map<string, Map<string, Labels>>(),
    service: new Map<string, Map<string, Labels>>(),
  };
  /** `NAMESPACE/NAME` of those who have to look again. */
  readonly dirty = { entry: new Set<string>(), service: new Set<string>() };

  /** `name`: of the object. */
  setEntry(namespace: string, name: string, entry: WorkloadEntry | undefined): void {
    const before = this.#entries.get(namespace)?.get(name);
    put(this.#entries, namespace, name, entry);
    for (const each of [before, entry]) if (each !== undefined) this.#touch(namespace, this.#whole(each).labels);
  }

  setGroup(namespace: string, name: string, group: WorkloadGroup | undefined): void {
    const members = [...(this.#entries.get(namespace)?.values() ?? [])].filter(({ spec }) => spec.group === name);
    const touch = () => {
      for (const member of members) this.#touch(namespace, this.#whole(member).labels);
    };
    touch();
    if (group === undefined) this.#groups.delete(`${namespace}/${name}`);
    else this.#groups.set(`${namespace}/${name}`, group);
    touch();
  }

  /** `key`: of the pod among all clusters; undefined when it is gone, or does not take requests. */
  setPod(namespace: string, key: string, pod: Workload | undefined): void {
    const before = this.#pods.get(namespace)?.get(key);
    if (before === pod) return;
    put(this.#pods, namespace, key, pod);
    for (const each of [before, pod]) if (each !== undefined) this.#touch(namespace, each.labels, ['entry']);
  }

  /** Undefined labels: it selects no more. */
  setSelector(who: 'entry' | 'service', namespace: string, name: string, labels: Labels | undefined): void {
    put(this.#selectors[who], namespace, name, labels);
  }

  /** Everybody has to look again. */
  recount(): void {
    for (const who of ['entry', 'service'] as const) {
      for (const [namespace, selectors] of this.#selectors[who]) {
        for (const name of selectors.keys()) this.dirty[who].add(`${namespace}/${name}`);
      }
    }
  }

  settle(): void {
    this.dirty.entry.clear();
    this.dirty.service.clear();
  }

  /** WorkloadEntries of the namespace that are well and have the labels, by name. */
  entries(namespace: string, selector: Labels): SelectableWorkload[] {
    const all = [...(this.#entries.get(namespace) ?? [])].sort(([a], [b]) => (a < b ? -1 : 1));
    return all.flatMap(([, entry]) => {
      const whole = this.#whole(entry);
      return whole.healthy && selects(selector, whole.labels) ? [ofEntry(whole, entry.ref.cluster)] : [];
    });
  }

  pods(namespace: string, selector: Labels): SelectableWorkload[] {
    const all = [...(this.#pods.get(namespace) ?? [])].sort(([a], [b]) => (a < b ? -1 : 1));
    return all.flatMap(([, pod]) => (pod.ip !== '' && selects(selector, pod.labels) ? [ofPod(pod)] : []));
  }

  #touch(namespace: string, labels: Labels, whose: readonly ('entry' | 'service')[] = ['entry', 'service']): void {
    for (const who of whose) {
      for (const [name, selector] of this.#selectors[who].get(namespace) ?? []) {
        if (selects(selector, labels)) this.dirty[who].add(`${namespace}/${name}`);
      }
    }
  }

  /** With what its group says in its stead. */
  #whole({ spec, ref }: WorkloadEntry): WorkloadEntrySpec {
    const group = spec.group === undefined ? undefined : this.#groups.get(`${ref.namespace}/${spec.group}`);
    if (group === undefined) return spec;
    const { template, metadata } = group.spec;
    return {
      ...spec,
      labels: { ...template.labels, ...metadata?.labels, ...spec.labels },
      ports: { ...template.ports, ...spec.ports },
      network: spec.network || template.network,
      locality: spec.locality ?? template.locality,
      weight: spec.weight ?? template.weight,
      serviceAccount: spec.serviceAccount ?? template.serviceAccount,
    };
  }
}

function put<V>(maps: Map<string, Map<string, V>>, namespace: string, name: string, value: V | undefined): void {
  const map = maps.get(namespace) ?? new Map<string, V>();
  if (value === undefined) map.delete(name);
  else map.set(name, value);
  if (map.size === 0) maps.delete(namespace);
  else maps.set(namespace, map);
}

function ofEntry(spec: WorkloadEntrySpec, cluster: string | undefined): SelectableWorkload {
  const { address, ports, labels, network, serviceAccount } = spec;
  return {
    address,
    ports,
    labels,
    cluster: clusterName(cluster ?? ''),
    network: network || undefined,
    locality: spec.locality ?? '',
    // In Istio's API a weight of 0 is one that nobody gave; Envoy would refuse it.
    weight: spec.weight || 1,
    serviceAccount,
    meshed: hasSidecar(labels, serviceAccount),
  };
}

function ofPod(pod: Workload): SelectableWorkload {
  return {
    address: pod.ip,
    ports: {},
    labels: pod.labels,
    cluster: clusterName(pod.ref.cluster ?? ''),
    network: undefined,
    locality: pod.locality,
    nodeName: pod.nodeName,
    weight: 1,
    serviceAccount: pod.serviceAccount,
    meshed: pod.meshed,
  };
}

/** Who has an account of the mesh has a certificate of it, unless its label says otherwise. */
export function hasSidecar(labels: Labels, serviceAccount: string | undefined): boolean {
  const mode = labels['security.istio.io/tlsMode'];
  return mode === undefined ? serviceAccount !== undefined : mode === 'istio';
}

/** What clients can dial without asking the DNS. */
export function isDialled({ address, network }: SelectableWorkload): boolean {
  return isIP(address) !== 0 || isSocket(address) || (address === '' && network !== undefined);
}
