// SPDX-License-Identifier: Apache-2.0
// An endpoint that is new gets little at first where a DestinationRule has it warmed up, and its whole share elsewhere.
import { mkdtempSync, rmSync } from 'node:fs';
import type { Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { findEnvoy } from '../src/runtime/toolchain.ts';
import { freePort } from './fixture/ports.ts';
import { until } from './fixture/waiting.ts';
import { destinationRule, httpBackend, portOf, serviceEntry } from './on-demand/backends.ts';
import { LoopbackPlane, sidecarBootstrap } from './on-demand/plane.ts';
import { askHttp } from './on-demand/requests.ts';
import { startEnvoy } from './xds/envoy-process.ts';

const envoyPath = findEnvoy();
/** An endpoint that has been there for as long as this has its whole share. */
const WINDOW_MS = 5_000;
const ROUNDS = 40;
const LAST = 5;
const [WARMED, COLD] = ['warmed.example.com', 'cold.example.com'] as const;
const HOSTS = [WARMED, COLD];

test.skipIf(envoyPath === undefined)('an endpoint that is new is warmed up where a rule says so', async (context) => {
  const dir = mkdtempSync(join(tmpdir(), 'isthmus-warm-up-'));
  const servers: Server[] = [await httpBackend('old')];
  const adsPort = await freePort();
  const plane = new LoopbackPlane(adsPort, portOf(servers[0]!));
  const apply = (...some: Server[]) =>
    plane.apply(
      ...HOSTS.map((host) =>
        serviceEntry(host, { port: 9080, protocol: 'HTTP', backends: some.map((s) => ({ port: portOf(s) })) }),
      ),
    );
  apply(servers[0]!);
  const loadBalancer = { simple: 'ROUND_ROBIN' };
  const warmup = { duration: `${WINDOW_MS / 1000}s`, minimumPercent: 5 };
  plane.apply(destinationRule(WARMED, [], { loadBalancer: { ...loadBalancer, warmup } }));
  plane.apply(destinationRule(COLD, [], { loadBalancer }));
  await plane.start();
  const envoy = startEnvoy(envoyPath!, dir, sidecarBootstrap(adsPort, { number: 31, delivery: 'FULL' }));
  const ask = async (host: string) => (await askHttp({ ip: '127.0.1.31', port: 9080, host })).backend;
  try {
    await until('ready', async () => (await envoy.admin('/ready')).status === 200);
    for (const host of HOSTS) await until(host, async () => (await ask(host)) === 'old');
    await sleep(WINDOW_MS);
    // A machine that is too slow to ask while the endpoint is new is asked of another new one.
    for (let n = 1; ; n++) {
      const name = `new-${n}`;
      servers.push(await httpBackend(name));
      const startedAt = performance.now();
      apply(servers[0]!, servers.at(-1)!);
      await until('the new one', async () => (await ask(COLD)) === name);
      const reached = { [WARMED]: 0, [COLD]: 0 };
      for (let i = 0; i < ROUNDS; i++) {
        for (const host of HOSTS) if ((await ask(host)) === name) reached[host]++;
      }
      if (performance.now() - startedAt > WINDOW_MS / 4) {
        if (n === LAST) context.skip('this machine is too slow to ask while an endpoint is new');
        continue;
      }
      // Two that take turns, and one that comes up once for each fourth time of the other's at most.
      expect(reached[COLD]).toBeGreaterThan(ROUNDS * 0.4);
      expect(reached[WARMED]).toBeLessThan(ROUNDS * 0.3);
      break;
    }
    expect(plane.refusals).toEqual([]);
  } finally {
    await envoy.stop();
    await plane.stop();
    for (const server of servers) {
      server.closeAllConnections();
      server.close();
    }
    rmSync(dir, { recursive: true, force: true });
  }
});

test('there is an Envoy to ask (ENVOY_BIN, .tools/envoy or PATH)', (context) => {
  if (envoyPath === undefined) context.skip('no Envoy found: warm-up was not tried');
});
