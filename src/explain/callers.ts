// SPDX-License-Identifier: Apache-2.0
// Whom people mean by `--from`.
import { closestName } from '../api/closest-name.ts';
import { isReadyPod } from '../api/kubernetes.ts';
import type { KubeObject } from '../kube/types.ts';
import { workloadFacts } from '../kube/workload-facts.ts';
import { AskingError } from './asked.ts';
import type { Mesh, MeshCluster } from './mesh.ts';
import { addressesOfPod, isPod } from './pods.ts';

export interface Caller {
  readonly cluster: MeshCluster;
  readonly pod: KubeObject;
}

export interface CallerWish {
  /** `POD`, `pod/POD`, `deploy/NAME`, a workload's name, the label `app`; each may have `.NAMESPACE` behind it. */
  readonly from: string;
  /** Absent: `default`, or the only one that has it. */
  readonly namespace?: string;
  /** The cluster's id, or its name in the mesh. Absent: the first that has it. */
  readonly cluster?: string;
}

interface Candidate extends Caller {
  readonly names: readonly string[];
  readonly namespace: string;
}

const KINDS =
  /^(pods?|po|deployments?|deploy|statefulsets?|sts|daemonsets?|ds|jobs?|replicasets?|rs|app|workload)\/(.+)$/;

/** @throws AskingError that says who there is */
export function findCaller(mesh: Mesh, wish: CallerWish): Caller {
  const clusters = clustersOf(mesh, wish.cluster);
  const [, kind = '', named = wish.from] = KINDS.exec(wish.from) ?? [];
  const all = clusters.flatMap(candidatesOf);
  const matches = (name: string) => all.filter((each) => namesOf(each, kind).includes(name));
  const dot = named.lastIndexOf('.');
  const qualified =
    dot < 1 ? [] : matches(named.slice(0, dot)).filter((each) => each.namespace === named.slice(dot + 1));
  const found = qualified.length > 0 ? qualified : matches(named);
  const near = found.filter(({ namespace }) => namespace === (wish.namespace ?? 'default'));
  const namespaces = [...new Set(found.map(({ namespace }) => namespace))];
  const isFree = wish.namespace === undefined || qualified.length > 0;
  const chosen = near.length > 0 ? near : isFree && namespaces.length === 1 ? found : [];
  const [first] = chosen.toSorted((a, b) => rankOf(a.pod) - rankOf(b.pod));
  if (first !== undefined) return first;
  throw notFound(wish, all, namespaces, clusters);
}

/** @throws AskingError */
function clustersOf(mesh: Mesh, wanted: string | undefined): MeshCluster[] {
  const all = [...mesh.clusters.values()];
  if (wanted === undefined) return all;
  const found = all.filter(({ id }) => id === wanted);
  const byName = all.filter(({ name }) => name === wanted);
  if (found.length > 0 || byName.length === 1) return found.length > 0 ? found : byName;
  const names = all.map(({ id }) => id).join(', ');
  throw new AskingError(`there is no cluster ${wanted} among those that are looked at`, `there are: ${names}`);
}

function candidatesOf(cluster: MeshCluster): Candidate[] {
  return cluster.objects.flatMap(({ object: pod }) => {
    if (!isPod(pod) || addressesOfPod(pod).length === 0) return [];
    const { workload, app } = workloadFacts(pod.metadata, cluster.name);
    const { namespace = '', name = '' } = pod.metadata;
    return [{ cluster, pod, namespace, names: [name, workload, app] }];
  });
}

function namesOf({ names: [pod = '', workload = '', app = ''] }: Candidate, kind: string): readonly string[] {
  if (kind === '') return [pod, workload, app];
  if (kind.startsWith('po')) return [pod];
  return kind === 'app' ? [app] : [workload];
}

/** Those that serve first; pods on their way out last. */
function rankOf(pod: KubeObject): number {
  return isReadyPod(pod) ? 0 : pod.metadata.deletionTimestamp === undefined ? 1 : 2;
}

function notFound(
  { from, namespace, cluster }: CallerWish,
  all: readonly Candidate[],
  namespaces: readonly string[],
  clusters: readonly MeshCluster[],
): AskingError {
  const where = clusters.length === 1 ? ` in ${clusters[0]!.id}` : '';
  if (namespaces.length > 0) {
    const place = namespace === undefined ? '' : ` in namespace ${namespace}`;
    return new AskingError(
      `${from} is not there${place}${where}`,
      `it is in ${namespaces.join(', ')}: name one with -n`,
    );
  }
  const known = [
    ...new Set(
      all.filter((each) => namespace === undefined || each.namespace === namespace).map(({ names }) => names[1]!),
    ),
  ];
  const guess = closestName(from, known);
  const list =
    known.length === 0
      ? 'no pod runs there'
      : `there are: ${known.slice(0, 12).join(', ')}${known.length > 12 ? ', ...' : ''}`;
  const looked = namespace === undefined ? '' : ` of namespace ${namespace}`;
  const cure = guess === undefined ? list : `did you mean ${guess}?`;
  const hint =
    cluster === undefined && clusters.length > 1 ? `${clusters.map(({ id }) => id).join(', ')} have` : 'there is';
  return new AskingError(`${hint} no pod, workload or app ${from}${looked}${where}`, cure);
}
