// SPDX-License-Identifier: Apache-2.0
// node bench/soak.ts [--requests 1000000] [--services 200] [--envoys 3] [--mode MODE]: requests through real Envoys in each way
// of delivery, while routes change, the control plane is killed, and Envoys are started anew. Counts what is lost.
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { CONFIG_DELIVERIES, type ConfigDelivery } from '../src/api/config-delivery.ts';
import { findEnvoy } from '../src/runtime/toolchain.ts';
import { freePort } from '../test/fixture/ports.ts';
import { sidecarBootstrap } from '../test/on-demand/plane.ts';
import { type PlaneMessage, STARTED } from '../test/on-demand/plane-process.ts';
import { type EnvoyProcess, startEnvoy } from '../test/xds/envoy-process.ts';
import { SoakMesh } from './soak/mesh.ts';
import { type Judged, KINDS, SidecarTraffic } from './soak/traffic.ts';

const { values: flags } = parseArgs({
  options: {
    requests: { type: 'string', default: '1000000' },
    services: { type: 'string', default: '200' },
    envoys: { type: 'string', default: '3' },
    workers: { type: 'string', default: '24' },
    mode: { type: 'string' },
  },
});
/** Between two of a kind, at most. */
const PAUSES_MS = { change: 150, plane: 12_000, envoy: 8_000, progress: 60_000 };

/** Of the sidecars' addresses: two soaks on one machine must not answer for one another. */
const FIRST = 10 + 8 * (process.pid % 28);

class PlaneProcess {
  readonly #port: number;
  readonly #mesh: SoakMesh;
  #child: ChildProcess | undefined;
  /** Loaded, and told nothing yet: how long nobody serves is to be the soak's choice, not that of a busy machine. */
  #next: ChildProcess;
  #killedAt: number | undefined;
  starts = 0;
  longestOutageMs = 0;

  constructor(port: number, mesh: SoakMesh) {
    this.#port = port;
    this.#mesh = mesh;
    this.#next = this.#fork();
  }

