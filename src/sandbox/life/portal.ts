// SPDX-License-Identifier: Apache-2.0
// The sandbox's door to the host: unix sockets, which do not care about network namespaces. Behind `api.sock` is an HTTP
// CONNECT proxy to the API servers and to nothing else; behind `gateway-N.sock` the ingress gateway of cluster N.
import { rmSync } from 'node:fs';
import { createServer as createHttpServer, type IncomingMessage } from 'node:http';
import { connect, createServer, type Server, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { KubeClient } from '../../kube/client.ts';
import { loadKubeconfig } from '../../kube/config.ts';
import { SERVICES } from '../../kube/resources.ts';
import type { KubeObject } from '../../kube/types.ts';
import { type ClusterLayout, clusterLayouts, type SandboxConfig, sockets } from '../layout.ts';
import { API_PORT } from '../network/addresses.ts';
import { relay } from '../network/relay.ts';

const CONNECT_TIMEOUT_MS = 5_000;
const GATEWAY_PORT = 80;
/** How long a gateway's address is believed, and how long it is waited for when an older one is known. */
const FRESH_MS = 1_000;
const PATIENCE_MS = 250;

/** Serves until `signal` aborts. Changes the working directory to the state directory (see `sockets`). */
export async function runPortal(config: SandboxConfig, signal: AbortSignal): Promise<void> {
  process.chdir(config.stateDir);
  const clusters = clusterLayouts(config);
  const servers: { path: string; server: Server }[] = [
    { path: sockets.api, server: createApiProxy(clusters) },
    ...clusters.map((cluster) => ({
      path: sockets.gateway(cluster.index),
      server: createGatewayDoor(cluster, signal),
    })),
  ];
  await Promise.all(servers.map(({ path, server }) => listen(server, path)));
  process.send?.('ready');
  await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
  for (const { server } of servers) server.close();
}

function listen(server: Server, path: string): Promise<void> {
  rmSync(path, { force: true });
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ path }, () => resolve());
  });
}

/** RFC 9110 section 9.3.6. */
export function createApiProxy(clusters: readonly Pick<ClusterLayout, 'name' | 'nodeAddress'>[]): Server {
  const allowed = new Map(clusters.map(({ name, nodeAddress }) => [`${nodeAddress}:${API_PORT}`, name]));
  const refusal =
    `This proxy leads to the sandbox's API servers only (${[...allowed.keys()].join(', ')}), by CONNECT. ` +
    'Use it through the kubeconfig that `isthmus sandbox status` names.\n';
  const server = createHttpServer((_request, response) => {
    response.writeHead(403, { 'content-type': 'text/plain; charset=utf-8' }).end(refusal);
  });
  server.on('connect', (request: IncomingMessage, client: Duplex, head: Buffer) => {
    client.on('error', () => client.destroy());
    const target = request.url ?? '';
    const cluster = allowed.get(target);
    if (cluster === undefined) {
      client.end(plainResponse('403 Forbidden', refusal));
      return;
    }
    const upstream = dial(target.split(':')[0]!, API_PORT, (error) => {
      const text = `The API server of ${cluster} cannot be reached (${error.message}). See \`isthmus sandbox status\`.\n`;
      client.end(plainResponse('502 Bad Gateway', text));
    });
    upstream.once('connect', () => {
      client.write('HTTP/1.1 200 Connection established\r\n\r\n');
      if (head.length > 0) upstream.write(head);
      void relay(client as Socket, upstream);
    });
    client.once('close', () => {
      if (upstream.connecting) upstream.destroy();
    });
  });
  return server;
}

/** Opens a connection; `onFailure` is called at most once, before 'connect' or never. */
function dial(host: string, port: number, onFailure: (error: Error) => void): Socket {
  const socket = connect({ host, port, allowHalfOpen: true });
  const timer = setTimeout(() => socket.destroy(new Error('timed out')), CONNECT_TIMEOUT_MS);
  socket.once('connect', () => {
    clearTimeout(timer);
    socket.off('error', fail);
  });
  const fail = (error: Error) => {
    clearTimeout(timer);
    onFailure(error);
  };
  socket.once('error', fail);
  return socket;
}

