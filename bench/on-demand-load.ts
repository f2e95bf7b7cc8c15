// SPDX-License-Identifier: Apache-2.0
// node bench/on-demand-load.ts --dir MESH [--addr 127.0.0.1:15010] [--mode CLUSTERS_ON_DEMAND] [--proxies 500] [--used 10]
//   [--change vs,eds] [--repeat 5] [--pid PID]
// Plays sidecars that fetch their configuration on demand (VHDS, ODCDS) against any plaintext ADS server that offers it, over a
// mesh that `xdsload gen` has written; edits one service at a time, and prints latency, bytes and the server's CPU.
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { CONFIG_DELIVERIES, type ConfigDelivery } from '../src/api/config-delivery.ts';
import { SimulatedSidecar } from './on-demand/simulated-sidecar.ts';
import { median } from './report.ts';

const { values: flags } = parseArgs({
  options: {
    addr: { type: 'string', default: '127.0.0.1:15010' },
    dir: { type: 'string' },
    mode: { type: 'string', default: 'CLUSTERS_ON_DEMAND' },
    proxies: { type: 'string', default: '500' },
    used: { type: 'string', default: '10' },
    change: { type: 'string', default: 'vs,eds' },
    repeat: { type: 'string', default: '5' },
    pid: { type: 'string' },
  },
});
const dir = flags.dir;
const mode = CONFIG_DELIVERIES.find((each) => each === flags.mode);
if (dir === undefined || mode === undefined) {
  console.error(`--dir MESH is needed, and --mode is one of ${CONFIG_DELIVERIES.join(', ')}`);
  process.exit(2);
}
/** What follows a change counts until nobody has received anything for so long. */
const SETTLE_MS = 300;

const manifest = JSON.parse(readFileSync(join(dir, 'manifest.json'), 'utf8')) as {
  services: number;
  namespaces: number;
  ports: number;
  domain: string;
};
const WELL_KNOWN_PORTS = [80, 8080, 9080, 3000, 5000, 9090, 8000, 7070, 8888, 6060];

/** As `xdsload gen` names them. */
function service(i: number): { host: string; port: number; file: string } {
  const [name, namespace] = [`svc-${String(i).padStart(5, '0')}`, `ns-${i % manifest.namespaces}`];
  const place = Math.floor(i / manifest.namespaces) % manifest.ports;
  const port = WELL_KNOWN_PORTS[place] ?? 10_000 + place;
  const file = join(dir!, 'config', namespace, `${name}.yaml`);
  return { host: `${name}.${namespace}.svc.${manifest.domain}`, port, file };
}

function cpuSeconds(): number {
  if (flags.pid === undefined) return Number.NaN;
  const fields = readFileSync(`/proc/${flags.pid}/stat`, 'utf8')
    .replace(/^.*\) /, '')
    .split(' ');
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

function peakMiB(): number {
  if (flags.pid === undefined) return Number.NaN;
  return Number(/^VmHWM:\s+(\d+)/m.exec(readFileSync(`/proc/${flags.pid}/status`, 'utf8'))?.[1] ?? 0) / 1024;
}

const used = Array.from({ length: Math.min(Number(flags.used), manifest.services) }, (_, i) => service(i));
const count = Number(flags.proxies);
const bytesOf = (all: readonly SimulatedSidecar[]) => all.reduce((sum, each) => sum + each.bytes, 0);

async function settled(all: readonly SimulatedSidecar[]): Promise<void> {
  for (let before = -1, now = bytesOf(all); before !== now; now = bytesOf(all)) {
    before = now;
    await sleep(SETTLE_MS);
  }
}

async function firstSync(delivery: ConfigDelivery): Promise<SimulatedSidecar[]> {
  const startedAt = performance.now();
  const cpu = cpuSeconds();
  const all = Array.from({ length: count }, (_, i) => new SimulatedSidecar(flags.addr, i, { delivery, used }));
  await Promise.all(all.map((each) => each.synced));
  const seconds = (performance.now() - startedAt) / 1000;
  await settled(all);
  const bytes = bytesOf(all) / count / 1000;
  console.log(
    `${delivery}, ${manifest.services} services, ${count} proxies that use ${used.length}: first sync ${seconds.toFixed(1)} s, ` +
      `CPU ${(cpuSeconds() - cpu).toFixed(2)} s, peak ${peakMiB().toFixed(0)} MiB, ${bytes.toFixed(1)} kB a proxy`,
  );
  return all;
}

/** Makes another text of the service's file: other weights, or one endpoint more or less. */
const EDITS: Readonly<Record<string, { edit(text: string, turn: number): string; seenIn: 'routes' | 'endpoints' }>> = {
  vs: {
    seenIn: 'routes',
    edit: (text, turn) => {
      const weights = [String(turn + 1), String(99 - turn)];
      return text.replace(/weight: \d+/g, () => `weight: ${weights.shift()}`);
    },
  },
  eds: {
    seenIn: 'endpoints',
    edit: (text, turn) =>
      text.replace(/address: (\d+\.\d+\.\d+)\.(\d+)\n/, (_, net: string) => `address: ${net}.${turn + 100}\n`),
  },
};

async function change(all: readonly SimulatedSidecar[], what: string): Promise<void> {
  const edit = EDITS[what];
  if (edit === undefined) throw new Error(`--change ${what}: there is ${Object.keys(EDITS).join(' and ')}`);
  const { host, file } = used[0]!;
  const before = readFileSync(file, 'utf8');
  const figures: { p99: number; bytes: number; cpu: number }[] = [];
  try {
    for (let turn = 0; turn < Number(flags.repeat); turn++) {
      const bytes = bytesOf(all);
      const cpu = cpuSeconds();
      const arrivals = all.map((each) => each.next(edit.seenIn, host));
      writeFileSync(`${file}.new`, edit.edit(before, turn));
      const startedAt = performance.now();
      renameSync(`${file}.new`, file);
      const times = await Promise.all(arrivals.map(async (arrival) => (await arrival) - startedAt));
      await settled(all);
      const p99 = times.sort((a, b) => a - b)[Math.ceil(times.length * 0.99) - 1]!;
      figures.push({ p99, bytes: (bytesOf(all) - bytes) / count, cpu: cpuSeconds() - cpu });
    }
  } finally {
    writeFileSync(`${file}.new`, before);
    renameSync(`${file}.new`, file);
  }
  const of = (member: 'p99' | 'bytes' | 'cpu') => median(figures.map((each) => each[member]));
  console.log(
    `  ${what} changed: p99 ${of('p99').toFixed(0)} ms, CPU ${(of('cpu') * 1000).toFixed(0)} ms, ${of('bytes').toFixed(0)} B a proxy`,
  );
}

const all = await firstSync(mode);
for (const what of flags.change.split(',').filter((each) => each !== '')) await change(all, what);
for (const each of all) each.close();
process.exit(0);
