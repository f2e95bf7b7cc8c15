// SPDX-License-Identifier: Apache-2.0
// What the mesh needs of another cluster's objects, and no more: it is kept in memory and on disk. A pod's environment may
// hold passwords.
import { ENDPOINT_SLICES, PODS, SERVICES } from '../../kube/resources.ts';
import type { KubeObject } from '../../kube/types.ts';
import type { WatchedResource } from '../../sources/kube.ts';

type Fields = Readonly<Record<string, unknown>>;

/** What is watched of another cluster: what runs there, and none of its rules. */
export function remoteResources(): WatchedResource[] {
  return [SERVICES, ENDPOINT_SLICES, PODS].map((type) => ({ type, keep: keptOf }));
}

/** The object without what nobody here reads. */
function keptOf(object: KubeObject): KubeObject {
  const { managedFields: _, annotations, ...metadata } = object.metadata as KubeObject['metadata'] & Fields;
  const ours = Object.entries(annotations ?? {}).filter(([name]) => /(^|\.)istio\.io\//.test(name));
  const kept = {
    ...object,
    metadata: { ...metadata, ...(ours.length > 0 ? { annotations: Object.fromEntries(ours) } : {}) },
  } as KubeObject;
  // Items of a list do not say their kind: of the three only pods have containers.
  const spec = object['spec'] as Fields | undefined;
  if (!Array.isArray(spec?.['containers'])) return kept;
  const { podIP, podIPs, phase, conditions } = (object['status'] ?? {}) as Fields;
  const { serviceAccountName, nodeName, hostNetwork } = spec;
  const containers = (spec['containers'] as Fields[]).map(({ name, ports }) => ({ name, ports }));
  return {
    ...kept,
    spec: { serviceAccountName, nodeName, hostNetwork, containers },
    status: { podIP, podIPs, phase, conditions },
  };
}

/**
 * Each cluster's own machinery has the same names everywhere, and is nobody else's: a pod that calls
 * `kubernetes.default` means the API server of its own cluster.
 */
export function isClusterLocal({ kind, metadata: { namespace, name, labels } }: KubeObject): boolean {
  if (namespace === 'kube-system' || namespace === 'kube-public' || namespace === 'kube-node-lease') return true;
  return (
    namespace === 'default' &&
    ((kind === 'Service' && name === 'kubernetes') || labels?.['kubernetes.io/service-name'] === 'kubernetes')
  );
}
