// SPDX-License-Identifier: Apache-2.0
// The kubelet's port: logs, exec, attach, port-forward, the list of pods and what they use, for the API server and nobody else.
import { readFileSync } from 'node:fs';
import { type IncomingMessage, type ServerResponse, STATUS_CODES } from 'node:http';
import { createServer } from 'node:https';
import type { Duplex } from 'node:stream';
import type { TLSSocket } from 'node:tls';
import type { Logger } from 'pino';
import type { PodWorkers } from '../cluster/pod-workers.ts';
import type { ContainerRuntime } from '../container/container-runtime.ts';
import type { ContainerLoop } from '../pod/container-loop.ts';
import type { PodRuntime } from '../pod/pod-runtime.ts';
import { handleExecUpgrade } from '../streaming/exec-server.ts';
import { handlePortForwardUpgrade } from '../streaming/port-forward.ts';
import { serveContainerLog } from './container-log.ts';
import { HttpError } from './http-error.ts';
import { dialInNamespace } from './port-dialer.ts';
import { attachRun, execRun } from './remote-command.ts';
import type { StatsReporter } from './stats-summary.ts';

export interface KubeletServerOptions {
  readonly host: string;
  readonly port: number;
  readonly certFile: string;
  readonly keyFile: string;
  /** The cluster's CA: it signs every identity, so the name in the certificate counts too. */
  readonly clientCaFile: string;
}

/** What the API server calls itself to kubelets, by the convention of kubeadm. */
const API_SERVER_NAME = 'kube-apiserver-kubelet-client';

/** Resolves with a function that closes the server and its connections. @throws Error when the port is taken */
export async function serveKubelet(
  options: KubeletServerOptions,
  workers: PodWorkers,
  runtime: ContainerRuntime,
  stats: StatsReporter,
  log: Logger,
): Promise<() => Promise<void>> {
  const server = createServer({
    cert: readFileSync(options.certFile),
    key: readFileSync(options.keyFile),
    ca: readFileSync(options.clientCaFile),
    requestCert: true,
    // A request without a certificate gets a readable 401 instead of a broken handshake.
    rejectUnauthorized: false,
    minVersion: 'TLSv1.2',
  });
  const sockets = new Set<Duplex>();
  server.on('secureConnection', (socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  server.on('request', (request, response) => {
    handleRequest(request, response, workers, stats).catch((error: Error) => {
      if (!(error instanceof HttpError)) log.error({ error: error.message, url: request.url }, 'request failed');
      if (response.headersSent) response.destroy();
      else sendText(response, error instanceof HttpError ? error.code : 500, error.message);
    });
  });
  server.on('upgrade', (request, socket, head) => {
    handleUpgrade(request, socket, head, workers, runtime).catch((error: Error) => {
      const code = error instanceof HttpError ? error.code : 500;
      const body = `${error.message}\n`;
      const headers = `Content-Type: text/plain\r\nContent-Length: ${Buffer.byteLength(body)}\r\nConnection: close`;
      socket.on('error', () => socket.destroy());
      socket.end(`HTTP/1.1 ${code} ${STATUS_CODES[code]}\r\n${headers}\r\n\r\n${body}`);
    });
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen({ host: options.host, port: options.port }, () => {
      server.off('error', reject);
      resolve();
    });
  });
  return () =>
    new Promise((resolve) => {
      server.close(() => resolve());
      for (const socket of sockets) socket.destroy();
    });
}

async function handleRequest(
  request: IncomingMessage,
  response: ServerResponse,
  workers: PodWorkers,
  stats: StatsReporter,
): Promise<void> {
  const url = new URL(request.url ?? '/', 'https://kubelet');
  if (url.pathname === '/healthz') return sendText(response, 200, 'ok');
  authenticate(request);
  const [, route = '', ...path] = url.pathname.split('/').map(decodeURIComponent);
  if (request.method !== 'GET') throw new HttpError(405, 'Method Not Allowed');
  if (route === 'pods') return sendPods(response, workers);
  if (url.pathname === '/stats/summary') return sendJson(response, await stats.summarize());
  if (route === 'containerLogs') {
    const { pod, container } = findContainer(workers, path);
    return serveContainerLog(pod, container, url.searchParams, request, response);
  }
  throw new HttpError(404, `404 page not found: ${url.pathname}`);
}

async function handleUpgrade(
  request: IncomingMessage,
  socket: Duplex,
  head: Buffer,
  workers: PodWorkers,
  runtime: ContainerRuntime,
): Promise<void> {
  authenticate(request);
  const url = new URL(request.url ?? '/', 'https://kubelet');
  const [, route = '', ...path] = url.pathname.split('/').map(decodeURIComponent);
  if (route === 'portForward') {
    const netns = findPod(workers, path).netns;
    if (netns === undefined) throw new HttpError(400, 'the pod has no network yet');
    return handlePortForwardUpgrade(request, socket, head, (port) => dialInNamespace(netns, port));
  }
  if (route !== 'exec' && route !== 'attach') throw new HttpError(404, `404 page not found: ${url.pathname}`);
  const { container } = findContainer(workers, path);
  const { running } = container;
  if (!running) throw new HttpError(404, `container not found ("${container.name}")`);
  const command = url.searchParams.getAll('command');
  if (route === 'exec' && command.length === 0) throw new HttpError(400, 'you must specify a command');
  const run = route === 'exec' ? execRun(runtime, running, command) : attachRun(running);
  await handleExecUpgrade(request, socket, head, run);
}

/** @throws HttpError unless the client is the API server */
function authenticate(request: IncomingMessage): void {
  const socket = request.socket as TLSSocket;
  if (!socket.authorized) throw new HttpError(401, 'Unauthorized: a client certificate of the cluster is required');
  const { CN } = socket.getPeerCertificate().subject;
  if (CN !== API_SERVER_NAME) throw new HttpError(403, `Forbidden: "${CN}" may not use the kubelet's port`);
}

/** `NS/POD/CONTAINER` or `NS/POD/UID/CONTAINER`. @throws HttpError */
function findContainer(workers: PodWorkers, path: readonly string[]): { pod: PodRuntime; container: ContainerLoop } {
  const containerName = path.at(-1) ?? '';
  if (path.length < 3 || path.length > 4) throw new HttpError(404, '404 page not found');
  const pod = findPod(workers, path);
  const container = pod.container(containerName);
  if (!container) throw new HttpError(404, `container ${containerName} not found in pod ${path[1]}`);
  return { pod, container };
}

/** @throws HttpError */
function findPod(workers: PodWorkers, path: readonly string[]): PodRuntime {
  const [namespace = '', name = ''] = path;
  const pod = workers.find(namespace, name);
  if (!pod) throw new HttpError(404, `pod "${name}" not found`);
  return pod;
}

function sendPods(response: ServerResponse, workers: PodWorkers): void {
  const items = workers.list().map((runtime) => ({ ...runtime.pod, status: runtime.status() }));
  sendJson(response, { apiVersion: 'v1', kind: 'PodList', metadata: {}, items });
}

function sendJson(response: ServerResponse, body: object): void {
  response.writeHead(200, { 'Content-Type': 'application/json' });
  response.end(JSON.stringify(body));
}

function sendText(response: ServerResponse, code: number, text: string): void {
  response.writeHead(code, { 'Content-Type': 'text/plain; charset=utf-8' });
  response.end(text);
}
