// SPDX-License-Identifier: Apache-2.0
import type { AdmissionRequest, ClusterObjects } from '../seams.ts';
import { ApiError, forbidden, type GroupResource, notFound, qualifiedResource } from '../status.ts';

const NAMESPACES: GroupResource = { group: '', resource: 'namespaces' };
const IMMORTAL = ['default', 'kube-system', 'kube-public'];

/** Nothing is made in a namespace that is not there or is going away, and the cluster's own namespaces stay. */
export function checkNamespace(request: AdmissionRequest, objects: ClusterObjects): void {
  const { operation, resource, namespace, name } = request;
  if (resource.group === '' && resource.resource === 'namespaces') {
    if (operation === 'DELETE' && IMMORTAL.includes(name)) {
      throw forbidden(NAMESPACES, name, 'this namespace may not be deleted');
    }
    return;
  }
  // Whatever is in a terminating namespace may still be changed, so that it can be cleaned up.
  if (operation !== 'CREATE' || namespace === '' || resource.group === 'authorization.k8s.io') return;
  const found = objects.get(NAMESPACES, '', namespace);
  if (!found) throw notFound(NAMESPACES, namespace);
  const { phase } = (found.status ?? {}) as { phase?: string };
  if (phase !== 'Terminating' && !found.metadata.deletionTimestamp) return;
  const why = `unable to create new content in namespace ${namespace} because it is being terminated`;
  throw new ApiError(403, 'Forbidden', `${qualifiedResource(resource)} ${JSON.stringify(name)} is forbidden: ${why}`, {
    ...(name ? { name } : {}),
    ...(resource.group ? { group: resource.group } : {}),
    kind: resource.resource,
    causes: [
      {
        reason: 'NamespaceTerminating',
        message: `namespace ${namespace} is being terminated`,
        field: 'metadata.namespace',
      },
    ],
  });
}
