// SPDX-License-Identifier: Apache-2.0
// The sandbox's API server alone, as a process of its own, over TLS: reads, writes, and what watchers wait.
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import type { IncomingMessage } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { KubeClient } from '../src/kube/client.ts';
import { loadKubeconfig } from '../src/kube/config.ts';
import { pkiPaths } from '../src/sandbox/apiserver/pki.ts';
import { freePort } from '../test/fixture/ports.ts';
import { root } from '../test/fixture/sandbox.ts';
import { median, print } from './report.ts';

const OBJECTS = 5_000;
const WRITES = 500;
const WRITERS = 16;
const WATCHERS = 100;
const LISTS = 15;
const PATH = '/api/v1/namespaces/default/configmaps';

export async function measureApiServer(): Promise<void> {
  const dataDir = mkdtempSync(join(tmpdir(), 'isthmus-bench-'));
  const port = await freePort();
  const server = await startServer(dataDir, port);
  const client = new KubeClient(loadKubeconfig(pkiPaths(dataDir).kubeconfig.admin));
  try {
    await measureWrites(client);
    await measureReads(client);
    await measureWatches(client);
  } finally {
    client.close();
    server.kill('SIGKILL');
    rmSync(dataDir, { recursive: true, force: true });
  }
}

async function measureWrites(client: KubeClient): Promise<void> {
  const alone: number[] = [];
  for (let i = 0; i < WRITES; i++) alone.push(await timed(() => create(client, `alone-${i}`)));
  print('API server: a durable write, median', `${median(alone).toFixed(1)} ms`, '5 ms');
  let next = 0;
  const rest = OBJECTS - WRITES;
  const elapsedMs = await timed(() =>
    Promise.all(
      Array.from({ length: WRITERS }, async () => {
        while (next < rest) await create(client, `many-${next++}`);
      }),
    ),
  );
  print(`API server: durable writes by ${WRITERS} at once`, `${Math.round((rest / elapsedMs) * 1000)} /s`, '');
}

async function measureReads(client: KubeClient): Promise<void> {
  const gets: number[] = [];
  for (let i = 0; i < WRITES; i++) gets.push(await timed(() => client.request('GET', `${PATH}/alone-${i}`)));
  print('API server: a read, median', `${median(gets).toFixed(1)} ms`, '');
  // To the last byte; parsing is the client's business.
  const lists: number[] = [];
  for (let i = 0; i < LISTS; i++) lists.push(await timed(async () => drain(await client.stream('GET', PATH))));
  print(`API server: a list of ${OBJECTS} objects, median`, `${median(lists).toFixed(0)} ms`, '100 ms');
}

/** From a write's acknowledgement to the last of many watchers having the event. */
async function measureWatches(client: KubeClient): Promise<void> {
  const { metadata } = (await client.request('GET', `${PATH}?limit=1`)) as { metadata: { resourceVersion: string } };
  let heard = 0;
  let everybody = Promise.withResolvers<void>();
  const streams = await Promise.all(
    Array.from({ length: WATCHERS }, () =>
      client.stream('GET', `${PATH}?watch=true&resourceVersion=${metadata.resourceVersion}`),
    ),
  );
  for (const stream of streams) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      heard += text.split('\n').length - 1;
      if (heard === WATCHERS) everybody.resolve();
    });
  }
  const delays: number[] = [];
  for (let i = 0; i < 50; i++) {
    heard = 0;
    everybody = Promise.withResolvers();
    const last = everybody.promise.then(() => performance.now());
    await create(client, `watched-${i}`);
    const acknowledgedAt = performance.now();
    delays.push(Math.max(0, (await last) - acknowledgedAt));
  }
  for (const stream of streams) stream.destroy();
  print(`API server: from a write to the last of ${WATCHERS} watchers, median`, `${median(delays).toFixed(1)} ms`, '');
}

function create(client: KubeClient, name: string): Promise<unknown> {
  const data = { note: `an entry of ordinary size, ${name}`, text: 'x'.repeat(300) };
  return client.request('POST', PATH, {
    body: { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, labels: { app: 'bench' } }, data },
  });
}

async function drain(stream: IncomingMessage): Promise<void> {
  for await (const _ of stream);
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const startedAt = performance.now();
  await work();
  return performance.now() - startedAt;
}

function startServer(dataDir: string, port: number): Promise<ChildProcess> {
  const script = join(root, 'test/apiserver/server-process.ts');
  const child = spawn(process.execPath, [script, dataDir, String(port)], { stdio: ['ignore', 'pipe', 'ignore'] });
  return new Promise((resolve, reject) => {
    child.stdout?.once('data', () => resolve(child));
    child.once('exit', (code) => reject(new Error(`the API server ended with ${code}`)));
  });
}