function createGatewayDoor(cluster: ClusterLayout, signal: AbortSignal): Server {
  const client = new KubeClient(loadKubeconfig(cluster.pki.kubeconfig.net));
  signal.addEventListener('abort', () => client.close(), { once: true });
  const look = async (): Promise<Target | string> => {
    const service = await client.get(SERVICES, 'istio-ingressgateway', 'istio-system');
    const address = service && gatewayAddress(service);
    if (address) return { host: address, port: GATEWAY_PORT };
    return service
      ? `The istio-ingressgateway of ${cluster.name} has no load balancer address for port ${GATEWAY_PORT} yet.`
      : `${cluster.name} has no istio-ingressgateway. Install the mesh: isthmus install --context ${cluster.name}`;
  };
  return createDoor(rememberTarget(look), cluster.name);
}

interface Target {
  readonly host: string;
  readonly port: number;
}

/**
 * As `look`, once a second at most; but where an answer is known already, one that fails or takes long holds nobody up: a
 * load balancer goes on without the API server.
 */
function rememberTarget(look: () => Promise<Target | string>): () => Promise<Target | string> {
  let known: Target | string | undefined;
  let lookedAtMs = Number.NEGATIVE_INFINITY;
  let looking: Promise<Target | string> | undefined;
  const refresh = async (): Promise<Target | string> => {
    try {
      known = await look();
      lookedAtMs = performance.now();
      return known;
    } catch (error) {
      if (known === undefined) throw error;
      return known;
    } finally {
      looking = undefined;
    }
  };
  return async () => {
    if (known !== undefined && performance.now() - lookedAtMs < FRESH_MS) return known;
    looking ??= refresh();
    if (known === undefined) return looking;
    return Promise.race([looking, sleep(PATIENCE_MS, known, { ref: false })]);
  };
}

function gatewayAddress(service: KubeObject): string | undefined {
  const status = service['status'] as { loadBalancer?: { ingress?: { ip?: string }[] } } | undefined;
  const spec = service['spec'] as { ports?: { port?: number }[] } | undefined;
  if (!spec?.ports?.some(({ port }) => port === GATEWAY_PORT)) return undefined;
  return status?.loadBalancer?.ingress?.[0]?.ip;
}

/**
 * Relays every connection to the address that `locate` gives at that moment, or answers its first request with 503 and
 * the sentence that `locate` gives instead, or when the address takes the connection and closes it without a byte.
 */
export function createDoor(locate: () => Promise<Target | string>, name: string): Server {
  return createServer({ allowHalfOpen: true, pauseOnConnect: true }, async (client) => {
    client.on('error', () => client.destroy());
    let target: Target | string;
    try {
      target = await locate();
    } catch (error) {
      target = `The API server of ${name} cannot be asked for its gateway: ${(error as Error).message}`;
    }
    if (typeof target === 'string') {
      refuse(client, target);
      return;
    }
    const notServing = `The istio-ingressgateway of ${name} is not ready. See: kubectl -n istio-system get pods`;
    const upstream = dial(target.host, target.port, () => refuse(client, notServing));
    upstream.once('connect', () => {
      client.resume();
      void relay(client, upstream, plainResponse('503 Service Unavailable', `${notServing}\n`));
    });
  });
}

/** Answers after the request has begun to arrive: a client that is still sending would see a reset instead. */
function refuse(client: Socket, sentence: string): void {
  client.once('data', () => {
    client.end(plainResponse('503 Service Unavailable', `${sentence}\n`));
    client.resume();
  });
  client.once('end', () => client.end());
  client.resume();
}

function plainResponse(status: string, text: string): string {
  return [
    `HTTP/1.1 ${status}`,
    'content-type: text/plain; charset=utf-8',
    `content-length: ${Buffer.byteLength(text)}`,
    'connection: close',
    '',
    text,
  ].join('\r\n');
}
