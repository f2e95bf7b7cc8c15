// SPDX-License-Identifier: Apache-2.0
import { hostname } from 'node:os';
import { serve } from '../http-service.ts';

const version = process.env['SERVICE_VERSION'] ?? process.argv[2] ?? 'v1';

serve(`helloworld-${version}`, 5000, (_, path) => {
  const text = { 'content-type': 'text/plain' };
  switch (path) {
    case '/hello':
      return { status: 200, headers: text, body: `Hello version: ${version}, instance: ${hostname()}\n` };
    case '/health':
      return { status: 200, headers: text, body: 'Helloworld is healthy' };
    default:
      return { status: 404, headers: text, body: 'not found\n' };
  }
});
