// SPDX-License-Identifier: Apache-2.0
// A server for trying TLS: what /etc/nginx/nginx.conf says of ports and certificates, and nginx's first page.
import { readFileSync } from 'node:fs';
import { createServer as createHttp, type RequestListener } from 'node:http';
import { createServer as createHttps } from 'node:https';
import type { TLSSocket } from 'node:tls';
import { type NginxServer, parseNginxConf } from '../nginx-conf.ts';

const CONF = '/etc/nginx/nginx.conf';
const PAGE =
  '<!DOCTYPE html>\n<html>\n<head>\n<title>Welcome to nginx!</title>\n</head>\n<body>\n<h1>Welcome to nginx!</h1>\n<p>The sandbox’s own stand-in.</p>\n</body>\n</html>\n';

try {
  for (const server of parseNginxConf(readConf())) start(server);
} catch (error) {
  console.error(`nginx: [emerg] ${CONF}: ${error instanceof Error ? error.message : error}`);
  process.exit(1);
}
process.on('SIGTERM', () => process.exit(0));

/** As the image's own file has it, where none is mounted. */
function readConf(): string {
  try {
    return readFileSync(CONF, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return 'http { server { listen 80; } }';
    throw error;
  }
}

function start({ port, isTls, certificate, key, clientCa, verifiesClient, answer }: NginxServer): void {
  const handle: RequestListener = (request, response) => {
    const status = answer?.status ?? (request.url === '/' || request.url === '/index.html' ? 200 : 404);
    const body = answer?.text ?? (status === 200 ? PAGE : '<html><head><title>404 Not Found</title></head></html>\n');
    console.log(
      `${request.socket.remoteAddress} - "${request.method} ${request.url} HTTP/${request.httpVersion}" ${status}`,
    );
    response.writeHead(status, {
      server: 'nginx',
      'content-type': answer ? 'text/plain' : 'text/html',
      'content-length': Buffer.byteLength(body),
    });
    response.end(request.method === 'HEAD' ? undefined : body);
  };
  if (!isTls) {
    createHttp(handle).listen(port, '0.0.0.0');
    return;
  }
  if (certificate === undefined || key === undefined) {
    throw new Error(`listen ${port} ssl: ssl_certificate and ssl_certificate_key are needed`);
  }
  const server = createHttps(
    {
      cert: readFileSync(certificate),
      key: readFileSync(key),
      ...(clientCa === undefined ? {} : { ca: readFileSync(clientCa) }),
      requestCert: verifiesClient,
      rejectUnauthorized: false,
    },
    (request, response) => {
      // As nginx does it: the handshake goes on, and the answer says what was missing.
      if (!verifiesClient || (request.socket as TLSSocket).authorized) return handle(request, response);
      response.writeHead(400, { server: 'nginx', 'content-type': 'text/html' });
      response.end('<html><head><title>400 No required SSL certificate was sent</title></head></html>\n');
    },
  );
  server.on('tlsClientError', (error) => console.error(`tls: ${error.message}`));
  server.listen(port, '0.0.0.0');
}
