// SPDX-License-Identifier: Apache-2.0
import type { IssuedCertificate } from './authority.ts';

/** Time and chance, injected. */
export interface Clock {
  nowMs(): number;
  /** Uniform in [0, 1). */
  random(): number;
  /** Calls `run` once after `delayMs`; returns how to cancel. */
  after(delayMs: number, run: () => void): () => void;
}

const MAX_TIMER_MS = 2 ** 31 - 1;

export const systemClock: Clock = {
  nowMs: Date.now,
  random: Math.random,
  after(delayMs, run) {
    const timer = setTimeout(run, Math.min(Math.max(delayMs, 0), MAX_TIMER_MS));
    timer.unref();
    return () => clearTimeout(timer);
  },
};

/** Never sooner than this: certificates that end with their authority get shorter and shorter. */
const MIN_DELAY_MS = 1000;
const RETRY_MS = 60_000;
const JITTER = 0.1;

/** When to replace a certificate: at half of its remaining life, a tenth earlier or later, so that not all renew at once. */
export function renewalDelayMs(certificate: Pick<IssuedCertificate, 'notAfterMs'>, clock: Clock): number {
  const halfMs = (certificate.notAfterMs - clock.nowMs()) / 2;
  return Math.max(MIN_DELAY_MS, halfMs * (1 + JITTER * (2 * clock.random() - 1)));
}

/** A certificate that is replaced in time, until closed. */
export class RenewedCertificate {
  readonly #issue: () => IssuedCertificate;
  readonly #changed: (certificate: IssuedCertificate) => void;
  readonly #failed: (error: Error) => void;
  readonly #clock: Clock;
  #current: IssuedCertificate;
  #cancel: () => void = () => {};
  #isClosed = false;

  /**
   * Issues at once (and throws what `issue` throws); `changed` is told of each later one. When a later one cannot be issued
   * `failed` is told, the old one stays, and it is tried again.
   */
  constructor(
    issue: () => IssuedCertificate,
    told: { changed: (certificate: IssuedCertificate) => void; failed: (error: Error) => void },
    clock: Clock,
  ) {
    this.#issue = issue;
    this.#changed = told.changed;
    this.#failed = told.failed;
    this.#clock = clock;
    this.#current = issue();
    this.#schedule(renewalDelayMs(this.#current, clock));
  }

  get current(): IssuedCertificate {
    return this.#current;
  }

  /** Replaces the certificate now, e.g. because the authority has changed. Never throws. */
  renew(): void {
    if (this.#isClosed) return;
    this.#cancel();
    try {
      this.#current = this.#issue();
    } catch (error) {
      this.#schedule(RETRY_MS);
      this.#failed(error instanceof Error ? error : new Error(String(error)));
      return;
    }
    this.#schedule(renewalDelayMs(this.#current, this.#clock));
    this.#changed(this.#current);
  }

  close(): void {
    this.#isClosed = true;
    this.#cancel();
  }

  #schedule(delayMs: number): void {
    this.#cancel = this.#clock.after(delayMs, () => this.renew());
  }
}
