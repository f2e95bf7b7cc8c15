// SPDX-License-Identifier: Apache-2.0
// https://kubernetes.io/docs/concepts/architecture/garbage-collection/#cascading-deletion
import { KubeError } from '../../../kube/client.ts';
import type { KubeObject, OwnerReference } from '../../../kube/types.ts';
import { type Controller, type ControllerContext, createQueue, recorderFor } from '../controller.ts';
import type { GraphNode, ObjectGraph } from './object-graph.ts';

const NAME = 'garbage-collector-controller';
const FOREGROUND = 'foregroundDeletion';
const ORPHAN = 'orphan';

/**
 * Deletes objects whose owners are all gone (by uid, never by name alone), holds an owner that is deleted in the
 * foreground until its dependents are gone, and frees the dependents of one that orphans them. Keys are uids.
 */
export function createGarbageCollector(context: ControllerContext, graph: ObjectGraph): Controller {
  const queue = createQueue(context, NAME, { concurrency: 16 });
  const events = recorderFor(context, NAME);
  graph.listen({
    upserted(before, node) {
      const isUnowned = node.owners.some(({ uid }) => graph.get(uid) === undefined || graph.get(uid)?.isDeleting);
      if (isUnowned || (before !== undefined && before.owners.length !== node.owners.length)) queue.add(node.uid);
      if (node.isDeleting && holds(node)) queue.add(node.uid);
    },
    deleted(node) {
      for (const dependent of graph.dependentsOf(node.uid)) queue.add(dependent.uid);
      // Its owners may have waited for it.
      for (const { uid } of node.owners) if (graph.get(uid)?.isDeleting) queue.add(uid);
    },
  });

  return {
    name: NAME,
    queue,
    async reconcile(uid) {
      const node = graph.get(uid);
      if (node === undefined) return;
      if (node.isDeleting) {
        if (node.finalizers.includes(ORPHAN)) await orphanDependents(context, graph, node);
        else if (node.finalizers.includes(FOREGROUND)) await deleteDependents(context, graph, queue, node);
      } else if (node.owners.length > 0) {
        await collect(context, graph, node, (message) => {
          events.record(describe(node), 'Warning', 'OwnerRefInvalidNamespace', message);
        });
      }
    },
  };
}

function holds({ finalizers }: GraphNode): boolean {
  return finalizers.includes(FOREGROUND) || finalizers.includes(ORPHAN);
}

/** Decides what becomes of an object that is not being deleted, from the state of its owners. */
async function collect(
  context: ControllerContext,
  graph: ObjectGraph,
  node: GraphNode,
  reportInvalid: (message: string) => void,
): Promise<void> {
  const solid: OwnerReference[] = [];
  const waiting: OwnerReference[] = [];
  const dangling: OwnerReference[] = [];
  for (const owner of node.owners)
    await classify(context, graph, node, owner, { solid, waiting, dangling }, reportInvalid);
  if (dangling.length + waiting.length === 0) return;
  if (solid.length > 0) {
    // Somebody still owns it: only the references to the others go.
    const gone = new Set([...dangling, ...waiting].map(({ uid }) => uid));
    await patchOwners(context, node, (owners) => owners.filter(({ uid }) => !gone.has(uid)));
    return;
  }
  const hasBlockers = graph.dependentsOf(node.uid).some((dependent) => blocks(dependent, node.uid));
  const propagation = node.finalizers.includes(ORPHAN)
    ? 'Orphan'
    : node.finalizers.includes(FOREGROUND) || (waiting.length > 0 && hasBlockers)
      ? 'Foreground'
      : 'Background';
  await context.client.delete(node.type, node.name, node.namespace, { propagation, uid: node.uid });
}

