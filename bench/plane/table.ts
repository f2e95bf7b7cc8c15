// SPDX-License-Identifier: Apache-2.0
// The figures of the control plane side by side: ours, istiod's, and the least that the same bytes can cost.
import type { Change, Result } from './result.ts';
import type { Server } from './servers.ts';

/** One server under load. */
export interface Measured extends Result {
  readonly start: Server['start'];
  /** CPU from the start of the process until everybody had everything; undefined for a floor. */
  readonly untilSyncedCpuSeconds: number | undefined;
}

interface Figure {
  readonly what: string;
  readonly unit: 's' | 'ms' | 'MiB' | 'MB';
  /** Istiod's over ours that is aimed at. */
  readonly aim?: number;
  readonly of: (result: Measured) => number | undefined;
}

function change(kind: string, of: (change: Change) => number): Figure['of'] {
  return ({ summary }) => {
    const found = summary.find((each) => each.kind === kind);
    return found && of(found);
  };
}

type Aims = readonly [first?: number, second?: number, third?: number, fourth?: number];

function firstSync([wall, cpu, peak, bytes]: Aims): Figure[] {
  return [
    { what: 'first sync of all: wall', unit: 's', ...aim(wall), of: (r) => r.initialSync.lastSeconds },
    { what: '  CPU', unit: 's', ...aim(cpu), of: (r) => r.initialSync.usage.serverCPUSeconds },
    { what: '  peak memory', unit: 'MiB', ...aim(peak), of: (r) => r.initialSync.usage.serverPeakRSSMiB },
    { what: '  bytes', unit: 'MB', ...aim(bytes), of: (r) => r.initialSync.usage.bytes / 1e6 },
  ];
}

function changed(what: string, kind: 'eds' | 'vs', [p99, cpu, bytes]: Aims): Figure[] {
  return [
    { what: `${what} changed: p99 to all`, unit: 'ms', ...aim(p99), of: change(kind, (c) => c.p99Ms) },
    { what: '  CPU', unit: 'ms', ...aim(cpu), of: change(kind, (c) => c.serverCPUSeconds * 1000) },
    { what: '  bytes', unit: 'MB', ...aim(bytes), of: change(kind, (c) => c.bytes / 1e6) },
  ];
}

function aim(value: number | undefined): { aim?: number } {
  return value === undefined ? {} : { aim: value };
}

const START: readonly Figure[] = [
  { what: 'from the start of the process to ready: wall', unit: 's', of: (r) => r.start?.wallSeconds },
  { what: '  CPU', unit: 's', of: (r) => r.start?.cpuSeconds },
  { what: '  CPU until all are synced, start included', unit: 's', of: (r) => r.untilSyncedCpuSeconds },
];

/** Everything pushed. */
export const FULL: readonly Figure[] = [
  ...START,
  ...firstSync([25, 50, 8]),
  ...changed('an endpoint', 'eds', [5, 4, 1]),
  ...changed('a VirtualService', 'vs', [15, 50]),
];
/** Virtual hosts pushed, each by itself. */
export const CLUSTERS_ON_DEMAND: readonly Figure[] = [
  ...firstSync([]),
  ...changed('an endpoint', 'eds', []),
  ...changed('a VirtualService', 'vs', [50, 100, 200]),
];
export const ALL_ON_DEMAND: readonly Figure[] = [
  ...firstSync([]),
  ...changed('an endpoint', 'eds', []),
  ...changed('a VirtualService', 'vs', []),
];

/** Everything pushed, to clients that speak state of the world. */
export const STATE_OF_THE_WORLD: readonly Figure[] = ALL_ON_DEMAND;

export interface Columns {
  readonly ours: Measured | undefined;
  readonly istiod: Measured | undefined;
  readonly floor: Measured | undefined;
}

export function printHeader(): void {
  console.log(
    `\n${'figure'.padEnd(46)} ${'Isthmus'.padStart(11)} ${'istiod'.padStart(11)}  ${'ratio'.padEnd(7)} ${'aim'.padEnd(6)} ${'floor'.padStart(11)}  of the floor`,
  );
}

export function printSection(title: string, figures: readonly Figure[], { ours, istiod, floor }: Columns): void {
  if (ours === undefined) return;
  console.log(`- ${title}`);
  for (const { what, unit, aim: wanted, of } of figures) {
    const [own, theirs, least] = [ours, istiod, floor].map((result) => result && (of(result) || undefined));
    const show = (value: number | undefined): string =>
      (value === undefined ? '' : `${value.toFixed(value < 10 ? 2 : 0)} ${unit}`).padStart(11);
    const ratio = own !== undefined && theirs !== undefined ? ratioOf(own / theirs) : '';
    const above = own !== undefined && least !== undefined ? `${(own / least).toFixed(1)}x` : '';
    const aimed = wanted === undefined ? '' : `1/${wanted}`;
    console.log(
      `${what.padEnd(46)} ${show(own)} ${show(theirs)}  ${ratio.padEnd(7)} ${aimed.padEnd(6)} ${show(least)}  ${above}`.trimEnd(),
    );
  }
}

/** `1/20`, or `1.5x` where ours is more. */
function ratioOf(share: number): string {
  if (share > 1) return `${share.toFixed(1)}x`;
  return `1/${(1 / share).toFixed(share > 0.1 ? 1 : 0)}`;
}

/** CPUs that other processes used meanwhile: what the figures have to be read with. */
export function noise({ initialSync: { usage }, summary }: Result): string {
  const atSync = (usage.otherCPUSeconds / usage.wallSeconds).toFixed(2);
  const changes = summary.map(({ kind, otherCPUSeconds }) => {
    return `${(otherCPUSeconds * 1000).toFixed(0)} ms of CPU at each ${kind === 'eds' ? 'endpoint' : 'VirtualService'}`;
  });
  return `other processes used ${atSync} CPUs at the first sync, ${changes.join(', ')}`;
}
