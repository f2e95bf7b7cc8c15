// SPDX-License-Identifier: Apache-2.0
// When many proxies come at once, after a restart say, serving all of them a little would have all of them wait for the
// last one. They are let in by and by instead, in the order in which they came, and nobody is refused.

export interface AdmissionLimits {
  /** Streams that may be at their first configuration at the same time. */
  readonly atOnce: number;
  /** A stream from which nothing was heard for so long makes room for the next: it has what it asked for, or is slow. */
  readonly quietMs: number;
  /** A stream makes room after this, whatever it does. With `atOnce` this bounds how long anybody waits. */
  readonly holdMs: number;
}

export const DEFAULT_ADMISSION: AdmissionLimits = { atOnce: 256, quietMs: 500, holdMs: 2000 };

/** The place of one stream among those that are at their first configuration. */
export interface Admission {
  /** Something came from the stream. */
  heard(): void;
  /** Makes room. Idempotent. */
  release(): void;
}

export class Admissions {
  readonly #limits: AdmissionLimits;
  readonly #waiting = new Set<() => void>();
  #inside = 0;

  constructor(limits: AdmissionLimits = DEFAULT_ADMISSION) {
    this.#limits = limits;
  }

  get waiting(): number {
    return this.#waiting.size;
  }

  /** Resolves when it is the caller's turn; with undefined when `gone` resolved before. Never rejects. */
  async enter(gone: Promise<void>): Promise<Admission | undefined> {
    if (this.#inside < this.#limits.atOnce) {
      this.#inside++;
      return this.#place();
    }
    const turn = Promise.withResolvers<Admission | undefined>();
    const enter = (): void => turn.resolve(this.#place());
    this.#waiting.add(enter);
    void gone.then(() => {
      if (this.#waiting.delete(enter)) turn.resolve(undefined);
    });
    return turn.promise;
  }

  #place(): Admission {
    const { quietMs, holdMs } = this.#limits;
    let isInside = true;
    const release = (): void => {
      if (!isInside) return;
      isInside = false;
      clearTimeout(quiet);
      clearTimeout(hold);
      this.#makeRoom();
    };
    const quiet = setTimeout(release, quietMs);
    const hold = setTimeout(release, holdMs);
    return {
      heard: () => {
        if (isInside) quiet.refresh();
      },
      release,
    };
  }

  /** The room goes to the next who waits, or is free. */
  #makeRoom(): void {
    const [next] = this.#waiting;
    if (next === undefined) {
      this.#inside--;
      return;
    }
    this.#waiting.delete(next);
    next();
  }
}
