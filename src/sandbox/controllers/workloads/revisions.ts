// SPDX-License-Identifier: Apache-2.0
// The history of a StatefulSet or DaemonSet: one ControllerRevision per template that it ever had, numbered.
// kubectl reads them for `rollout history` and sends one's data back as a patch for `rollout undo`.
import { isDeepStrictEqual } from 'node:util';
import { KubeError } from '../../../kube/client.ts';
import type { LabelSelector } from '../../../kube/label-selector.ts';
import { apiVersionOf, CONTROLLER_REVISIONS } from '../../../kube/resources.ts';
import type { KubeObject, ResourceType } from '../../../kube/types.ts';
import type { ControllerContext } from '../controller.ts';
import type { Informer } from '../informer.ts';
import type { PodTemplate } from '../objects.ts';
import { claimChildren, controllerOf, ownerReferenceTo } from '../ownership.ts';
import { hashTemplate, isSameTemplate } from './template-hash.ts';
import type { ControllerRevision } from './workload-objects.ts';

/** On pods: the revision that they were made from (its name for a StatefulSet, its hash for a DaemonSet). */
export const REVISION_LABEL = 'controller-revision-hash';
const HASH_LABEL = 'controller.kubernetes.io/hash';

interface RevisedWorkload extends KubeObject {
  spec: { selector: LabelSelector; template: PodTemplate; revisionHistoryLimit?: number };
  status?: { collisionCount?: number };
}

export interface History {
  /** Of the current template. */
  readonly update: ControllerRevision;
  /** All, the current one included, oldest first. */
  readonly all: readonly ControllerRevision[];
  /** Set when a new revision's name was taken by a stranger: goes to the workload's status. */
  readonly collisionCount: number | undefined;
}

export class Revisions {
  readonly #context: ControllerContext;
  readonly #type: ResourceType;
  readonly #informer: Informer<ControllerRevision>;

  /** @param type of the workloads */
  constructor(context: ControllerContext, type: ResourceType) {
    this.#context = context;
    this.#type = type;
    this.#informer = context.informers.of<ControllerRevision>(CONTROLLER_REVISIONS);
  }

  /** Makes the revision of the current template if there is none; an older equal one becomes the newest. */
  async sync(workload: RevisedWorkload): Promise<History> {
    const { client } = this.#context;
    const claimed = await claimChildren(client, this.#informer, this.#type, workload);
    const all = claimed.filter(({ metadata }) => metadata.deletionTimestamp === undefined).sort(byNumber);
    const next = (all.at(-1)?.revision ?? 0) + 1;
    const same = all.findLast(({ data }) => isSameTemplate(templateOf(data), workload.spec.template));
    const { collisionCount } = workload.status ?? {};
    if (same !== undefined && same === all.at(-1)) return { update: same, all, collisionCount };
    if (same !== undefined) {
      const raised = await client.replace(CONTROLLER_REVISIONS, { ...same, revision: next });
      await this.#informer.echo(raised);
      return { update: raised, all: [...all.filter((each) => each !== same), raised], collisionCount };
    }
    const made = await this.#create(workload, next, collisionCount ?? 0);
    return {
      update: made.revision,
      all: [...all, made.revision],
      collisionCount: made.collisionCount || collisionCount,
    };
  }

  /** Deletes the oldest revisions beyond the limit that no pod has. */
  async truncate(workload: RevisedWorkload, all: readonly ControllerRevision[], inUse: ReadonlySet<string>) {
    const unused = all.filter(({ metadata }) => !inUse.has(metadata.name ?? ''));
    const surplus = unused.length - (workload.spec.revisionHistoryLimit ?? 10);
    for (const { metadata } of unused.slice(0, Math.max(0, surplus))) {
      const { name = '', namespace, uid } = metadata;
      await this.#context.client.delete(CONTROLLER_REVISIONS, name, namespace, uid ? { uid } : {});
    }
  }

  async #create(
    workload: RevisedWorkload,
    revision: number,
    collisionCount: number,
  ): Promise<{ revision: ControllerRevision; collisionCount: number }> {
    for (let collisions = collisionCount; ; collisions++) {
      const wanted = build(this.#type, workload, revision, collisions);
      try {
        const created = await this.#context.client.create(CONTROLLER_REVISIONS, wanted);
        await this.#informer.echo(created);
        return { revision: created, collisionCount: collisions };
      } catch (error) {
        if (!(error instanceof KubeError && error.reason === 'AlreadyExists')) throw error;
        const { name = '', namespace } = wanted.metadata;
        const existing = await this.#context.client.get<ControllerRevision>(CONTROLLER_REVISIONS, name, namespace);
        const isOurs = existing !== undefined && controllerOf(existing)?.uid === workload.metadata.uid;
        if (isOurs && isDeepStrictEqual(existing.data, wanted.data)) {
          return { revision: existing, collisionCount: collisions };
        }
      }
    }
  }
}

/** The template that a revision stands for. */
export function templateOf({ spec }: ControllerRevision['data']): PodTemplate {
  const { $patch: _directive, ...template } = spec.template;
  return template;
}

/** What DaemonSets write on their pods. */
export function hashOf(revision: ControllerRevision): string {
  return revision.metadata.labels?.[HASH_LABEL] ?? '';
}

function build(
  type: ResourceType,
  workload: RevisedWorkload,
  revision: number,
  collisionCount: number,
): ControllerRevision {
  const { template } = workload.spec;
  const hash = hashTemplate(template, collisionCount);
  const { 'kubectl.kubernetes.io/last-applied-configuration': _applied, ...annotations } =
    workload.metadata.annotations ?? {};
  return {
    apiVersion: apiVersionOf(CONTROLLER_REVISIONS),
    kind: CONTROLLER_REVISIONS.kind,
    metadata: {
      name: `${workload.metadata.name}-${hash}`,
      namespace: workload.metadata.namespace ?? '',
      labels: { ...template.metadata?.labels, [HASH_LABEL]: hash },
      ...(Object.keys(annotations).length > 0 ? { annotations } : {}),
      ownerReferences: [ownerReferenceTo(type, workload)],
    },
    data: { spec: { template: { ...template, $patch: 'replace' } } },
    revision,
  };
}

function byNumber(a: ControllerRevision, b: ControllerRevision): number {
  return (
    a.revision - b.revision || (a.metadata.creationTimestamp ?? '').localeCompare(b.metadata.creationTimestamp ?? '')
  );
}
