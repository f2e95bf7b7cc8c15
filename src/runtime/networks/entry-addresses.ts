// SPDX-License-Identifier: Apache-2.0
// Writes into the status of ServiceEntries which addresses were found for them: from there the proxies' configuration, the
// DNS server and everybody else know them, and there they outlive the control plane.
import type { Logger } from 'pino';
import { type KubeClient, KubeError } from '../../kube/client.ts';
import { AddressBook, type Allocation } from '../../model/address-book.ts';
import { SeenFamilies } from '../../model/seen-families.ts';
import type { MeshSnapshot } from '../../model/snapshot.ts';
import { meshType } from '../mesh-resources.ts';

export interface EntryAddressesOptions {
  readonly client: Pick<KubeClient, 'patch'>;
  readonly log: Logger;
  readonly retryMs?: number;
}

const RETRY_MS = 5_000;

export class EntryAddresses {
  readonly #options: EntryAddressesOptions;
  readonly #book = new AddressBook();
  readonly #families = new SeenFamilies();
  #isLeader = false;
  #isWriting = false;
  #retrying: NodeJS.Timeout | undefined;

  constructor(options: EntryAddressesOptions) {
    this.#options = options;
  }

  /** With each new state of the mesh. */
  take({ index, workloads }: Pick<MeshSnapshot, 'index' | 'workloads'>): void {
    this.#families.take(workloads);
    this.#book.take(index.services, this.#families.hasIpv6);
    void this.#write();
  }

  /** Of several replicas one writes. */
  lead(isLeader: boolean): void {
    this.#isLeader = isLeader;
    void this.#write();
  }

  close(): void {
    this.#isLeader = false;
    clearTimeout(this.#retrying);
  }

  async #write(): Promise<void> {
    if (!this.#isLeader || this.#isWriting) return;
    this.#isWriting = true;
    for (let plans = this.#book.plan(); plans.length > 0 && this.#isLeader; plans = this.#book.plan()) {
      for (const plan of plans) if (this.#isLeader) await this.#patch(plan);
      if (this.#retrying !== undefined) break;
    }
    this.#isWriting = false;
  }

  async #patch({ entry, addresses }: Allocation): Promise<void> {
    const { kind, name, namespace } = entry;
    try {
      const patch = { status: { addresses } };
      const options = { subresource: 'status', fieldManager: 'isthmus-status' } as const;
      await this.#options.client.patch(meshType(kind)!, name, namespace, patch, options);
    } catch (error) {
      if (error instanceof KubeError && error.code === 404) return;
      const object = `${kind} ${namespace}/${name}`;
      this.#options.log.warn(
        { object, err: (error as Error).message },
        'its addresses cannot be written; trying again',
      );
      this.#book.retry(entry);
      this.#retrying ??= setTimeout(() => {
        this.#retrying = undefined;
        void this.#write();
      }, this.#options.retryMs ?? RETRY_MS).unref();
    }
  }
}