async function classify(
  context: ControllerContext,
  graph: ObjectGraph,
  node: GraphNode,
  owner: OwnerReference,
  found: Record<'solid' | 'waiting' | 'dangling', OwnerReference[]>,
  reportInvalid: (message: string) => void,
): Promise<void> {
  const known = graph.get(owner.uid);
  if (known !== undefined && (known.namespace === '' || known.namespace === node.namespace)) {
    const isWaiting = known.isDeleting && known.finalizers.includes(FOREGROUND) && owner.blockOwnerDeletion === true;
    found[isWaiting ? 'waiting' : 'solid'].push(owner);
    return;
  }
  const type = graph.resolve(owner);
  // An unknown kind may be a CRD that is not there yet. Nothing is deleted on a guess.
  if (type === undefined) {
    found.solid.push(owner);
    return;
  }
  if (type.namespaced && node.namespace === '') {
    reportInvalid(
      `ownerRef ${owner.kind}/${owner.name} is namespaced, but ${node.type.kind}/${node.name} is cluster-scoped`,
    );
    found.solid.push(owner);
    return;
  }
  // The graph may lag behind: the server has the last word on whether the owner is gone.
  const live = await context.client.get(type, owner.name, type.namespaced ? node.namespace : undefined);
  found[live?.metadata.uid === owner.uid ? 'solid' : 'dangling'].push(owner);
}

/** An owner in foreground deletion: its blocking dependents go first, then its finalizer. */
async function deleteDependents(
  context: ControllerContext,
  graph: ObjectGraph,
  queue: { add(key: string): void },
  owner: GraphNode,
): Promise<void> {
  const dependents = graph.dependentsOf(owner.uid);
  for (const dependent of dependents) queue.add(dependent.uid);
  if (!dependents.some((dependent) => blocks(dependent, owner.uid))) await removeFinalizer(context, owner, FOREGROUND);
}

async function orphanDependents(context: ControllerContext, graph: ObjectGraph, owner: GraphNode): Promise<void> {
  await Promise.all(
    graph
      .dependentsOf(owner.uid)
      .map((dependent) => patchOwners(context, dependent, (owners) => owners.filter(({ uid }) => uid !== owner.uid))),
  );
  await removeFinalizer(context, owner, ORPHAN);
}

function blocks(dependent: GraphNode, owner: string): boolean {
  return dependent.owners.some(({ uid, blockOwnerDeletion }) => uid === owner && blockOwnerDeletion === true);
}

function patchOwners(
  context: ControllerContext,
  node: GraphNode,
  change: (owners: OwnerReference[]) => OwnerReference[],
): Promise<void> {
  return patchMetadata(context, node, ({ metadata }) => {
    const before = metadata.ownerReferences ?? [];
    const after = change(before);
    return after.length === before.length ? undefined : { ownerReferences: after.length > 0 ? after : null };
  });
}

function removeFinalizer(context: ControllerContext, node: GraphNode, finalizer: string): Promise<void> {
  return patchMetadata(context, node, ({ metadata }) => {
    const before = metadata.finalizers ?? [];
    if (!before.includes(finalizer)) return undefined;
    const after = before.filter((each) => each !== finalizer);
    return { finalizers: after.length > 0 ? after : null };
  });
}

/** Changes metadata of the object that the node stands for, and of no other that took its name. */
async function patchMetadata(
  context: ControllerContext,
  node: GraphNode,
  change: (object: KubeObject) => Record<string, unknown> | undefined,
): Promise<void> {
  const live = await context.client.get(node.type, node.name, node.namespace);
  if (live?.metadata.uid !== node.uid) return;
  const metadata = change(live);
  if (metadata === undefined) return;
  const patch = { metadata: { uid: node.uid, resourceVersion: live.metadata.resourceVersion, ...metadata } };
  try {
    await context.client.patch(node.type, node.name, node.namespace, patch);
  } catch (error) {
    if (!(error instanceof KubeError && error.code === 404)) throw error;
  }
}

function describe({ type, name, namespace, uid }: GraphNode): KubeObject {
  const apiVersion = type.group === '' ? type.version : `${type.group}/${type.version}`;
  return { apiVersion, kind: type.kind, metadata: { name, ...(namespace ? { namespace } : {}), uid } };
}
