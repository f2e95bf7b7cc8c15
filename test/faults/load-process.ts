// SPDX-License-Identifier: Apache-2.0
// The load itself, in a process of its own: whatever the test's loop does, requests leave on time. Its options come as
// one JSON argument, its tally goes to the parent by IPC.
import { Agent, type IncomingMessage, request } from 'node:http';
import type { FailedRequest, LoadOptions, LoadTally, LoadTarget } from './load-generator.ts';

/** A gap in the schedule that is worth a word: beyond it the offered load was not the one that was asked for. */
const LATE_MS = 100;
/** Longer than any fault holds up what it does not concern. */
const SLOW_MS = 2_000;
const TALLY_EVERY_MS = 50;

const options = JSON.parse(process.argv[2] ?? '') as LoadOptions;
/** Of one target. A machine that cannot follow for a moment would drown in new connections and never catch up. */
const MAX_CONNECTIONS = 400;

// First in, first out: each connection is used often, and so learns soon that the other side wants to close it. One for
// each target's name: those that hang are in nobody else's way.
const agents = new Map(
  options.targets.map(({ name }) => [
    name,
    new Agent({ keepAlive: true, scheduling: 'fifo', maxSockets: MAX_CONNECTIONS }),
  ]),
);
const spacingMs = 1000 / options.ratePerSecond;
const begin = performance.now();
const tally = {
  sent: 0,
  answered: 0,
  late: 0,
  maxLateMs: 0,
  slowest: { target: '', sentAt: 0, tookMs: 0 },
  statuses: {} as Record<string, number>,
  targets: {} as Record<string, { answered: number; slow: number }>,
};
const failed: FailedRequest[] = [];
let isStopping = false;

/** Open loop: what has not been answered yet holds up nothing. */
function tick(): void {
  if (isStopping) return;
  const now = performance.now();
  for (let due = begin + tally.sent * spacingMs; due <= now; due = begin + tally.sent * spacingMs) {
    const lateMs = now - due;
    if (lateMs > LATE_MS) tally.late++;
    tally.maxLateMs = Math.max(tally.maxLateMs, lateMs);
    ask(options.targets[tally.sent % options.targets.length]!);
    tally.sent++;
  }
  setTimeout(tick, Math.max(0, begin + tally.sent * spacingMs - performance.now()));
}

function ask(target: LoadTarget): void {
  const sentAt = Date.now();
  let isDone = false;
  const done = (outcome: string, isGood: boolean, detail = '') => {
    if (isDone) return;
    isDone = true;
    clearTimeout(timer);
    const tookMs = Date.now() - sentAt;
    tally.answered++;
    if (tookMs > tally.slowest.tookMs) tally.slowest = { target: target.name, sentAt, tookMs };
    tally.targets[target.name] ??= { answered: 0, slow: 0 };
    const mine = tally.targets[target.name]!;
    mine.answered++;
    if (tookMs > SLOW_MS) mine.slow++;
    tally.statuses[outcome] = (tally.statuses[outcome] ?? 0) + 1;
    if (!isGood) failed.push({ target: target.name, sentAt, tookMs, outcome, detail: detail.slice(0, 200) });
  };
  const asked = request(target.url, { agent: agents.get(target.name), headers: target.headers ?? {} }, (response) => {
    void readBody(response).then(
      (body) => {
        const isRight =
          (target.mustContain === undefined || body.includes(target.mustContain)) &&
          (target.mustNotContain === undefined || !body.includes(target.mustNotContain));
        const isGood = response.statusCode === 200 && isRight;
        done(isRight ? String(response.statusCode) : `${response.statusCode}, wrong body`, isGood, body);
      },
      (error: NodeJS.ErrnoException) => done(`answer cut off: ${error.code ?? error.message}`, false),
    );
  });
  const timer = setTimeout(() => {
    done(`no answer within ${options.timeoutMs} ms`, false);
    asked.destroy();
  }, options.timeoutMs);
  asked.on('error', (error: NodeJS.ErrnoException) => done(error.code ?? error.message, false));
  asked.end();
}

async function readBody(response: IncomingMessage): Promise<string> {
  let body = '';
  for await (const chunk of response.setEncoding('utf8')) body += chunk;
  return body;
}

function report(isLast: boolean): void {
  process.send?.({
    ...tally,
    failed: failed.splice(0),
    elapsedMs: performance.now() - begin,
    isLast,
  } satisfies LoadTally);
}

const reports = setInterval(() => {
  if (isStopping && tally.answered === tally.sent) {
    clearInterval(reports);
    report(true);
    for (const agent of agents.values()) agent.destroy();
    process.disconnect();
  } else report(false);
}, TALLY_EVERY_MS);
process.on('message', () => {
  isStopping = true;
});
process.on('disconnect', () => process.exit());
tick();
