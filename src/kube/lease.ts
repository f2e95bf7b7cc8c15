// SPDX-License-Identifier: Apache-2.0
// One of several replicas holds a Lease, and with it a duty. https://kubernetes.io/docs/concepts/architecture/leases/
import { setTimeout as sleep } from 'node:timers/promises';
import { type KubeClient, KubeError } from './client.ts';
import { LEASES } from './resources.ts';
import type { KubeObject } from './types.ts';

export interface LeaseOptions {
  readonly namespace: string;
  readonly name: string;
  /** Tells the replicas apart, and is the same for one that is restarted in its place. */
  readonly holder: string;
  /** A holder that is silent for so long has lost it. */
  readonly durationMs: number;
  /** How often it is renewed, or looked at. */
  readonly intervalMs: number;
  readonly signal: AbortSignal;
  /** Any clock that does not jump: other machines' times are not compared with it. */
  readonly nowMs?: () => number;
}

export interface LeaseHandler {
  gained(): void;
  lost(): void;
  /** Told of each attempt that failed. */
  error(error: Error): void;
}

interface LeaseSpec {
  readonly holderIdentity?: string;
  readonly renewTime?: string;
  readonly leaseTransitions?: number;
}

/** Tries to get and keep the Lease until `signal` aborts, then gives it back. Never rejects. */
export async function holdLease(client: KubeClient, options: LeaseOptions, handler: LeaseHandler): Promise<void> {
  const { signal, intervalMs } = options;
  const lease = new Lease(client, options, handler);
  while (!signal.aborted) {
    await lease.attempt();
    await sleep(intervalMs, undefined, { signal, ref: false }).catch(() => {});
  }
  await lease.release();
}

class Lease {
  readonly #client: KubeClient;
  readonly #options: LeaseOptions;
  readonly #handler: LeaseHandler;
  readonly #nowMs: () => number;
  #isHeld = false;
  #renewedAtMs = 0;
  /** What others wrote, and since when it has stood so, by our own clock. */
  #seen = { record: '', sinceMs: 0 };

  constructor(client: KubeClient, options: LeaseOptions, handler: LeaseHandler) {
    this.#client = client;
    this.#options = options;
    this.#handler = handler;
    this.#nowMs = options.nowMs ?? (() => performance.now());
  }

  async attempt(): Promise<void> {
    const atMs = this.#nowMs();
    try {
      this.#settle(await this.#acquire(), atMs);
    } catch (error) {
      // Somebody else was faster: the next look says who.
      const isRace = error instanceof KubeError && (error.reason === 'Conflict' || error.reason === 'AlreadyExists');
      if (!isRace) this.#handler.error(error as Error);
      // Nobody else has it before its time is over.
      const isOver = this.#nowMs() - this.#renewedAtMs >= this.#options.durationMs;
      if (this.#isHeld && (isOver || isRace)) this.#settle(false, atMs);
    }
  }

  async release(): Promise<void> {
    if (!this.#isHeld) return;
    this.#settle(false, this.#nowMs());
    const { namespace, name } = this.#options;
    await this.#client.patch(LEASES, name, namespace, { spec: { holderIdentity: '' } }).catch(() => {});
  }

  async #acquire(): Promise<boolean> {
    const { namespace, name, holder } = this.#options;
    const lease = await this.#client.get<KubeObject & { spec?: LeaseSpec }>(LEASES, name, namespace);
    if (lease === undefined) {
      const metadata = { name, namespace };
      await this.#client.create(LEASES, {
        apiVersion: 'coordination.k8s.io/v1',
        kind: 'Lease',
        metadata,
        spec: { ...this.#record(), leaseTransitions: 0 },
      });
      return true;
    }
    const { holderIdentity = '', renewTime = '', leaseTransitions = 0 } = lease.spec ?? {};
    if (holderIdentity !== holder && holderIdentity !== '' && !this.#isSilent(`${holderIdentity} ${renewTime}`)) {
      return false;
    }
    const transitions = holderIdentity === holder ? leaseTransitions : leaseTransitions + 1;
    await this.#client.patch(LEASES, name, namespace, {
      metadata: { resourceVersion: lease.metadata.resourceVersion },
      spec: { ...this.#record(), leaseTransitions: transitions },
    });
    return true;
  }

  #isSilent(record: string): boolean {
    const nowMs = this.#nowMs();
    if (record !== this.#seen.record) this.#seen = { record, sinceMs: nowMs };
    return nowMs - this.#seen.sinceMs >= this.#options.durationMs;
  }

  #record(): Record<string, unknown> {
    const { holder, durationMs } = this.#options;
    const renewTime = new Date().toISOString().replace('Z', '000Z');
    return { holderIdentity: holder, leaseDurationSeconds: Math.ceil(durationMs / 1000), renewTime };
  }

  #settle(isHeld: boolean, atMs: number): void {
    if (isHeld) this.#renewedAtMs = atMs;
    if (isHeld === this.#isHeld) return;
    this.#isHeld = isHeld;
    if (isHeld) this.#handler.gained();
    else this.#handler.lost();
  }
}
