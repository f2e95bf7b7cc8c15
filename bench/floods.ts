// SPDX-License-Identifier: Apache-2.0
// Floods and growth: node bench/floods.ts [--only storm,reconnects,resume,growth,large] [--services 200] [--streams 200] [--seconds 60]
// [--reconnects 1000] [--large]. `isthmus serve` over files that `xdsload gen` wrote (XDSLOAD_BIN), in a process of its own.
// --large: 10,000 reconnects, and 5,000 services with 2,000 proxies.
import { spawnSync } from 'node:child_process';
import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { loadavg } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { addressOf, FollowingStream } from './floods/following-stream.ts';
import { type Held, SimulatedSidecar } from './on-demand/simulated-sidecar.ts';
import { cpuSeconds, memoryMiB } from './plane/meter.ts';
import type { Result } from './plane/result.ts';
import { ADDRESS, type Server, Servers } from './plane/servers.ts';
import { median, print } from './report.ts';

const { values: flags } = parseArgs({
  options: {
    only: { type: 'string', default: 'storm,reconnects,resume,growth,large' },
    services: { type: 'string', default: '200' },
    streams: { type: 'string', default: '200' },
    seconds: { type: 'string', default: '60' },
    reconnects: { type: 'string', default: '1000' },
    large: { type: 'boolean', default: false },
  },
});
const XDSLOAD = process.env['XDSLOAD_BIN'];
const wanted = new Set(flags.only.split(','));
const CHANGES_PER_SECOND = 200;
const HOT_SERVICES = 20;
const SETTLE_LIMIT_MS = 60_000;
/** After the first few, which Node's compiler takes part of, an endpoint's are alike. */
const GROWTH_CHANGES = 10;

const servers = new Servers();
const { mesh, scratch } = servers;

/** Writes a mesh and serves it, in the place of what was served before. */
async function serve(services: number): Promise<Server> {
  rmSync(mesh, { recursive: true, force: true });
  spawnSync(XDSLOAD!, ['gen', '-services', String(services), '-out', mesh]);
  return servers.isthmus();
}

const noise = () => `load ${loadavg()[0]!.toFixed(1)}`;
const ms = (value: number) => `${value.toFixed(0)} ms`;
const mib = (value: number) => `${value.toFixed(0)} MiB`;
const quantile = (values: readonly number[], share: number) =>
  values.toSorted((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * share))] ?? Number.NaN;

/** By turns an endpoint and a route of one hot service; returns how many changes were written. */
async function makeStorm(written: Map<string, number[]>, seconds: number): Promise<number> {
  const hot = [...written.keys()].map((name, i) => {
    const file = join(mesh, 'config', `ns-${i % 10}`, `svc-${String(i).padStart(5, '0')}.yaml`);
    return { name, file, text: readFileSync(file, 'utf8'), weight: 1 };
  });
  const startedAt = performance.now();
  let count = 0;
  for (; performance.now() - startedAt < seconds * 1000; count++) {
    const aheadMs = (count * 1000) / CHANGES_PER_SECOND - (performance.now() - startedAt);
    if (aheadMs > 1) await sleep(aheadMs);
    const each = hot[Math.floor(count / 2) % hot.length]!;
    const times = written.get(each.name)!;
    if (count % 2 === 0) {
      times.push(performance.now());
      each.text = each.text.replace(/address: \d+\.\d+\.\d+\.\d+\n/, `address: ${addressOf(times.length - 1)}\n`);
    } else {
      each.weight = (each.weight % 98) + 1;
      const weights = [each.weight, 100 - each.weight];
      each.text = each.text.replace(/weight: \d+/g, () => `weight: ${weights.shift()}`);
    }
    writeFileSync(`${each.file}.new`, each.text);
    renameSync(`${each.file}.new`, each.file);
  }
  return count;
}

