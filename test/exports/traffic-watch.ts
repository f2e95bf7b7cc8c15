// SPDX-License-Identifier: Apache-2.0
// Requests at a fixed rate, each with who answered it: how long a share takes to move, and what was lost on the way.
import { Agent, request } from 'node:http';
import { until } from '../fixture/waiting.ts';

export interface Answer {
  /** Milliseconds since 1970. */
  readonly sentAt: number;
  readonly tookMs: number;
  /** What `whose` found in a good answer; undefined: it was none. */
  readonly from: string | undefined;
  /** The status and the beginning of the body, or what became of the connection. */
  readonly said: string;
}

const RATE_PER_SECOND = 50;

export class TrafficWatch {
  /** In the order in which they came. */
  readonly answers: Answer[] = [];
  readonly #url: string;
  readonly #whose: RegExp;
  readonly #agent = new Agent({ keepAlive: true });
  readonly #begin = performance.now();
  readonly #timer: NodeJS.Timeout;
  #sent = 0;
  /** Times at which requests left that have not been answered. */
  readonly #pending = new Set<{ readonly sentAt: number }>();

  /** Starts at once. `whose` finds in an answer's body who gave it. */
  constructor(url: string, whose: RegExp) {
    this.#url = url;
    this.#whose = whose;
    this.#timer = setInterval(() => {
      const due = ((performance.now() - this.#begin) / 1000) * RATE_PER_SECOND;
      // After a pause of the machine it goes on, and makes up for nothing.
      if (this.#sent < due) {
        this.#sent = Math.floor(due);
        this.#ask();
      }
    }, 1000 / RATE_PER_SECOND);
  }

  /** Sends no more. */
  stop(): void {
    clearInterval(this.#timer);
    this.#agent.destroy();
  }

  /** Resolves when the last answers, `count` of them and all sent after this call, satisfy the check. */
  async settled(what: string, check: (last: readonly Answer[]) => boolean, count = 40): Promise<void> {
    const since = Date.now();
    await until(what, () => {
      const last = this.answers.filter(({ sentAt }) => sentAt >= since).slice(-count);
      return last.length === count && check(last);
    });
  }

  /** Resolves when all that was sent until now has come to an end. */
  async ended(): Promise<void> {
    const now = Date.now();
    await until('the end of all requests', () => [...this.#pending].every(({ sentAt }) => sentAt > now));
  }

  /** Of the answers sent since then. */
  since(time: number): readonly Answer[] {
    return this.answers.filter(({ sentAt }) => sentAt >= time);
  }

  #ask(): void {
    const sentAt = Date.now();
    const entry = { sentAt };
    this.#pending.add(entry);
    const tell = (from: string | undefined, said: string) => {
      if (this.#pending.delete(entry)) this.answers.push({ sentAt, tookMs: Date.now() - sentAt, from, said });
    };
    const asked = request(this.#url, { agent: this.#agent }, (response) => {
      let body = '';
      response.setEncoding('utf8').on('data', (text: string) => {
        body += text;
      });
      response.on('error', (error) => tell(undefined, `answer cut off: ${error.message}`));
      response.on('end', () => {
        const from = response.statusCode === 200 ? this.#whose.exec(body)?.[0] : undefined;
        tell(from, `${response.statusCode} ${body.slice(0, 100)}`);
      });
    });
    asked.on('error', (error) => tell(undefined, error.message));
    asked.end();
  }
}

/** Parts of the answers, by who gave them: `{ cluster1: 20, cluster2: 20 }`. */
export function countBy(answers: readonly Answer[]): Readonly<Record<string, number>> {
  const counts: Record<string, number> = {};
  for (const { from = 'lost' } of answers) counts[from] = (counts[from] ?? 0) + 1;
  return counts;
}
