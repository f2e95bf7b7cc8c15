// SPDX-License-Identifier: Apache-2.0
// The whole control plane under simulated sidecars, beside istiod where there is one: node bench/plane.ts [--services 1000]
// [--proxies 500] [--used 10] [--repeat 5] [--endpoints 120] [--busy] [--only ...]. XDSLOAD_BIN names the load tool, ISTIOD_BIN a pilot-discovery,
// FLOOR_SCRIPT the tool's floor.mjs; see README.md of this folder for what they are, and how istiod is run.
import { spawn, spawnSync } from 'node:child_process';
import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import type { ConfigDelivery } from '../src/api/config-delivery.ts';
import { root } from '../test/fixture/sandbox.ts';
import { Recording } from './on-demand/floor.ts';
import { playOnDemand } from './on-demand/load.ts';
import { cpuSeconds, machineSeconds } from './plane/meter.ts';
import type { Result } from './plane/result.ts';
import { ADDRESS, type Server, Servers } from './plane/servers.ts';
import {
  ALL_ON_DEMAND,
  CLUSTERS_ON_DEMAND,
  FULL,
  type Measured,
  noise,
  printHeader,
  printSection,
  STATE_OF_THE_WORLD,
} from './plane/table.ts';
import { topEntries } from './profile.ts';

const { values: flags } = parseArgs({
  options: {
    services: { type: 'string', default: '1000' },
    proxies: { type: 'string', default: '500' },
    /** Services that a proxy on demand uses. */
    used: { type: 'string', default: '10' },
    repeat: { type: 'string', default: '5' },
    /** Changes of endpoints: more than a hundred, so that their p99 is not that of the first, which no code is warm for. */
    endpoints: { type: 'string', default: '120' },
    /** Do not wait for a quiet machine, and repeat nothing for its noise. */
    busy: { type: 'boolean', default: false },
    only: { type: 'string', default: 'isthmus,on-demand,sotw,floor,istiod,profile' },
  },
});
const XDSLOAD = process.env['XDSLOAD_BIN'];
const ISTIOD = process.env['ISTIOD_BIN'];
const FLOOR = process.env['FLOOR_SCRIPT'];
const wanted = new Set(flags.only.split(','));
const servers = new Servers();

/** Measures a server by `load`, and ends it; undefined when that failed, which is said. */
async function measure(
  what: string,
  started: Promise<Server>,
  load: (server: Server) => Promise<Measured>,
): Promise<Measured | undefined> {
  console.log(`measuring ${what} ...`);
  const server = await started;
  try {
    return await load(server);
  } catch (error) {
    console.error(`${what}: ${(error as Error).message}`);
    return undefined;
  } finally {
    await server.stop();
  }
}

const ROUTES = ['-change', 'vs', '-repeat', flags.repeat];
const ENDPOINTS = ['-change', 'eds', '-repeat', flags.endpoints, '-settle', '300ms'];

/** The first sync and changes of routes, and then, with proxies that come anew, many changes of endpoints. */
async function xdsload(server: Server, ...more: string[]): Promise<Measured> {
  return together(await runXdsload(server, ...ROUTES, ...more), await runXdsload(server, ...ENDPOINTS, ...more));
}

function together(first: Measured, second: Measured): Measured {
  return { ...first, summary: [...first.summary, ...second.summary] };
}

/** Runs xdsload against a server. */
async function runXdsload({ pid, start }: Server, ...more: string[]): Promise<Measured> {
  const json = join(servers.scratch, 'result.json');
  rmSync(json, { force: true });
  const calm = flags.busy ? ['-max-others', '99', '-calm', '1s'] : ['-max-others', '0.5'];
  const child = spawn(XDSLOAD!, [
    ...['run', '-addr', ADDRESS, '-dir', servers.mesh, '-pid', String(pid), '-json', json],
    ...['-proxies', flags.proxies, ...calm, ...more],
  ]);
  let untilSyncedCpuSeconds: number | undefined;
  let errors = '';
  child.stderr.on('data', (chunk: Buffer) => {
    errors += chunk;
  });
  child.stdout.on('data', (chunk: Buffer) => {
    // It says so at once when everybody has everything.
    if (start !== undefined && String(chunk).includes('initial ')) untilSyncedCpuSeconds = cpuSeconds(pid);
  });
  const code = await new Promise((resolve) => child.once('close', resolve));
  if (code !== 0) throw new Error(`xdsload failed: ${errors.trim()}`);
  return { ...(JSON.parse(readFileSync(json, 'utf8')) as Result), start, untilSyncedCpuSeconds };
}

async function onDemand({ pid, start }: Server, mode: ConfigDelivery, recording?: Recording): Promise<Measured> {
  const [proxies, used, repeat] = [recording ? 1 : flags.proxies, flags.used, flags.endpoints].map(Number);
  const result = await playOnDemand({
    ...{ address: ADDRESS, dir: servers.mesh, mode, pid },
    ...{ proxies: proxies!, used: used!, repeat: repeat! },
    ...(recording && { recording }),
  });
  return { ...result, start, untilSyncedCpuSeconds: undefined };
}

/** What the same bytes cost a node:http2 server that does nothing else, everything pushed. */
async function measureFloor(script: string): Promise<Measured | undefined> {
  const file = join(servers.scratch, 'recording.bin');
  const floorOf = async (changes: readonly string[]): Promise<Measured | undefined> => {
    await measure('one proxy, to record it', servers.isthmus(), (server) =>
      runXdsload(server, '-proxies', '1', '-record', file, ...changes),
    );
    return measure('the floor', servers.floor(script, 'http2', file), (server) => runXdsload(server, ...changes));
  };
  // A recording's changes are played in their order, whatever the change is.
  const [routes, endpoints] = [await floorOf(ROUTES), await floorOf(ENDPOINTS)];
  return routes && endpoints && together(routes, endpoints);
}

