// SPDX-License-Identifier: Apache-2.0
// The whole control plane under simulated sidecars, beside istiod where there is one: node bench/plane.ts [--services 1000]
// [--proxies 500] [--repeat 5] [--busy] [--only ...]. XDSLOAD_BIN names the load tool, ISTIOD_BIN a pilot-discovery, FLOOR_SCRIPT the tool's
// floor.mjs; see README.md of this folder for what they are, and how istiod is run.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { root } from '../test/fixture/sandbox.ts';
import { topEntries } from './profile.ts';

const { values: flags } = parseArgs({
  options: {
    services: { type: 'string', default: '1000' },
    proxies: { type: 'string', default: '500' },
    repeat: { type: 'string', default: '5' },
    /** Do not wait for a quiet machine, and repeat nothing for its noise. */
    busy: { type: 'boolean', default: false },
    only: { type: 'string', default: 'isthmus,profile,sotw,on-demand,floor,istiod' },
  },
});
const XDSLOAD = process.env['XDSLOAD_BIN'];
const ISTIOD = process.env['ISTIOD_BIN'];
const FLOOR = process.env['FLOOR_SCRIPT'];
const wanted = new Set(flags.only.split(','));
const [PORT, ADMIN_PORT, KUBE_PORT] = [15310, 15314, 16443];

/** What xdsload writes, as far as it is printed here. */
interface Result {
  readonly initialSync: { readonly p99Seconds: number; readonly lastSeconds: number; readonly usage: Usage };
  readonly summary: readonly (Change & { readonly kind: string })[];
}
interface Usage {
  readonly serverCPUSeconds: number;
  readonly serverPeakRSSMiB: number;
  readonly otherCPUSeconds: number;
  readonly wallSeconds: number;
  readonly bytes: number;
}
interface Change {
  readonly p99Ms: number;
  readonly serverCPUSecondsNet: number;
  readonly otherCPUSeconds: number;
  readonly bytes: number;
}

const scratch = mkdtempSync(join(tmpdir(), 'isthmus-bench-plane-'));
const mesh = join(scratch, 'mesh');
const running: ChildProcess[] = [];

function start(command: string, args: readonly string[], env: NodeJS.ProcessEnv = process.env): ChildProcess {
  const child = spawn(command, args, { stdio: ['ignore', 'ignore', 'ignore'], env });
  running.push(child);
  return child;
}

async function stop(child: ChildProcess): Promise<void> {
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  child.kill('SIGINT');
  await Promise.race([exited, sleep(10_000).then(() => child.kill('SIGKILL'))]);
}

async function untilReady(url: string): Promise<void> {
  for (const deadline = performance.now() + 120_000; performance.now() < deadline; await sleep(200)) {
    const response = await fetch(url).catch(() => undefined);
    if (response?.ok === true) return;
  }
  throw new Error(`${url} was not ready within two minutes`);
}

async function serve(...nodeFlags: string[]): Promise<ChildProcess> {
  const flagsOfServe = ['--config-dir', join(mesh, 'config'), '--grpc-addr', `127.0.0.1:${PORT}`];
  const child = start(process.execPath, [
    ...nodeFlags,
    '--disable-warning=ExperimentalWarning',
    join(root, 'dist/isthmus.mjs'),
    'serve',
    ...flagsOfServe,
    '--admin-port',
    String(ADMIN_PORT),
    '--log-level',
    'warn',
  ]);
  await untilReady(`http://127.0.0.1:${ADMIN_PORT}/ready`);
  return child;
}

/** Runs xdsload against whoever listens at PORT; undefined when it failed, which it says itself. */
function load(pid: number | undefined, ...more: string[]): Result | undefined {
  const json = join(scratch, 'result.json');
  rmSync(json, { force: true });
  const args = ['run', '-addr', `127.0.0.1:${PORT}`, '-dir', mesh, '-proxies', flags.proxies, '-repeat', flags.repeat];
  const { status, stderr } = spawnSync(
    XDSLOAD!,
    [
      ...args,
      ...(pid === undefined ? [] : ['-pid', String(pid)]),
      ...(flags.busy ? ['-max-others', '99', '-calm', '1s'] : ['-max-others', '0.5']),
      '-json',
      json,
      ...more,
    ],
    { encoding: 'utf8', maxBuffer: 1 << 26 },
  );
  if (status !== 0) console.error(stderr.trim());
  return status === 0 ? (JSON.parse(readFileSync(json, 'utf8')) as Result) : undefined;
}

