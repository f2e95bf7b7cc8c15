// SPDX-License-Identifier: Apache-2.0
// What the demos ask, whoever asks: the options, the answers, and the pace.
import { setTimeout as sleep } from 'node:timers/promises';

/** What became of one request. */
export interface Answer {
  /** Of the service that answered; undefined: the request was lost. */
  readonly version: string | undefined;
  /** Why it is lost. */
  readonly detail: string;
}

export interface AskOptions {
  /** Each request carries it in its `user-agent` (agentOf), so that the proxies' logs tell whose call it was. */
  readonly who: string;
  readonly user?: string | undefined;
  /** May be Infinity. */
  readonly count: number;
  /** At most; absent: as fast as answers come. */
  readonly ratePerSecond?: number;
  /** Ends the asking in peace. */
  readonly until?: AbortSignal;
  readonly onAnswer?: (answer: Answer, done: number) => void;
  readonly signal: AbortSignal;
}

/** Asks; a lost request is an answer too. @returns all of them */
export type Ask = (options: AskOptions) => Promise<Answer[]>;

export const agentOf = (who: string): string => `isthmus-demo/${who.replaceAll(/[^\w.-]+/g, '-')}`;

/** Each call resolves when the next request may leave. */
export function paceAt(ratePerSecond: number, signal: AbortSignal): () => Promise<void> {
  let nextAt = performance.now();
  return async () => {
    const at = Math.max(nextAt, performance.now());
    nextAt = at + 1000 / ratePerSecond;
    await sleep(Math.max(0, at - performance.now()), undefined, { signal });
  };
}