  #fork(): ChildProcess {
    const path = new URL('../test/on-demand/plane-process.ts', import.meta.url).pathname;
    return fork(path, [String(this.#port), String(this.#mesh.strangerPort)]);
  }

  async start(): Promise<void> {
    const child = this.#next;
    this.#child = child;
    this.starts++;
    this.send({ kind: 'apply', objects: this.#mesh.objects() });
    this.send({ kind: 'start' });
    const [message] = (await once(child, 'message')) as [string];
    if (message !== STARTED) throw new Error(`the control plane says ${message}`);
    const awayMs = performance.now() - (this.#killedAt ?? performance.now());
    this.longestOutageMs = Math.max(this.longestOutageMs, awayMs);
    // Envoy gives up a cluster that it asked for after 15 s: docs/decisions/0021.
    if (awayMs > 10_000) console.log(`  the control plane was away for ${(awayMs / 1000).toFixed(1)} s`);
    this.#next = this.#fork();
  }

  send(message: PlaneMessage): void {
    // One that is being killed hears nothing: the next is told everything.
    if (this.#child?.connected === true) this.#child.send(message, () => {});
  }

  async kill(): Promise<void> {
    const child = this.#child;
    if (child === undefined) return;
    child.kill('SIGKILL');
    await once(child, 'exit');
    this.#killedAt = performance.now();
  }

  async end(): Promise<void> {
    await this.kill();
    this.#next.kill('SIGKILL');
  }
}

interface SidecarOptions {
  readonly dir: string;
  readonly adsPort: number;
  /** Of its address, 127.0.1.N. */
  readonly number: number;
  readonly delivery: ConfigDelivery;
}

/** One Envoy and the requests through it; none is under way when it ends. */
class Sidecar {
  readonly #options: SidecarOptions;
  readonly #mesh: SoakMesh;
  #envoy: EnvoyProcess | undefined;
  #traffic: SidecarTraffic | undefined;
  #isPaused = false;
  #underWay = 0;
  starts = 0;

  constructor(options: SidecarOptions, mesh: SoakMesh) {
    this.#options = options;
    this.#mesh = mesh;
  }

  async start(): Promise<void> {
    const { dir, adsPort, number, delivery } = this.#options;
    const own = mkdtempSync(join(dir, 'envoy-'));
    this.#envoy = startEnvoy(findEnvoy()!, own, sidecarBootstrap(adsPort, { number, delivery, app: `app-${number}` }));
    this.#traffic = new SidecarTraffic(`127.0.1.${number}`, this.#mesh, Math.random);
    this.starts++;
    // Its admin interface says that it is ready a moment before its listeners are there.
    while (!(await this.#envoy.admin('/stats?filter=workers_started')).body.includes(': 1')) await sleep(20);
  }

  async restart(): Promise<void> {
    this.#isPaused = true;
    while (this.#underWay > 0) await sleep(5);
    await this.stop();
    await this.start();
    this.#isPaused = false;
  }

  async stop(): Promise<void> {
    this.#traffic?.close();
    await this.#envoy?.stop();
  }

  async run(report: (judged: Judged) => void, isOver: () => boolean): Promise<void> {
    while (!isOver()) {
      while (this.#isPaused) await sleep(10);
      this.#underWay++;
      try {
        report(await this.#traffic!.one());
      } finally {
        this.#underWay--;
      }
    }
  }
}

interface Tally {
  total: number;
  readonly lost: Map<string, number>;
  readonly times: number[];
}

async function soak(delivery: ConfigDelivery, requests: number): Promise<void> {
  const dir = mkdtempSync(join(tmpdir(), 'isthmus-soak-'));
  const mesh = await SoakMesh.start(Number(flags.services));
  const adsPort = await freePort();
  const plane = new PlaneProcess(adsPort, mesh);
  await plane.start();
  const sidecars = Array.from(
    { length: Number(flags.envoys) },
    (_, i) => new Sidecar({ dir, adsPort, number: FIRST + i, delivery }, mesh),
  );
  await Promise.all(sidecars.map((sidecar) => sidecar.start()));
  const tallies = new Map(KINDS.map((kind): [string, Tally] => [kind, { total: 0, lost: new Map(), times: [] }]));
  let [done, changes] = [0, 0];
  const startedAt = performance.now();
  const isOver = (): boolean => done >= requests;
  const report = ({ kind, ms, loss }: Judged): void => {
    done++;
    const tally = tallies.get(kind)!;
    tally.total++;
    tally.times.push(ms);
    if (loss === undefined) return;
    tally.lost.set(loss, (tally.lost.get(loss) ?? 0) + 1);
    const seconds = ((performance.now() - startedAt) / 1000).toFixed(1);
    if ([...tally.lost.values()].reduce((a, b) => a + b, 0) <= 10)
      console.log(`  lost at ${seconds} s: ${kind}, after ${ms.toFixed(0)} ms: ${loss}`);
  };
  const repeat = async (pauseMs: number, act: () => Promise<void> | void): Promise<void> => {
    for (;;) {
      for (let waited = 0, wait = pauseMs * (0.5 + Math.random() / 2); waited < wait; waited += 100) {
        if (isOver()) return;
        await sleep(Math.min(100, wait));
      }
      await act();
    }
  };
  await Promise.all([
    ...sidecars.flatMap((s) => Array.from({ length: Number(flags.workers) }, () => s.run(report, isOver))),
    repeat(PAUSES_MS.change, () => {
      changes++;
      plane.send({ kind: 'apply', objects: mesh.change(Math.random) });
    }),
    repeat(PAUSES_MS.plane, async () => {
      await plane.kill();
      await sleep(Math.random() * 2_000);
      await plane.start();
    }),
    repeat(PAUSES_MS.envoy, () => sidecars[Math.floor(Math.random() * sidecars.length)]!.restart()),
    repeat(PAUSES_MS.progress, () => {
      console.log(`  ${delivery}: ${done} requests after ${((performance.now() - startedAt) / 1000).toFixed(0)} s`);
    }),
  ]);
  const seconds = (performance.now() - startedAt) / 1000;
  await Promise.all(sidecars.map((sidecar) => sidecar.stop()));
  await plane.end();
  rmSync(dir, { recursive: true, force: true });
  const starts = sidecars.reduce((sum, sidecar) => sum + sidecar.starts, 0);
  console.log(
    `${delivery}: ${done} requests in ${seconds.toFixed(0)} s, ${changes} changes, ` +
      `the control plane killed ${plane.starts - 1} times and away for at most ${(plane.longestOutageMs / 1000).toFixed(1)} s, ` +
      `Envoys started ${starts} times`,
  );
  for (const [kind, { total, lost, times }] of tallies) {
    const sorted = times.sort((a, b) => a - b);
    const at = (share: number) =>
      (sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0).toFixed(1);
    const losses = [...lost].map(([why, count]) => `${count} x ${why}`).join('; ');
    console.log(
      `  ${kind.padEnd(10)} ${String(total).padStart(8)}  lost ${losses || '0'}   ms: median ${at(0.5)}, 99 % ${at(0.99)}, most ${at(1)}`,
    );
  }
}

for (const delivery of CONFIG_DELIVERIES) {
  if (flags.mode === undefined || flags.mode === delivery) await soak(delivery, Number(flags.requests));
}
process.exit(0);
