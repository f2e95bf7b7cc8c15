// SPDX-License-Identifier: Apache-2.0
// Which control plane rules which cluster, and so by which model each ordered pair has to be tried.
import type { RemoteRegistry } from '../../analyze/remote-secrets.ts';
import { matchRegistry } from '../../analyze/remote-secrets.ts';
import type { PairSight } from './evidence.ts';

export interface RuledCluster {
  readonly name: string;
  readonly role: 'primary' | 'remote' | 'none';
  readonly meshName: string | undefined;
  readonly server: string;
  readonly caPem: string | undefined;
  readonly registries: readonly RemoteRegistry[];
  /** As mesh.yaml has it, which knows it also where the cluster's own Secret is missing. */
  readonly servedBy: string | undefined;
}

/** Cluster -> the one whose control plane rules it; absent: nobody's, as far as these clusters tell. */
export function findPlanes(clusters: readonly RuledCluster[]): ReadonlyMap<string, string> {
  const planes = new Map(clusters.filter(({ role }) => role === 'primary').map(({ name }) => [name, name]));
  for (const cluster of clusters) {
    if (cluster.role !== 'remote') continue;
    const plane = cluster.servedBy ?? watcherOf(cluster, clusters)?.name;
    if (plane !== undefined) planes.set(cluster.name, plane);
  }
  return planes;
}

/** By its kubeconfig's address or CA; by its name, where that leads elsewhere; else the only control plane there is. */
function watcherOf(cluster: RuledCluster, clusters: readonly RuledCluster[]): RuledCluster | undefined {
  const primaries = clusters.filter(({ role }) => role === 'primary');
  const by = (is: (registry: RemoteRegistry) => boolean) => primaries.find(({ registries }) => registries.some(is));
  return (
    by((registry) => matchRegistry(registry, clusters) === cluster) ??
    by(({ name }) => name === cluster.meshName) ??
    (primaries.length === 1 ? primaries[0] : undefined)
  );
}

/** Every ordered pair. */
export function pairUp(
  names: readonly string[],
  planes: ReadonlyMap<string, string>,
): Pick<PairSight, 'from' | 'to' | 'model'>[] {
  return names.flatMap((from) =>
    names
      .filter((to) => to !== from)
      .map((to) => {
        const shared = planes.get(from) !== undefined && planes.get(from) === planes.get(to);
        return { from, to, model: shared ? 'served' : 'own-plane' } as const;
      }),
  );
}

/** All clusters of one control plane, the cluster itself among them. */
export function groupOf(name: string, names: readonly string[], planes: ReadonlyMap<string, string>): string[] {
  const plane = planes.get(name);
  return names.filter((other) => other === name || (plane !== undefined && planes.get(other) === plane));
}
