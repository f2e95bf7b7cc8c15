// SPDX-License-Identifier: Apache-2.0
import { isDeepStrictEqual } from 'node:util';
import { KubeError } from '../../../kube/client.ts';
import { DEPLOYMENTS, PODS, REPLICA_SETS } from '../../../kube/resources.ts';
import { covers } from '../../../kube/subset.ts';
import {
  type Controller,
  type ControllerContext,
  createQueue,
  enqueueChanged,
  isNamespaceTerminating,
  recorderFor,
} from '../controller.ts';
import type { EventRecorder } from '../event-recorder.ts';
import type { Informer } from '../informer.ts';
import type { Condition, Deployment, Pod, ReplicaSet } from '../objects.ts';
import { claimChildren, controllerOf, enqueueOwners } from '../ownership.ts';
import { isPodFinished } from '../pod-state.ts';
import {
  annotate,
  buildReplicaSet,
  isSizedFor,
  REVISION,
  revisionOf,
  selectSurplusHistory,
  shareOf,
  sizeAnnotations,
  splitByTemplate,
} from './deployment-revisions.ts';
import { buildStatus, isComplete, reportPause, setCondition } from './deployment-status.ts';
import { type Bounds, growNew, planRollingStep, planScale, resolveBounds, type Sizes } from './rollout-plan.ts';
import { isSameTemplate } from './template-hash.ts';

const NAME = 'deployment-controller';

/** Rolls Deployments out by sizing their ReplicaSets. Keys are Deployments. */
export function createDeploymentController(context: ControllerContext): Controller {
  const deployments = context.informers.of<Deployment>(DEPLOYMENTS);
  const replicaSets = context.informers.of<ReplicaSet>(REPLICA_SETS);
  const pods = context.informers.of<Pod>(PODS);
  const queue = createQueue(context, NAME, { backoffMs: { first: 20, cap: 5_000 } });
  const events = recorderFor(context, NAME);
  enqueueChanged(queue, deployments);
  enqueueOwners(queue, deployments, replicaSets);
  // Recreate waits for the last old pod to be gone.
  pods.onChange((before, after) => {
    if (after !== undefined && !isPodFinished(after)) return;
    const owner = before && controllerOf(before);
    if (owner?.kind !== 'ReplicaSet') return;
    const replicaSet = replicaSets.get(owner.name, before?.metadata.namespace);
    const controller = replicaSet && controllerOf(replicaSet);
    if (controller?.kind === 'Deployment') queue.add(`${before?.metadata.namespace}/${controller.name}`);
  });

  return {
    name: NAME,
    queue,
    async reconcile(key) {
      const deployment = deployments.byKey(key);
      if (deployment === undefined) return;
      const rollout = new Rollout(context, events, replicaSets, pods, deployment);
      const recheckInMs = await rollout.step(deployments);
      return recheckInMs === undefined ? undefined : { afterMs: Math.max(recheckInMs, 0) + 1_000 };
    },
  };
}

/** One look at one Deployment. */
class Rollout {
  readonly #context: ControllerContext;
  readonly #events: EventRecorder;
  readonly #replicaSets: Informer<ReplicaSet>;
  readonly #pods: Informer<Pod>;
  readonly #deployment: Deployment;
  readonly #bounds: Bounds;
  /** As the server has it: #deployment, plus the revision that this step noted on it. */
  #stored: Deployment;
  #conditions: Condition[];
  #fresh: ReplicaSet | undefined;
  #old: ReplicaSet[] = [];

  constructor(
    context: ControllerContext,
    events: EventRecorder,
    replicaSets: Informer<ReplicaSet>,
    pods: Informer<Pod>,
    deployment: Deployment,
  ) {
    this.#context = context;
    this.#events = events;
    this.#replicaSets = replicaSets;
    this.#pods = pods;
    this.#deployment = deployment;
    this.#stored = deployment;
    this.#conditions = [...(deployment.status?.conditions ?? [])];
    const { strategy, replicas = 1 } = deployment.spec;
    this.#bounds =
      strategy?.type === 'Recreate'
        ? { desired: replicas, surge: 0, unavailable: 0 }
        : resolveBounds(replicas, strategy?.rollingUpdate?.maxSurge, strategy?.rollingUpdate?.maxUnavailable);
  }

