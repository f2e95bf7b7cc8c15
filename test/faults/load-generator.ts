// SPDX-License-Identifier: Apache-2.0
// Requests at a fixed rate, whatever becomes of them, from a process of its own; and a report that names each failure.
import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';

export interface LoadTarget {
  /** For the report. */
  readonly name: string;
  readonly url: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** A 200 without it in its body is a failure: some services answer 200 for what they could not get. */
  readonly mustContain?: string;
  /** A 200 with it in its body is one as well. */
  readonly mustNotContain?: string;
}

export interface LoadOptions {
  /** Asked in turn. */
  readonly targets: readonly LoadTarget[];
  /** Of all targets together. */
  readonly ratePerSecond: number;
  /** After which a request without a whole answer has failed. */
  readonly timeoutMs: number;
}

export interface FailedRequest {
  readonly target: string;
  /** Milliseconds since 1970. */
  readonly sentAt: number;
  readonly tookMs: number;
  /** `503`, `200, wrong body`, `ECONNRESET`, `no answer within 5000 ms`... */
  readonly outcome: string;
  /** The beginning of the body. */
  readonly detail: string;
}

/** So far; `failed` has what failed since the tally before. */
export interface LoadTally {
  readonly sent: number;
  readonly answered: number;
  /** Sent more than 100 ms behind the schedule. */
  readonly late: number;
  readonly maxLateMs: number;
  readonly slowest: Pick<FailedRequest, 'target' | 'sentAt' | 'tookMs'>;
  readonly statuses: Readonly<Record<string, number>>;
  /** By name; slow: answered after more than two seconds. */
  readonly targets: Readonly<Record<string, { readonly answered: number; readonly slow: number }>>;
  readonly failed: readonly FailedRequest[];
  readonly elapsedMs: number;
  readonly isLast: boolean;
}

export interface LoadReport extends LoadTally {
  /**
   * Requests left when they should, and at least one target answered them without delay. If not, the machine had no time
   * for this load, and what failed says little.
   */
  readonly wasCarried: boolean;
  /** A few lines for people: counts, and failures with their times since the marks. */
  readonly text: string;
}

/** A machine that is busy otherwise may hold up one request in twenty. */
const LATE_SHARE = 0.05;
const SLOW_SHARE = 0.01;
const SHOWN_FAILURES = 12;

export class Load {
  readonly #child: ChildProcess;
  readonly #options: LoadOptions;
  readonly #failed: FailedRequest[] = [];
  readonly #marks: { what: string; at: number }[] = [];
  readonly #ended: Promise<void>;
  #tally: LoadTally | undefined;
  #waiting: (() => void)[] = [];

  /** Starts at once. */
  constructor(options: LoadOptions) {
    this.#options = options;
    const program = fileURLToPath(new URL('load-process.ts', import.meta.url));
    this.#child = fork(program, [JSON.stringify(options)], { execArgv: ['--disable-warning=ExperimentalWarning'] });
    this.mark('start');
    this.#child.on('message', (tally: LoadTally) => {
      this.#tally = tally;
      this.#failed.push(...tally.failed);
      const waiting = this.#waiting;
      this.#waiting = [];
      for (const look of waiting) look();
    });
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#ended = promise;
    this.#child.on('error', reject);
    this.#child.on('exit', (code) => {
      if (this.#tally?.isLast) resolve();
      else reject(new Error(`the load generator ended with code ${code} before its time`));
    });
    this.#ended.catch(() => {});
  }

  /** What happens now: the report counts the time of failures from the last mark. */
  mark(what: string): void {
    this.#marks.push({ what, at: Date.now() });
  }

  get failed(): readonly FailedRequest[] {
    return this.#failed;
  }

  /** Resolves when so many more requests have been answered from now on, well or not. */
  async answered(more: number): Promise<void> {
    const goal = (this.#tally?.answered ?? 0) + more;
    while ((this.#tally?.answered ?? 0) < goal) await this.#next();
  }

  /** Resolves when the requests of so many seconds more have been sent. */
  async sentFor(seconds: number): Promise<void> {
    const goal = (this.#tally?.sent ?? 0) + seconds * this.#options.ratePerSecond;
    while ((this.#tally?.sent ?? 0) < goal) await this.#next();
  }

  /** Resolves when so many requests in a row, sent from now on, have been answered well. */
  async wellAnswered(inRow: number, timeoutMs: number): Promise<void> {
    const deadline = Date.now() + timeoutMs;
    for (;;) {
      const failures = this.#failed.length;
      await this.answered(inRow);
      if (this.#failed.length === failures) return;
      if (Date.now() > deadline) throw new Error(`requests still fail after ${timeoutMs} ms\n${this.#describe()}`);
    }
  }

  /** Sends no more, waits for the answers that are due. */
  async stop(): Promise<LoadReport> {
    if (this.#child.connected) this.#child.send('stop');
    await this.#ended;
    const tally = this.#tally!;
    return {
      ...tally,
      failed: this.#failed,
      wasCarried: wasCarried(tally),
      text: this.#describe(),
    };
  }

  /** Ends it without a report; harmless after `stop`. */
  kill(): void {
    this.#child.kill('SIGKILL');
  }

  #next(): Promise<void> {
    return Promise.race([new Promise<void>((resolve) => this.#waiting.push(resolve)), this.#ended]);
  }

  #describe(): string {
    const tally = this.#tally;
    if (tally === undefined) return 'no request was sent';
    const rate = Math.round((tally.sent * 1000) / Math.max(1, tally.elapsedMs));
    const counts = Object.entries(tally.statuses).map(([outcome, count]) => `${count} x ${outcome}`);
    const lines = [
      `${tally.sent} requests at ${rate}/s of ${this.#options.ratePerSecond}/s, ${this.#failed.length} failed: ${counts.join('; ')}`,
      `slowest ${tally.slowest.tookMs} ms (${this.#when(tally.slowest)}); ${tally.late} left more than 100 ms late, the latest by ${Math.round(tally.maxLateMs)} ms`,
      ...this.#failed.slice(0, SHOWN_FAILURES).map((failure) => this.#line(failure)),
    ];
    if (this.#failed.length > SHOWN_FAILURES)
      lines.push(`and ${this.#failed.length - SHOWN_FAILURES} more, the last:`, this.#line(this.#failed.at(-1)!));
    return lines.join('\n');
  }

  #line(failure: FailedRequest): string {
    const { tookMs, outcome, detail } = failure;
    return `  ${this.#when(failure)}, after ${tookMs} ms: ${outcome} ${detail.trim()}`;
  }

  #when({ target, sentAt }: Pick<FailedRequest, 'target' | 'sentAt'>): string {
    const mark = this.#marks.findLast(({ at }) => at <= sentAt) ?? this.#marks[0]!;
    return `${target} sent ${sentAt - mark.at} ms after "${mark.what}"`;
  }
}

function wasCarried({ late, sent, targets }: LoadTally): boolean {
  const isSwift = ({ answered, slow }: { answered: number; slow: number }) => slow <= answered * SLOW_SHARE;
  return late <= sent * LATE_SHARE && Object.values(targets).some(isSwift);
}
