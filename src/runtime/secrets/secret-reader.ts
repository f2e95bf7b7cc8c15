// SPDX-License-Identifier: Apache-2.0
// Secrets that somebody made for TLS, one by one: each is read by its name, and only while something asks for it.
import { type KubeClient, KubeError } from '../../kube/client.ts';
import { SECRETS } from '../../kube/resources.ts';
import type { KubeObject } from '../../kube/types.ts';
import { watchResource } from '../../kube/watch.ts';

export interface SecretPlace {
  readonly cluster: string;
  readonly namespace: string;
  readonly name: string;
}

export type SecretState =
  | { readonly kind: 'reading' }
  | { readonly kind: 'absent' }
  /** What was read before stays in force. */
  | { readonly kind: 'unreadable'; readonly message: string; readonly cure: string }
  | { readonly kind: 'present'; readonly object: KubeObject };

export interface SecretReader {
  /** Tells how it stands, at once if that is known, and each change of it; returns how to end that. */
  follow(place: SecretPlace, told: (state: SecretState) => void): () => void;
}

/** Whoever holds the names of the account by which a cluster is read. */
export interface ClusterAccess {
  readonly client: KubeClient;
  /** As `--serviceaccount` of kubectl has it. */
  readonly account: string;
}

/** Secrets of clusters, by a watch of one name each: whoever grants it needs to grant no other. */
export class KubeSecretReader implements SecretReader {
  readonly #accessTo: (cluster: string) => ClusterAccess | undefined;
  readonly #retryMs: number;

  constructor(accessTo: (cluster: string) => ClusterAccess | undefined, retryMs = 1_000) {
    this.#accessTo = accessTo;
    this.#retryMs = retryMs;
  }

  follow(place: SecretPlace, told: (state: SecretState) => void): () => void {
    const ending = new AbortController();
    told({ kind: 'reading' });
    void this.#run(place, told, ending.signal);
    return () => ending.abort();
  }

  async #run(place: SecretPlace, told: (state: SecretState) => void, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const access = this.#accessTo(place.cluster);
      if (access === undefined) {
        const message = `cluster ${place.cluster} is not watched`;
        told({ kind: 'unreadable', message, cure: 'none needed if it is short: it is tried again' });
      } else await this.#watch(place, access, told, signal);
      await pause(this.#retryMs, signal);
    }
  }

  /** Until `signal` aborts, or the cluster is reached by another connection. */
  async #watch(
    place: SecretPlace,
    access: ClusterAccess,
    told: (state: SecretState) => void,
    signal: AbortSignal,
  ): Promise<void> {
    const ending = new AbortController();
    const { namespace, name } = place;
    let last: SecretState = { kind: 'absent' };
    const tell = (state: SecretState): void => {
      last = state;
      told(state);
    };
    await watchResource<KubeObject>(
      access.client,
      SECRETS,
      { namespace, fieldSelector: `metadata.name=${name}`, signal: AbortSignal.any([signal, ending.signal]) },
      {
        upsert: (object) => tell({ kind: 'present', object }),
        delete: () => tell({ kind: 'absent' }),
        synced: () => told(last),
        resumed: () => told(last),
        error: (error) => {
          if (this.#accessTo(place.cluster)?.client !== access.client) ending.abort();
          else told({ kind: 'unreadable', message: error.message, cure: cureFor(error, place, access) });
        },
      },
    );
  }
}

function cureFor(error: Error, { namespace, name }: SecretPlace, { account }: ClusterAccess): string {
  if (!(error instanceof KubeError) || error.code !== 403) return 'none needed if it is short: it is tried again';
  const role = `kubectl -n ${namespace} create role gateway-${name} --verb=get,list,watch --resource=secrets --resource-name=${name}`;
  const binding = `kubectl -n ${namespace} create rolebinding gateway-${name} --role=gateway-${name} --serviceaccount=${account}`;
  return `let the control plane read it: ${role}; ${binding}`;
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, ms);
  signal.addEventListener('abort', () => resolve(), { once: true });
  return promise.finally(() => clearTimeout(timer));
}

/** Secrets among objects that come from files. */
export class GivenSecrets implements SecretReader {
  readonly #objects = new Map<string, KubeObject>();
  readonly #followers = new Map<string, Set<(state: SecretState) => void>>();

  follow(place: SecretPlace, told: (state: SecretState) => void): () => void {
    const key = `${place.namespace}/${place.name}`;
    const followers = this.#followers.get(key) ?? new Set();
    this.#followers.set(key, followers);
    followers.add(told);
    told(this.#state(key));
    return () => followers.delete(told);
  }

  upsert(object: KubeObject): void {
    const key = keyOf(object);
    this.#objects.set(key, object);
    this.#tell(key);
  }

  delete(object: Pick<KubeObject, 'metadata'>): void {
    const key = keyOf(object);
    this.#objects.delete(key);
    this.#tell(key);
  }

  #state(key: string): SecretState {
    const object = this.#objects.get(key);
    return object === undefined ? { kind: 'absent' } : { kind: 'present', object };
  }

  #tell(key: string): void {
    for (const told of this.#followers.get(key) ?? []) told(this.#state(key));
  }
}

function keyOf({ metadata }: Pick<KubeObject, 'metadata'>): string {
  return `${metadata.namespace ?? ''}/${metadata.name ?? ''}`;
}
