// SPDX-License-Identifier: Apache-2.0
// sessionAffinity: ClientIP. Which endpoint a client's last connection went to, for as long as the service says.
import type { Target } from './tcp-forward.ts';

/** A client more than this forgets the one that was silent the longest. */
const MAX_CLIENTS = 10_000;

export class ClientAffinity {
  readonly #clients = new Map<string, { readonly target: Target; readonly usedAtMs: number }>();
  readonly #now: () => number;

  /** @param now in milliseconds. */
  constructor(now: () => number) {
    this.#now = now;
  }

  /** undefined when the client is new, or its last connection is older than `timeoutMs`. */
  recall(client: string, timeoutMs: number): Target | undefined {
    const known = this.#clients.get(client);
    if (known === undefined || this.#now() - known.usedAtMs <= timeoutMs) return known?.target;
    this.#clients.delete(client);
    return undefined;
  }

  remember(client: string, target: Target): void {
    this.#clients.delete(client);
    this.#clients.set(client, { target, usedAtMs: this.#now() });
    if (this.#clients.size > MAX_CLIENTS) this.#clients.delete(this.#clients.keys().next().value!);
  }
}
