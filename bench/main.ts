// SPDX-License-Identifier: Apache-2.0
// `make bench`: figures of the whole thing on this machine, medians and ratios; nothing passes or fails here.
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { visitPage } from '../src/cli/demo/traffic.ts';
import { root, TestSandbox } from '../test/fixture/sandbox.ts';
import { measureApiServer } from './apiserver.ts';
import { measureLatency } from './latency.ts';
import { measurePods } from './pods.ts';
import { measureCpu, processesOf, proportionalSetSizeMiB } from './processes.ts';
import { median, print } from './report.ts';

const ROUNDS = 5;
const SETTLE_SECONDS = 20;
const IDLE_SECONDS = 30;

/** The rest are programs of their own, which can be run alone. */
const PARTS = [
  { title: 'The compile stages alone', command: ['bench/compile.ts'] },
  { title: 'The discovery server alone, beside its floor', command: ['--expose-gc', 'bench/xds.ts'] },
  { title: 'The whole control plane, beside istiod and its floor', command: ['bench/plane.ts'] },
  { title: 'Storms, many proxies at once, and growth', command: ['bench/floods.ts'] },
  { title: 'Twenty real Envoys in each mode of delivery', command: ['bench/envoys.ts'] },
  // All of it, a million requests, is no part of this: `node bench/soak.ts`.
  { title: 'What is lost: a short soak of each mode', command: ['bench/soak.ts', '--requests', '50000'] },
] as const;

console.log(
  'Figures of this machine: some twenty minutes, more with istiod beside; nothing else should run meanwhile.',
);
console.log(`\n== API server, sandbox, mesh\n${'figure'.padEnd(64)} ${'median'.padStart(10)}   aim`);
await measureApiServer();
await startOfTwoClusters();
await wholeDemo();
await fiveClusters();
for (const { title, command } of PARTS) {
  console.log(`\n== ${title} (node ${command.join(' ')})`);
  const { status } = spawnSync(process.execPath, command, { stdio: 'inherit', cwd: root });
  if (status !== 0) console.log(`this part failed (${status}): the figures above are not all`);
}

async function startOfTwoClusters(): Promise<void> {
  const seconds: number[] = [];
  for (let i = 0; i < ROUNDS; i++) {
    const sandbox = new TestSandbox(`bench${i}`);
    const startedAt = performance.now();
    try {
      await sandbox.up();
      seconds.push((performance.now() - startedAt) / 1000);
    } finally {
      await sandbox.down();
    }
  }
  print('two clusters ready', `${median(seconds).toFixed(1)} s`, '5 s');
}

/** The mesh and Bookinfo as the demo leaves them, timed and then measured. */
async function wholeDemo(): Promise<void> {
  const sandbox = new TestSandbox('bench');
  try {
    const startedAt = performance.now();
    await sandbox.up();
    sandbox.env['CERTS'] = join(sandbox.dir, 'certs');
    await sandbox.must('certs', '--out', sandbox.env['CERTS'], '--clusters', 'cluster1,cluster2');
    await shell(sandbox, readFileSync(join(root, 'scenarios/seeds/000/setup.sh'), 'utf8'));
    const steps = join(root, 'scenarios/seeds/000/steps');
    for (const file of readdirSync(steps).sort()) await shell(sandbox, readFileSync(join(steps, file), 'utf8'));
    const gateway = sandbox.gateway('cluster1');
    await untilStars(gateway, ['black', 'red']);
    print('seed 000 from nothing, by kubectl', `${((performance.now() - startedAt) / 1000).toFixed(1)} s`, '40 s');
    print('memory of all of it (PSS)', memory(sandbox), '1536 MiB');
    await idleCpu(sandbox, 'two clusters, mesh and Bookinfo');
    await changedWeight(sandbox, gateway);
    await latencies(sandbox);
    await measurePods(sandbox);
  } finally {
    await sandbox.down();
  }
}

/** As many as a machine like this is meant to carry, without a mesh. */
async function fiveClusters(): Promise<void> {
  const sandbox = new TestSandbox('bench-five');
  try {
    const startedAt = performance.now();
    await sandbox.up('--clusters', '5');
    print('five clusters ready', `${((performance.now() - startedAt) / 1000).toFixed(1)} s`, '');
    print('  their memory (PSS)', memory(sandbox), '');
    await idleCpu(sandbox, 'five clusters');
  } finally {
    await sandbox.down();
  }
}

function memory(sandbox: TestSandbox): string {
  return `${Math.round(proportionalSetSizeMiB(processesOf(sandbox.dir)))} MiB`;
}

/** After what starting left to do has ended. */
async function idleCpu(sandbox: TestSandbox, what: string): Promise<void> {
  await sleep(SETTLE_SECONDS * 1000);
  const shares = await measureCpu(sandbox.dir, IDLE_SECONDS);
  const total = shares.reduce((sum, { percent }) => sum + percent, 0);
  print(`idle CPU of all processes, ${what}`, `${total.toFixed(1)} %`, '3 % of a core');
}

/** From `kubectl patch` having returned to the first page that obeys. */
async function changedWeight(sandbox: TestSandbox, gateway: URL): Promise<void> {
  const delaysMs: number[] = [];
  for (let i = 0; i < 2 * ROUNDS; i++) {
    const [black, red] = i % 2 === 0 ? [0, 100] : [100, 0];
    const patch = [0, 1].map((route) => ({
      op: 'replace',
      path: `/spec/http/0/route/${route}/weight`,
      value: [black, red][route],
    }));
    await sandbox.kubectl(
      '--context',
      'cluster1',
      'patch',
      'virtualservice',
      'reviews',
      '--type=json',
      '-p',
      JSON.stringify(patch),
    );
    const patchedAt = performance.now();
    await untilStars(gateway, [black === 0 ? 'red' : 'black'], 5);
    delaysMs.push(performance.now() - patchedAt);
    await sleep(200);
  }
  print('from a changed weight to the first page that obeys', `${median(delaysMs).toFixed(0)} ms`, '200 ms');
}

async function latencies(sandbox: TestSandbox): Promise<void> {
  const figures = await measureLatency(sandbox);
  const direct = figures.direct;
  print('median latency: direct', `${direct.toFixed(2)} ms`, '');
  for (const [name, ms] of Object.entries(figures)) {
    if (name === 'direct') continue;
    print(`median latency: ${name}`, `${ms.toFixed(2)} ms`, '');
    print('  added, and as a ratio', `+${(ms - direct).toFixed(2)} ms`, `${(ms / direct).toFixed(1)} x`);
  }
}

/** `inARow` pages in a row must show one of the wanted stars: a first one alone may be chance. Counts from the first. */
async function untilStars(gateway: URL, wanted: readonly string[], inARow = 1): Promise<void> {
  for (const deadline = performance.now() + 60_000; performance.now() < deadline; ) {
    const visits = await visitPage(gateway, { user: 'jason', userAgent: 'bench', count: inARow }).catch(() => []);
    if (visits.length === inARow && visits.every((visit) => wanted.includes(visit.stars ?? ''))) return;
  }
  throw new Error(`no page showed ${wanted.join(' or ')} stars within 60 s`);
}

async function shell(sandbox: TestSandbox, script: string): Promise<void> {
  const result = await sandbox.bash(script);
  if (result.code !== 0) throw new Error(`${script}\n${result.stdout}${result.stderr}`);
}
