// SPDX-License-Identifier: Apache-2.0
// The objects that pods refer to, watched at the API server as long as somebody needs them.
import type { KubeClient } from '../../../kube/client.ts';
import {
  CONFIG_MAPS,
  PERSISTENT_VOLUME_CLAIMS,
  PERSISTENT_VOLUMES,
  resourcePath,
  SECRETS,
  SERVICE_ACCOUNTS,
  SERVICES,
} from '../../../kube/resources.ts';
import type { KubeObject, ResourceType } from '../../../kube/types.ts';
import { watchResource } from '../../../kube/watch.ts';
import type { ObjectSource, ServiceAccountToken, TokenRequest } from '../pod/object-source.ts';
import type { ConfigMap, PersistentVolume, PersistentVolumeClaim, Pod, Secret, Service } from '../pod-types.ts';

type Listener = (object: KubeObject | undefined) => void;

interface SharedWatch {
  readonly listeners: Set<Listener>;
  readonly stop: AbortController;
  isKnown: boolean;
  object: KubeObject | undefined;
}

/** A watch that nobody needs any more stays this long: the next pod of a rollout asks for the same object. */
const LINGER_MS = 10_000;

export class ClusterObjects implements ObjectSource {
  readonly #client: KubeClient;
  readonly #signal: AbortSignal;
  readonly #onError: (error: Error) => void;
  readonly #watches = new Map<string, SharedWatch>();
  readonly #services = new Map<string, Service>();
  readonly #servicesSynced: Promise<void>;

  constructor(client: KubeClient, signal: AbortSignal, onError: (error: Error) => void) {
    this.#client = client;
    this.#signal = signal;
    this.#onError = onError;
    this.#servicesSynced = this.#watchServices();
  }

  observeConfigMap(namespace: string, name: string, listener: (object: ConfigMap | undefined) => void): () => void {
    return this.#observe(CONFIG_MAPS, namespace, name, listener as Listener);
  }

  observeSecret(namespace: string, name: string, listener: (object: Secret | undefined) => void): () => void {
    return this.#observe(SECRETS, namespace, name, listener as Listener);
  }

  async services(namespace: string): Promise<readonly Service[]> {
    await this.#servicesSynced;
    return [...this.#services.values()].filter(({ metadata }) => metadata.namespace === namespace);
  }

  async volumeOfClaim(namespace: string, name: string): Promise<PersistentVolume> {
    const claim = await this.#client.get<PersistentVolumeClaim>(PERSISTENT_VOLUME_CLAIMS, name, namespace);
    if (claim === undefined) throw new Error(`persistentvolumeclaim ${JSON.stringify(name)} not found`);
    if (claim.status?.phase !== 'Bound') throw new Error('PVC is not bound');
    const volumeName = claim.spec.volumeName ?? '';
    const volume = await this.#client.get<PersistentVolume>(PERSISTENT_VOLUMES, volumeName);
    if (volume === undefined || volume.spec.claimRef?.uid !== claim.metadata.uid) {
      throw new Error(
        `persistentvolume ${JSON.stringify(volumeName)} is not bound to the claim ${JSON.stringify(name)}`,
      );
    }
    return volume;
  }

  /** https://kubernetes.io/docs/reference/kubernetes-api/authentication-resources/token-request-v1/ */
  async requestToken(pod: Pod, request: TokenRequest): Promise<ServiceAccountToken> {
    const { namespace, name, uid } = pod.metadata;
    const account = pod.spec.serviceAccountName || 'default';
    const answer = (await this.#client.request('POST', resourcePath(SERVICE_ACCOUNTS, namespace, account, 'token'), {
      body: {
        apiVersion: 'authentication.k8s.io/v1',
        kind: 'TokenRequest',
        spec: {
          audiences: request.audience ? [request.audience] : [],
          expirationSeconds: request.expirationSeconds,
          boundObjectRef: { apiVersion: 'v1', kind: 'Pod', name, uid },
        },
      },
    })) as { status: { token: string; expirationTimestamp: string } };
    return { token: answer.status.token, expiresAt: new Date(answer.status.expirationTimestamp) };
  }

  #observe(type: ResourceType, namespace: string, name: string, listener: Listener): () => void {
    const key = `${type.resource}/${namespace}/${name}`;
    const watch = this.#watches.get(key) ?? this.#start(key, type, namespace, name);
    watch.listeners.add(listener);
    if (watch.isKnown) listener(watch.object);
    return () => {
      watch.listeners.delete(listener);
      if (watch.listeners.size > 0) return;
      setTimeout(() => {
        if (watch.listeners.size > 0) return;
        watch.stop.abort();
        if (this.#watches.get(key) === watch) this.#watches.delete(key);
      }, LINGER_MS).unref();
    };
  }

  #start(key: string, type: ResourceType, namespace: string, name: string): SharedWatch {
    const watch: SharedWatch = {
      listeners: new Set(),
      stop: new AbortController(),
      isKnown: false,
      object: undefined,
    };
    this.#watches.set(key, watch);
    const tell = (object: KubeObject | undefined) => {
      watch.isKnown = true;
      watch.object = object;
      for (const listener of [...watch.listeners]) listener(object);
    };
    void watchResource(
      this.#client,
      type,
      {
        namespace,
        fieldSelector: `metadata.name=${name}`,
        signal: AbortSignal.any([this.#signal, watch.stop.signal]),
      },
      {
        upsert: tell,
        delete: () => tell(undefined),
        synced: () => {
          if (!watch.isKnown) tell(undefined);
        },
        error: this.#onError,
      },
    ).catch(this.#onError);
    return watch;
  }

  #watchServices(): Promise<void> {
    const keyOf = ({ metadata }: Service) => `${metadata.namespace}/${metadata.name}`;
    return new Promise((resolve) => {
      const ended = watchResource<Service>(
        this.#client,
        SERVICES,
        { signal: this.#signal },
        {
          upsert: (service) => void this.#services.set(keyOf(service), service),
          delete: (service) => void this.#services.delete(keyOf(service)),
          synced: resolve,
          error: this.#onError,
        },
      );
      ended.catch(this.#onError).finally(resolve);
    });
  }
}
