// SPDX-License-Identifier: Apache-2.0
// node bench/envoys.ts [--services 1000] [--envoys 20] [--used 10] [--mode MODE]: real Envoys in each way of delivery, beside one
// that has an empty mesh. Prints their memory once they have used some services, what they were sent until then, the time
// until they were ready, the first requests' latency, and the time from a change until the last of them obeys it.
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { Agent } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { CONFIG_DELIVERIES, type ConfigDelivery } from '../src/api/config-delivery.ts';
import type { KubeObject } from '../src/kube/types.ts';
import { findEnvoy } from '../src/runtime/toolchain.ts';
import { freePort } from '../test/fixture/ports.ts';
import { destinationRule, httpBackend, portOf, serviceEntry, virtualService } from '../test/on-demand/backends.ts';
import { sidecarBootstrap } from '../test/on-demand/plane.ts';
import type { PlaneMessage } from '../test/on-demand/plane-process.ts';
import { askHttp } from '../test/on-demand/requests.ts';
import { type EnvoyProcess, startEnvoy } from '../test/xds/envoy-process.ts';
import { memoryMiB } from './plane/meter.ts';
import { median } from './report.ts';

const { values: flags } = parseArgs({
  options: {
    services: { type: 'string', default: '1000' },
    envoys: { type: 'string', default: '20' },
    used: { type: 'string', default: '10' },
    mode: { type: 'string' },
  },
});
const [services, envoys, used] = [Number(flags.services), Number(flags.envoys), Number(flags.used)];
const PORT = 9080;
const FIRST_ADDRESS = 10;
/** Envoy gives free memory back every ten seconds. */
const SETTLE_MS = 12_000;
const CHANGES = 10;

const host = (i: number): string => `svc-${i}.ns-${i % 10}.svc.cluster.local`;

/** As `xdsload gen` has them: subsets v1 and v2, one header-matched and one weighted route; four endpoints each. */
function meshOf(count: number, backend: number): KubeObject[] {
  const backends = ['v1', 'v2', 'v1', 'v2'].map((version) => ({ port: backend, version }));
  return Array.from({ length: count }, (_, i) => i).flatMap((i) => {
    const to = (subset: string, weight: number) => ({ destination: { host: host(i), subset }, weight });
    return [
      serviceEntry(host(i), { port: PORT, protocol: 'HTTP', backends }),
      destinationRule(host(i), ['v1', 'v2']),
      virtualService(host(i), [
        { match: [{ headers: { 'end-user': { exact: 'jason' } } }], route: [to('v2', 100)] },
        { route: [to('v1', 90), to('v2', 10)] },
      ]),
    ];
  });
}

async function stat(envoy: EnvoyProcess, name: string): Promise<number> {
  const { body } = await envoy.admin(`/stats?filter=^${name}$`);
  return Number(/: (\d+)/.exec(body)?.[1] ?? 0);
}

interface Figures {
  readonly rssMiB: number;
  readonly bytes: number;
  readonly readySeconds: number;
  readonly firstMs: number;
}

interface Started {
  readonly envoy: EnvoyProcess;
  readonly ip: string;
  readonly readySeconds: number;
  readonly firstMs: number;
}

/** One Envoy from its start until it has used what it uses. */
async function start(
  options: { dir: string; adsPort: number; number: number; delivery: ConfigDelivery },
  uses: number,
): Promise<Started> {
  const { dir, adsPort, number, delivery } = options;
  const startedAt = performance.now();
  const own = mkdtempSync(join(dir, 'envoy-'));
  // Each is a workload of its own: what the others have learnt is not to help it.
  const envoy = startEnvoy(findEnvoy()!, own, sidecarBootstrap(adsPort, { number, delivery, app: `app-${number}` }));
  while ((await stat(envoy, 'listener_manager.workers_started')) !== 1) await sleep(10);
  const readySeconds = (performance.now() - startedAt) / 1000;
  await sleep(1_000);
  const ip = `127.0.1.${number}`;
  const times: number[] = [];
  for (let i = 0; i < uses; i++) {
    const askedAt = performance.now();
    const answer = await askHttp({ ip, port: PORT, host: host(i) });
    if (answer.status !== 200)
      throw new Error(`${delivery}, ${host(i)}: ${answer.status} ${answer.problem ?? answer.body}`);
    times.push(performance.now() - askedAt);
  }
  return { envoy, ip, readySeconds, firstMs: median(times) };
}

