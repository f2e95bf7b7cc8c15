// SPDX-License-Identifier: Apache-2.0
// Logs and upgrades through the API server's handlers to a kubelet of our own, over TLS with the cluster's own PKI.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import {
  createServer as createHttpServer,
  request as httpRequest,
  type IncomingMessage,
  type ServerResponse,
} from 'node:http';
import { createServer as createHttpsServer, type Server as HttpsServer } from 'node:https';
import type { AddressInfo, Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import type { TLSSocket } from 'node:tls';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import type { KubeObject } from '../../../kube/types.ts';
import { handleExecUpgrade } from '../../node/streaming/exec-server.ts';
import { MemoryObjects } from '../memory-objects.fixture.ts';
import { ensureClusterPki, KUBELET_CLIENT_NAME, pkiPaths } from '../pki.ts';
import type { Authorizer, SubresourceHandler, SubresourceRequest } from '../seams.ts';
import { asApiError } from '../status.ts';
import { podLogHandler } from './pod-log.ts';
import { podStreamHandlers } from './pod-stream.ts';

let dataDir: string;
let objects: MemoryObjects;
let kubelet: HttpsServer;
let front: Server;
let seenPaths: string[];
let clients: string[];
let refusedVerbs: string[];

beforeEach(async () => {
  [seenPaths, clients, refusedVerbs] = [[], [], []];
  dataDir = mkdtempSync(join(tmpdir(), 'isthmus-proxy-'));
  ensureClusterPki(dataDir, { clusterName: 'c1', server: 'https://127.0.0.1', addresses: [], dnsNames: [] });
  objects = new MemoryObjects();
  await startKubelet();
  await startFront();
});
afterEach(() => {
  kubelet.closeAllConnections();
  kubelet.close();
  front.close();
  rmSync(dataDir, { recursive: true });
});

async function startKubelet(): Promise<void> {
  const paths = pkiPaths(dataDir);
  const read = (path: string) => readFileSync(path, 'utf8');
  kubelet = createHttpsServer(
    {
      cert: read(paths.kubeletCert),
      key: read(paths.kubeletKey),
      ca: read(paths.caCert),
      requestCert: true,
      rejectUnauthorized: true,
    },
    (req, res) => {
      note(req);
      if (req.url?.includes('/bad'))
        res.writeHead(400).end('container "bad" in pod "p" is waiting to start: PodInitializing');
      else res.end('line 1\nline 2\n');
    },
  );
  kubelet.on('upgrade', (req, socket, head) => {
    note(req);
    void handleExecUpgrade(req, socket, head, async (io) => {
      io.stdout.write('hello');
      return { exitCode: 3 };
    });
  });
  await new Promise<void>((resolve) => kubelet.listen(0, '127.0.0.1', resolve));
}

function note(req: IncomingMessage): void {
  seenPaths.push(`${req.method} ${req.url}`);
  clients.push((req.socket as TLSSocket).getPeerCertificate().subject.CN as string);
  expect(req.headers.authorization).toBeUndefined();
}

/** What the core does around a handler: a parent, attributes, and errors as Status. */
async function startFront(): Promise<void> {
  const paths = pkiPaths(dataDir);
  const tls = {
    caPem: readFileSync(paths.caCert, 'utf8'),
    certPem: readFileSync(paths.kubeletClientCert, 'utf8'),
    keyPem: readFileSync(paths.kubeletClientKey, 'utf8'),
  };
  const authorizer: Authorizer = {
    authorize: (_user, { verb }) => ({ allowed: !refusedVerbs.includes(verb), reason: '' }),
  };
  const streams = podStreamHandlers(objects, authorizer, tls);
  const handlers: Record<string, SubresourceHandler> = {
    log: podLogHandler(objects, tls),
    exec: streams.get('pods/exec')!,
  };
  const server = createHttpServer((req, res) => {
    const { handler, request } = prepare(req, handlers);
    handler.handle(request, res).catch((error: unknown) => {
      const { code, status } = asApiError(error);
      res.writeHead(code).end(JSON.stringify(status));
    });
  });
  server.on('upgrade', (req, socket, head) => {
    const { handler, request } = prepare(req, handlers);
    handler.upgrade!(request, socket, head).catch((error: unknown) => {
      const response = { code: asApiError(error).code, text: asApiError(error).message };
      socket.end(
        `HTTP/1.1 ${response.code} X\r\nContent-Length: ${response.text.length}\r\nConnection: close\r\n\r\n${response.text}`,
      );
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  front = server;
}

function prepare(
  req: IncomingMessage,
  handlers: Record<string, SubresourceHandler>,
): { handler: SubresourceHandler; request: SubresourceRequest } {
  const url = new URL(req.url ?? '/', 'http://x');
  const subresource = url.pathname.slice(1);
  const request: SubresourceRequest = {
    request: req,
    user: { username: 'jane', groups: [] },
    attributes: {
      verb: req.method === 'GET' ? 'get' : 'create',
      isResource: true,
      group: '',
      version: 'v1',
      resource: 'pods',
      subresource,
      namespace: 'shop',
      name: 'p',
      path: '',
    },
    query: url.searchParams,
    parent: objects.get({ group: '', resource: 'pods' }, 'shop', 'p')!,
    body: async () => undefined,
    dryRun: false,
    warn: () => undefined,
    signal: new AbortController().signal,
  };
  return { handler: handlers[subresource]!, request };
}

function addPod(containers: string[], nodeName: string | undefined = 'c1-node'): void {
  objects.create({ group: '', resource: 'pods' }, {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'p', namespace: 'shop' },
    spec: { nodeName, containers: containers.map((name) => ({ name })) },
  } as KubeObject);
}

function addNode(name = 'c1-node', port = (kubelet.address() as AddressInfo).port): void {
  objects.create(
    { group: '', resource: 'nodes' },
    {
      apiVersion: 'v1',
      kind: 'Node',
      metadata: { name },
      status: {
        addresses: [{ type: 'InternalIP', address: '127.0.0.1' }],
        daemonEndpoints: { kubeletEndpoint: { Port: port } },
      },
    },
  );
}

const frontUrl = () => `127.0.0.1:${(front.address() as AddressInfo).port}`;

async function get(path: string): Promise<{ status: number; body: string }> {
  const response = await fetch(`http://${frontUrl()}${path}`, { headers: { Authorization: 'Bearer secret' } });
  return { status: response.status, body: await response.text() };
}

function exec(query: string): Promise<{ messages: Buffer[] } | { status: number; body: string }> {
  return new Promise((resolve, reject) => {
    const ws = new WebSocket(`ws://${frontUrl()}/exec?${query}`, ['v5.channel.k8s.io'], {
      headers: { Authorization: 'Bearer secret' },
    });
    const messages: Buffer[] = [];
    ws.on('message', (data: Buffer) => messages.push(data));
    ws.once('close', () => resolve({ messages }));
    ws.once('unexpected-response', async (_req, res) =>
      resolve({ status: res.statusCode ?? 0, body: await text(res) }),
    );
    ws.once('error', reject);
  });
}

test('a log comes from the container, with the options passed on and nothing of the client shown', async () => {
  addPod(['app']);
  addNode();
  expect(await get('/log?tailLines=5&follow=true&pretty=1')).toEqual({ status: 200, body: 'line 1\nline 2\n' });
  expect(seenPaths).toEqual(['GET /containerLogs/shop/p/app?follow=true&tailLines=5']);
  expect(clients).toEqual([KUBELET_CLIENT_NAME]);
});

test('which container is meant must be clear', async () => {
  addPod(['app', 'sidecar']);
  addNode();
  const { status, body } = await get('/log');
  expect(status).toBe(400);
  expect(JSON.parse(body).message).toBe('a container name must be specified for pod p, choose one of: [app sidecar]');
  expect(JSON.parse((await get('/log?container=x')).body).message).toBe('container x is not valid for pod p');
  expect((await get('/log?container=sidecar')).status).toBe(200);
});

test('a pod without a node has an empty log and runs nothing', async () => {
  addPod(['app'], '');
  expect((await get('/log')).status).toBe(204);
  expect(JSON.parse((await get('/exec?command=ls')).body).message).toBe('pod p does not have a host assigned');
});

test("the kubelet's refusal and its absence are told", async () => {
  addPod(['bad']);
  addNode('c1-node', 1);
  expect(JSON.parse((await get('/log')).body).message).toBe(
    'Get "https://127.0.0.1:1/containerLogs/shop/p/bad": dial tcp 127.0.0.1:1: connect: connection refused',
  );
  expect(await exec('command=ls&stdout=true')).toEqual({
    status: 500,
    body: 'error dialing backend: dial tcp 127.0.0.1:1: connect: connection refused',
  });
  objects.delete({ group: '', resource: 'nodes' }, '', 'c1-node');
  addNode();
  const { status, body } = await get('/log');
  expect([status, JSON.parse(body).reason]).toEqual([400, 'BadRequest']);
  expect(JSON.parse(body).message).toContain('PodInitializing');
});

test('an upgrade passes as bytes, with the options in the words of the kubelet', async () => {
  addPod(['app']);
  addNode();
  const result = (await exec('command=ls&command=-l&stdout=true&stderr=true&container=app')) as { messages: Buffer[] };
  expect(seenPaths).toEqual(['GET /exec/shop/p/app?output=1&error=1&command=ls&command=-l']);
  expect(result.messages.map((message) => message.toString('latin1'))).toContain('\x01hello');
  expect(result.messages.at(-1)?.toString()).toContain('"reason":"ExitCode","message":"3"');
});

test('a WebSocket upgrade needs the right to create, although it is a GET', async () => {
  addPod(['app']);
  addNode();
  refusedVerbs = ['create'];
  expect(await exec('command=ls&stdout=true')).toMatchObject({
    status: 403,
    body: 'pods "p" is forbidden: User "jane" cannot create resource "pods/exec" in API group "" in the namespace "shop"',
  });
  expect(seenPaths).toEqual([]);
});

test("another node's certificate is not accepted", async () => {
  addPod(['app'], 'c2-node');
  addNode('c2-node');
  const { status, body } = await get('/log');
  expect(status).toBe(500);
  expect(JSON.parse(body).message).toContain('that of system:node:c1-node, not of node c2-node');
  expect(seenPaths).toEqual([]);
});

test('a client that goes away ends the log request at the kubelet', async () => {
  addPod(['app']);
  addNode();
  const ended = Promise.withResolvers<void>();
  kubelet.removeAllListeners('request');
  kubelet.on('request', (_req: IncomingMessage, res: ServerResponse) => {
    res.write('first\n');
    res.once('close', () => ended.resolve());
  });
  const req = httpRequest(`http://${frontUrl()}/log?follow=true`).end();
  req.once('response', (res) => res.once('data', () => req.destroy()));
  req.on('error', () => undefined);
  await ended.promise;
});