async function measureFloorOnDemand(mode: ConfigDelivery): Promise<Measured | undefined> {
  const recording = new Recording();
  const file = join(servers.scratch, 'recording.json');
  await measure(`one proxy with ${mode}, to record it`, servers.isthmus(), (server) =>
    onDemand(server, mode, recording),
  );
  recording.write(file);
  const script = join(root, 'bench/on-demand/floor.ts');
  return measure(`the floor of ${mode}`, servers.floor(script, file), (server) => onDemand(server, mode));
}

async function printProfile(): Promise<void> {
  const profiles = join(servers.scratch, 'profiles');
  const profiled = servers.isthmus(`--cpu-prof --cpu-prof-dir=${profiles}`);
  await measure('with a profile', profiled, (server) =>
    runXdsload(server, '-change', 'eds,vs', '-repeat', '20', '-settle', '150ms'),
  );
  const [file] = readdirSync(profiles);
  if (file === undefined) return;
  console.log(
    '\nwhere the control plane’s own time goes: reading the files, the first sync, twenty changes of each kind',
  );
  for (const line of topEntries(readFileSync(join(profiles, file), 'utf8'), 12)) console.log(`  ${line}`);
}

/** What the machine itself does to figures: the same work again and again, and what its host took from it. */
class MachineNoise {
  readonly #before = { ...machineSeconds(), atMs: performance.now() };
  readonly #times: number[] = [];

  sample(): void {
    for (let i = 0; i < 20; i++) {
      const startedAt = performance.now();
      let sum = 0;
      for (let n = 0; n < 2e7; n++) sum = (sum * 31 + n) | 0;
      this.#times.push(performance.now() - startedAt + (sum === 1 ? 1 : 0));
    }
  }

  toString(): string {
    const sorted = this.#times.toSorted((a, b) => a - b);
    const at = (share: number) => sorted[Math.floor((sorted.length - 1) * share)]!.toFixed(0);
    const stolen = machineSeconds().stolen - this.#before.stolen;
    const percent = (100_000 * stolen) / (performance.now() - this.#before.atMs);
    return (
      `the same loop took ${at(0.5)} ms (median of ${sorted.length}), ${at(0)} to ${at(0.9)} in nine of ten, ` +
      `${at(1)} at most; the host took ${percent.toFixed(1)} % of a CPU away`
    );
  }
}

async function run(): Promise<void> {
  spawnSync(XDSLOAD!, ['gen', '-services', flags.services, '-out', servers.mesh]);
  console.log(
    `${flags.services} services, ${flags.proxies} simulated sidecars, one run of each, ${flags.repeat} changes of routes, ${flags.endpoints} of endpoints`,
  );
  const machine = new MachineNoise();
  machine.sample();
  const isWanted = (part: string): boolean => wanted.has(part);
  const has = { full: isWanted('isthmus'), demand: isWanted('on-demand'), floor: isWanted('floor') };
  const full = has.full ? await measure('Isthmus', servers.isthmus(), (s) => xdsload(s)) : undefined;
  const floor = has.floor && FLOOR !== undefined ? await measureFloor(FLOOR) : undefined;
  const measureMode = (mode: ConfigDelivery) =>
    measure(`Isthmus, ${mode}`, servers.isthmus(), (server) => onDemand(server, mode));
  const hosts = has.demand ? await measureMode('CLUSTERS_ON_DEMAND') : undefined;
  const hostsFloor = has.demand && has.floor ? await measureFloorOnDemand('CLUSTERS_ON_DEMAND') : undefined;
  const all = has.demand ? await measureMode('ALL_ON_DEMAND') : undefined;
  const byState = (server: Server) => xdsload(server, '-delta=false');
  const sotw = isWanted('sotw') ? await measure('state of the world', servers.isthmus(), byState) : undefined;
  const istiod =
    isWanted('istiod') && ISTIOD !== undefined
      ? await measure('istiod', servers.istiod(ISTIOD, XDSLOAD!), (s) => xdsload(s, '-timeout', '8m'))
      : undefined;
  machine.sample();
  printHeader();
  printSection('everything pushed, delta', FULL, { ours: full, istiod, floor });
  const used = `${flags.used} services used; istiod’s figures are those above`;
  printSection(`virtual hosts pushed each by itself (VHDS), clusters on demand; ${used}`, CLUSTERS_ON_DEMAND, {
    ...{ ours: hosts, istiod, floor: hostsFloor },
  });
  printSection(`all on demand; ${used}`, ALL_ON_DEMAND, { ours: all, istiod, floor: undefined });
  printSection('everything pushed, state of the world', STATE_OF_THE_WORLD, {
    ours: sotw,
    istiod: undefined,
    floor: undefined,
  });
  console.log(`noise: ${machine}`);
  for (const [name, result] of Object.entries({ Isthmus: full, 'clusters on demand': hosts, istiod })) {
    if (result !== undefined) console.log(`  ${name}: ${noise(result)}`);
  }
  for (const [name, tool] of Object.entries({ ISTIOD_BIN: ISTIOD, FLOOR_SCRIPT: FLOOR })) {
    if (tool === undefined) console.log(`left out, for ${name} is not set: its column (bench/README.md)`);
  }
  if (isWanted('profile')) await printProfile();
}

if (XDSLOAD === undefined) {
  console.log('XDSLOAD_BIN is not set, so the whole control plane is not measured: see bench/README.md');
} else {
  try {
    await run();
  } finally {
    servers.close();
  }
}
