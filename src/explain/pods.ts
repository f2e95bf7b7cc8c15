// SPDX-License-Identifier: Apache-2.0
// Pods as the mesh sees them: which proxy each has, and by which name people look for it.
import { nodeOfPod } from '../injector/pod-node.ts';
import { type NodeClaims, readNode } from '../injector/proxy-node.ts';
import type { KubeObject } from '../kube/types.ts';
import { workloadFacts } from '../kube/workload-facts.ts';
import { buildMeshProxy, type MeshProxy } from '../model/proxy.ts';
import { workloadKey } from '../model/snapshot.ts';
import { XdsRefusal } from '../xds/types.ts';
import type { MeshCluster } from './mesh.ts';
import type { Place } from './path.ts';

/** As the control plane has it from the proxy's first request; undefined for a Pod that has no proxy of ours, or no address yet. */
export function proxyOfPod({ name, plane }: MeshCluster, pod: KubeObject): MeshProxy | undefined {
  const node = nodeOfPod(pod);
  const claims = node && claimsOf(node);
  if (node === undefined || claims === undefined) return undefined;
  const workload = plane.snapshot.workloads.get(workloadKey(name, claims.namespace, claims.podName));
  return buildMeshProxy({
    id: node.id,
    cluster: name,
    trustDomain: plane.trustDomain,
    claims,
    workload,
    isBelieved: false,
  });
}

/** undefined: the control plane would refuse it, for want of an address, say. */
function claimsOf(node: NonNullable<ReturnType<typeof nodeOfPod>>): NodeClaims | undefined {
  try {
    return readNode(node);
  } catch (error) {
    if (error instanceof XdsRefusal) return undefined;
    throw error;
  }
}

export function placeOf(cluster: MeshCluster, pod: KubeObject): Place {
  const { namespace = '', name = '' } = pod.metadata;
  const node = nodeOfPod(pod);
  const proxy = node === undefined ? 'none' : node.id.startsWith('router~') ? 'gateway' : 'sidecar';
  return {
    cluster: cluster.id,
    namespace,
    pod: name,
    workload: workloadFacts(pod.metadata, cluster.name).workload,
    proxy,
  };
}

interface PodText {
  readonly spec?: { readonly hostNetwork?: boolean };
  readonly status?: {
    readonly podIP?: string;
    readonly podIPs?: readonly { readonly ip?: string }[];
    readonly phase?: string;
  };
}

export function isPod({ kind, apiVersion }: KubeObject): boolean {
  return kind === 'Pod' && apiVersion === 'v1';
}

/** Of a Pod that runs; those of a finished one are somebody else's by now. */
export function addressesOfPod(pod: KubeObject): readonly string[] {
  const { status } = pod as KubeObject & PodText;
  if (status?.phase === 'Succeeded' || status?.phase === 'Failed') return [];
  return [...new Set([status?.podIP ?? '', ...(status?.podIPs ?? []).map(({ ip = '' }) => ip)])].filter((ip) => ip);
}

/** Its address is its node's: others may have the same. */
export function isOnHostNetwork(pod: KubeObject): boolean {
  return (pod as KubeObject & PodText).spec?.hostNetwork === true;
}
