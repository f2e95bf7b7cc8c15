// SPDX-License-Identifier: Apache-2.0
// Objects are only made in namespaces that exist and stay.
import type { KubeObject } from '../../../kube/types.ts';
import { ApiError, type GroupResource, notFound, qualifiedResource } from '../status.ts';
import type { ObjectStore } from '../storage/store.ts';

const NAMESPACES: GroupResource = { group: '', resource: 'namespaces' };

/** Cannot be deleted. */
export const PROTECTED_NAMESPACES: readonly string[] = ['kube-system', 'kube-public', 'default', 'kube-node-lease'];

export function requireActiveNamespace(store: ObjectStore, namespace: string, type: GroupResource, name: string): void {
  const found = store.get({ resource: 'namespaces', namespace: '', name: namespace });
  if (!found) throw notFound(NAMESPACES, namespace);
  if (!isTerminating(found.object)) return;
  const why = `unable to create new content in namespace ${namespace} because it is being terminated`;
  throw new ApiError(403, 'Forbidden', `${qualifiedResource(type)} ${JSON.stringify(name)} is forbidden: ${why}`, {
    name,
    ...(type.group ? { group: type.group } : {}),
    kind: type.resource,
    causes: [
      {
        reason: 'NamespaceTerminating',
        message: `namespace ${namespace} is being terminated`,
        field: 'metadata.namespace',
      },
    ],
  });
}

function isTerminating(namespace: KubeObject): boolean {
  return namespace.metadata.deletionTimestamp !== undefined;
}
