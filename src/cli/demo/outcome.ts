// SPDX-License-Identifier: Apache-2.0
// The demo's table: what was measured, what was expected, and whether chance explains the difference.

import type { Answer } from './ask.ts';
import { binomialBounds } from './chance.ts';
import type { ExpectedAnswer, GatewayAddresses } from './document.ts';
import { addressOf, type LoggedCall } from './evidence.ts';

export interface Outcome {
  readonly who: string;
  readonly version: string;
  readonly cluster: string;
  readonly measured: number;
  readonly expected: number;
  readonly requests: number;
  /** Address and port of the gateway that the caller's proxy connected to, or undefined where the call stayed at home. */
  readonly gateway: string | undefined;
  /** TLS version of the connection that the caller's proxy opened; '' when its log does not tell. */
  readonly tlsVersion: string;
  /** What is wrong with it; undefined when nothing is. */
  readonly fault: string | undefined;
}

export interface Sample {
  readonly who: string;
  readonly expected: readonly ExpectedAnswer[];
  readonly answers: readonly Answer[];
  /** Those of the answers, as the caller’s proxy logged them. */
  readonly calls: readonly LoggedCall[];
  readonly gateways: GatewayAddresses;
}

/** One row a version that occurred or should have. The answers and the proxy's log are two witnesses, and must agree. */
export function summarize(sample: Sample): Outcome[] {
  const expected = [...sample.expected, ...unexpectedAnswers(sample)];
  const failed = sample.answers.filter((answer) => answer.version === undefined).length;
  return expected.map((wanted, index) => {
    const seen = sample.answers.filter((answer) => answer.version === wanted.version).length;
    const calls = sample.calls.filter((call) => wentAs(call, wanted, sample.gateways));
    return {
      who: sample.who,
      version: wanted.version,
      cluster: wanted.cluster,
      measured: seen / sample.answers.length,
      expected: wanted.share,
      requests: sample.answers.length,
      gateway: wanted.via === undefined ? undefined : (calls[0]?.upstreamHost ?? sample.gateways[wanted.via]),
      tlsVersion: [...new Set(calls.map((call) => call.tlsVersion))].join(', '),
      fault: findFault({
        wanted,
        seen,
        total: sample.answers.length,
        failed: index === 0 ? failed : 0,
        logged: calls.length,
        loggedInAll: sample.calls.length,
      }),
    };
  });
}

/** Rows for versions that nobody expected: the log has no say in them. */
function unexpectedAnswers(sample: Sample): ExpectedAnswer[] {
  const seen = new Set(sample.answers.flatMap(({ version }) => (version === undefined ? [] : [version])));
  return [...seen]
    .filter((version) => !sample.expected.some((wanted) => wanted.version === version))
    .map((version) => ({ version, share: 0, cluster: 'cluster1' }));
}

function wentAs(call: LoggedCall, wanted: ExpectedAnswer, gateways: GatewayAddresses): boolean {
  const address = addressOf(call);
  const known = Object.values(gateways).filter((gateway) => gateway !== undefined);
  const isThere = wanted.via === undefined ? !known.includes(address) : address === gateways[wanted.via];
  return isThere && call.subset === (wanted.subset ?? '');
}

interface Row {
  readonly wanted: ExpectedAnswer;
  readonly seen: number;
  readonly total: number;
  readonly failed: number;
  readonly logged: number;
  readonly loggedInAll: number;
}

function findFault({ wanted, seen, total, failed, logged, loggedInAll }: Row): string | undefined {
  if (failed > 0) return `${failed} of ${total} requests had no good answer`;
  const { low, high } = binomialBounds(total, wanted.share);
  if (seen < low || seen > high) return `${seen} of ${total}; chance explains ${low} to ${high}`;
  if (logged !== seen) {
    const way = wanted.via === undefined ? 'to a pod at home' : `by the ${wanted.via}`;
    return `${seen} answers, but the caller’s proxy logged ${logged} such calls ${way}, of ${loggedInAll} in all`;
  }
  return undefined;
}

/** The table as text, and below it what is wrong, if anything. */
export function renderOutcomes(outcomes: readonly Outcome[], columns: { who: string; what: string }): string {
  const percent = (share: number): string => `${(share * 100).toFixed(share === 0 || share === 1 ? 0 : 1)} %`;
  const header = [columns.who, columns.what, 'answered in', 'measured', 'expected', 'requests', 'by gateway', 'TLS'];
  const rows = outcomes.map((o) => [
    o.who,
    o.version,
    o.cluster,
    percent(o.measured),
    percent(o.expected),
    String(o.requests),
    o.gateway ?? '(at home)',
    o.tlsVersion || 'not told',
  ]);
  const widths = header.map((title, column) => Math.max(title.length, ...rows.map((row) => row[column]!.length)));
  const line = (cells: readonly string[]): string =>
    `  ${cells
      .map((cell, i) => cell.padEnd(widths[i]!))
      .join('   ')
      .trimEnd()}`;
  const faults = outcomes
    .filter((o) => o.fault !== undefined)
    .map((o) => `  wrong: ${o.who}, ${o.version}: ${o.fault}`);
  return [line(header), line(widths.map((w) => '─'.repeat(w))), ...rows.map(line), ...faults].join('\n');
}
