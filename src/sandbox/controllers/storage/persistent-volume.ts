// SPDX-License-Identifier: Apache-2.0
import { isDeepStrictEqual } from 'node:util';
import { KubeError } from '../../../kube/client.ts';
import { NODES, PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES, PODS, STORAGE_CLASSES } from '../../../kube/resources.ts';
import {
  type Controller,
  type ControllerContext,
  createQueue,
  enqueueChanged,
  recorderFor,
  timestamp,
} from '../controller.ts';
import type { EventRecorder } from '../event-recorder.ts';
import { type Informer, keyOf } from '../informer.ts';
import type { Node, Pod } from '../objects.ts';
import { isPodFinished } from '../pod-state.ts';
import { claimsOf } from './pod-claims.ts';
import type { PersistentVolume, PersistentVolumeClaim, StorageClass } from './storage-objects.ts';
import {
  BOUND_BY_CONTROLLER,
  buildVolume,
  isOurs,
  PROVISIONER,
  referenceTo,
  removeDirectory,
} from './volume-directory.ts';
import { isReservedFor, matchVolume } from './volume-match.ts';

const NAME = 'persistentvolume-controller';
const BIND_COMPLETED = 'pv.kubernetes.io/bind-completed';

/**
 * Binds claims to volumes, makes volumes for those that name a class of ours, and takes back what is released.
 * Keys are claims (`namespace/name`) and volumes (`/name`), one at a time: two claims must never get one volume.
 * @param diskDir the folder that is the node's disk
 */
export function createPersistentVolumeController(context: ControllerContext, diskDir: string): Controller {
  const claims = context.informers.of<PersistentVolumeClaim>(PERSISTENT_VOLUME_CLAIMS);
  const volumes = context.informers.of<PersistentVolume>(PERSISTENT_VOLUMES);
  const classes = context.informers.of<StorageClass>(STORAGE_CLASSES);
  const pods = context.informers.of<Pod>(PODS);
  const nodes = context.informers.of<Node>(NODES);
  const queue = createQueue(context, NAME, { concurrency: 1 });
  const binder = new VolumeBinder(context, recorderFor(context, NAME), {
    claims,
    volumes,
    classes,
    pods,
    nodes,
    diskDir,
  });
  const enqueueUnbound = (): void => {
    for (const claim of claims.all()) if (claim.status?.phase !== 'Bound') queue.add(keyOf(claim));
  };
  enqueueChanged(queue, claims);
  enqueueChanged(queue, volumes);
  claims.onChange((before, after) => {
    const { volumeName } = (after ?? before)?.spec ?? {};
    if (volumeName) queue.add(`/${volumeName}`);
  });
  volumes.onChange((before, after) => {
    const { claimRef } = (after ?? before)?.spec ?? {};
    if (claimRef) queue.add(`${claimRef.namespace}/${claimRef.name}`);
    if (after?.status?.phase === 'Available') enqueueUnbound();
  });
  classes.onChange(enqueueUnbound);
  nodes.onChange((before) => {
    if (before === undefined) enqueueUnbound();
  });
  pods.onChange((before, after) => {
    // One that waits for its first consumer, or one that is held until its last consumer is gone.
    const pod = before === undefined ? after : after === undefined ? before : undefined;
    for (const name of pod ? claimsOf(pod) : []) queue.add(`${pod?.metadata.namespace}/${name}`);
  });

  return {
    name: NAME,
    queue,
    async reconcile(key) {
      if (key.startsWith('/')) await binder.syncVolume(key);
      else await binder.syncClaim(key);
      return undefined;
    },
  };
}

interface Sources {
  readonly claims: Informer<PersistentVolumeClaim>;
  readonly volumes: Informer<PersistentVolume>;
  readonly classes: Informer<StorageClass>;
  readonly pods: Informer<Pod>;
  readonly nodes: Informer<Node>;
  readonly diskDir: string;
}

class VolumeBinder {
  readonly #context: ControllerContext;
  readonly #events: EventRecorder;
  readonly #from: Sources;

  constructor(context: ControllerContext, events: EventRecorder, from: Sources) {
    this.#context = context;
    this.#events = events;
    this.#from = from;
  }

