// SPDX-License-Identifier: Apache-2.0
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { countConnections, drainProxy } from './drain.ts';

const stats = (connections: number) => `listener.0.0.0.0_8080.downstream_cx_active: ${connections}\n`;

/** An admin interface with a scripted life: how many connections each look at the statistics finds. */
async function adminWith(answers: number[]) {
  const folder = mkdtempSync(join(tmpdir(), 'isthmus-drain-'));
  const asked: string[] = [];
  const server = createServer((request, response) => {
    asked.push(`${request.method} ${request.url}`);
    const next = request.url?.startsWith('/stats') ? answers.shift() : 0;
    response.writeHead(next === undefined ? 500 : 200).end(next === undefined ? 'no more' : stats(next));
  });
  const adminPipe = join(folder, 'admin.sock');
  server.listen(adminPipe);
  await once(server, 'listening');
  onTestFinished(() => {
    server.close();
    rmSync(folder, { recursive: true });
  });
  return { adminPipe, asked };
}

test('asks the clients to leave, and goes', async () => {
  const { adminPipe, asked } = await adminWith([]);
  expect(await drainProxy({ adminPipe, inboundOnly: true, untilQuiet: undefined })).toBeUndefined();
  expect(asked).toEqual(['POST /drain_listeners?graceful&skip_exit&inboundonly']);
});

test('waits until the last one has left', async () => {
  const { adminPipe, asked } = await adminWith([2, 1, 0]);
  const untilQuiet = { atLeastMs: 0, atMostMs: 60_000 };
  expect(await drainProxy({ adminPipe, inboundOnly: false, untilQuiet })).toBe(0);
  expect(asked[0]).toBe('POST /drain_listeners?graceful&skip_exit');
  expect(asked).toHaveLength(4);
});

test('has patience, but not for ever', async () => {
  const { adminPipe } = await adminWith([7, 7]);
  expect(await drainProxy({ adminPipe, inboundOnly: false, untilQuiet: { atLeastMs: 0, atMostMs: 1 } })).toBe(7);
});

test('says so when Envoy refuses or is gone', async () => {
  const { adminPipe } = await adminWith([]);
  const untilQuiet = { atLeastMs: 0, atMostMs: 1 };
  await expect(drainProxy({ adminPipe, inboundOnly: false, untilQuiet })).rejects.toThrow('500: no more');
  await expect(drainProxy({ adminPipe: `${adminPipe}x`, inboundOnly: true, untilQuiet: undefined })).rejects.toThrow();
});

test('counts clients’ connections, not those of the kubelet, of Prometheus and of administrators', () => {
  expect(
    countConnections(
      [
        'listener.0.0.0.0_8080.downstream_cx_active: 3',
        'listener.0.0.0.0_8080.worker_0.downstream_cx_active: 3',
        'listener.0.0.0.0_15443.downstream_cx_active: 2',
        'listener.0.0.0.0_15021.downstream_cx_active: 1',
        'listener.0.0.0.0_15090.downstream_cx_active: 1',
        'listener.admin.downstream_cx_active: 1',
        'http.outbound_0.0.0.0_8080.downstream_cx_active: 3',
        '',
      ].join('\n'),
    ),
  ).toBe(5);
});
