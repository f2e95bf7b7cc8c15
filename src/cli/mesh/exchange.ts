// SPDX-License-Identifier: Apache-2.0

/**
 * What clusters that are worked on side by side need of one another (a kubeconfig, an address): each value is offered once,
 * or never, and then whoever waits is told why.
 */
export class Exchange {
  readonly #values = new Map<string, PromiseWithResolvers<string>>();
  readonly #failed = new Map<string, Error>();

  offer(cluster: string, what: string, value: string): void {
    this.#slot(cluster, what).resolve(value);
  }

  /** It will not come; what has been offered stands. */
  fail(cluster: string, what: string, error: Error): void {
    this.#slot(cluster, what).reject(error);
  }

  /** Whatever the cluster has not offered yet it will not offer any more. */
  giveUp(cluster: string, error: Error): void {
    this.#failed.set(cluster, error);
    for (const [key, slot] of this.#values) if (key.startsWith(`${cluster}\0`)) slot.reject(error);
  }

  /** @throws what the cluster failed by */
  wait(cluster: string, what: string): Promise<string> {
    return this.#slot(cluster, what).promise;
  }

  #slot(cluster: string, what: string): PromiseWithResolvers<string> {
    const key = `${cluster}\0${what}`;
    const known = this.#values.get(key);
    if (known !== undefined) return known;
    const slot = Promise.withResolvers<string>();
    // Nobody may be waiting.
    slot.promise.catch(() => {});
    const failure = this.#failed.get(cluster);
    if (failure !== undefined) slot.reject(failure);
    this.#values.set(key, slot);
    return slot;
  }
}
