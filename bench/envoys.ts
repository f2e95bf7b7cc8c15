// SPDX-License-Identifier: Apache-2.0
// node bench/envoys.ts [--services 1000] [--envoys 20] [--used 10] [--mode MODE]: real Envoys in each way of delivery, beside one
// that has an empty mesh. Prints their memory once they have used some services, what they were sent until then, the time
// until they were ready, and the first requests' latency.
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
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

function rssMiB(pid: number): number {
  return Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) / 1024;
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

/** One Envoy from its start until it has used what it uses. */
async function measure(
  options: { dir: string; adsPort: number; number: number; delivery: ConfigDelivery; running: EnvoyProcess[] },
  uses: number,
): Promise<Figures> {
  const { dir, adsPort, number, delivery, running } = options;
  const startedAt = performance.now();
  const own = mkdtempSync(join(dir, 'envoy-'));
  // Each is a workload of its own: what the others have learnt is not to help it.
  const envoy = startEnvoy(findEnvoy()!, own, sidecarBootstrap(adsPort, { number, delivery, app: `app-${number}` }));
  running.push(envoy);
  while ((await stat(envoy, 'listener_manager.workers_started')) !== 1) await sleep(10);
  const readySeconds = (performance.now() - startedAt) / 1000;
  await sleep(1_000);
  const times: number[] = [];
  for (let i = 0; i < uses; i++) {
    const askedAt = performance.now();
    const answer = await askHttp({ ip: `127.0.1.${number}`, port: PORT, host: host(i) });
    if (answer.status !== 200)
      throw new Error(`${delivery}, ${host(i)}: ${answer.status} ${answer.problem ?? answer.body}`);
    times.push(performance.now() - askedAt);
  }
  await sleep(SETTLE_MS);
  const bytes = await stat(envoy, 'cluster.xds.upstream_cx_rx_bytes_total');
  return { rssMiB: rssMiB(envoy.pid), bytes, readySeconds, firstMs: median(times) };
}

async function run(count: number, delivery: ConfigDelivery, instances: number, uses: number): Promise<Figures> {
  const dir = mkdtempSync(join(tmpdir(), 'isthmus-envoys-'));
  const backend = await httpBackend('backend');
  const adsPort = await freePort();
  const plane = fork(new URL('../test/on-demand/plane-process.ts', import.meta.url).pathname, [
    String(adsPort),
    String(portOf(backend)),
  ]);
  const say = (message: PlaneMessage): boolean => plane.send(message);
  say({ kind: 'apply', objects: meshOf(count, portOf(backend)) });
  say({ kind: 'start' });
  await once(plane, 'message');
  const running: EnvoyProcess[] = [];
  const all: Figures[] = [];
  try {
    for (let i = 0; i < instances; i++) {
      all.push(await measure({ dir, adsPort, number: FIRST_ADDRESS + i, delivery, running }, uses));
    }
    const of = (member: keyof Figures) => median(all.map((figures) => figures[member]));
    return { rssMiB: of('rssMiB'), bytes: of('bytes'), readySeconds: of('readySeconds'), firstMs: of('firstMs') };
  } finally {
    await Promise.all(running.map((envoy) => envoy.stop()));
    plane.kill('SIGKILL');
    backend.closeAllConnections();
    backend.close();
    rmSync(dir, { recursive: true, force: true });
  }
}

const rest = await run(0, 'FULL', Math.min(3, envoys), 0);
console.log(`Envoy in an empty mesh: ${rest.rssMiB.toFixed(0)} MiB`);
console.log(`${services} services, ${used} used, medians of ${envoys} Envoys beside one another:`);
for (const delivery of CONFIG_DELIVERIES) {
  if (flags.mode !== undefined && flags.mode !== delivery) continue;
  const { rssMiB: rss, bytes, readySeconds, firstMs } = await run(services, delivery, envoys, used);
  console.log(
    `  ${delivery.padEnd(18)} grows by ${(rss - rest.rssMiB).toFixed(0)} MiB to ${rss.toFixed(0)} MiB, ` +
      `sent ${(bytes / 1000).toFixed(0)} kB, ready after ${readySeconds.toFixed(1)} s, first requests ${firstMs.toFixed(1)} ms`,
  );
}
process.exit(0);
