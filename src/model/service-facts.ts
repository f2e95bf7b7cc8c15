// SPDX-License-Identifier: Apache-2.0
// What the index says of a service beside the service itself.
import type { ClusterName, SpiffeId } from '../api/names.ts';
import type { EndpointSet, HeadlessState, MeshService, Placing } from './snapshot.ts';

export function compareKeys(a: MeshService, b: MeshService): number {
  return a.key < b.key ? -1 : 1;
}

/** Oldest first. */
export function compareServiceAges(a: MeshService, b: MeshService): number {
  return a.createdAtMs - b.createdAtMs || compareKeys(a, b);
}

export function identitiesOf(endpoints: EndpointSet | undefined): readonly SpiffeId[] | undefined {
  const ids = new Set((endpoints ?? []).flatMap((e) => (e.identity === undefined ? [] : [e.identity])));
  return ids.size === 0 ? undefined : [...ids].sort();
}

export function placingOf({ nodeLocal, trafficDistribution }: MeshService): Placing {
  if (nodeLocal || trafficDistribution === 'same-node') return 'node';
  return trafficDistribution === 'same-zone' ? 'zone' : 'nowhere';
}

export function headlessStatesOf(
  service: MeshService | undefined,
  endpoints: EndpointSet = [],
): Readonly<Record<ClusterName, HeadlessState>> | undefined {
  if (service?.registry !== 'kubernetes' || service.resolution !== 'none' || endpoints.length === 0) return undefined;
  const byCluster = [...Map.groupBy(endpoints, (e) => e.cluster)].map(([cluster, members]) => {
    const addresses = [...new Set(members.flatMap((e) => [e.address, ...(e.alternatives ?? [])]))].sort();
    return [cluster, { addresses, meshed: members.every((e) => e.meshed) }] as const;
  });
  return Object.fromEntries(byCluster);
}
