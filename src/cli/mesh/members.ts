// SPDX-License-Identifier: Apache-2.0
// The clusters of a mesh as this command reaches them, and as they reach one another.
import { KubeClient } from '../../kube/client.ts';
import { type ClientConfig, loadKubeconfig } from '../../kube/config.ts';
import { NAMESPACES } from '../../kube/resources.ts';
import { findContext, readContexts } from '../find-context.ts';
import { UserError } from '../user-error.ts';
import type { Mesh } from './mesh-file.ts';
import { type ClusterSpec, contextOf } from './mesh-shape.ts';

export interface Member {
  readonly name: string;
  readonly context: string;
  readonly network: string;
  readonly spec: ClusterSpec;
  readonly client: KubeClient;
  /** By which other clusters reach its API server. */
  readonly apiServer: string;
  readonly tlsServerName: string | undefined;
  /** Of the API server; undefined where it is one that every machine trusts. */
  readonly caPem: string | undefined;
}

/** With a person before it: a cluster that says nothing for so long is told of. */
const SILENCE_MS = 15_000;

/** @throws UserError, naming the line, for a context that the kubeconfig does not have */
export function openMembers(mesh: Mesh, kubeconfig: string | undefined): Member[] {
  const contexts = readContexts(kubeconfig);
  return mesh.spec.clusters.map((spec, i) => {
    const field = `spec.clusters[${i}].${spec.context === undefined ? 'name' : 'context'}`;
    const context = contextOf(spec);
    const where = `${mesh.placeOf(field)}: ${field}: `;
    findContext(context, contexts, where);
    return openMember(spec, context, kubeconfig, where);
  });
}

/** @throws UserError for a context that cannot be used */
export function openMember(spec: ClusterSpec, context: string, kubeconfig: string | undefined, where = ''): Member {
  let config: ClientConfig;
  try {
    config = loadKubeconfig(kubeconfig, context);
  } catch (error) {
    throw new UserError(`${where}${(error as Error).message}`, 2);
  }
  return {
    name: spec.name,
    context,
    network: spec.network ?? spec.name,
    spec,
    client: new KubeClient({ ...config, idleTimeoutMs: SILENCE_MS }),
    apiServer: spec.apiServer ?? config.server,
    tlsServerName: config.tlsServerName,
    caPem: config.caPem,
  };
}

export function hasOwnPlane({ spec }: Pick<Member, 'spec'>): boolean {
  return spec.controlPlane.kind === 'own';
}

/** The clusters whose proxies `plane` rules besides its own. */
export function servedBy<M extends Pick<Member, 'spec'>>(plane: Pick<Member, 'name'>, members: readonly M[]): M[] {
  return members.filter(
    ({ spec: { controlPlane } }) => controlPlane.kind === 'served' && controlPlane.by === plane.name,
  );
}

/** Those that tell `member` what they export, and are told what it exports. */
export function peersOf<M extends Pick<Member, 'name' | 'spec'>>(
  member: Pick<Member, 'name' | 'spec'>,
  members: readonly M[],
): M[] {
  if (!hasOwnPlane(member)) return [];
  return members.filter((other) => other.name !== member.name && hasOwnPlane(other));
}

/** What tells a cluster from every other: it is the same by whatever address it is reached. */
export async function readClusterUid({ client }: Pick<Member, 'client'>, signal?: AbortSignal): Promise<string> {
  const path = `/api/v1/${NAMESPACES.resource}/kube-system`;
  const namespace = (await client.request('GET', path, { signal })) as { metadata?: { uid?: string } };
  return namespace.metadata?.uid ?? '';
}