interface Figure {
  readonly what: string;
  readonly unit: string;
  /** Istiod's over ours that is aimed at. */
  readonly aim: number;
  readonly of: (result: Result) => number | undefined;
}

const change = (result: Result, kind: string) => result.summary.find((each) => each.kind === kind);
const FIGURES: readonly Figure[] = [
  { what: 'first sync of all: wall', unit: 's', aim: 25, of: (r) => r.initialSync.lastSeconds },
  { what: 'first sync of all: CPU', unit: 's', aim: 50, of: (r) => r.initialSync.usage.serverCPUSeconds },
  { what: 'first sync of all: peak memory', unit: 'MiB', aim: 8, of: (r) => r.initialSync.usage.serverPeakRSSMiB },
  { what: 'first sync of all: bytes', unit: 'MB', aim: 1, of: (r) => r.initialSync.usage.bytes / 1e6 },
  { what: 'an endpoint changed: p99', unit: 'ms', aim: 5, of: (r) => change(r, 'eds')?.p99Ms },
  { what: 'an endpoint changed: CPU', unit: 'ms', aim: 4, of: (r) => cpuMs(change(r, 'eds')) },
  { what: 'an endpoint changed: bytes', unit: 'MB', aim: 1, of: (r) => megabytes(change(r, 'eds')) },
  { what: 'a VirtualService changed, plain RDS: p99', unit: 'ms', aim: 15, of: (r) => change(r, 'vs')?.p99Ms },
  { what: 'a VirtualService changed, plain RDS: CPU', unit: 'ms', aim: 50, of: (r) => cpuMs(change(r, 'vs')) },
  { what: 'a VirtualService changed, plain RDS: bytes', unit: 'MB', aim: 1, of: (r) => megabytes(change(r, 'vs')) },
];

function cpuMs(of: Change | undefined): number | undefined {
  return of && of.serverCPUSecondsNet * 1000;
}

function megabytes(of: Change | undefined): number | undefined {
  return of && of.bytes / 1e6;
}

/** CPUs that other processes used meanwhile: what the figures have to be read with. */
function noise({ initialSync: { usage } }: Result): string {
  return `${(usage.otherCPUSeconds / usage.wallSeconds).toFixed(2)} CPUs busy with other things at the first sync`;
}

function printTable(ours: Result, istiod: Result | undefined, floor: Result | undefined): void {
  console.log(
    `\n${'figure'.padEnd(46)} ${'Isthmus'.padStart(12)} ${'istiod'.padStart(12)}  ratio (aim)   of the floor`,
  );
  for (const { what, unit, aim, of } of FIGURES) {
    const [own, theirs, least] = [ours, istiod, floor].map((result) => (result === undefined ? undefined : of(result)));
    const show = (value: number | undefined) =>
      value === undefined ? '' : `${value.toFixed(value < 10 ? 2 : 0)} ${unit}`;
    const ratio = own && theirs ? `1/${(theirs / own).toFixed(1)} (1/${aim})` : '';
    const above = own && least ? `${(own / least).toFixed(1)}x` : '';
    console.log(
      `${what.padEnd(46)} ${show(own).padStart(12)} ${show(theirs).padStart(12)}  ${ratio.padEnd(14)} ${above}`,
    );
  }
  console.log(`noise: ${noise(ours)}${istiod === undefined ? '' : `; istiod’s run: ${noise(istiod)}`}`);
}

async function measureIsthmus(...more: string[]): Promise<Result | undefined> {
  const plane = await serve();
  const result = load(plane.pid, ...more);
  await stop(plane);
  return result;
}

async function printProfile(): Promise<void> {
  const profiles = join(scratch, 'profiles');
  const plane = await serve('--cpu-prof', `--cpu-prof-dir=${profiles}`);
  load(plane.pid, '-repeat', '20', '-settle', '150ms');
  await stop(plane);
  const [file] = readdirSync(profiles);
  if (file === undefined) return;
  console.log(
    '\nprofile of reading the files, the first sync and twenty changes of each kind: where its own time goes',
  );
  for (const line of topEntries(readFileSync(join(profiles, file), 'utf8'), 12)) console.log(`  ${line}`);
}

