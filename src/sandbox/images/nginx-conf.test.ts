// SPDX-License-Identifier: Apache-2.0
import { expect, test } from 'vitest';
import { parseNginxConf } from './nginx-conf.ts';

test('servers with their ports and certificates, whatever stands around them', () => {
  const servers = parseNginxConf(`events {}
http {
  log_format main '$remote_addr; {'
    '"$request"'; # a brace in quotes is none
  server { listen 80; }
  server {
    listen 0.0.0.0:443 ssl;
    ssl_certificate /c/tls.crt; ssl_certificate_key "/c/tls.key";
    ssl_client_certificate /ca.crt; ssl_verify_client on;
    location / { return 200 'hello there'; }
  }
}`);
  expect(servers).toMatchObject([
    { port: 80, isTls: false, certificate: undefined, verifiesClient: false, answer: undefined },
    {
      port: 443,
      isTls: true,
      certificate: '/c/tls.crt',
      key: '/c/tls.key',
      clientCa: '/ca.crt',
      verifiesClient: true,
      answer: { status: 200, text: 'hello there' },
    },
  ]);
});

test('what is no configuration is refused', () => {
  expect(() => parseNginxConf('http { server { listen 80; }')).toThrow('http { without its }');
  expect(() => parseNginxConf('listen 80; }')).toThrow('a } without its {');
});
