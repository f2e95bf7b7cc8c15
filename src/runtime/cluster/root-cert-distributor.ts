// SPDX-License-Identifier: Apache-2.0
// Every namespace whose pods are in the mesh has the roots in a ConfigMap: proxies check the control plane with it.
import type { Logger } from 'pino';
import type { KubeClient } from '../../kube/client.ts';
import { CONFIG_MAPS, NAMESPACES } from '../../kube/resources.ts';
import type { KubeObject } from '../../kube/types.ts';
import { watchResource } from '../../kube/watch.ts';
import { ISTIO_NAMESPACE } from '../mesh-resources.ts';

export const ROOT_CERT_CONFIG_MAP = 'istio-ca-root-cert';
const ROOT_CERT_KEY = 'root-cert.pem';
const RETRY_MS = 2_000;
/** Somebody may have removed or changed it: looked at again this often. */
const REVIEW_MS = 60_000;
/** Namespaces that only a review named: whoever reaches the webhook may invent any number. */
const MAX_UNSEEN = 16;

/** PEM of what a cluster's control plane gives its workloads to trust; undefined while it has given nothing. */
export async function readDistributedRoots(client: Pick<KubeClient, 'get'>): Promise<string | undefined> {
  const given = await client.get(CONFIG_MAPS, ROOT_CERT_CONFIG_MAP, ISTIO_NAMESPACE);
  return (given?.['data'] as Record<string, string> | undefined)?.[ROOT_CERT_KEY];
}

export class RootCertDistributor {
  readonly #client: KubeClient;
  readonly #rootPem: string;
  readonly #log: Logger;
  readonly #labels = new Map<string, Readonly<Record<string, string>>>();
  readonly #done = new Map<string, Promise<void>>();
  readonly #unseen = new Set<string>();
  readonly #retrying = new Set<string>();
  #signal: AbortSignal | undefined;

  constructor(client: KubeClient, rootPem: string, log: Logger) {
    this.#client = client;
    this.#rootPem = rootPem;
    this.#log = log;
  }

  /** Follows the namespaces until `signal` aborts. */
  async run(signal: AbortSignal): Promise<void> {
    this.#signal = signal;
    const review = setInterval(() => {
      for (const namespace of this.#done.keys()) {
        if (!this.#retrying.has(namespace)) this.#done.set(namespace, this.#write(namespace));
      }
    }, REVIEW_MS);
    signal.addEventListener('abort', () => clearInterval(review), { once: true });
    await watchResource<KubeObject>(
      this.#client,
      NAMESPACES,
      { signal },
      {
        upsert: ({ metadata }) => {
          const name = metadata.name ?? '';
          this.#labels.set(name, metadata.labels ?? {});
          const wanted = name === ISTIO_NAMESPACE || metadata.labels?.['istio-injection'] === 'enabled';
          if (metadata.deletionTimestamp !== undefined) this.#done.delete(name);
          else if (wanted) void this.ensure(name);
        },
        delete: ({ metadata }) => {
          this.#labels.delete(metadata.name ?? '');
          this.#done.delete(metadata.name ?? '');
        },
        synced: () => {},
        error: (error) => this.#log.warn({ err: error.message }, 'namespaces cannot be watched; trying again'),
      },
    );
  }

  /** A namespace's labels, as last seen; undefined for one that is not known. */
  labelsOf(namespace: string): Readonly<Record<string, string>> | undefined {
    return this.#labels.get(namespace);
  }

  /**
   * Writes the roots into the namespace, once; resolves when they are there, or when a retry has been scheduled. A
   * namespace that the watch has not brought yet is tried once, and forgotten when that fails: it may not exist.
   */
  ensure(namespace: string): Promise<void> {
    const running = this.#done.get(namespace);
    if (running !== undefined) return running;
    if (!this.#labels.has(namespace)) {
      if (this.#unseen.size >= MAX_UNSEEN) return Promise.resolve();
      this.#unseen.add(namespace);
    }
    const writing = this.#write(namespace).finally(() => this.#unseen.delete(namespace));
    this.#done.set(namespace, writing);
    return writing;
  }

  async #write(namespace: string): Promise<void> {
    try {
      await this.#client.apply(
        {
          apiVersion: 'v1',
          kind: 'ConfigMap',
          metadata: {
            name: ROOT_CERT_CONFIG_MAP,
            namespace,
            labels: { 'app.kubernetes.io/managed-by': 'isthmus', 'istio.io/config': 'true' },
          },
          data: { [ROOT_CERT_KEY]: this.#rootPem },
        },
        CONFIG_MAPS,
        { fieldManager: 'isthmus' },
      );
    } catch (error) {
      if (!this.#labels.has(namespace)) {
        this.#done.delete(namespace);
        return;
      }
      this.#log.warn(
        { namespace, err: (error as Error).message },
        `ConfigMap ${ROOT_CERT_CONFIG_MAP} could not be written; trying again`,
      );
      this.#retrying.add(namespace);
      const retry = (): void => {
        this.#retrying.delete(namespace);
        // Unless the namespace has gone meanwhile.
        if (this.#signal?.aborted !== true && this.#done.delete(namespace)) void this.ensure(namespace);
      };
      setTimeout(retry, RETRY_MS).unref();
    }
  }
}
