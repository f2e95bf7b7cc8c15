// SPDX-License-Identifier: Apache-2.0
// Real Envoys that are given their configuration in each of the three ways, beside one another: what a client sees is the same.
import { mkdtempSync, rmSync } from 'node:fs';
import type { Server as HttpServer } from 'node:http';
import type { Http2Server } from 'node:http2';
import type { Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { CONFIG_DELIVERIES, type ConfigDelivery } from '../src/api/config-delivery.ts';
import { findEnvoy } from '../src/runtime/toolchain.ts';
import { freePort } from './fixture/ports.ts';
import { until } from './fixture/waiting.ts';
import {
  destinationRule,
  http2Backend,
  httpBackend,
  portOf,
  serviceEntry,
  tcpBackend,
  virtualService,
} from './on-demand/backends.ts';
import { LoopbackPlane, sidecarBootstrap } from './on-demand/plane.ts';
import { askHttp, askHttp2, askTcp } from './on-demand/requests.ts';
import { type EnvoyProcess, startEnvoy } from './xds/envoy-process.ts';

const envoyPath = findEnvoy();
const REVIEWS = 'reviews.default.svc.cluster.local';

describe.skipIf(envoyPath === undefined)('configuration on demand', () => {
  const dir = mkdtempSync(join(tmpdir(), 'isthmus-on-demand-'));
  const envoys = new Map<ConfigDelivery, EnvoyProcess>();
  const servers: (Server | HttpServer | Http2Server)[] = [];
  let plane: LoopbackPlane;
  let http: Record<'v1' | 'v2' | 'other' | 'stranger', number>;
  let grpc: number;
  let tcp: number;
  let adsPort: number;

  const start = (delivery: ConfigDelivery, number: number): EnvoyProcess =>
    startEnvoy(envoyPath!, mkdtempSync(join(dir, delivery)), sidecarBootstrap(adsPort, { number, delivery }));
  const ready = (envoy: EnvoyProcess): Promise<void> =>
    until('ready', async () => (await envoy.admin('/ready')).status === 200);
  const reviews = (...versions: ('v1' | 'v2')[]) =>
    serviceEntry(REVIEWS, {
      port: 9080,
      protocol: 'HTTP',
      backends: versions.map((version) => ({ port: http[version], version })),
    });
  const toVersion = (host: string, version: string) => [{ route: [{ destination: { host, subset: version } }] }];
  const other = (host: string) =>
    serviceEntry(host, { port: 9080, protocol: 'HTTP', backends: [{ port: http.other }] });

  beforeAll(async () => {
    const [v1, v2, third, stranger] = await Promise.all(['v1', 'v2', 'other', 'stranger'].map(httpBackend));
    const rest = [await http2Backend('grpc'), await tcpBackend('tcp')] as const;
    servers.push(v1!, v2!, third!, stranger!, ...rest);
    http = { v1: portOf(v1!), v2: portOf(v2!), other: portOf(third!), stranger: portOf(stranger!) };
    [grpc, tcp] = [portOf(rest[0]), portOf(rest[1])];
    adsPort = await freePort();
    plane = new LoopbackPlane(adsPort, http.stranger);
    plane.apply(
      reviews('v1', 'v2'),
      destinationRule(REVIEWS, ['v1', 'v2']),
      virtualService(REVIEWS, [
        { match: [{ uri: { prefix: '/new' } }], ...toVersion(REVIEWS, 'v2')[0] },
        { match: [{ uri: { prefix: '/old' } }], ...toVersion(REVIEWS, 'v1')[0] },
        { match: [{ uri: { prefix: '/elsewhere' } }], redirect: { authority: 'away.example.com' } },
        { match: [{ uri: { prefix: '/none' } }], ...toVersion(REVIEWS, 'v3')[0] },
      ]),
      other('ratings.example.com'),
      serviceEntry('grpc.example.com', { port: 9081, protocol: 'GRPC', backends: [{ port: grpc }] }),
      serviceEntry('tcp.example.com', { port: 7000, protocol: 'TCP', backends: [{ port: tcp }] }),
    );
    await plane.start();
    for (const [index, delivery] of CONFIG_DELIVERIES.entries()) envoys.set(delivery, start(delivery, index + 1));
    await Promise.all([...envoys.values()].map(ready));
  }, 60_000);

  afterAll(async () => {
    await Promise.all([...envoys.values()].map((envoy) => envoy.stop()));
    await plane?.stop();
    for (const server of servers) {
      if ('closeAllConnections' in server) server.closeAllConnections();
      server.close();
    }
    rmSync(dir, { recursive: true, force: true });
  });

  describe.each(CONFIG_DELIVERIES.map((delivery, index) => [delivery, `127.0.1.${index + 1}`] as const))(
    '%s',
    (delivery, ip) => {
      const ask = (host: string, path = '/', body?: Buffer) =>
        askHttp({ ip, port: 9080, host, path, ...(body !== undefined && { body }) });
      const clusters = async () => (await envoys.get(delivery)!.admin('/clusters')).body;

      test('has nothing before it is needed, as far as its mode says so', async () => {
        expect((await clusters()).includes(`outbound|9080|v2|${REVIEWS}`)).toBe(delivery === 'FULL');
        expect(await clusters()).toContain('outbound|7000||tcp.example.com');
        const routes = (await envoys.get(delivery)!.admin('/config_dump?resource=dynamic_route_configs')).body;
        expect(routes.includes(REVIEWS)).toBe(delivery !== 'ALL_ON_DEMAND');
      });

      test('the first request arrives, whatever it is', async () => {
        const body = Buffer.alloc(2_000_000, 'x');
        const [first, posted, rpc, connection] = await Promise.all([
          ask(REVIEWS, '/old'),
          ask(`${REVIEWS}:9080`, '/new', body),
          askHttp2({ ip, port: 9081, host: 'grpc.example.com' }),
          askTcp({ ip, port: 7000 }),
        ]);
        expect(first).toMatchObject({ status: 200, backend: 'v1' });
        expect(posted).toMatchObject({ status: 200, backend: 'v2' });
        expect(rpc).toMatchObject({ status: 200, backend: 'grpc' });
        expect(connection).toMatchObject({ status: 200, backend: 'tcp' });
        expect(await clusters()).toContain(`outbound|9080|v2|${REVIEWS}`);
      });

      test('a host that is none of the mesh’s passes through; paths without a route, and routes that lead nowhere, fail at once', async () => {
        expect(await ask('nobody.example.net')).toMatchObject({ status: 200, backend: 'stranger' });
        expect(await ask(REVIEWS, '/unknown')).toMatchObject({ status: 404, backend: undefined });
        expect((await ask(REVIEWS, '/elsewhere')).status).toBe(301);
        for (let i = 0; i < 2; i++) {
          const startedAt = performance.now();
          expect(await ask(REVIEWS, '/none')).toMatchObject({ status: 503, backend: undefined });
          // Far below the minute that a request would wait for its cluster.
          expect(performance.now() - startedAt).toBeLessThan(15_000);
        }
      });

      test('what goes and comes back does so for the next request', async () => {
        const host = `brief-${delivery.toLowerCase().replaceAll('_', '-')}.example.com`;
        expect(await ask(host)).toMatchObject({ backend: 'stranger' });
        for (let i = 0; i < 2; i++) {
          plane.apply(other(host));
          await until('the host', async () => (await ask(host)).backend === 'other');
          plane.remove(other(host));
          await until('no host', async () => (await ask(host)).backend === 'stranger');
        }
      });
    },
  );

  test('a changed route, new endpoints and a new subset are there for all alike', async () => {
    const answers = (path: string) =>
      Promise.all(
        CONFIG_DELIVERIES.map((_, i) => askHttp({ ip: `127.0.1.${i + 1}`, port: 9080, host: REVIEWS, path })),
      );
    const all = async (path: string, backend: string) =>
      (await answers(path)).every((each) => each.backend === backend);
    plane.apply(virtualService(REVIEWS, toVersion(REVIEWS, 'v2')));
    await until('v2', () => all('/', 'v2'));
    plane.apply(virtualService(REVIEWS, [{ route: [{ destination: { host: REVIEWS } }] }]), reviews('v1'));
    await until('v1', () => all('/', 'v1'));
    plane.apply(reviews('v2'), destinationRule(REVIEWS, ['v2']));
    await until('v2 again', () => all('/', 'v2'));
    expect(plane.refusals).toEqual([]);
  });

  test('a control plane that comes back sends nothing anew and goes on', async () => {
    const sent: string[] = [];
    const used = CONFIG_DELIVERIES.map((_, i) => `127.0.1.${i + 1}`);
    await plane.stop();
    expect((await askHttp({ ip: used[2]!, port: 9080, host: REVIEWS })).backend).toBe('v2');
    plane.observe = (event) => {
      if (event.kind === 'sent' && event.resources > 0) sent.push(event.typeUrl);
    };
    await plane.start();
    await until('all back', () => plane.streams().length === used.length);
    plane.apply(
      virtualService('ratings.example.com', [
        { rewrite: { uri: '/changed' }, route: [{ destination: { host: 'ratings.example.com' } }] },
      ]),
    );
    for (const ip of used) {
      await until('the changed route', async () =>
        (await askHttp({ ip, port: 9080, host: 'ratings.example.com' })).body.includes('/changed'),
      );
      expect((await askHttp({ ip, port: 9080, host: REVIEWS })).backend).toBe('v2');
    }
    expect(sent.filter((typeUrl) => typeUrl.endsWith('Listener'))).toEqual([]);
    expect(plane.refusals).toEqual([]);
  });

  test('a first request that comes while the control plane is away waits for it, unless everything was given before', async () => {
    const [host, path] = ['waits.example.com', '/'];
    plane.apply(other(host));
    // The proxy that has everything says when all of them know of it.
    await until('the host', async () => (await askHttp({ ip: '127.0.1.1', port: 9080, host })).backend === 'other');
    await until('the virtual host', async () =>
      (await envoys.get('CLUSTERS_ON_DEMAND')!.admin('/config_dump?resource=dynamic_route_configs')).body.includes(
        host,
      ),
    );
    await plane.stop();
    const asked = ['127.0.1.1', '127.0.1.2', '127.0.1.3'].map((ip) => askHttp({ ip, port: 9080, host, path }));
    const answered: number[] = [];
    for (const [index, answer] of asked.entries()) void answer.then(() => answered.push(index));
    expect((await asked[0]!).backend).toBe('other');
    await sleep(1_000);
    expect(answered).toEqual([0]);
    await plane.start();
    expect((await Promise.all(asked)).map(({ status, backend }) => [status, backend])).toEqual(
      Array(3).fill([200, 'other']),
    );
  });

  test('what one pod asked for is given to the next of its workload before its first request', async () => {
    const [index, delivery] = [9, 'ALL_ON_DEMAND'] as const;
    const next = start(delivery, index);
    try {
      await ready(next);
      expect((await next.admin('/clusters')).body).toContain(`outbound|9080||${REVIEWS}`);
      const asked: string[] = [];
      plane.observe = (event) => {
        if (event.kind === 'sent') asked.push(event.typeUrl);
      };
      expect(await askHttp({ ip: `127.0.1.${index}`, port: 9080, host: REVIEWS })).toMatchObject({ backend: 'v2' });
      expect(asked).toEqual([]);
    } finally {
      await next.stop();
    }
  });
});
