// SPDX-License-Identifier: Apache-2.0
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, test } from 'vitest';
import { parseLoad, renderCount, runLoad } from './fortio-load.ts';

test('options as Go has them', () => {
  expect(parseLoad(['-c', '3', '-qps=0', '-n', '30', '-loglevel', 'Warning', 'httpbin:8000/get'])).toMatchObject({
    connections: 3,
    perSecond: 0,
    calls: 30,
    url: new URL('http://httpbin:8000/get'),
  });
  expect(parseLoad(['-t', '1m30s', 'http://a/'])).toMatchObject({ durationMs: 90_000, perSecond: 8 });
  expect(() => parseLoad(['-n', 'many', 'http://a/'])).toThrow('-n many: a number is needed');
  expect(() => parseLoad(['-c', '3'])).toThrow('give one URL');
  expect(() => parseLoad(['-uniform', 'http://a/'])).toThrow('uniform');
});

test('each connection has its share of the calls, one after the other, and what failed is counted', async () => {
  const ports = new Set<number | undefined>();
  let asked = 0;
  const server = createServer((request, response) => {
    ports.add(request.socket.remotePort);
    response.writeHead(++asked % 5 === 0 ? 503 : 200).end();
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  const failed: number[] = [];
  const count = await runLoad(parseLoad(['-c', '3', '-qps', '0', '-n', '10', url]), (status) => failed.push(status));
  server.close();
  expect(Object.fromEntries(count.statuses)).toEqual({ 200: 8, 503: 2 });
  expect(failed).toEqual([503, 503]);
  expect(ports.size).toBe(3);
  expect(renderCount(count)).toContain('Code 200 : 8 (80.0 %)\nCode 503 : 2 (20.0 %)\nAll done 10 calls ');
});
