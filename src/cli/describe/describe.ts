// SPDX-License-Identifier: Apache-2.0
// `isthmus describe`: reads the clusters, and tells of one pod or one service.
import { closestName } from '../../api/closest-name.ts';
import { describePod } from '../../describe/describe-pod.ts';
import { describeService } from '../../describe/describe-service.ts';
import type { PodFact, ServiceFact } from '../../describe/facts.ts';
import { findProblems } from '../../describe/problems.ts';
import { type MeshCluster, openMesh } from '../../explain/mesh.ts';
import type { KubeObject } from '../../kube/types.ts';
import { inputOf } from '../explain/changes.ts';
import { type SeenMesh, seeMesh } from '../explain/see-mesh.ts';
import { startLiveLine } from '../live-line.ts';
import { readPodName } from '../proxies/proxy-pod.ts';
import { renderStructured, type StructuredFormat } from '../proxies/render.ts';
import { UserError } from '../user-error.ts';
import { plainFact, renderPod, renderServices } from './render.ts';

export interface DescribeOptions {
  readonly kind: 'Pod' | 'Service';
  /** NAME, or NAME.NAMESPACE. */
  readonly name: string;
  readonly namespace?: string;
  /** The first has the object; none: all of the kubeconfig, the current one first. */
  readonly contexts: readonly string[];
  readonly kubeconfig?: string;
  readonly output: 'text' | StructuredFormat;
}

/** @throws UserError when no cluster can be read, or has no such object */
export async function describe(options: DescribeOptions): Promise<void> {
  const { kind, contexts, kubeconfig, output } = options;
  const line = startLiveLine();
  line.show('reading clusters');
  const reading = seeMesh({ contexts, ...(kubeconfig !== undefined && { kubeconfig }), onProgress: line.show });
  const seen = await reading.finally(line.clear);
  try {
    const mesh = openMesh(inputOf(seen));
    const [first] = seen.clusters;
    const cluster = mesh.clusters.get(first!.id)!;
    const { name, namespace } = readPodName(options.name, {
      named: options.namespace,
      current: first!.target.namespace,
    });
    const object = findObject(cluster, kind, namespace, name, seen);
    const problems = findProblems(mesh, cluster);
    const fact: PodFact | ServiceFact =
      kind === 'Pod'
        ? describePod(mesh, cluster, object, problems)
        : describeService({ mesh, cluster, service: object, problems });
    for (const note of seen.notes) process.stderr.write(`isthmus: ${note}\n`);
    process.stdout.write(
      output === 'text'
        ? fact.kind === 'Pod'
          ? renderPod(fact)
          : renderServices([fact])
        : renderStructured(plainFact(fact), output),
    );
  } finally {
    seen.close();
  }
}

function findObject(
  { id, objects }: MeshCluster,
  kind: 'Pod' | 'Service',
  namespace: string,
  name: string,
  { clusters }: SeenMesh,
): KubeObject {
  const all = objects.map(({ object }) => object).filter((each) => each.kind === kind && each.apiVersion === 'v1');
  const found = all.find(({ metadata }) => metadata.namespace === namespace && metadata.name === name);
  if (found !== undefined) return found;
  const near = all.flatMap(({ metadata }) => (metadata.namespace === namespace ? [metadata.name ?? ''] : []));
  const meant = closestName(name, near) ?? near.find((each) => each.startsWith(name));
  const elsewhere = clusters
    .filter((cluster) => cluster.id !== id)
    .find((cluster) =>
      cluster.objects.some(
        ({ object: { kind: k, metadata: m } }) => k === kind && m.namespace === namespace && m.name === name,
      ),
    );
  const cure =
    elsewhere !== undefined
      ? `${elsewhere.id} has one: name it with --context`
      : meant !== undefined
        ? `did you mean ${meant}?`
        : 'write NAME.NAMESPACE, or name another namespace with -n, another cluster with --context';
  throw new UserError(`${id} has no ${kind} ${name} in namespace ${namespace}: ${cure}`);
}
