// SPDX-License-Identifier: Apache-2.0
import { isDeepStrictEqual } from 'node:util';
import { type DiscoveredResource, KubeError } from '../../../kube/client.ts';
import { NAMESPACES, resourcePath } from '../../../kube/resources.ts';
import type { KubeObject } from '../../../kube/types.ts';
import { type Controller, type ControllerContext, createQueue, timestamp } from '../controller.ts';
import type { ObjectGraph } from '../garbage/object-graph.ts';
import type { Condition, Namespace } from '../objects.ts';

const NAME = 'namespace-controller';
const FINALIZER = 'kubernetes';
/** Nothing polls: each object that goes wakes the queue. This is for the kinds that nobody watches (Events). */
const RECHECK_MS = 2_000;
/** Objects go in crowds; one look for all of them. */
const GATHER_MS = 25;

/** What could not be removed yet, by resource, with the finalizers that hold it. */
interface Remainder {
  readonly instances: Map<string, number>;
  readonly finalizers: Map<string, number>;
  readonly failures: string[];
}

/** Empties a namespace that is being deleted, then lets it go. Keys are names of namespaces. */
export function createNamespaceController(context: ControllerContext, graph: ObjectGraph): Controller {
  const namespaces = context.informers.of<Namespace>(NAMESPACES);
  const queue = createQueue(context, NAME);
  namespaces.onChange((_before, after) => {
    if (after?.metadata.deletionTimestamp !== undefined) queue.add(after.metadata.name ?? '');
  });
  const wake = (namespace: string) => {
    if (namespaces.get(namespace)?.metadata.deletionTimestamp !== undefined) queue.addAfter(namespace, GATHER_MS);
  };
  graph.listen({ upserted: () => {}, deleted: (node) => wake(node.namespace) });

  return {
    name: NAME,
    queue,
    async reconcile(name) {
      const namespace = namespaces.get(name);
      if (namespace?.metadata.deletionTimestamp === undefined || !namespace.spec?.finalizers?.includes(FINALIZER))
        return;
      const types = (await context.client.discover()).filter(
        ({ group, namespaced, preferred, verbs }) =>
          namespaced && preferred && group !== 'extensions' && ['list', 'delete'].every((verb) => verbs.includes(verb)),
      );
      const remainder: Remainder = { instances: new Map(), finalizers: new Map(), failures: [] };
      await Promise.all(types.map((type) => empty(context, type, name, remainder)));
      const status = { phase: 'Terminating', conditions: describe(namespace, remainder, context.nowMs()) };
      let current = namespace;
      if (!isDeepStrictEqual(status, namespace.status)) {
        current = await context.client.replaceStatus(NAMESPACES, { ...namespace, status });
        await namespaces.echo(current);
      }
      if (remainder.instances.size + remainder.failures.length > 0) return { afterMs: RECHECK_MS };
      await finalize(context, current);
    },
  };
}

async function empty(
  context: ControllerContext,
  type: DiscoveredResource,
  namespace: string,
  remainder: Remainder,
): Promise<void> {
  try {
    const some = (await context.client.request('GET', `${resourcePath(type, namespace)}?limit=1`)) as {
      items?: unknown[];
    };
    if ((some.items ?? []).length === 0) return;
    const left = await deleteAll(context, type, namespace);
    if (left.length === 0) return;
    const name = type.group === '' ? `${type.resource}.` : `${type.resource}.${type.group}`;
    remainder.instances.set(name, left.length);
    for (const { metadata } of left) {
      for (const finalizer of metadata.finalizers ?? []) {
        remainder.finalizers.set(finalizer, (remainder.finalizers.get(finalizer) ?? 0) + 1);
      }
    }
  } catch (error) {
    // Gone from the server since discovery: its objects are gone as well.
    if (error instanceof KubeError && error.code === 404) return;
    remainder.failures.push(`${type.resource}: ${(error as Error).message}`);
  }
}

/** What is still there after everything was told to go. */
async function deleteAll(
  context: ControllerContext,
  type: DiscoveredResource,
  namespace: string,
): Promise<KubeObject[]> {
  if (type.verbs.includes('deletecollection')) {
    const body = { apiVersion: 'v1', kind: 'DeleteOptions', propagationPolicy: 'Background' };
    await context.client.request('DELETE', resourcePath(type, namespace), { body });
  } else {
    const { items } = await context.client.list(type, { namespace });
    for (const { metadata } of items) {
      if (metadata.deletionTimestamp === undefined) {
        await context.client.delete(type, metadata.name ?? '', namespace, { propagation: 'Background' });
      }
    }
  }
  return (await context.client.list(type, { namespace })).items;
}

async function finalize(context: ControllerContext, namespace: Namespace): Promise<void> {
  const finalizers = (namespace.spec?.finalizers ?? []).filter((each) => each !== FINALIZER);
  const body = { ...namespace, spec: { ...namespace.spec, finalizers } };
  try {
    await context.client.request('PUT', resourcePath(NAMESPACES, undefined, namespace.metadata.name, 'finalize'), {
      body,
    });
  } catch (error) {
    if (!(error instanceof KubeError && error.code === 404)) throw error;
  }
}

function describe(namespace: Namespace, { instances, finalizers, failures }: Remainder, nowMs: number): Condition[] {
  const list = (counts: Map<string, number>, text: (name: string, count: number) => string) =>
    [...counts]
      .sort()
      .map(([name, count]) => text(name, count))
      .join(', ');
  const wanted: Condition[] = [
    condition(
      'NamespaceDeletionDiscoveryFailure',
      false,
      'ResourcesDiscovered',
      'All resources successfully discovered',
    ),
    condition(
      'NamespaceDeletionGroupVersionParsingFailure',
      false,
      'ParsedGroupVersions',
      'All legacy kube types successfully parsed',
    ),
    failures.length > 0
      ? condition(
          'NamespaceDeletionContentFailure',
          true,
          'ContentDeletionFailed',
          `Failed to delete all resource types, ${failures.length} remaining: ${[...failures].sort().join(', ')}`,
        )
      : condition(
          'NamespaceDeletionContentFailure',
          false,
          'ContentDeleted',
          'All content successfully deleted, may be waiting on finalization',
        ),
    instances.size > 0
      ? condition(
          'NamespaceContentRemaining',
          true,
          'SomeResourcesRemain',
          `Some resources are remaining: ${list(instances, (name, count) => `${name} has ${count} resource instances`)}`,
        )
      : condition('NamespaceContentRemaining', false, 'ContentRemoved', 'All content successfully removed'),
    finalizers.size > 0
      ? condition(
          'NamespaceFinalizersRemaining',
          true,
          'SomeFinalizersRemain',
          `Some content in the namespace has finalizers remaining: ${list(finalizers, (name, count) => `${name} in ${count} resource instances`)}`,
        )
      : condition(
          'NamespaceFinalizersRemaining',
          false,
          'ContentHasNoFinalizers',
          'All content-preserving finalizers finished',
        ),
  ];
  return wanted.map((each) => {
    const before = namespace.status?.conditions?.find(({ type }) => type === each.type);
    const isSame = before?.status === each.status;
    return { ...each, lastTransitionTime: (isSame ? before?.lastTransitionTime : undefined) ?? timestamp(nowMs) };
  });
}

function condition(type: string, isTrue: boolean, reason: string, message: string): Condition {
  return { type, status: isTrue ? 'True' : 'False', reason, message };
}
