// SPDX-License-Identifier: Apache-2.0
import type { MeshCluster } from '../explain/mesh.ts';

/** Ready ones, by the cluster that they are in, as the control plane knows them. */
export function countEndpoints({ plane }: MeshCluster, host: string): { cluster: string; ready: number }[] {
  const services = plane.snapshot.index.servicesByHost.get(host) ?? [];
  const all = services
    .flatMap(({ key }) => plane.snapshot.endpoints.get(key) ?? [])
    .filter(({ draining }) => !draining);
  const byCluster = Map.groupBy(all, ({ cluster }) => plane.members.get(cluster) ?? cluster);
  return [...byCluster].map(([cluster, endpoints]) => ({ cluster: String(cluster), ready: endpoints.length }));
}