  /** Milliseconds after which to look again even if nothing happens; undefined: never. */
  async step(deployments: Informer<Deployment>): Promise<number | undefined> {
    const all = await claimChildren(this.#context.client, this.#replicaSets, DEPLOYMENTS, this.#deployment);
    const { fresh, old } = splitByTemplate(this.#deployment, all);
    this.#fresh = fresh;
    this.#old = old;
    let refused: Error | undefined;
    if (this.#deployment.metadata.deletionTimestamp === undefined) {
      this.#conditions = reportPause(this.#deployment, this.#conditions, this.#context.nowMs());
      try {
        await this.#roll();
      } catch (error) {
        if (isNamespaceTerminating(error)) return undefined;
        refused = error as Error;
      }
    }
    const recheckInMs = await this.#writeStatus(deployments);
    if (refused) throw refused;
    return recheckInMs;
  }

  async #roll(): Promise<void> {
    const { spec } = this.#deployment;
    const isRecreate = spec.strategy?.type === 'Recreate';
    const active = this.#all().filter((each) => (each.spec.replicas ?? 0) > 0);
    if (spec.paused || active.some((each) => !isSizedFor(each, this.#bounds.desired))) {
      const sizes = planScale(this.#bounds, this.#fresh && shareOf(this.#fresh), this.#old.map(shareOf), !isRecreate);
      // Where nothing is to change, the note of what it was sized for is: or this would be a scaling for ever.
      for (const { name, replicas } of active.map(shareOf)) if (!sizes.has(name)) sizes.set(name, replicas);
      await this.#resize(sizes);
      return;
    }
    if (isRecreate) {
      await this.#resize(
        new Map(this.#old.filter((each) => each.spec.replicas !== 0).map((each) => [each.metadata.name ?? '', 0])),
      );
      if (this.#hasOldPods()) return;
    }
    const fresh = await this.#ensureFresh(isRecreate);
    if (isRecreate) {
      await this.#resize(new Map([[fresh.metadata.name ?? '', this.#bounds.desired]]));
    } else {
      await this.#resize(planRollingStep(this.#bounds, shareOf(fresh), this.#old.map(shareOf)));
    }
  }

  /** The ReplicaSet of the current template, made if need be, with its revision noted on it and on the Deployment. */
  async #ensureFresh(isRecreate: boolean): Promise<ReplicaSet> {
    const { client } = this.#context;
    if (this.#fresh === undefined) {
      const size = isRecreate ? this.#bounds.desired : growNew(this.#bounds, { replicas: 0 }, this.#old.map(shareOf));
      this.#fresh = await this.#createFresh(buildReplicaSet(this.#deployment, this.#old, size, this.#bounds));
    } else {
      const annotations = annotate(this.#deployment, this.#fresh, this.#old, this.#bounds);
      const minReadySeconds = this.#deployment.spec.minReadySeconds ?? 0;
      const isCurrent =
        covers(this.#fresh.metadata.annotations ?? {}, annotations) &&
        (this.#fresh.spec.minReadySeconds ?? 0) === minReadySeconds;
      if (!isCurrent) {
        const changed = {
          ...this.#fresh,
          metadata: { ...this.#fresh.metadata, annotations },
          spec: { ...this.#fresh.spec, minReadySeconds },
        };
        this.#fresh = await client.replace(REPLICA_SETS, changed);
        await this.#replicaSets.echo(this.#fresh);
      }
      if (!this.#conditions.some(({ type }) => type === 'Progressing')) {
        this.#progress('FoundNewReplicaSet', `Found new replica set "${this.#fresh.metadata.name}"`);
      }
    }
    const revision = String(revisionOf(this.#fresh));
    if (this.#deployment.metadata.annotations?.[REVISION] !== revision) {
      const { name = '', namespace } = this.#deployment.metadata;
      const patch = { metadata: { annotations: { [REVISION]: revision } } };
      this.#stored = await client.patch<Deployment>(DEPLOYMENTS, name, namespace, patch, { subresource: 'status' });
    }
    return this.#fresh;
  }

  async #createFresh(wanted: ReplicaSet): Promise<ReplicaSet> {
    const name = wanted.metadata.name ?? '';
    try {
      const created = await this.#context.client.create(REPLICA_SETS, wanted);
      await this.#replicaSets.echo(created);
      this.#progress('NewReplicaSetCreated', `Created new replica set "${name}"`);
      if (created.spec.replicas) this.#reportScale(`Scaled up replica set ${name} from 0 to ${created.spec.replicas}`);
      return created;
    } catch (error) {
      if (isNamespaceTerminating(error)) throw error;
      if (error instanceof KubeError && error.reason === 'AlreadyExists') return await this.#useExisting(name, error);
      const message = `Failed to create new replica set "${name}": ${(error as Error).message}`;
      const condition: Condition = { type: 'Progressing', status: 'False', reason: 'ReplicaSetCreateError', message };
      this.#conditions = setCondition(this.#conditions, condition, this.#context.nowMs());
      this.#events.record(this.#deployment, 'Warning', 'ReplicaSetCreateError', message);
      throw error;
    }
  }

  /** The name is taken: by our own ReplicaSet that the cache had not seen, or by something else with the same hash. */
  async #useExisting(name: string, error: KubeError): Promise<ReplicaSet> {
    const { client } = this.#context;
    const existing = await client.get<ReplicaSet>(REPLICA_SETS, name, this.#deployment.metadata.namespace);
    if (existing === undefined) throw error;
    const isOurs = controllerOf(existing)?.uid === this.#deployment.metadata.uid;
    if (isOurs && isSameTemplate(existing.spec.template, this.#deployment.spec.template)) return existing;
    const collisionCount = (this.#deployment.status?.collisionCount ?? 0) + 1;
    await client.replaceStatus(DEPLOYMENTS, {
      ...this.#deployment,
      status: { ...this.#deployment.status, collisionCount },
    });
    throw error;
  }

  async #resize(sizes: Sizes): Promise<void> {
    for (const [name, replicas] of sizes) {
      const replicaSet = this.#all().find((each) => each.metadata.name === name);
      if (replicaSet === undefined) continue;
      const before = replicaSet.spec.replicas ?? 0;
      if (before === replicas && isSizedFor(replicaSet, this.#bounds.desired)) continue;
      const changed = await this.#context.client.replace(REPLICA_SETS, {
        ...replicaSet,
        metadata: {
          ...replicaSet.metadata,
          annotations: { ...replicaSet.metadata.annotations, ...sizeAnnotations(this.#bounds) },
        },
        spec: { ...replicaSet.spec, replicas },
      });
      await this.#replicaSets.echo(changed);
      if (before !== replicas) {
        this.#reportScale(
          `Scaled ${before < replicas ? 'up' : 'down'} replica set ${name} from ${before} to ${replicas}`,
        );
      }
      if (replicaSet === this.#fresh) this.#fresh = changed;
      this.#old = this.#old.map((each) => (each === replicaSet ? changed : each));
    }
  }

  async #writeStatus(deployments: Informer<Deployment>): Promise<number | undefined> {
    const { client, nowMs } = this.#context;
    const deployment = this.#deployment;
    const { status, recheckInMs } = buildStatus({
      deployment,
      fresh: this.#fresh,
      all: this.#all(),
      bounds: this.#bounds,
      conditions: this.#conditions,
      nowMs: nowMs(),
    });
    if (!isDeepStrictEqual(status, deployment.status)) {
      await deployments.echo(await client.replaceStatus(DEPLOYMENTS, { ...this.#stored, status }));
    }
    if (isComplete(deployment, status)) {
      for (const { metadata } of selectSurplusHistory(deployment, this.#old)) {
        await client.delete(
          REPLICA_SETS,
          metadata.name ?? '',
          metadata.namespace,
          metadata.uid ? { uid: metadata.uid } : {},
        );
      }
    }
    return recheckInMs;
  }

  #all(): ReplicaSet[] {
    return this.#fresh ? [...this.#old, this.#fresh] : this.#old;
  }

  #hasOldPods(): boolean {
    const old = new Set(this.#old.map(({ metadata }) => metadata.uid));
    return this.#pods
      .inNamespace(this.#deployment.metadata.namespace)
      .some((pod) => old.has(controllerOf(pod)?.uid) && !isPodFinished(pod));
  }

  #progress(reason: string, message: string): void {
    const condition: Condition = { type: 'Progressing', status: 'True', reason, message };
    this.#conditions = setCondition(this.#conditions, condition, this.#context.nowMs());
  }

  #reportScale(message: string): void {
    this.#events.record(this.#deployment, 'Normal', 'ScalingReplicaSet', message);
  }
}
