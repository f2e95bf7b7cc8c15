// SPDX-License-Identifier: Apache-2.0
import { isDeepStrictEqual } from 'node:util';
import { KubeError } from '../../../kube/client.ts';
import { PERSISTENT_VOLUME_CLAIMS, PODS, STATEFUL_SETS } from '../../../kube/resources.ts';
import {
  type Controller,
  type ControllerContext,
  createQueue,
  enqueueChanged,
  isNamespaceTerminating,
  recorderFor,
} from '../controller.ts';
import type { EventRecorder } from '../event-recorder.ts';
import { type Informer, keyOf } from '../informer.ts';
import type { Pod } from '../objects.ts';
import { claimChildren, controllerOf, enqueueOwners } from '../ownership.ts';
import type { PersistentVolumeClaim } from '../storage/storage-objects.ts';
import { type History, Revisions, templateOf } from './revisions.ts';
import { buildStatus, ordinalOf, ordinalsOf, planStep, type RevisionNames, revisionOf } from './stateful-plan.ts';
import { buildClaims, buildStatefulPod, claimOwners } from './stateful-pods.ts';
import type { ControllerRevision, StatefulSet } from './workload-objects.ts';

const NAME = 'statefulset-controller';

/** Keeps one pod per ordinal, by name, so that the API itself forbids a second one. Keys are StatefulSets. */
export function createStatefulSetController(context: ControllerContext): Controller {
  const sets = context.informers.of<StatefulSet>(STATEFUL_SETS);
  const pods = context.informers.of<Pod>(PODS);
  const claims = context.informers.of<PersistentVolumeClaim>(PERSISTENT_VOLUME_CLAIMS);
  const queue = createQueue(context, NAME, { backoffMs: { first: 20, cap: 5_000 } });
  const sync = new StatefulSetSync(context, recorderFor(context, NAME), pods, claims);
  enqueueChanged(queue, sets);
  enqueueOwners(queue, sets, pods);
  claims.onChange((before, after) => {
    if (before === undefined || after !== undefined) return;
    // A pod may wait for the claim of its predecessor to be gone.
    for (const set of sets.inNamespace(before.metadata.namespace))
      if (set.spec.volumeClaimTemplates) queue.add(keyOf(set));
  });

  return {
    name: NAME,
    queue,
    async reconcile(key) {
      const set = sets.byKey(key);
      if (set === undefined || set.metadata.deletionTimestamp !== undefined) return;
      try {
        const recheckInMs = await sync.step(set, sets);
        return recheckInMs === undefined ? undefined : { afterMs: recheckInMs };
      } catch (error) {
        if (isNamespaceTerminating(error)) return undefined;
        throw error;
      }
    },
  };
}

class StatefulSetSync {
  readonly #context: ControllerContext;
  readonly #events: EventRecorder;
  readonly #pods: Informer<Pod>;
  readonly #claims: Informer<PersistentVolumeClaim>;
  readonly #revisions: Revisions;

  constructor(
    context: ControllerContext,
    events: EventRecorder,
    pods: Informer<Pod>,
    claims: Informer<PersistentVolumeClaim>,
  ) {
    this.#context = context;
    this.#events = events;
    this.#pods = pods;
    this.#claims = claims;
    this.#revisions = new Revisions(context, STATEFUL_SETS);
  }

