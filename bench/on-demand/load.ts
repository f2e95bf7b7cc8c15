// SPDX-License-Identifier: Apache-2.0
// Sidecars that fetch their configuration on demand (VHDS, ODCDS), all in this process, against any plaintext ADS server that
// offers it, over a mesh that `xdsload gen` has written: the first sync, then changes of one service, as xdsload makes them.
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ConfigDelivery } from '../../src/api/config-delivery.ts';
import { Meter } from '../plane/meter.ts';
import type { Change, Result } from '../plane/result.ts';
import type { Recording } from './floor.ts';
import { SimulatedSidecar } from './simulated-sidecar.ts';

export interface LoadOptions {
  readonly address: string;
  /** Of the mesh. */
  readonly dir: string;
  readonly mode: ConfigDelivery;
  readonly proxies: number;
  /** Services that each proxy uses. */
  readonly used: number;
  /** Changes of each kind. */
  readonly repeat: number;
  /** The server's. */
  readonly pid: number | undefined;
  /** Is given what the first proxy receives. */
  readonly recording?: Recording;
}

/** What follows a change counts until nobody has received anything for so long. */
const SETTLE_MS = 300;
const WELL_KNOWN_PORTS = [80, 8080, 9080, 3000, 5000, 9090, 8000, 7070, 8888, 6060];

interface Manifest {
  readonly services: number;
  readonly namespaces: number;
  readonly ports: number;
  readonly domain: string;
}

/** As `xdsload gen` names them. */
function service(dir: string, manifest: Manifest, i: number): { host: string; port: number; file: string } {
  const [name, namespace] = [`svc-${String(i).padStart(5, '0')}`, `ns-${i % manifest.namespaces}`];
  const place = Math.floor(i / manifest.namespaces) % manifest.ports;
  const port = WELL_KNOWN_PORTS[place] ?? 10_000 + place;
  const file = join(dir, 'config', namespace, `${name}.yaml`);
  return { host: `${name}.${namespace}.svc.${manifest.domain}`, port, file };
}

/** By kind, another text of a service's file: one endpoint elsewhere, or other weights. */
const EDITS: Readonly<Record<string, { edit(text: string, turn: number): string; seenIn: 'routes' | 'endpoints' }>> = {
  eds: {
    seenIn: 'endpoints',
    edit: (text, turn) =>
      text.replace(/address: (\d+\.\d+\.\d+)\.(\d+)\n/, (_, net: string) => `address: ${net}.${100 + (turn % 150)}\n`),
  },
  vs: {
    seenIn: 'routes',
    edit: (text, turn) => {
      const weight = 1 + (turn % 99);
      const weights = [String(weight), String(100 - weight)];
      return text.replace(/weight: \d+/g, () => `weight: ${weights.shift()}`);
    },
  },
};

export async function playOnDemand(options: LoadOptions): Promise<Result> {
  const manifest = JSON.parse(readFileSync(join(options.dir, 'manifest.json'), 'utf8')) as Manifest;
  const count = Math.min(options.used, manifest.services);
  const used = Array.from({ length: count }, (_, i) => service(options.dir, manifest, i));
  const meter = new Meter(options.pid);
  const startedAt = performance.now();
  const all = Array.from({ length: options.proxies }, (_, i) => {
    const record = i === 0 ? options.recording?.add.bind(options.recording) : undefined;
    return new SimulatedSidecar(options.address, i, { delivery: options.mode, used, ...(record && { record }) });
  });
  try {
    const ends = await Promise.all(all.map((each) => each.synced.then(() => (performance.now() - startedAt) / 1000)));
    await settled(all);
    const usage = { ...meter.usage(), bytes: bytesOf(all) };
    const summary: Change[] = [];
    for (const kind of Object.keys(EDITS)) {
      summary.push(await change(all, kind, used[0]!, options));
    }
    return { initialSync: { p99Seconds: p99(ends), lastSeconds: Math.max(...ends), usage }, summary };
  } finally {
    for (const each of all) each.close();
  }
}

/** By which all but one in a hundred were there. */
function p99(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.ceil(values.length * 0.99) - 1]!;
}

function bytesOf(all: readonly SimulatedSidecar[]): number {
  return all.reduce((sum, each) => sum + each.bytes, 0);
}

async function settled(all: readonly SimulatedSidecar[]): Promise<void> {
  for (let before = -1, now = bytesOf(all); before !== now; now = bytesOf(all)) {
    before = now;
    await sleep(SETTLE_MS);
  }
}

async function change(
  all: readonly SimulatedSidecar[],
  kind: string,
  { host, file }: { host: string; file: string },
  { dir, repeat, pid, recording }: LoadOptions,
): Promise<Change> {
  const { seenIn, edit } = EDITS[kind]!;
  const before = readFileSync(file, 'utf8');
  // Outside of the directory that the server looks at, as xdsload does it.
  const next = join(dir, 'next.yaml');
  const times: number[] = [];
  const sums = { cpu: 0, others: 0, bytes: 0 };
  try {
    for (let turn = 0; turn < repeat; turn++) {
      recording?.startChange();
      const bytes = bytesOf(all);
      const meter = new Meter(pid);
      const arrivals = all.map((each) => each.next(seenIn, host));
      writeFileSync(next, edit(before, turn));
      const startedAt = performance.now();
      renameSync(next, file);
      times.push(...(await Promise.all(arrivals.map(async (arrival) => (await arrival) - startedAt))));
      await settled(all);
      const usage = meter.usage();
      sums.cpu += usage.serverCPUSeconds;
      sums.others += usage.otherCPUSeconds;
      sums.bytes += bytesOf(all) - bytes;
    }
  } finally {
    // It is pushed as well.
    recording?.startChange();
    writeFileSync(next, before);
    renameSync(next, file);
  }
  await settled(all);
  const of = { serverCPUSeconds: sums.cpu / repeat, otherCPUSeconds: sums.others / repeat };
  return { kind, p99Ms: p99(times), ...of, bytes: sums.bytes / repeat };
}
