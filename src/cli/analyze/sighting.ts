// SPDX-License-Identifier: Apache-2.0
// What one cluster shows of itself.
import { NAMESPACES, NODES } from '../../kube/resources.ts';
import type { KubeObject } from '../../kube/types.ts';
import { demandAnswer, type InstallTarget, readTarget } from '../install-target.ts';
import { UserError } from '../user-error.ts';
import { type Collected, overlay, place, readClusterObjects } from './collect.ts';
import { judgeFileSecrets } from './file-secrets.ts';
import { inspectGlobalDns } from './global-dns.ts';
import { type InstallationReport, inspectInstallation } from './installation.ts';
import { permitted } from './permitted.ts';
import { checkRegistries } from './registries.ts';

export interface Sighting {
  readonly target: InstallTarget;
  readonly collected: Collected;
  readonly installation: InstallationReport;
  /** undefined: the user may not list them. */
  readonly nodes: readonly KubeObject[] | undefined;
  /** Whose objects are judged; undefined for all. */
  readonly namespace: string | undefined;
  /** The cluster has that namespace, or none was named. */
  readonly hasNamespace: boolean;
}

export interface SightingOptions {
  readonly context: string | undefined;
  readonly kubeconfig?: string;
  readonly namespace?: string;
  readonly allNamespaces: boolean;
  /** How long the API server may take to say anything at all. */
  readonly answerMs?: number;
  /** As if they were applied; what names no namespace goes to the one that is judged. */
  readonly files: Collected;
}

/** @throws UserError when the cluster cannot be reached or read */
export async function seeCluster({ context, ...options }: SightingOptions): Promise<Sighting> {
  const target = readTarget({ ...options, ...(context === undefined ? {} : { context }) });
  const { client } = target;
  try {
    await demandAnswer(target, 'analyze again', options.answerMs);
    const [cluster, installation, nodes] = await Promise.all([
      readClusterObjects(client),
      inspectInstallation(client),
      // Few may list them, and little depends on it: no note.
      permitted('nodes were', undefined, async () => (await client.list(NODES)).items, []),
    ]);
    const files = place(options.files, options.namespace ?? target.namespace);
    const collected = overlay(cluster, files);
    const { role, clusterName, clusterNames } = installation;
    const isRuled = role === 'primary' && clusterNames !== undefined;
    const ofNetworks = isRuled ? checkRegistries(collected.objects, clusterNames) : [];
    const ofFiles = judgeFileSecrets(files.objects, Date.now(), clusterName);
    const notes = [...installation.notes];
    const objects = collected.objects.map(({ object }) => object);
    const names = await permitted('the cluster’s DNS was', [], () => inspectGlobalDns(client, objects), notes);
    return {
      target,
      collected,
      nodes,
      installation: { ...installation, notes, remarks: [...installation.remarks, ...ofNetworks, ...ofFiles, ...names] },
      namespace: options.allNamespaces ? undefined : (options.namespace ?? target.namespace),
      hasNamespace: options.namespace === undefined || (await client.get(NAMESPACES, options.namespace)) !== undefined,
    };
  } catch (error) {
    throw error instanceof UserError ? error : target.explain(error, 'analyze again');
  } finally {
    target.close();
  }
}
