// SPDX-License-Identifier: Apache-2.0
// Which control plane rules which cluster, what it calls it, and so by which model each ordered pair has to be tried.
import type { RemoteRegistry } from '../../analyze/remote-secrets.ts';
import type { PairSight } from './evidence.ts';
import type { AskedCluster } from './members.ts';
import type { Observed } from './observe-cluster.ts';

/** What a cluster, or a mesh.yaml, tells of its place in the mesh. */
export interface PlacedCluster {
  /** The context. */
  readonly name: string;
  /** As mesh.yaml calls it. */
  readonly calledInFile: string | undefined;
  /** The context of its control plane's cluster, as mesh.yaml has it. */
  readonly servedBy: string | undefined;
  readonly role: 'primary' | 'remote' | 'none';
  /** What its own control plane calls it. */
  readonly ownName: string | undefined;
  readonly server: string;
  readonly caPem: string | undefined;
  /** Clusters that its control plane is told to watch. */
  readonly registries: readonly RemoteRegistry[];
  /** Where its proxies dial another cluster's control plane. */
  readonly pilotAt: readonly string[];
  readonly gatewayAddresses: readonly string[];
}

/** @param observed undefined: it could not be looked at, and its place is what the file says */
export function placedAs(
  { context, calledInFile, servedBy, target }: AskedCluster,
  observed: Observed | undefined,
): PlacedCluster {
  return {
    ...{ name: context, calledInFile, servedBy, server: target.client.server, caPem: target.caPem },
    role: observed?.sight.role ?? 'none',
    ownName: observed?.installation.clusterName,
    registries: observed?.installation.registries ?? [],
    pilotAt: observed?.sight.pilotAt ?? [],
    gatewayAddresses: observed?.sight.gateway?.addresses ?? [],
  };
}

export interface Topology {
  /** Cluster -> the one whose control plane rules it; absent: nobody's, as far as these clusters tell. */
  readonly planes: ReadonlyMap<string, string>;
  /** Cluster -> what the mesh calls it. */
  readonly meshNames: ReadonlyMap<string, string>;
}

/** Which of these clusters a control plane watches by what its Secret holds. */
type Behind = (registry: RemoteRegistry, clusters: readonly PlacedCluster[]) => PlacedCluster | undefined;

/** `behind`: what is meant, mistyped addresses or not; whoever asks what is done goes by the addresses (`matchRegistry`). */
export function placeClusters(clusters: readonly PlacedCluster[], behind: Behind = clusterBehind): Topology {
  const planes = new Map<string, string>();
  for (const cluster of clusters) {
    const plane =
      cluster.role === 'primary'
        ? cluster.name
        : cluster.role === 'remote'
          ? planeOf(cluster, clusters, behind)
          : undefined;
    if (plane !== undefined) planes.set(cluster.name, plane);
  }
  const meshNames = new Map(
    clusters.map((cluster) => {
      const plane = clusters.find(({ name }) => name === planes.get(cluster.name));
      // A remote cluster does not know its own name: the key of the Secret that its control plane has is it.
      const key = plane?.registries.find((registry) => behind(registry, clusters) === cluster)?.name;
      const given = cluster.role === 'primary' ? cluster.ownName : key;
      return [cluster.name, given ?? cluster.calledInFile ?? cluster.name] as const;
    }),
  );
  return { planes, meshNames };
}

/** By the file; by where its proxies dial; by who watches it; else the only control plane there is. */
function planeOf(cluster: PlacedCluster, clusters: readonly PlacedCluster[], behind: Behind): string | undefined {
  const primaries = clusters.filter(({ role }) => role === 'primary');
  const found =
    primaries.find(({ gatewayAddresses }) => gatewayAddresses.some((address) => cluster.pilotAt.includes(address))) ??
    primaries.find(({ registries }) => registries.some((each) => behind(each, clusters) === cluster)) ??
    (primaries.length === 1 ? primaries[0] : undefined);
  return cluster.servedBy ?? found?.name;
}

/** Whose kubeconfig a Secret's key holds: by its name; by the CA, which no mistyped address changes; by the address. */
export function clusterBehind<T extends Pick<PlacedCluster, 'name' | 'calledInFile' | 'ownName' | 'server' | 'caPem'>>(
  { name: key, config }: Pick<RemoteRegistry, 'name' | 'config'>,
  clusters: readonly T[],
): T | undefined {
  const only = (is: (cluster: T) => boolean): T | undefined => {
    const found = clusters.filter(is);
    return found.length === 1 ? found[0] : undefined;
  };
  return (
    only(({ calledInFile, ownName }) => (calledInFile ?? ownName) === key) ??
    only(({ name }) => name === key) ??
    only(({ caPem }) => caPem !== undefined && caPem.trim() === config?.caPem?.trim()) ??
    only(({ server }) => server === config?.server)
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
