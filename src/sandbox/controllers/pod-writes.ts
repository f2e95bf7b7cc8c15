// SPDX-License-Identifier: Apache-2.0
// Making and deleting the pods of an owner: Events about each, and no return before the cache has seen it.
import { PODS } from '../../kube/resources.ts';
import type { KubeObject, ResourceType } from '../../kube/types.ts';
import { type ControllerContext, isNamespaceTerminating } from './controller.ts';
import type { EventRecorder } from './event-recorder.ts';
import type { Informer } from './informer.ts';
import type { Pod, PodTemplate } from './objects.ts';
import { ownerReferenceTo } from './ownership.ts';

/** How a pod is called: its name, or how the name that the server makes up begins. */
export type PodName = { name: string } | { generateName: string };

export interface PodWrites {
  /** Both give what went wrong, after they reported it; that a namespace is on its way out is not worth a report. */
  create(owner: KubeObject, pod: Pod): Promise<Error | undefined>;
  remove(owner: KubeObject, pod: Pod): Promise<Error | undefined>;
}

export function createPodWrites(context: ControllerContext, pods: Informer<Pod>, events: EventRecorder): PodWrites {
  return {
    async create(owner, pod) {
      try {
        const created = await context.client.create<Pod>(PODS, pod);
        events.record(owner, 'Normal', 'SuccessfulCreate', `Created pod: ${created.metadata.name}`);
        await pods.echo(created);
        return undefined;
      } catch (error) {
        if (!isNamespaceTerminating(error)) {
          events.record(owner, 'Warning', 'FailedCreate', `Error creating: ${(error as Error).message}`);
        }
        return error as Error;
      }
    },
    async remove(owner, pod) {
      const { name = '', namespace, uid } = pod.metadata;
      try {
        await context.client.delete(PODS, name, namespace, uid ? { uid } : {});
        events.record(owner, 'Normal', 'SuccessfulDelete', `Deleted pod: ${name}`);
        await pods.echoDelete(pod);
        return undefined;
      } catch (error) {
        events.record(owner, 'Warning', 'FailedDelete', `Error deleting: ${(error as Error).message}`);
        return error as Error;
      }
    },
  };
}

/** In batches of 1, 2, 4...: when each is refused for the same reason, the server is not asked five hundred times. */
export async function inGrowingBatches<T>(
  items: readonly T[],
  act: (item: T) => Promise<Error | undefined>,
): Promise<Error | undefined> {
  for (let done = 0, size = 1; done < items.length; done += size, size *= 2) {
    const failures = await Promise.all(items.slice(done, done + size).map(act));
    const failure = failures.find((error) => error !== undefined);
    if (failure !== undefined) return failure;
  }
  return undefined;
}

/** A pod as the template has it, controlled by `owner`. Labels and annotations given beside it win. */
export function buildPod(
  type: ResourceType,
  owner: KubeObject,
  template: PodTemplate,
  name: PodName,
  added: { labels?: Record<string, string>; annotations?: Record<string, string>; finalizers?: string[] } = {},
): Pod {
  const { labels, annotations, finalizers } = template.metadata ?? {};
  const allFinalizers = [...(finalizers ?? []), ...(added.finalizers ?? [])];
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      ...name,
      namespace: owner.metadata.namespace ?? '',
      ...(labels || added.labels ? { labels: { ...labels, ...added.labels } } : {}),
      ...(annotations || added.annotations ? { annotations: { ...annotations, ...added.annotations } } : {}),
      ...(allFinalizers.length > 0 ? { finalizers: allFinalizers } : {}),
      ownerReferences: [ownerReferenceTo(type, owner)],
    },
    spec: template.spec,
  };
}
