// SPDX-License-Identifier: Apache-2.0
import { once } from 'node:events';
import { createServer, get, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, test } from 'vitest';
import { addWarning } from './respond.ts';

test('a warning is one line of UTF-8 bytes, quoted', async () => {
  const server = createServer((_, response) => {
    addWarning(response, 'the network’s "gateway"\nis\u0000 gone');
    response.end();
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  try {
    const request = get({ port: (server.address() as AddressInfo).port, host: '127.0.0.1' });
    const [response] = (await once(request, 'response')) as [IncomingMessage];
    response.resume();
    const raw = Buffer.from(String(response.headers['warning']), 'latin1').toString('utf8');
    expect(raw).toBe('299 - "the network’s \\"gateway\\" is  gone"');
  } finally {
    server.close();
  }
});
