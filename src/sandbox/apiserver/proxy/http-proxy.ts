// SPDX-License-Identifier: Apache-2.0
// services/proxy, pods/proxy and nodes/proxy: HTTP through the API server, streams and upgrades included. What comes
// back is passed on as it is: links in pages are not rewritten.
import { request as httpRequest, type IncomingMessage, type RequestOptions, type ServerResponse } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { connect, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { connect as connectTls } from 'node:tls';
import type { KubeObject } from '../../../kube/types.ts';
import type { ClusterObjects, SubresourceHandler, SubresourceRequest } from '../seams.ts';
import { ApiError } from '../status.ts';
import { describeDialError, type KubeletTls, kubeletTlsOptions } from './kubelet-location.ts';
import {
  type ProxyName,
  type ProxyTarget,
  parseProxyName,
  targetOfNode,
  targetOfPod,
  targetOfService,
} from './proxy-target.ts';

const DIAL_TIMEOUT_MS = 30_000;
/** For this hop alone (RFC 9110, 7.6.1), or the client's credentials here. */
const NOT_PASSED =
  /^(connection|keep-alive|proxy-.*|te|trailer|transfer-encoding|upgrade|authorization|impersonate-.*)$/;
const METHODS = { GET: 'get', POST: 'create', PUT: 'update', PATCH: 'patch', DELETE: 'delete' };

type Locate = (parent: KubeObject, name: ProxyName) => ProxyTarget;

/** Keyed as Security.subresources. */
export function proxyHandlers(
  objects: ClusterObjects,
  tls: KubeletTls,
  random: () => number = Math.random,
): Map<string, SubresourceHandler> {
  const service: Locate = (parent, name) => targetOfService(parent, name, objects, random);
  return new Map([
    ['services/proxy', handler('ServiceProxyOptions', service, tls)],
    ['pods/proxy', handler('PodProxyOptions', targetOfPod, tls)],
    ['nodes/proxy', handler('NodeProxyOptions', targetOfNode, tls)],
  ]);
}

function handler(kind: string, locate: Locate, tls: KubeletTls): SubresourceHandler {
  const targetOf = ({ parent, attributes }: SubresourceRequest) => locate(parent, parseProxyName(attributes.name));
  return {
    methods: METHODS,
    kind: { group: '', version: 'v1', kind },
    anyPath: true,
    parentName: (name) => parseProxyName(name).name,
    async handle(request, response) {
      const path = pathBehindProxy(request.request.url ?? '/');
      if (path === undefined) {
        // Relative links of the page must find their way: the root of what is proxied ends with a slash.
        response.writeHead(301, { Location: `${(request.request.url ?? '').replace(/(\?|$)/, '/$1')}` }).end();
        return undefined;
      }
      await forward(request, response, targetOf(request), path, tls);
      return undefined;
    },
    async upgrade(request, socket, head) {
      await forwardUpgrade(
        request,
        socket,
        head,
        targetOf(request),
        pathBehindProxy(request.request.url ?? '/') ?? '/',
        tls,
      );
    },
  };
}

/** ".../services/web/proxy/a?b" -> "/a?b", undeciphered; undefined when the URL ends with "proxy". */
function pathBehindProxy(url: string): string | undefined {
  const rest = /^\/api\/v1\/(?:namespaces\/[^/?]+\/)?[^/?]+\/[^/?]+\/proxy(\/[^?]*)?(\?.*)?$/.exec(url);
  return rest?.[1] === undefined ? undefined : `${rest[1]}${rest[2] ?? ''}`;
}

async function forward(
  { request, signal }: SubresourceRequest,
  response: ServerResponse,
  target: ProxyTarget,
  path: string,
  tls: KubeletTls,
): Promise<void> {
  const options: RequestOptions = {
    method: request.method,
    path,
    headers: passedHeaders(request, target),
    agent: false,
    signal,
  };
  const answer = await new Promise<IncomingMessage>((resolve, reject) => {
    const outgoing =
      target.kind === 'plain'
        ? httpRequest({ ...options, host: target.host, port: target.port }, resolve)
        : httpsRequest({ ...options, ...tlsOptions(target, tls) }, resolve);
    outgoing.setTimeout(DIAL_TIMEOUT_MS, () => {
      if (outgoing.socket?.connecting) outgoing.destroy(Object.assign(new Error('timeout'), { code: 'ETIMEDOUT' }));
    });
    outgoing.once('error', (error) => reject(unreachable(error, target)));
    // A body that breaks off breaks the request off; the error above says so.
    pipeline(request, outgoing).catch(() => undefined);
  });
  response.writeHead(answer.statusCode ?? 502, passable(answer.headers));
  response.flushHeaders();
  // Either end may go away in the middle; the pipeline destroys the other.
  await pipeline(answer, response).catch(() => undefined);
}

function tlsOptions(target: ProxyTarget, tls: KubeletTls) {
  if (target.kind === 'kubelet') return kubeletTlsOptions(target.location, tls);
  // As on a real cluster: a service's own certificate is of no authority that this server could know.
  return { host: target.host, port: target.port, rejectUnauthorized: false };
}

function passedHeaders(request: IncomingMessage, target: ProxyTarget): Record<string, string | string[]> {
  const { host, port } = target.kind === 'kubelet' ? target.location : target;
  return {
    ...passable(request.headers),
    host: `${host}:${port}`,
    'x-forwarded-host': request.headers.host ?? '',
    'x-forwarded-proto': 'https',
  };
}

function passable(headers: IncomingMessage['headers']): Record<string, string | string[]> {
  const kept = Object.entries(headers).filter(([name, value]) => value !== undefined && !NOT_PASSED.test(name));
  return Object.fromEntries(kept) as Record<string, string | string[]>;
}

function unreachable(error: Error, target: ProxyTarget): ApiError {
  const where = target.kind === 'kubelet' ? target.location : target;
  return new ApiError(503, 'ServiceUnavailable', `error trying to reach service: ${describeDialError(error, where)}`);
}

/** WebSockets and the like: the request line and headers go on, then bytes both ways. */
async function forwardUpgrade(
  { request }: SubresourceRequest,
  client: Duplex,
  head: Buffer,
  target: ProxyTarget,
  path: string,
  tls: KubeletTls,
): Promise<void> {
  const server = await dial(target, tls);
  const headers = { ...passedHeaders(request, target), connection: 'Upgrade', upgrade: request.headers.upgrade ?? '' };
  const lines = Object.entries(headers).flatMap(([name, value]) => [value].flat().map((one) => `${name}: ${one}`));
  server.write(`${request.method} ${path} HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n`);
  if (head.length > 0) server.write(head);
  for (const [one, other] of [
    [server, client],
    [client, server],
  ] as const) {
    one.on('error', () => one.destroy());
    one.once('close', () => other.destroy());
    one.pipe(other);
  }
}

function dial(target: ProxyTarget, tls: KubeletTls): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket =
      target.kind === 'plain'
        ? connect({ host: target.host, port: target.port })
        : connectTls({ ...tlsOptions(target, tls), ALPNProtocols: ['http/1.1'] });
    const fail = (error: Error) => {
      socket.destroy();
      reject(unreachable(error, target));
    };
    socket.setTimeout(DIAL_TIMEOUT_MS, () => fail(Object.assign(new Error('timeout'), { code: 'ETIMEDOUT' })));
    socket.once('error', fail);
    socket.once(target.kind === 'plain' ? 'connect' : 'secureConnect', () => {
      socket.setTimeout(0);
      socket.off('error', fail);
      resolve(socket);
    });
  });
}