async function measureStorm(withSlowReader: boolean): Promise<void> {
  const seconds = Number(flags.seconds);
  const { pid, stop } = await serve(Number(flags.services));
  const written = new Map(
    Array.from({ length: HOT_SERVICES }, (_, i) => [
      `outbound|80||svc-${String(i).padStart(5, '0')}.ns-${i % 10}.svc.cluster.local`,
      [0],
    ]),
  );
  const streams = Array.from(
    { length: Number(flags.streams) },
    (_, i) => new FollowingStream(ADDRESS, i, { written, routes: ['80'] }),
  );
  await Promise.race([Promise.all(streams.map(({ synced }) => synced)), sleep(SETTLE_LIMIT_MS)]);
  await sleep(1000);
  const [slow, ...polite] = streams;
  const slowBefore = slow!.bytes;
  if (withSlowReader) slow!.pause();
  const [messages, bytes, cpu, rss] = [
    sum(polite, 'messages'),
    sum(polite, 'bytes'),
    cpuSeconds(pid),
    memoryMiB(pid, 'VmRSS'),
  ];
  const ownCpu = cpuSeconds(process.pid);
  const changes = await makeStorm(written, seconds);
  const endedAt = performance.now();
  while (!polite.every(({ isCurrent }) => isCurrent) && performance.now() - endedAt < SETTLE_LIMIT_MS) await sleep(20);
  const settledMs = performance.now() - endedAt;
  const current = polite.filter(({ isCurrent }) => isCurrent).length;
  const used = cpuSeconds(pid) - cpu;
  const own = cpuSeconds(process.pid) - ownCpu;
  console.log(
    `\n${changes} changes in ${seconds} s to ${polite.length} streams${withSlowReader ? ', and one that does not read' : ''} (${noise()})`,
  );
  print(
    '  messages to a stream, of all types',
    String(Math.round((sum(polite, 'messages') - messages) / polite.length)),
    '',
  );
  print('  bytes to all', `${((sum(polite, 'bytes') - bytes) / 1e6).toFixed(0)} MB`, '');
  const p99 = polite.map(({ latenciesMs }) => quantile(latenciesMs, 0.99));
  print(
    '  from a change to a stream: median',
    ms(median(polite.flatMap(({ latenciesMs }) => quantile(latenciesMs, 0.5)))),
    '',
  );
  print('  p99: of the median stream, of the worst', `${ms(median(p99))}, ${ms(Math.max(...p99))}`, '');
  print('  longest that anybody lagged behind', ms(Math.max(...polite.map(({ longestLagMs }) => longestLagMs))), '');
  print(`  all have the last change after the storm (${current} of ${polite.length})`, ms(settledMs), '');
  const share = (spent: number) => `${((100 * spent) / (seconds + settledMs / 1000)).toFixed(0)} % of a core`;
  print('  CPU of the control plane', share(used), '');
  print('  CPU of the simulated streams, which have one thread', share(own), '');
  print('  memory before, and the most ever', `${mib(rss)}, ${mib(memoryMiB(pid, 'VmHWM'))}`, '');
  print('  streams that failed', String(streams.filter(({ failed }) => failed !== undefined).length), '0');
  if (withSlowReader) {
    const resumedAt = performance.now();
    slow!.resume();
    while (!slow!.isCurrent && performance.now() - resumedAt < SETTLE_LIMIT_MS) await sleep(5);
    print(`  who did not read has the last change (${slow!.isCurrent}) after`, ms(performance.now() - resumedAt), '');
    const sent = (slow!.bytes - slowBefore) / ((sum(polite, 'bytes') - bytes) / polite.length);
    print('  and was sent, of what others were', `${(100 * sent).toFixed(1)} %`, '');
  }
  for (const each of streams) each.close();
  await stop();
}

function sum(streams: readonly FollowingStream[], member: 'messages' | 'bytes'): number {
  return streams.reduce((total, each) => total + each[member], 0);
}

/** The first sync of so many proxies, all at once, and then changes, by xdsload; undefined when not all of them got it. */
async function load(services: number, proxies: number, repeat: number): Promise<Result | undefined> {
  const { pid, stop } = await serve(services);
  const json = join(scratch, 'result.json');
  rmSync(json, { force: true });
  const where = ['-addr', ADDRESS, '-dir', mesh, '-pid', String(pid), '-json', json];
  const what = ['-proxies', String(proxies), '-repeat', String(repeat), '-change', 'eds,vs'];
  const calm = ['-max-others', '99', '-calm', '1s', '-timeout', '10m'];
  const args = ['run', ...where, ...what, ...calm];
  const { status, stderr } = spawnSync(XDSLOAD!, args, { encoding: 'utf8', maxBuffer: 1 << 26 });
  await stop();
  if (status === 0) return JSON.parse(readFileSync(json, 'utf8')) as Result;
  console.error(stderr.trim());
  return undefined;
}

async function measureFirstSync(services: number, proxies: number): Promise<void> {
  console.log(`\n${proxies} proxies at once, ${services} services (${noise()})`);
  const result = await load(services, proxies, 1);
  if (result === undefined) return;
  const sync = result.initialSync;
  const { p99Seconds, lastSeconds, usage } = sync;
  print(
    '  99 of 100 proxies, and the last, have everything',
    `${p99Seconds.toFixed(1)} s, ${lastSeconds.toFixed(1)} s`,
    '',
  );
  print('  CPU of the control plane', `${usage.serverCPUSeconds.toFixed(1)} s`, '');
  print('  its peak memory', mib(usage.serverPeakRSSMiB), '');
  print('  bytes', `${(usage.bytes / 1e9).toFixed(2)} GB`, '');
  print('  CPUs busy with other things', (usage.otherCPUSeconds / usage.wallSeconds).toFixed(2), '');
}

