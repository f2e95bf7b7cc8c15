// SPDX-License-Identifier: Apache-2.0
// From what a user types (a pod's name, or its beginning) to the one pod that is meant, in whichever cluster it is.
import { KubeClient } from '../../kube/client.ts';
import { loadKubeconfig } from '../../kube/config.ts';
import { PODS } from '../../kube/resources.ts';
import type { KubeObject } from '../../kube/types.ts';
import { closestNames } from '../closest-names.ts';
import { clusterLayouts, findCluster, paths, type SandboxConfig, SandboxError } from '../layout.ts';

export interface PodWish {
  /** The name, or so much of its beginning that only one pod is left. */
  readonly name: string;
  /** Default: any. */
  readonly cluster?: string;
  /** Default: any. */
  readonly namespace?: string;
  /** Default: the one that the pod's annotation names, as for kubectl, or the first. */
  readonly container?: string;
}

export interface FoundPod {
  /** To be closed by the caller. */
  readonly client: KubeClient;
  readonly cluster: string;
  readonly namespace: string;
  readonly name: string;
  readonly container: string;
}

interface Candidate {
  readonly cluster: string;
  readonly pod: KubeObject;
}

const DEFAULT_CONTAINER = 'kubectl.kubernetes.io/default-container';
const MAX_LISTED = 8;

/** @throws SandboxError when no pod or several fit, naming them. */
export async function findPod(config: SandboxConfig, wish: PodWish): Promise<FoundPod> {
  const all = clusterLayouts(config).map(({ name }) => name);
  const clusters = wish.cluster === undefined ? all : [findCluster(all, (name) => name, wish.cluster)];
  const kubeconfig = paths.kubeconfig(config.stateDir);
  const lists = await Promise.all(
    clusters.map(async (cluster) => {
      const client = new KubeClient(loadKubeconfig(kubeconfig, cluster));
      try {
        const { items } = await client.list(PODS, { namespace: wish.namespace });
        return items.map((pod): Candidate => ({ cluster, pod }));
      } finally {
        client.close();
      }
    }),
  );
  const { cluster, pod } = choosePod(lists.flat(), wish);
  return {
    client: new KubeClient(loadKubeconfig(kubeconfig, cluster)),
    cluster,
    namespace: pod.metadata.namespace!,
    name: pod.metadata.name!,
    container: chooseContainer(pod, wish),
  };
}

function choosePod(candidates: readonly Candidate[], wish: PodWish): Candidate {
  const nameOf = ({ pod }: Candidate) => pod.metadata.name!;
  const exact = candidates.filter((candidate) => nameOf(candidate) === wish.name);
  const fitting = exact.length > 0 ? exact : candidates.filter((candidate) => nameOf(candidate).startsWith(wish.name));
  const [only, ...others] = fitting;
  if (only !== undefined && others.length === 0) return only;
  const place = ({ cluster, pod }: Candidate) =>
    `${pod.metadata.name} (${cluster}, namespace ${pod.metadata.namespace})`;
  if (only !== undefined) {
    throw new SandboxError(
      `Several pods fit "${wish.name}": ${listSome(fitting.map(place))}. Write more of the name, or add --cluster or -n.`,
    );
  }
  const near = closestNames(wish.name, [...new Set(candidates.map(nameOf))], 3);
  const places = near.flatMap((name) => candidates.filter((candidate) => nameOf(candidate) === name)).map(place);
  throw new SandboxError(
    places.length === 0
      ? `There is no pod "${wish.name}", nor any other there. Start one, or look in another cluster or namespace.`
      : `There is no pod "${wish.name}". Closest: ${listSome(places)}.`,
  );
}

function chooseContainer(pod: KubeObject, { container }: PodWish): string {
  const { containers } = pod['spec'] as { containers: { name: string }[] };
  const names = containers.map(({ name }) => name);
  if (container === undefined) {
    const marked = pod.metadata.annotations?.[DEFAULT_CONTAINER];
    return marked !== undefined && names.includes(marked) ? marked : names[0]!;
  }
  if (names.includes(container)) return container;
  throw new SandboxError(`Pod ${pod.metadata.name} has no container "${container}". It has: ${names.join(', ')}.`);
}

function listSome(texts: readonly string[]): string {
  const more = texts.length - MAX_LISTED;
  return texts.slice(0, MAX_LISTED).join(', ') + (more > 0 ? ` and ${more} more` : '');
}