/** Milliseconds from telling the control plane until the last Envoy answers as the change has it, for each change. */
async function changed(
  all: readonly Started[],
  say: (message: PlaneMessage) => void,
  of: (turn: number) => { readonly object: KubeObject; readonly expected: string },
): Promise<number[]> {
  const agents = all.map(() => new Agent({ keepAlive: true, maxSockets: 1 }));
  const lasts: number[] = [];
  for (let turn = 0; turn < CHANGES; turn++) {
    const { object, expected } = of(turn);
    const startedAt = performance.now();
    say({ kind: 'apply', objects: [object] });
    const times = await Promise.all(
      all.map(async ({ ip }, i) => {
        while (!(await askHttp({ ip, port: PORT, host: host(0), agent: agents[i]! })).body.includes(expected)) {
          await sleep(2);
        }
        return performance.now() - startedAt;
      }),
    );
    lasts.push(Math.max(...times));
    await sleep(300);
  }
  for (const agent of agents) agent.destroy();
  return lasts;
}

function shown(times: readonly number[]): string {
  return `${median(times).toFixed(0)} ms (${Math.min(...times).toFixed(0)} to ${Math.max(...times).toFixed(0)})`;
}

interface Run {
  readonly figures: Figures;
  /** Of an endpoint and of a VirtualService, as text. */
  readonly changes: string;
}

async function run(count: number, delivery: ConfigDelivery, instances: number, uses: number): Promise<Run> {
  const dir = mkdtempSync(join(tmpdir(), 'isthmus-envoys-'));
  const [backend, other] = [await httpBackend('one'), await httpBackend('other')];
  const adsPort = await freePort();
  const script = new URL('../test/on-demand/plane-process.ts', import.meta.url).pathname;
  const plane: ChildProcess = fork(script, [String(adsPort), String(portOf(backend))]);
  const say = (message: PlaneMessage): void => void plane.send(message);
  say({ kind: 'apply', objects: meshOf(count, portOf(backend)) });
  say({ kind: 'start' });
  await once(plane, 'message');
  const all: Started[] = [];
  try {
    for (let i = 0; i < instances; i++) {
      all.push(await start({ dir, adsPort, number: FIRST_ADDRESS + i, delivery }, uses));
    }
    await sleep(SETTLE_MS);
    const bytes = await Promise.all(all.map(({ envoy }) => stat(envoy, 'cluster.xds.upstream_cx_rx_bytes_total')));
    const figures = {
      rssMiB: median(all.map(({ envoy }) => memoryMiB(envoy.pid, 'VmRSS'))),
      bytes: median(bytes),
      readySeconds: median(all.map(({ readySeconds }) => readySeconds)),
      firstMs: median(all.map(({ firstMs }) => firstMs)),
    };
    if (uses === 0) return { figures, changes: '' };
    const endpoint = await changed(all, say, (turn) => {
      const [server, expected] = turn % 2 === 0 ? [other, 'other'] : [backend, 'one'];
      const backends = ['v1', 'v2', 'v1', 'v2'].map((version) => ({ port: portOf(server), version }));
      return {
        object: serviceEntry(host(0), { port: PORT, protocol: 'HTTP', backends }),
        expected: `"name":"${expected}"`,
      };
    });
    const route = await changed(all, say, (turn) => {
      const expected = `revision ${turn}.`;
      const http = [{ directResponse: { status: 200, body: { string: expected } } }];
      return { object: virtualService(host(0), http), expected };
    });
    return { figures, changes: `endpoints changed ${shown(endpoint)}, VirtualService changed ${shown(route)}` };
  } finally {
    await Promise.all(all.map(({ envoy }) => envoy.stop()));
    plane.kill('SIGKILL');
    for (const server of [backend, other]) {
      server.closeAllConnections();
      server.close();
    }
    rmSync(dir, { recursive: true, force: true });
  }
}

const { figures: rest } = await run(0, 'FULL', Math.min(3, envoys), 0);
console.log(`\nreal Envoys; one in an empty mesh: ${rest.rssMiB.toFixed(0)} MiB`);
console.log(
  `${services} services, ${used} used, medians of ${envoys} Envoys beside one another; of ${CHANGES} changes the time until the last of them obeys:`,
);
for (const delivery of CONFIG_DELIVERIES) {
  if (flags.mode !== undefined && flags.mode !== delivery) continue;
  const { figures, changes } = await run(services, delivery, envoys, used);
  const { rssMiB: rss, bytes, readySeconds, firstMs } = figures;
  console.log(
    `  ${delivery.padEnd(18)} grows by ${(rss - rest.rssMiB).toFixed(0)} MiB to ${rss.toFixed(0)} MiB, ` +
      `sent ${(bytes / 1000).toFixed(0)} kB, ready after ${readySeconds.toFixed(1)} s, first requests ${firstMs.toFixed(1)} ms,\n` +
      `  ${''.padEnd(18)} ${changes}`,
  );
}
process.exit(0);
