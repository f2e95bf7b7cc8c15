// SPDX-License-Identifier: Apache-2.0
// What fortio's `load` does in the part that circuit breakers are tried with: connections that each send one request
// after the other, and the share of each status.
import { Agent, request } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';

export interface LoadPlan {
  readonly url: URL;
  readonly connections: number;
  /** Of all connections together; 0: as fast as they are answered. */
  readonly perSecond: number;
  /** Of all connections together; 0: as long as `durationMs`. */
  readonly calls: number;
  readonly durationMs: number;
  /** The one answer is shown instead. */
  readonly showsAnswer: boolean;
  readonly isQuiet: boolean;
}

export interface LoadCount {
  /** Status, or -1 where there was no answer, -> how many. */
  readonly statuses: ReadonlyMap<number, number>;
  readonly elapsedMs: number;
  readonly sumMs: number;
}

const UNIT_MS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 };

/** Options as Go's flag package has them, `-c 3` and `-c=3`; throws an Error that names what is wrong. */
export function parseLoad(words: readonly string[]): LoadPlan {
  const text = { type: 'string' } as const;
  const yes = { type: 'boolean' } as const;
  const { values, positionals } = parseArgs({
    args: words.map((word) => word.replace(/^-(?=[a-z])/, '--')),
    options: { c: text, n: text, t: text, qps: text, loglevel: text, timeout: text, curl: yes, quiet: yes },
    allowPositionals: true,
  });
  const number = (name: 'c' | 'n' | 'qps', fallback: number): number => {
    const value = Number(values[name] ?? fallback);
    if (!Number.isFinite(value) || value < 0) throw new Error(`-${name} ${values[name]}: a number is needed`);
    return value;
  };
  const [url, ...more] = positionals;
  if (url === undefined || more.length > 0) throw new Error('give one URL');
  return {
    url: new URL(/^https?:/.test(url) ? url : `http://${url}`),
    connections: Math.max(1, number('c', 4)),
    perSecond: number('qps', 8),
    calls: number('n', 0),
    durationMs: durationOf(values.t ?? '5s'),
    showsAnswer: values.curl === true,
    isQuiet: values.quiet === true || /^(error|critical|fatal)$/i.test(values.loglevel ?? ''),
  };
}

/** Each connection has its share of the calls, as fortio's threads have; `refused` is told of each that failed. */
export async function runLoad(plan: LoadPlan, refused: (status: number) => void): Promise<LoadCount> {
  const statuses = new Map<number, number>();
  const startedAt = performance.now();
  const endAt = plan.calls > 0 ? Number.POSITIVE_INFINITY : startedAt + plan.durationMs;
  const spacingMs = plan.perSecond > 0 ? (1_000 * plan.connections) / plan.perSecond : 0;
  let sumMs = 0;
  const connection = async (index: number): Promise<void> => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const share = Math.floor(plan.calls / plan.connections) + (index < plan.calls % plan.connections ? 1 : 0);
    for (let sent = 0; plan.calls > 0 ? sent < share : performance.now() < endAt; sent++) {
      const askedAt = performance.now();
      const { status } = await ask(plan.url, agent);
      sumMs += performance.now() - askedAt;
      statuses.set(status, (statuses.get(status) ?? 0) + 1);
      if (status !== 200) refused(status);
      const nextAt = startedAt + spacingMs * (sent + 1);
      if (spacingMs > 0 && nextAt > performance.now()) await sleep(nextAt - performance.now());
    }
    agent.destroy();
  };
  await Promise.all(Array.from({ length: plan.connections }, (_, index) => connection(index)));
  return { statuses, elapsedMs: performance.now() - startedAt, sumMs };
}

/** In fortio's words, which scripts look for: `Code 200 : 19 (95.0 %)`. */
export function renderCount({ statuses, elapsedMs, sumMs }: LoadCount): string {
  const total = [...statuses.values()].reduce((sum, count) => sum + count, 0);
  const perSecond = ((1_000 * total) / elapsedMs).toFixed(2);
  const lines = [...statuses]
    .sort(([a], [b]) => a - b)
    .map(
      ([status, count]) => `Code ${String(status).padStart(3)} : ${count} (${((100 * count) / total).toFixed(1)} %)`,
    );
  return [
    `Ended after ${elapsedMs.toFixed(3)}ms : ${total} calls. qps=${perSecond}`,
    ...lines,
    `All done ${total} calls ${(sumMs / total).toFixed(3)} ms avg, ${perSecond} qps`,
    '',
  ].join('\n');
}

/** One request: its status (-1 without an answer) and the answer as it came. */
export function ask(url: URL, agent?: Agent): Promise<{ status: number; text: string }> {
  const { promise, resolve } = Promise.withResolvers<{ status: number; text: string }>();
  const sent = request(url, { ...(agent ? { agent } : {}), headers: { 'user-agent': 'fortio.org/fortio' } });
  sent.on('error', (error) => resolve({ status: -1, text: `${error.message}\n` }));
  sent.on('response', async (response) => {
    let text = `HTTP/${response.httpVersion} ${response.statusCode} ${response.statusMessage}\r\n`;
    for (let i = 0; i + 1 < response.rawHeaders.length; i += 2)
      text += `${response.rawHeaders[i]}: ${response.rawHeaders[i + 1]}\r\n`;
    text += '\r\n';
    try {
      for await (const chunk of response) text += chunk;
      resolve({ status: response.statusCode ?? -1, text });
    } catch (error) {
      resolve({ status: -1, text: `${error instanceof Error ? error.message : error}\n` });
    }
  });
  sent.end();
  return promise;
}

function durationOf(text: string): number {
  const parts = [...text.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h)/g)];
  const durationMs = parts.reduce((sum, [, count, unit = 's']) => sum + Number(count) * UNIT_MS[unit]!, 0);
  if (durationMs === 0 || parts.map(([part]) => part).join('') !== text) throw new Error(`-t ${text}: 5s, 1m30s`);
  return durationMs;
}
