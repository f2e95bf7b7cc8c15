// SPDX-License-Identifier: Apache-2.0
import type { KubeObject } from '../../../kube/types.ts';
import { methodNotAllowed, modified, notFound } from '../status.ts';
import { keyOf, type ResourceRequest, requestedResource } from './context.ts';
import { isFinished } from './deletion-state.ts';
import { readTyped } from './pod-actions.ts';

/** PUT namespaces/NAME/finalize: the only way to take finalizers from a namespace's spec. */
export async function finalizeNamespace(request: ResourceRequest): Promise<KubeObject> {
  if (request.request.method !== 'PUT') throw methodNotAllowed();
  const { store } = request.core;
  const given = await readTyped(request, 'core.v1.Namespace', 'Namespace');
  const stored = store.get(keyOf(request));
  if (!stored) throw notFound(requestedResource(request), request.path.name);
  const { resourceVersion } = given.metadata;
  if (resourceVersion && resourceVersion !== stored.object.metadata.resourceVersion) {
    throw modified(requestedResource(request), request.path.name);
  }
  const next: KubeObject = { ...stored.object, spec: given['spec'] ?? {} };
  // The last one gone, its watchers see the deletion alone.
  if (isFinished(next)) return { ...next, metadata: store.delete(stored.key, stored.revision).object.metadata };
  return store.update(stored.key, next, stored.revision).object;
}