  /** One look at one StatefulSet. Milliseconds after which to look again even if nothing happens; undefined: never. */
  async step(set: StatefulSet, sets: Informer<StatefulSet>): Promise<number | undefined> {
    const history = await this.#revisions.sync(set);
    const current = history.all.find(({ metadata }) => metadata.name === set.status?.currentRevision) ?? history.update;
    const names = { current: current.metadata.name ?? '', update: history.update.metadata.name ?? '' };
    const isMember = (pod: Pod) => ordinalOf(set, pod) !== undefined;
    const own = await claimChildren(this.#context.client, this.#pods, STATEFUL_SETS, set, isMember);
    const members = own.filter(isMember);
    const plan = planStep(set, members, names, this.#context.nowMs());
    let failure: unknown;
    try {
      await this.#tieClaims(set, members);
      const creations = plan.create.map(({ ordinal, isUpdated }) =>
        this.#create(set, isUpdated ? history.update : current, ordinal),
      );
      await Promise.all([...creations, ...plan.remove.map((pod) => this.#remove(set, pod))]);
    } catch (error) {
      failure = error;
    }
    await this.#writeStatus(set, sets, names, history);
    if (failure) throw failure;
    return plan.recheckInMs;
  }

  async #create(set: StatefulSet, revision: ControllerRevision, ordinal: number): Promise<void> {
    const pod = buildStatefulPod(set, templateOf(revision.data), revision.metadata.name ?? '', ordinal);
    const name = pod.metadata.name ?? '';
    try {
      for (const claim of buildClaims(set, ordinal)) {
        if (!(await this.#ensureClaim(set, claim, name))) return;
      }
      const created = await this.#context.client.create(PODS, pod);
      this.#events.record(
        set,
        'Normal',
        'SuccessfulCreate',
        `create Pod ${name} in StatefulSet ${set.metadata.name} successful`,
      );
      await this.#pods.echo(created);
    } catch (error) {
      // The name is taken by a pod that the cache has not seen yet, or by somebody else's.
      if (!isNamespaceTerminating(error)) {
        this.#events.record(
          set,
          'Warning',
          'FailedCreate',
          `create Pod ${name} in StatefulSet ${set.metadata.name} failed error: ${(error as Error).message}`,
        );
      }
      throw error;
    }
  }

  /** False when the claim is that of an earlier pod and on its way out: its successor must not get the old data. */
  async #ensureClaim(set: StatefulSet, wanted: PersistentVolumeClaim, pod: string): Promise<boolean> {
    const { name = '', namespace } = wanted.metadata;
    const known = this.#claims.get(name, namespace);
    if (known !== undefined) return known.metadata.deletionTimestamp === undefined && !this.#isForsaken(known);
    const owners = claimOwners(set, wanted, undefined);
    const metadata = { ...wanted.metadata, ...(owners.length > 0 ? { ownerReferences: owners } : {}) };
    try {
      const created = await this.#context.client.create(PERSISTENT_VOLUME_CLAIMS, { ...wanted, metadata });
      await this.#claims.echo(created);
      this.#events.record(
        set,
        'Normal',
        'SuccessfulCreate',
        `create Claim ${name} Pod ${pod} in StatefulSet ${set.metadata.name} success`,
      );
    } catch (error) {
      if (!(error instanceof KubeError && error.reason === 'AlreadyExists')) throw error;
    }
    return true;
  }

  /** Its owner is a pod that is gone: the garbage collector is about to take it. */
  #isForsaken({ metadata }: PersistentVolumeClaim): boolean {
    return (metadata.ownerReferences ?? []).some(
      ({ kind, name, uid }) => kind === 'Pod' && this.#pods.get(name, metadata.namespace)?.metadata.uid !== uid,
    );
  }

  /** Who takes the claims along is settled before a pod is scaled away. */
  async #tieClaims(set: StatefulSet, members: readonly Pod[]): Promise<void> {
    if ((set.spec.volumeClaimTemplates ?? []).length === 0) return;
    const { start, end } = ordinalsOf(set);
    for (const pod of members) {
      const ordinal = ordinalOf(set, pod) ?? 0;
      const scaledAway = ordinal < start || ordinal >= end ? pod : undefined;
      for (const { metadata } of buildClaims(set, ordinal)) {
        const claim = this.#claims.get(metadata.name ?? '', metadata.namespace);
        if (claim === undefined || claim.metadata.deletionTimestamp !== undefined) continue;
        const owners = claimOwners(set, claim, scaledAway);
        if (isDeepStrictEqual(owners, claim.metadata.ownerReferences ?? [])) continue;
        const { name = '', namespace, uid, resourceVersion } = claim.metadata;
        const patch = { metadata: { uid, resourceVersion, ownerReferences: owners.length > 0 ? owners : null } };
        await this.#claims.echo(
          await this.#context.client.patch<PersistentVolumeClaim>(PERSISTENT_VOLUME_CLAIMS, name, namespace, patch),
        );
      }
    }
  }

  async #remove(set: StatefulSet, pod: Pod): Promise<void> {
    const { name = '', namespace, uid } = pod.metadata;
    if (pod.status?.phase === 'Failed') {
      const message = `StatefulSet ${namespace}/${set.metadata.name} is recreating failed Pod ${name}`;
      this.#events.record(set, 'Warning', 'RecreatingFailedPod', message);
    }
    try {
      await this.#context.client.delete(PODS, name, namespace, uid ? { uid } : {});
    } catch (error) {
      const message = `delete Pod ${name} in StatefulSet ${set.metadata.name} failed error: ${(error as Error).message}`;
      this.#events.record(set, 'Warning', 'FailedDelete', message);
      throw error;
    }
    this.#events.record(
      set,
      'Normal',
      'SuccessfulDelete',
      `delete Pod ${name} in StatefulSet ${set.metadata.name} successful`,
    );
    await this.#pods.echoDelete(pod);
  }

  async #writeStatus(
    set: StatefulSet,
    sets: Informer<StatefulSet>,
    names: RevisionNames,
    history: History,
  ): Promise<void> {
    // As the cache has it after the step: what was created or deleted counts at once.
    const members = this.#pods
      .inNamespace(set.metadata.namespace)
      .filter((pod) => controllerOf(pod)?.uid === set.metadata.uid && ordinalOf(set, pod) !== undefined);
    const status = buildStatus(set, members, names, history.collisionCount, this.#context.nowMs());
    if (!isDeepStrictEqual(status, set.status)) {
      await sets.echo(await this.#context.client.replaceStatus(STATEFUL_SETS, { ...set, status }));
    }
    const inUse = new Set([...members.map(revisionOf), status.currentRevision ?? '', names.update]);
    await this.#revisions.truncate(set, history.all, inUse);
  }
}
