// SPDX-License-Identifier: Apache-2.0
// exec, attach and port-forward: the client's upgrade goes to the kubelet as bytes, whatever protocol it asks for.
import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { connect, type TLSSocket } from 'node:tls';
import { accessDenied } from '../auth/access-denied.ts';
import type { Authorizer, ClusterObjects, SubresourceHandler, SubresourceRequest } from '../seams.ts';
import { ApiError, badRequest } from '../status.ts';
import {
  describeDialError,
  type KubeletLocation,
  type KubeletTls,
  kubeletTlsOptions,
  locateKubelet,
  selectContainer,
} from './kubelet-location.ts';

const DIAL_TIMEOUT_MS = 10_000;
const LINGER_MS = 5_000;

/** What the kubelet needs to shake hands. Credentials and the names of proxies stay here. */
const PASSED_HEADERS =
  /^(connection|upgrade|origin|user-agent|content-length|sec-websocket-.+|x-stream-protocol-version)$/;

interface StreamKind {
  readonly kubeletPath: 'exec' | 'attach' | 'portForward';
  readonly optionsKind: string;
  query(query: URLSearchParams): URLSearchParams;
}

const EXEC: StreamKind = { kubeletPath: 'exec', optionsKind: 'PodExecOptions', query: streamQuery };
const ATTACH: StreamKind = { kubeletPath: 'attach', optionsKind: 'PodAttachOptions', query: streamQuery };
const PORT_FORWARD: StreamKind = {
  kubeletPath: 'portForward',
  optionsKind: 'PodPortForwardOptions',
  query: (query) => new URLSearchParams({ port: query.getAll('ports') }),
};

/** The API's stdin, stdout, stderr are the kubelet's input, output, error. */
function streamQuery(query: URLSearchParams): URLSearchParams {
  const passed = new URLSearchParams();
  const names = { stdin: 'input', stdout: 'output', stderr: 'error', tty: 'tty' } as const;
  for (const [name, kubeletName] of Object.entries(names)) {
    if (['true', '1'].includes(query.get(name) ?? '')) passed.set(kubeletName, '1');
  }
  for (const word of query.getAll('command')) passed.append('command', word);
  return passed;
}

/** Handlers for pods/exec, pods/attach and pods/portforward. */
export function podStreamHandlers(
  objects: ClusterObjects,
  authorizer: Authorizer,
  tls: KubeletTls,
): Map<string, SubresourceHandler> {
  const handler = (kind: StreamKind): SubresourceHandler => ({
    methods: { POST: 'create', GET: 'get' },
    kind: { group: '', version: 'v1', kind: kind.optionsKind },
    async handle(request) {
      // Says what is wrong with the pod first, as the real server does.
      resolveTarget(objects, kind, request);
      throw badRequest('Upgrade request required');
    },
    async upgrade(request, socket, head) {
      await requireCreate(authorizer, request);
      const { location, path } = resolveTarget(objects, kind, request);
      const kubelet = await dial(location, tls);
      pass(kubelet, socket, requestHead(request.request, location, path), head);
    },
  });
  return new Map([
    ['pods/exec', handler(EXEC)],
    ['pods/attach', handler(ATTACH)],
    ['pods/portforward', handler(PORT_FORWARD)],
  ]);
}

/** WebSocket clients come with GET, but to run a command is not to read: since 1.35 `create` is asked for as well. */
async function requireCreate(authorizer: Authorizer, { user, attributes }: SubresourceRequest): Promise<void> {
  if (attributes.verb === 'create') return;
  const create = { ...attributes, verb: 'create' };
  const decision = await authorizer.authorize(user, create);
  if (!decision.allowed) throw accessDenied(user, create, decision.reason);
}

function resolveTarget(
  objects: ClusterObjects,
  kind: StreamKind,
  { parent, query, attributes }: SubresourceRequest,
): { location: KubeletLocation; path: string } {
  const segments = [kind.kubeletPath, attributes.namespace, parent.metadata.name ?? ''];
  if (kind !== PORT_FORWARD) segments.push(selectContainer(parent, query.get('container') ?? undefined));
  const location = locateKubelet(objects, parent);
  if (!location) throw badRequest(`pod ${parent.metadata.name} does not have a host assigned`);
  const search = kind.query(query).toString();
  return { location, path: `/${segments.map(encodeURIComponent).join('/')}${search ? `?${search}` : ''}` };
}

function dial(location: KubeletLocation, tls: KubeletTls): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ ...kubeletTlsOptions(location, tls), ALPNProtocols: ['http/1.1'] });
    const fail = (error: Error) => {
      socket.destroy();
      reject(internalDialError(describeDialError(error, location)));
    };
    socket.setTimeout(DIAL_TIMEOUT_MS, () => fail(Object.assign(new Error('timeout'), { code: 'ETIMEDOUT' })));
    socket.once('error', fail);
    socket.once('secureConnect', () => {
      socket.setTimeout(0);
      socket.off('error', fail);
      resolve(socket);
    });
  });
}

function internalDialError(why: string): ApiError {
  return new ApiError(500, undefined, `error dialing backend: ${why}`);
}

function requestHead(request: IncomingMessage, location: KubeletLocation, path: string): string {
  const lines = [`${request.method} ${path} HTTP/1.1`, `Host: ${location.host}:${location.port}`];
  for (let index = 0; index + 1 < request.rawHeaders.length; index += 2) {
    const name = request.rawHeaders[index]!;
    if (PASSED_HEADERS.test(name.toLowerCase())) lines.push(`${name}: ${request.rawHeaders[index + 1]}`);
  }
  return `${lines.join('\r\n')}\r\n\r\n`;
}

/** Joins the two sockets for good; when one ends or breaks so does the other, after what it still has to send. */
function pass(kubelet: TLSSocket, client: Duplex, requestHeadText: string, head: Buffer): void {
  if (client.destroyed) {
    kubelet.destroy();
    return;
  }
  kubelet.setNoDelay(true);
  for (const [one, other] of [
    [kubelet, client],
    [client, kubelet],
  ] as const) {
    one.on('error', () => one.destroy());
    one.once('close', () => endSoon(other));
  }
  kubelet.write(requestHeadText);
  if (head.length > 0) kubelet.write(head);
  kubelet.pipe(client);
  client.pipe(kubelet);
}

/** Lets written bytes leave, but does not wait for ever on a peer that no longer reads. */
function endSoon(socket: Duplex): void {
  if (socket.destroyed) return;
  const timer = setTimeout(() => socket.destroy(), LINGER_MS);
  socket.once('close', () => clearTimeout(timer));
  socket.end(() => socket.destroy());
}