async function measureOnDemand(): Promise<void> {
  for (const mode of ['CLUSTERS_ON_DEMAND', 'ALL_ON_DEMAND']) {
    const plane = await serve();
    console.log(`\nthe same, sidecars with ${mode}, 10 services used`);
    const args = ['--dir', mesh, '--addr', `127.0.0.1:${PORT}`, '--mode', mode, '--proxies', flags.proxies];
    const script = join(root, 'bench/on-demand-load.ts');
    spawnSync(process.execPath, [script, ...args, '--repeat', flags.repeat, '--pid', String(plane.pid)], {
      stdio: 'inherit',
    });
    await stop(plane);
  }
}

/** What the same bytes cost a node:http2 server that does nothing else. */
async function measureFloor(): Promise<Result | undefined> {
  if (FLOOR === undefined) return undefined;
  const recording = join(scratch, 'recording.bin');
  const plane = await serve();
  load(plane.pid, '-proxies', '1', '-record', recording);
  await stop(plane);
  const floor = start(process.execPath, [FLOOR, 'http2', recording, mesh, String(PORT)]);
  await sleep(2000);
  const result = load(floor.pid);
  await stop(floor);
  return result;
}

/** As the tool's README runs it: objects from a stub of the Kubernetes API. */
async function measureIstiod(): Promise<Result | undefined> {
  if (ISTIOD === undefined) return undefined;
  const kubeconfig = join(scratch, 'kubeconfig');
  const kube = start(XDSLOAD!, ['kube', '-dir', mesh, '-addr', `127.0.0.1:${KUBE_PORT}`, '-kubeconfig', kubeconfig]);
  await sleep(1500);
  writeFileSync(join(scratch, 'mesh.yaml'), 'trustDomain: cluster.local\n');
  const files = ['--meshConfig', join(scratch, 'mesh.yaml'), '--networksConfig', join(scratch, 'none.yaml')];
  const addresses = [
    '--grpcAddr',
    `127.0.0.1:${PORT}`,
    '--httpAddr',
    '127.0.0.1:8480',
    '--monitoringAddr',
    '127.0.0.1:15315',
  ];
  const registries = ['--kubeconfig', kubeconfig, '--registries', 'Kubernetes'];
  const istiod = start(
    ISTIOD,
    ['discovery', ...registries, ...files, ...addresses, '--httpsAddr', '', '--secureGRPCAddr', ''],
    {
      ...process.env,
      ENABLE_CA_SERVER: 'false',
      XDS_AUTH: 'false',
      ENABLE_LEADER_ELECTION: 'false',
      PILOT_CERT_PROVIDER: 'none',
      PILOT_ENABLE_WORKLOAD_ENTRY_AUTOREGISTRATION: 'false',
      POD_NAME: 'istiod-0',
      POD_NAMESPACE: 'istio-system',
      INJECTION_WEBHOOK_CONFIG_NAME: '',
      VALIDATION_WEBHOOK_CONFIG_NAME: '',
      PILOT_ENABLE_METADATA_EXCHANGE: 'false',
      PILOT_ENABLE_ALPN_FILTER: 'false',
    },
  );
  await untilReady('http://127.0.0.1:8480/ready');
  const result = load(istiod.pid, '-timeout', '8m');
  await stop(istiod);
  await stop(kube);
  return result;
}

if (XDSLOAD === undefined) {
  console.log('XDSLOAD_BIN is not set, so the whole control plane is not measured: see bench/README.md');
} else {
  try {
    spawnSync(XDSLOAD, ['gen', '-services', flags.services, '-out', mesh]);
    console.log(`${flags.services} services, ${flags.proxies} simulated sidecars, one run of each`);
    const ours = wanted.has('isthmus') ? await measureIsthmus() : undefined;
    const floor = wanted.has('floor') ? await measureFloor() : undefined;
    const istiod = wanted.has('istiod') ? await measureIstiod() : undefined;
    if (ours !== undefined) printTable(ours, istiod, floor);
    if (wanted.has('sotw')) {
      const sotw = await measureIsthmus('-delta=false');
      console.log('\nthe same, clients that speak state of the world');
      if (sotw !== undefined) printTable(sotw, undefined, undefined);
    }
    if (wanted.has('on-demand')) await measureOnDemand();
    if (wanted.has('profile')) await printProfile();
  } finally {
    for (const child of running) if (child.exitCode === null) child.kill('SIGKILL');
    rmSync(scratch, { recursive: true, force: true });
  }
}