  async syncClaim(key: string): Promise<void> {
    const claim = this.#from.claims.byKey(key);
    if (claim === undefined || claim.metadata.deletionTimestamp !== undefined) return;
    if (claim.metadata.annotations?.[BIND_COMPLETED] !== undefined) return await this.#syncBound(claim);
    const volume = matchVolume(claim, this.#from.volumes.all());
    if (volume !== undefined) return await this.#bind(claim, volume);
    if (claim.spec.volumeName) return;
    await this.#provision(claim);
  }

  async syncVolume(key: string): Promise<void> {
    const volume = this.#from.volumes.byKey(key);
    if (volume === undefined) return;
    const { claimRef } = volume.spec;
    if (!claimRef?.uid) return await this.#setVolumePhase(volume, 'Available');
    const claim = await this.#findClaim(claimRef.name, claimRef.namespace ?? '', claimRef.uid);
    if (claim !== undefined) {
      // A volume in use may be marked for deletion, and stays until its claim is gone.
      if (claim.spec.volumeName === volume.metadata.name) await this.#setVolumePhase(volume, 'Bound');
      return;
    }
    await this.#setVolumePhase(volume, 'Released');
    if (volume.spec.persistentVolumeReclaimPolicy !== 'Delete') return;
    if (!isOurs(volume)) {
      const message = `no deleter for this volume: only those that ${PROVISIONER} made are removed by the sandbox`;
      this.#events.record(volume, 'Warning', 'VolumeFailedDelete', message);
      return;
    }
    await removeDirectory(this.#from.diskDir, volume);
    const { name = '', uid } = volume.metadata;
    await this.#context.client.delete(PERSISTENT_VOLUMES, name, undefined, uid ? { uid } : {});
  }

  /** The cache may lag behind: what is released is asked for. */
  async #findClaim(name: string, namespace: string, uid: string): Promise<PersistentVolumeClaim | undefined> {
    const cached = this.#from.claims.get(name, namespace);
    if (cached?.metadata.uid === uid) return cached;
    const live = await this.#context.client.get<PersistentVolumeClaim>(PERSISTENT_VOLUME_CLAIMS, name, namespace);
    return live?.metadata.uid === uid ? live : undefined;
  }

  async #syncBound(claim: PersistentVolumeClaim): Promise<void> {
    const volume = this.#from.volumes.get(claim.spec.volumeName ?? '');
    if (volume !== undefined && isReservedFor(volume, claim)) return await this.#bind(claim, volume);
    if (claim.status?.phase === 'Lost') return;
    await this.#writeClaimStatus(claim, { ...claim.status, phase: 'Lost' });
    const message = 'Bound claim has lost its PersistentVolume. Data on the volume is lost!';
    this.#events.record(claim, 'Warning', 'ClaimLost', message);
  }

