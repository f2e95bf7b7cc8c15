// SPDX-License-Identifier: Apache-2.0
import { once } from 'node:events';
import { connect } from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startAdminServer } from './server.ts';

const lifetime = new AbortController();
let port: number;

beforeAll(async () => {
  const views = {
    missing: () => [],
    metrics: () => Promise.reject(new Error('no metrics')),
    debug: { proxies: () => [new Map([['a', 1]])], asked: (query: URLSearchParams) => query.get('proxy') },
  };
  ({ port } = await startAdminServer({ host: '127.0.0.1', port: 0 }, views, lifetime.signal));
});
afterAll(() => lifetime.abort());

/** As it stands: clients of HTTP would not send most of these. Resolves with the status and the body. */
async function ask(target: string): Promise<[code: string | undefined, body: string]> {
  const socket = connect(port, '127.0.0.1');
  socket.write(`GET ${target} HTTP/1.0\r\n\r\n`);
  let text = '';
  socket.setEncoding('utf8').on('data', (chunk: string) => {
    text += chunk;
  });
  await once(socket, 'close');
  return [text.split(' ')[1], text.slice(text.indexOf('\r\n\r\n') + 4)];
}

test.each(['//', 'http://', 'http://[', '*', '/debug/constructor'])(
  '%s is not found, and ends nothing',
  async (target) => {
    expect(await ask(target)).toEqual(['404', 'nothing here\n']);
  },
);

test('a view is told what is asked of it', async () => {
  expect(JSON.parse((await ask('/debug/asked?proxy=sidecar~10.1.0.5~a.b'))[1])).toBe('sidecar~10.1.0.5~a.b');
  expect(JSON.parse((await ask('/debug/asked'))[1])).toBe(null);
});

test('a view that fails is an answer too, and the next question is answered', async () => {
  expect((await ask('/metrics'))[0]).toBe('500');
  expect(await ask('/ready?verbose')).toEqual(['200', 'ready\n']);
  expect(JSON.parse((await ask('/debug/proxies'))[1])).toEqual([{ a: 1 }]);
});
