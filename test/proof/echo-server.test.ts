// SPDX-License-Identifier: Apache-2.0
import { once } from 'node:events';
import http2 from 'node:http2';
import { expect, test } from 'vitest';
import { throwAwayKeys } from '../scenarios/static-bootstrap.ts';
import { ARRIVAL_HEADER, EchoServer, PAIR_HEADER } from './echo-server.ts';

test('an upgrade that comes by HTTP/2 arrives as a request does, and is no tunnel', async () => {
  const echo = await EchoServer.start(throwAwayKeys());
  const session = http2.connect(`http://127.0.0.1:${echo.port}`);
  try {
    await once(session, 'remoteSettings');
    const upgrade = { ':method': 'CONNECT', ':protocol': 'websocket', ':scheme': 'http' };
    const stream = session.request({ ...upgrade, ':authority': 'chat', ':path': '/room', [PAIR_HEADER]: 'one' });
    const [headers] = (await once(stream, 'response')) as [http2.IncomingHttpHeaders];
    expect(headers).toMatchObject({ ':status': 200, [ARRIVAL_HEADER]: '0' });
    const [arrival, ...others] = echo.arrivals('one');
    expect(others).toEqual([]);
    expect(arrival?.tunnel).toBe(undefined);
    expect(arrival?.request).toMatchObject({ method: 'CONNECT', authority: 'chat', path: '/room' });
  } finally {
    session.destroy();
    echo.stop();
  }
});
