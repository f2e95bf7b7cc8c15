// SPDX-License-Identifier: Apache-2.0
// What is seen of the rules of each cluster.
import type { RuleCluster } from '../../federation/rules/comparison.ts';
import type { KubeClient } from '../../kube/client.ts';
import { CONFIG_MAPS, DEPLOYMENTS, NAMESPACES } from '../../kube/resources.ts';
import { ISTIO_NAMESPACE, meshType } from '../../runtime/mesh-resources.ts';
import { ownName } from '../analyze/installation.ts';
import { demandAnswer, readTarget } from '../install-target.ts';
import { RECORD, readRecord } from '../mesh/record.ts';
import { UserError } from '../user-error.ts';

export interface SeenRules {
  readonly clusters: readonly RuleCluster[];
  /** What could not be looked at, and why. */
  readonly notes: readonly string[];
}

const RULE_KINDS = ['VirtualService', 'DestinationRule'];

/** One that is away leaves the others. @throws UserError when none of them can be read */
export async function collectRules(contexts: readonly string[], kubeconfig: string | undefined): Promise<SeenRules> {
  const named = contexts.length > 0 ? [...new Set(contexts)] : await contextsOfMesh(kubeconfig);
  const looked = await Promise.all(
    named.map(async (context) => {
      try {
        return { cluster: await readContext(context, kubeconfig) };
      } catch (error) {
        if (!(error instanceof UserError)) throw error;
        // Its name in the mesh is told by the cluster itself; usually it is that of the context.
        const cluster: RuleCluster = { cluster: context ?? '', rules: undefined, namespaces: undefined };
        return { cluster, error };
      }
    }),
  );
  const errors = looked.flatMap(({ error }) => error ?? []);
  if (errors.length === looked.length) throw errors[0]!;
  return { clusters: looked.map(({ cluster }) => cluster), notes: errors.map(({ message }) => message) };
}

/** Shared with whoever has a client already. */
export async function readRules(client: KubeClient): Promise<Pick<RuleCluster, 'rules' | 'namespaces'>> {
  const [namespaces, ...lists] = await Promise.all([
    client.list(NAMESPACES),
    ...RULE_KINDS.map((kind) => client.list(meshType(kind)!)),
  ]);
  return {
    rules: lists.flatMap(({ items }) => items),
    namespaces: new Set(namespaces.items.map(({ metadata }) => metadata.name ?? '')),
  };
}

async function readContext(context: string | undefined, kubeconfig: string | undefined): Promise<RuleCluster> {
  const target = readTarget({ ...(context && { context }), ...(kubeconfig && { kubeconfig }) });
  try {
    await demandAnswer(target, 'ask again');
    const [plane, seen] = await Promise.all([
      target.client.get(DEPLOYMENTS, 'istiod', ISTIO_NAMESPACE),
      readRules(target.client),
    ]);
    return { cluster: (plane && ownName(plane)) ?? target.contextName, ...seen };
  } catch (error) {
    throw error instanceof UserError ? error : target.explain(error, 'ask again');
  } finally {
    target.close();
  }
}

/** Those of the mesh that the current context’s cluster belongs to; without a record, that cluster alone. */
async function contextsOfMesh(kubeconfig: string | undefined): Promise<readonly (string | undefined)[]> {
  const target = readTarget({ ...(kubeconfig && { kubeconfig }) });
  try {
    await demandAnswer(target, 'ask again');
    const record = await target.client.get(CONFIG_MAPS, RECORD, ISTIO_NAMESPACE);
    // A served cluster has no rules: it follows those of the one whose control plane rules it.
    const owners = readRecord(record)?.clusters.filter(({ servedBy }) => servedBy === undefined) ?? [];
    return owners.length > 0 ? owners.map(({ context }) => context) : [target.contextName];
  } catch (error) {
    throw error instanceof UserError ? error : target.explain(error, 'ask again');
  } finally {
    target.close();
  }
}
