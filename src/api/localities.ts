// SPDX-License-Identifier: Apache-2.0
// Where workloads are: `region/zone/subzone`, of which the last parts may be missing; '' where nothing is known.
import type { KubeObject } from '../kube/types.ts';

type Labels = Readonly<Record<string, string>>;

export const REGION_LABEL = 'topology.kubernetes.io/region';
export const ZONE_LABEL = 'topology.kubernetes.io/zone';
const SUBZONE_LABEL = 'topology.istio.io/subzone';
const CLUSTER_LABEL = 'topology.istio.io/cluster';
export const NETWORK_LABEL = 'topology.istio.io/network';
export const HOST_LABEL = 'kubernetes.io/hostname';
/** By it a pod says itself where it is; dots stand for slashes, which labels cannot have. */
const OWN_LABEL = 'istio-locality';

export function nodeLocality(node: KubeObject): string {
  const labels = node.metadata.labels ?? {};
  const region = labels[REGION_LABEL] ?? labels['failure-domain.beta.kubernetes.io/region'];
  const zone = labels[ZONE_LABEL] ?? labels['failure-domain.beta.kubernetes.io/zone'];
  return joinLocality([region, zone, labels[SUBZONE_LABEL]]);
}

export function labelledLocality(labels: Labels): string {
  const own = labels[OWN_LABEL] ?? '';
  return joinLocality((own.includes('/') ? own.split('/') : own.split('.')).slice(0, 3));
}

function joinLocality(parts: readonly (string | undefined)[]): string {
  return parts
    .map((part) => part ?? '')
    .join('/')
    .replace(/\/+$/, '');
}

/** What of a workload's labels and whereabouts can be compared with another's. */
export interface Whereabouts {
  readonly locality: string;
  readonly labels: Labels;
  readonly cluster: string;
  readonly network: string;
  readonly node: string;
}

/** A label of the workload, or one of those that name where it is, as every workload has them for Istio. '' for none. */
export function labelOf(workload: Whereabouts, name: string): string {
  const [region = '', zone = '', subzone = ''] = workload.locality.split('/');
  const own = workload.labels[name] ?? '';
  switch (name) {
    case REGION_LABEL:
      return region || own;
    case ZONE_LABEL:
      return zone || own;
    case SUBZONE_LABEL:
      return subzone || own;
    case CLUSTER_LABEL:
      return workload.cluster || own;
    case NETWORK_LABEL:
      return workload.network || own;
    case HOST_LABEL:
      return workload.node || own;
    default:
      return own;
  }
}

/** Where a proxy is, as far as it makes a difference to anybody. */
export interface Place {
  readonly locality: string;
  /** Of the labels that a rule compares; '' for those that the proxy does not have. */
  readonly labels: Labels;
  /** Equal for proxies at the same place. */
  readonly key: string;
}

export const NOWHERE: Place = Object.freeze({ locality: '', labels: Object.freeze({}), key: '' });

/** `asked`: labels that some rule compares, sorted. */
export function placeOf(workload: Whereabouts, asked: readonly string[]): Place {
  const labels = Object.fromEntries(asked.map((name) => [name, labelOf(workload, name)]));
  const { locality } = workload;
  if (locality === '' && asked.length === 0) return NOWHERE;
  return { locality, labels, key: JSON.stringify([locality, ...Object.values(labels)]) };
}
