// SPDX-License-Identifier: Apache-2.0
// The demo's table: what was measured, what was expected, and whether chance explains the difference.
import { binomialBounds } from './chance.ts';
import type { LoggedCall } from './evidence.ts';
import type { PageVisit } from './traffic.ts';

export interface Outcome {
  readonly user: string;
  readonly version: string;
  readonly cluster: string;
  readonly measured: number;
  readonly expected: number;
  readonly requests: number;
  /** Address of the other cluster's gateway, or undefined where the call stayed at home. */
  readonly gateway: string | undefined;
  /** TLS version of the connection that the caller's proxy opened; '' when its log does not tell. */
  readonly tlsVersion: string;
  /** What is wrong with it; undefined when nothing is. */
  readonly fault: string | undefined;
}

const STARS = { v1: 'none', v2: 'black', v3: 'red' } as const;
type Version = keyof typeof STARS;

interface Sample {
  readonly user: string;
  /** Version -> share. What is not listed must not occur. */
  readonly expected: Readonly<Partial<Record<Version, number>>>;
  readonly visits: readonly PageVisit[];
  readonly calls: readonly LoggedCall[];
  readonly remoteGateway: string;
}

/** One row a version that occurred or should have. The pages and the proxy's log are two witnesses, and must agree. */
export function summarize(sample: Sample): Outcome[] {
  const failed = sample.visits.filter((visit) => visit.stars === undefined).length;
  const versions = (Object.keys(STARS) as Version[]).filter(
    (v) => sample.expected[v] !== undefined || countStars(sample, v) > 0,
  );
  return versions.map((version, index) => {
    const seen = countStars(sample, version);
    const calls = sample.calls.filter((call) => call.subset === version);
    const expected = sample.expected[version] ?? 0;
    const total = sample.visits.length;
    const remote = calls.every((call) => call.upstreamHost.startsWith(`${sample.remoteGateway}:`)) && calls.length > 0;
    return {
      user: sample.user,
      version,
      cluster: remote ? 'cluster2' : 'cluster1',
      measured: seen / total,
      expected,
      requests: total,
      gateway: remote ? calls[0]!.upstreamHost : undefined,
      tlsVersion: [...new Set(calls.map((call) => call.tlsVersion))].join(', '),
      fault: findFault({
        seen,
        logged: calls.length,
        expected,
        total,
        failed: index === 0 ? failed : 0,
        remote,
        version,
      }),
    };
  });
}

function countStars(sample: Sample, version: Version): number {
  return sample.visits.filter((visit) => visit.stars === STARS[version]).length;
}

interface Row {
  readonly seen: number;
  readonly logged: number;
  readonly expected: number;
  readonly total: number;
  readonly failed: number;
  readonly remote: boolean;
  readonly version: Version;
}

function findFault(row: Row): string | undefined {
  if (row.failed > 0) return `${row.failed} of ${row.total} pages came without reviews`;
  const { low, high } = binomialBounds(row.total, row.expected);
  if (row.seen < low || row.seen > high) return `${row.seen} of ${row.total}; chance explains ${low} to ${high}`;
  if (row.logged !== row.seen) return `the pages show ${row.seen}, the proxy logged ${row.logged}`;
  if (row.remote !== (row.version !== 'v1')) return `it was answered by the wrong cluster`;
  return undefined;
}

/** The table as text, and below it what is wrong, if anything. */
export function renderOutcomes(outcomes: readonly Outcome[]): string {
  const percent = (share: number): string => `${(share * 100).toFixed(share === 0 || share === 1 ? 0 : 1)} %`;
  const header = ['user', 'reviews', 'answered in', 'measured', 'expected', 'requests', 'by gateway', 'TLS'];
  const rows = outcomes.map((o) => [
    o.user,
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
    .map((o) => `  wrong: ${o.user}, ${o.version}: ${o.fault}`);
  return [line(header), line(widths.map((w) => '─'.repeat(w))), ...rows.map(line), ...faults].join('\n');
}
