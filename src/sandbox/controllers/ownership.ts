// SPDX-License-Identifier: Apache-2.0
// Who controls what: ownerReferences with `controller: true`, taking orphans in and letting strangers go.
import { type KubeClient, KubeError } from '../../kube/client.ts';
import { type LabelSelector, matchesSelector } from '../../kube/label-selector.ts';
import { apiVersionOf } from '../../kube/resources.ts';
import type { KubeObject, OwnerReference, ResourceType } from '../../kube/types.ts';
import { type Informer, keyOf } from './informer.ts';
import type { WorkQueue } from './work-queue.ts';

export function controllerOf(object: KubeObject): OwnerReference | undefined {
  return object.metadata.ownerReferences?.find(({ controller }) => controller === true);
}

export function ownerReferenceTo(type: ResourceType, owner: KubeObject): OwnerReference {
  return {
    apiVersion: apiVersionOf(type),
    kind: type.kind,
    name: owner.metadata.name ?? '',
    uid: owner.metadata.uid ?? '',
    controller: true,
    blockOwnerDeletion: true,
  };
}

/**
 * Puts the owner into the queue whenever one of its children changes, also the owner that it had before; for a child of
 * nobody, every owner whose selector wants it.
 */
export function enqueueOwners<O extends KubeObject & { spec: object }, T extends KubeObject>(
  queue: WorkQueue,
  owners: Informer<O>,
  children: Informer<T>,
): void {
  children.onChange((before, after) => {
    for (const child of [before, after]) {
      if (child === undefined) continue;
      const controller = controllerOf(child);
      const { namespace, labels } = child.metadata;
      if (controller?.kind === owners.type.kind) queue.add(`${namespace}/${controller.name}`);
      if (controller !== undefined) continue;
      for (const owner of owners.inNamespace(namespace)) {
        const { selector }: { selector?: LabelSelector } = owner.spec;
        if (matchesSelector(selector, labels)) queue.add(keyOf(owner));
      }
    }
  });
}

/**
 * The children that `owner` controls. Matching orphans are adopted; children that stopped matching are released.
 * An owner that is being deleted does neither.
 * @param isMember what makes a child beyond the selector
 */
export async function claimChildren<T extends KubeObject>(
  client: KubeClient,
  informer: Informer<T>,
  ownerType: ResourceType,
  owner: KubeObject & { spec: { selector?: LabelSelector } },
  isMember: (child: T) => boolean = () => true,
): Promise<T[]> {
  const claimed: T[] = [];
  const isDeleting = owner.metadata.deletionTimestamp !== undefined;
  for (const child of informer.inNamespace(owner.metadata.namespace)) {
    const controller = controllerOf(child);
    if (controller !== undefined && controller.uid !== owner.metadata.uid) continue;
    const matches = matchesSelector(owner.spec.selector, child.metadata.labels) && isMember(child);
    if (controller !== undefined && (matches || isDeleting)) claimed.push(child);
    else if (controller !== undefined) await changeOwners(client, informer, child, withoutOwner(child, controller.uid));
    else if (matches && !isDeleting && child.metadata.deletionTimestamp === undefined) {
      const references = [...(child.metadata.ownerReferences ?? []), ownerReferenceTo(ownerType, owner)];
      const adopted = await changeOwners(client, informer, child, references);
      if (adopted !== undefined) claimed.push(adopted);
    }
  }
  return claimed;
}

function withoutOwner(child: KubeObject, uid: string): OwnerReference[] {
  return (child.metadata.ownerReferences ?? []).filter((reference) => reference.uid !== uid);
}

/** undefined when the child is gone. A Conflict is thrown: the child changed, look again. */
async function changeOwners<T extends KubeObject>(
  client: KubeClient,
  informer: Informer<T>,
  child: T,
  ownerReferences: OwnerReference[],
): Promise<T | undefined> {
  const { name = '', namespace, uid, resourceVersion } = child.metadata;
  // uid and resourceVersion make the patch conditional: never the owner of another object of the same name.
  const patch = {
    metadata: { uid, resourceVersion, ownerReferences: ownerReferences.length > 0 ? ownerReferences : null },
  };
  try {
    const changed = await client.patch<T>(informer.type, name, namespace, patch);
    await informer.echo(changed);
    return changed;
  } catch (error) {
    if (error instanceof KubeError && error.code === 404) return undefined;
    throw error;
  }
}
