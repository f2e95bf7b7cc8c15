// SPDX-License-Identifier: Apache-2.0
// The API server on loopback with a state directory of its own, and a plain HTTPS client as administrator.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { Agent, request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ApiServerOptions, startApiServer } from '../../src/sandbox/apiserver/main.ts';
import { ensureClusterPki, pkiPaths } from '../../src/sandbox/apiserver/pki.ts';
import { freePort } from '../fixture/ports.ts';

export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly text: string;
  /** undefined when the text is no JSON. */
  readonly json: unknown;
}

export interface WatchOptions {
  /** Called when the server has begun to answer. */
  readonly opened?: () => void;
  /** Ends the watch from this side. */
  readonly signal?: AbortSignal;
}

export interface WatchOutcome {
  readonly status: number;
  readonly events: unknown[];
  /** The server ended it. */
  readonly ended: boolean;
}

export interface TestServer {
  readonly url: string;
  readonly dataDir: string;
  readonly kubeconfig: string;
  send(method: string, path: string, body?: unknown, headers?: Record<string, string>): Promise<Answer>;
  /** Reads a watch line by line until `enough` says so, the time is up, or the server ends it. */
  watch(
    path: string,
    enough: (events: unknown[]) => boolean,
    headers?: Record<string, string>,
    timeoutMs?: number,
    options?: WatchOptions,
  ): Promise<WatchOutcome>;
  /** The newest resourceVersion. */
  revision(): Promise<number>;
  close(): Promise<void>;
}

export async function startTestServer(
  options: Pick<ApiServerOptions, 'keepEvents' | 'bookmarkIntervalMs'> = {},
): Promise<TestServer> {
  const dataDir = mkdtempSync(join(tmpdir(), 'apiserver-'));
  const port = await freePort();
  ensureClusterPki(dataDir, { clusterName: 'test', server: `https://127.0.0.1:${port}`, addresses: [], dnsNames: [] });
  const stop = new AbortController();
  const running = await startApiServer(
    {
      clusterName: 'test',
      dataDir,
      listen: { host: '127.0.0.1', port },
      advertiseAddresses: ['127.0.0.1'],
      ...options,
    },
    () => {},
    stop.signal,
  );
  const client = adminClient(dataDir, port);
  return {
    ...client,
    dataDir,
    async revision() {
      const { json } = await client.send('GET', '/api/v1/namespaces?limit=1');
      return Number((json as { metadata: { resourceVersion: string } }).metadata.resourceVersion);
    },
    async close() {
      client.end();
      stop.abort();
      await running.closed;
      rmSync(dataDir, { recursive: true, force: true });
    },
  };
}

/** A client with the administrator's certificate, read from the kubeconfig in `dataDir`. */
export function adminClient(dataDir: string, port: number) {
  const { kubeconfig } = pkiPaths(dataDir);
  const text = readFileSync(kubeconfig.admin, 'utf8');
  const part = (name: string) => Buffer.from(new RegExp(`${name}: *(\\S+)`).exec(text)![1]!, 'base64');
  const agent = new Agent({
    keepAlive: true,
    ca: part('certificate-authority-data'),
    cert: part('client-certificate-data'),
    key: part('client-key-data'),
  });
  const anonymous = new Agent({ keepAlive: false, ca: part('certificate-authority-data') });
  const open = (method: string, path: string, headers: Record<string, string>, body: Buffer | undefined) =>
    new Promise<import('node:http').IncomingMessage>((resolve, reject) => {
      // A token must not be outvoted by the administrator's certificate.
      const chosen = 'Authorization' in headers || headers['X-Anonymous'] ? anonymous : agent;
      const outgoing = request({ host: '127.0.0.1', port, method, path, headers, agent: chosen }, resolve);
      outgoing.on('error', reject);
      outgoing.end(body);
    });
  return {
    url: `https://127.0.0.1:${port}`,
    kubeconfig: kubeconfig.admin,
    end: () => {
      agent.destroy();
      anonymous.destroy();
    },
    async send(method: string, path: string, body?: unknown, headers: Record<string, string> = {}): Promise<Answer> {
      const bytes = encode(body);
      const typed =
        bytes && !('Content-Type' in headers) ? { 'Content-Type': 'application/json', ...headers } : headers;
      const incoming = await open(
        method,
        path,
        { ...typed, ...(bytes ? { 'Content-Length': String(bytes.length) } : {}) },
        bytes,
      );
      const chunks: Buffer[] = [];
      for await (const chunk of incoming) chunks.push(chunk as Buffer);
      const text = Buffer.concat(chunks).toString();
      return { status: incoming.statusCode ?? 0, headers: incoming.headers, text, json: parseOrUndefined(text) };
    },
    async watch(
      path: string,
      enough: (events: unknown[]) => boolean,
      headers: Record<string, string> = {},
      timeoutMs = 5_000,
      { opened, signal }: WatchOptions = {},
    ): Promise<WatchOutcome> {
      const incoming = await open('GET', path, headers, undefined);
      opened?.();
      const cut = () => incoming.destroy();
      signal?.addEventListener('abort', cut, { once: true });
      if (signal?.aborted) cut();
      const events: unknown[] = [];
      const timer = setTimeout(() => incoming.destroy(), timeoutMs);
      let rest = '';
      let ended = false;
      try {
        for await (const chunk of incoming) {
          const lines = (rest + String(chunk)).split('\n');
          rest = lines.pop() ?? '';
          for (const line of lines) if (line) events.push(JSON.parse(line));
          if (enough(events)) break;
        }
        ended = incoming.complete;
      } catch {
        // Cut off by the timer: what came is what there is.
      } finally {
        clearTimeout(timer);
        signal?.removeEventListener('abort', cut);
        incoming.destroy();
      }
      if (rest && events.length === 0) events.push(JSON.parse(rest));
      return { status: incoming.statusCode ?? 0, events, ended };
    },
  };
}

function encode(body: unknown): Buffer | undefined {
  if (body === undefined) return undefined;
  if (Buffer.isBuffer(body)) return body;
  return Buffer.from(typeof body === 'string' ? body : JSON.stringify(body));
}

function parseOrUndefined(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
