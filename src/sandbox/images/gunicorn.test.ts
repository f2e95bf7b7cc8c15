// SPDX-License-Identifier: Apache-2.0
import type { IncomingMessage } from 'node:http';
import { expect, test } from 'vitest';
import { accessLine, portOf } from './gunicorn.ts';

test('the port that it binds', () => {
  expect(portOf(['--access-logfile', '-', '-b', '0.0.0.0:8080', 'httpbin:app'])).toBe(8080);
  expect(portOf(['--bind=:8001'])).toBe(8001);
  expect(portOf([])).toBe(80);
});

test('a line of its access log', () => {
  const request = {
    method: 'GET',
    url: '/headers',
    httpVersion: '1.1',
    headers: { 'user-agent': 'curl/8' },
    socket: { remoteAddress: '::ffff:127.0.0.6' },
  } as unknown as IncomingMessage;
  expect(accessLine(request, { status: 200, body: 'é' }, new Date('2026-03-07T19:02:43Z'))).toBe(
    '127.0.0.6 - - [07/Mar/2026:19:02:43 +0000] "GET /headers HTTP/1.1" 200 2 "-" "curl/8"',
  );
});
