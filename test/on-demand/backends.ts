// SPDX-License-Identifier: Apache-2.0
// Servers on loopback that say who they are, and the services and rules that lead to them.
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer as createHttp, type Server as HttpServer } from 'node:http';
import { createServer as createHttp2, type Http2Server } from 'node:http2';
import { type AddressInfo, createServer as createTcp, type Server } from 'node:net';
import type { KubeObject } from '../../src/kube/types.ts';

/** Answers with its name, the path, and a hash of the body; upgrades to `websocket` echo. */
export async function httpBackend(name: string): Promise<HttpServer> {
  const server = createHttp((request, response) => {
    const body = createHash('sha1');
    request.on('data', (chunk: Buffer) => body.update(chunk));
    request.on('error', () => {});
    request.on('end', () => {
      response.setHeader('x-backend', name);
      response.end(JSON.stringify({ name, path: request.url, body: body.digest('hex') }));
    });
  });
  // A connection that ends just as it is used again would be nobody's loss but this server's.
  server.keepAliveTimeout = 0;
  server.on('upgrade', (_request, socket) => {
    socket.on('error', () => {});
    socket.write('HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n');
    socket.pipe(socket);
  });
  return listening(server);
}

/** Answers every request with a body of its name and a trailer, as gRPC servers do. */
export async function http2Backend(name: string): Promise<Http2Server> {
  const server = createHttp2();
  server.on('stream', (stream) => {
    stream.on('error', () => {});
    stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
    stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
    stream.resume();
    stream.on('end', () => stream.end(name));
  });
  return listening(server);
}

/** Speaks first, then echoes. */
export async function tcpBackend(name: string): Promise<Server> {
  return listening(
    createTcp((socket) => {
      socket.on('error', () => {});
      socket.write(`${name}\n`);
      socket.pipe(socket);
    }),
  );
}

async function listening<S extends Server | Http2Server>(server: S): Promise<S> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return server;
}

export function portOf(server: { address(): unknown }): number {
  return (server.address() as AddressInfo).port;
}

/** Where the proxies see a service, and where it is. */
export interface Place {
  readonly port: number;
  readonly protocol: 'HTTP' | 'GRPC' | 'TCP';
  readonly backends: readonly { readonly port: number; readonly version?: string }[];
}

export function serviceEntry(host: string, { port, protocol, backends }: Place): KubeObject {
  return {
    apiVersion: 'networking.istio.io/v1',
    kind: 'ServiceEntry',
    metadata: { name: host.replaceAll('*', 'all'), namespace: 'default' },
    spec: {
      hosts: [host],
      ports: [{ name: `${protocol.toLowerCase()}-${port}`, number: port, protocol }],
      resolution: 'STATIC',
      location: 'MESH_EXTERNAL',
      endpoints: backends.map((backend) => ({
        address: '127.0.0.1',
        ports: { [`${protocol.toLowerCase()}-${port}`]: backend.port },
        ...(backend.version !== undefined && { labels: { version: backend.version } }),
      })),
    },
  };
}

export function virtualService(host: string, http: readonly object[]): KubeObject {
  return {
    apiVersion: 'networking.istio.io/v1',
    kind: 'VirtualService',
    metadata: { name: host, namespace: 'default' },
    spec: { hosts: [host], http: [...http] },
  };
}

/** Subsets named like the versions that they are. */
export function destinationRule(host: string, versions: readonly string[], trafficPolicy?: object): KubeObject {
  return {
    apiVersion: 'networking.istio.io/v1',
    kind: 'DestinationRule',
    metadata: { name: host, namespace: 'default' },
    spec: {
      host,
      ...(trafficPolicy !== undefined && { trafficPolicy }),
      subsets: versions.map((version) => ({ name: version, labels: { version } })),
    },
  };
}
