// SPDX-License-Identifier: Apache-2.0
// The clusters that are verified, as far as this machine reaches them.
import { existsSync } from 'node:fs';
import { demandAnswer, type InstallTarget, readTarget } from '../../install-target.ts';
import { UserError } from '../../user-error.ts';
import { readMeshFile } from '../mesh-file.ts';
import { contextOf } from '../mesh-shape.ts';

const DEFAULT_FILE = 'mesh.yaml';
const ANSWER_MS = 5_000;

export interface Named {
  readonly context: string;
  /** As mesh.yaml calls it. */
  readonly calledInFile: string | undefined;
  /** The context of the cluster whose control plane rules it, where a mesh.yaml says so. */
  readonly servedBy: string | undefined;
}

export interface AskedCluster extends Named {
  readonly target: InstallTarget;
  /** Why it cannot be asked. */
  readonly unreachable: string | undefined;
}

/** @throws UserError when neither a file nor contexts name a mesh */
export function nameMembers(file: string | undefined, contexts: readonly string[]): Named[] {
  if (contexts.length > 0) {
    if (file !== undefined) throw new UserError('-f and --context exclude one another: leave one of them out', 2);
    return [...new Set(contexts)].map((context) => ({ context, calledInFile: undefined, servedBy: undefined }));
  }
  if (file === undefined && !existsSync(DEFAULT_FILE)) {
    const cure = 'name the mesh’s clusters (--context cluster1 --context cluster2), or its file with -f';
    throw new UserError(`there is no ${DEFAULT_FILE} here: ${cure}`, 2);
  }
  const { clusters } = readMeshFile(file ?? DEFAULT_FILE).spec;
  const contextNamed = new Map(clusters.map((cluster) => [cluster.name, contextOf(cluster)]));
  return clusters.map((cluster) => {
    const { controlPlane } = cluster;
    return {
      context: contextOf(cluster),
      calledInFile: cluster.name,
      servedBy: controlPlane.kind === 'served' ? contextNamed.get(controlPlane.by) : undefined,
    };
  });
}

/** @throws UserError when a context is not in the kubeconfig */
export function reachMembers(named: readonly Named[], kubeconfig: string | undefined): Promise<AskedCluster[]> {
  const targets = named.map(({ context }) => readTarget({ context, ...(kubeconfig !== undefined && { kubeconfig }) }));
  return Promise.all(
    named.map(async (each, i): Promise<AskedCluster> => {
      const target = targets[i]!;
      try {
        await demandAnswer(target, 'verify again', ANSWER_MS);
        await target.client.clock();
        return { ...each, target, unreachable: undefined };
      } catch (error) {
        return { ...each, target, unreachable: (error as Error).message };
      }
    }),
  );
}