/** The control plane is killed, and all come back: without a word of what they have, and telling it. */
async function measureResumed(services: number, proxies: number): Promise<void> {
  const used = Array.from({ length: Math.min(10, services) }, (_, i) => ({
    host: `svc-${String(i).padStart(5, '0')}.ns-${i % 10}.svc.cluster.local`,
    port: 80,
  }));
  const connectAll = (held?: Held) =>
    Array.from({ length: proxies }, (_, i) => {
      const options = { delivery: 'FULL' as const, used, ...(held === undefined ? {} : { held }) };
      return new SimulatedSidecar(ADDRESS, i, options);
    });
  console.log(
    `\n${proxies} proxies come back to a control plane that was restarted, ${services} services (${noise()})`,
  );
  let held: Held | undefined;
  for (const what of ['saying nothing', 'telling what they have']) {
    const { pid, stop } = await serve(services);
    const cpu = cpuSeconds(pid);
    const startedAt = performance.now();
    const all = connectAll(held);
    await Promise.all(all.map(({ synced }) => synced));
    let seconds = (performance.now() - startedAt) / 1000;
    const received = () => all.reduce((total, each) => total + each.bytes, 0);
    for (let [before, spent] = [-1, -1]; before !== received() || spent !== cpuSeconds(pid); await sleep(1_000)) {
      if (before !== received()) seconds = (performance.now() - startedAt) / 1000;
      [before, spent] = [received(), cpuSeconds(pid)];
    }
    const bytes = received();
    print(`  ${what}: bytes`, `${(bytes / 1e6).toFixed(1)} MB`, '');
    print(
      '    until nothing more comes; CPU of the control plane',
      `${seconds.toFixed(1)} s, ${(cpuSeconds(pid) - cpu).toFixed(1)} s`,
      '',
    );
    print('    its peak memory', mib(memoryMiB(pid, 'VmHWM')), '');
    held ??= all[0]!.held;
    for (const each of all) each.close();
    await stop();
  }
}

/** Least squares: the slope. */
function slope(points: readonly (readonly [number, number])[]): number {
  const mean = (k: 0 | 1) => points.reduce((total, point) => total + point[k], 0) / points.length;
  const [x, y] = [mean(0), mean(1)];
  const above = points.reduce((total, point) => total + (point[0] - x) * (point[1] - y), 0);
  return above / points.reduce((total, point) => total + (point[0] - x) ** 2, 0);
}

/** Of the control plane: what a service and a proxy more take. */
async function measureGrowth(): Promise<void> {
  const grow = async (what: string, sizes: readonly (readonly [services: number, proxies: number])[], by: 0 | 1) => {
    console.log(`\n${what} (${noise()})`);
    const results: (readonly [number, Result])[] = [];
    for (const size of sizes) {
      const result = await load(...size, GROWTH_CHANGES);
      if (result !== undefined) results.push([size[by], result]);
    }
    const row = (figure: string, of: (result: Result) => number, unit: string) =>
      print(`  ${figure}`, results.map(([size, result]) => `${size}: ${of(result).toFixed(0)} ${unit}`).join(', '), '');
    const peak = ({ initialSync }: Result) => initialSync.usage.serverPeakRSSMiB;
    const cpuMs = (kind: string) => (result: Result) =>
      1000 * (result.summary.find((each) => each.kind === kind)?.serverCPUSeconds ?? Number.NaN);
    row('peak memory at the first sync', peak, 'MiB');
    const points = results.map(([size, result]) => [size, peak(result)] as const);
    print('    for each one more', `${(slope(points) * 1024).toFixed(0)} KiB`, '');
    row('CPU of an endpoint changed', cpuMs('eds'), 'ms');
    row('CPU of a VirtualService changed, its whole route table sent', cpuMs('vs'), 'ms');
  };
  const services = [500, 1000, 2000].map((count) => [count, 50] as const);
  await grow('growth with services, 50 proxies', services, 0);
  const proxies = [100, 300, 600].map((count) => [500, count] as const);
  await grow('growth with proxies, 500 services', proxies, 1);
}

if (XDSLOAD === undefined) {
  console.log('XDSLOAD_BIN is not set, so floods and growth are not measured: see bench/README.md');
} else {
  try {
    if (wanted.has('storm')) {
      await measureStorm(false);
      await measureStorm(true);
    }
    if (wanted.has('reconnects')) await measureFirstSync(100, flags.large ? 10_000 : Number(flags.reconnects));
    if (wanted.has('resume')) await measureResumed(flags.large ? 1000 : 200, 100);
    if (wanted.has('growth')) await measureGrowth();
    if (flags.large && wanted.has('large')) await measureFirstSync(5000, 2000);
  } finally {
    servers.close();
  }
}
process.exit(0);