  /** In four writes, each of which may be the last before a crash: every step is looked at anew. */
  async #bind(claim: PersistentVolumeClaim, found: PersistentVolume): Promise<void> {
    const { client } = this.#context;
    let volume = await this.#resized(claim, found);
    if (volume.spec.claimRef?.uid !== claim.metadata.uid) {
      const annotations = { ...volume.metadata.annotations, [BOUND_BY_CONTROLLER]: 'yes' };
      volume = await client.replace(PERSISTENT_VOLUMES, {
        ...volume,
        metadata: { ...volume.metadata, annotations },
        spec: { ...volume.spec, claimRef: referenceTo(claim) },
      });
      await this.#from.volumes.echo(volume);
    }
    await this.#setVolumePhase(volume, 'Bound');
    const volumeName = volume.metadata.name ?? '';
    let bound = claim;
    if (claim.spec.volumeName !== volumeName || !claim.metadata.annotations?.[BIND_COMPLETED]) {
      const { name = '', namespace, uid, resourceVersion } = claim.metadata;
      const byUs = claim.spec.volumeName ? {} : { [BOUND_BY_CONTROLLER]: 'yes' };
      const annotations = { [BIND_COMPLETED]: 'yes', ...byUs };
      const patch = { metadata: { uid, resourceVersion, annotations }, spec: { volumeName } };
      bound = await client.patch<PersistentVolumeClaim>(PERSISTENT_VOLUME_CLAIMS, name, namespace, patch);
      await this.#from.claims.echo(bound);
    }
    const { accessModes = [], capacity = {} } = volume.spec;
    await this.#writeClaimStatus(bound, { ...bound.status, phase: 'Bound', accessModes, capacity });
  }

  /** Nobody enforces the capacity: a claim that may grow has grown. */
  async #resized(claim: PersistentVolumeClaim, volume: PersistentVolume): Promise<PersistentVolume> {
    const storage = claim.spec.resources?.requests?.['storage'];
    if (!isOurs(volume) || storage === undefined || volume.spec.capacity?.['storage'] === storage) return volume;
    const { name = '' } = volume.metadata;
    const patch = { spec: { capacity: { storage } } };
    const grown = await this.#context.client.patch<PersistentVolume>(PERSISTENT_VOLUMES, name, undefined, patch);
    await this.#from.volumes.echo(grown);
    return grown;
  }

  async #provision(claim: PersistentVolumeClaim): Promise<void> {
    const say = (type: 'Normal' | 'Warning', reason: string, message: string): void =>
      this.#events.record(claim, type, reason, message);
    const className = claim.spec.storageClassName;
    if (!className) {
      say('Normal', 'FailedBinding', 'no persistent volumes available for this claim and no storage class is set');
      return;
    }
    const storageClass = this.#from.classes.get(className);
    if (storageClass === undefined) {
      say('Warning', 'ProvisioningFailed', `storageclass.storage.k8s.io ${JSON.stringify(className)} not found`);
      return;
    }
    const user = this.#firstUserOf(claim);
    if (storageClass.volumeBindingMode === 'WaitForFirstConsumer' && user === undefined) {
      say('Normal', 'WaitForFirstConsumer', 'waiting for first consumer to be created before binding');
      return;
    }
    if (storageClass.provisioner === 'kubernetes.io/no-provisioner') return;
    if (storageClass.provisioner !== PROVISIONER) {
      const waiting = `Waiting for a volume to be created either by the external provisioner '${storageClass.provisioner}' or manually by the system administrator. If volume creation is delayed, please verify that the provisioner is running and correctly registered.`;
      say('Normal', 'ExternalProvisioning', waiting);
      return;
    }
    if (claim.spec.volumeMode === 'Block' || claim.spec.selector !== undefined) {
      const what = claim.spec.selector === undefined ? 'volumeMode Block' : 'a selector';
      say(
        'Warning',
        'ProvisioningFailed',
        `failed to provision volume with StorageClass "${className}": ${PROVISIONER} makes directories; it cannot honour ${what}`,
      );
      return;
    }
    const [node] = this.#from.nodes.all();
    if (node === undefined) return;
    const hostname = node.metadata.labels?.['kubernetes.io/hostname'] ?? node.metadata.name ?? '';
    await this.#createVolume(claim, buildVolume(claim, storageClass, hostname));
  }

  async #createVolume(claim: PersistentVolumeClaim, wanted: PersistentVolume): Promise<void> {
    const name = wanted.metadata.name ?? '';
    try {
      await this.#from.volumes.echo(await this.#context.client.create(PERSISTENT_VOLUMES, wanted));
    } catch (error) {
      if (!(error instanceof KubeError && error.reason === 'AlreadyExists')) throw error;
    }
    this.#events.record(claim, 'Normal', 'ProvisioningSucceeded', `Successfully provisioned volume ${name}`);
    const volume = this.#from.volumes.get(name);
    if (volume !== undefined) await this.#bind(claim, volume);
  }

  #firstUserOf({ metadata }: PersistentVolumeClaim): Pod | undefined {
    return this.#from.pods
      .inNamespace(metadata.namespace)
      .find((pod) => !isPodFinished(pod) && claimsOf(pod).includes(metadata.name ?? ''));
  }

  async #setVolumePhase(volume: PersistentVolume, phase: string): Promise<void> {
    if (volume.status?.phase === phase) return;
    const status = { ...volume.status, phase, lastPhaseTransitionTime: timestamp(this.#context.nowMs()) };
    const written = await this.#context.client.replaceStatus(PERSISTENT_VOLUMES, { ...volume, status });
    await this.#from.volumes.echo(written);
  }

  async #writeClaimStatus(
    claim: PersistentVolumeClaim,
    status: NonNullable<PersistentVolumeClaim['status']>,
  ): Promise<void> {
    if (isDeepStrictEqual(status, claim.status)) return;
    const written = await this.#context.client.replaceStatus(PERSISTENT_VOLUME_CLAIMS, { ...claim, status });
    await this.#from.claims.echo(written);
  }
}
