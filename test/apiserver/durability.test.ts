// SPDX-License-Identifier: Apache-2.0
// kill -9 while it is written to: what was acknowledged is there afterwards, and watchers go on without a gap.
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { KubeClient } from '../../src/kube/client.ts';
import { loadKubeconfig } from '../../src/kube/config.ts';
import { CONFIG_MAPS as CONFIG_MAP_TYPE } from '../../src/kube/resources.ts';
import { watchResource } from '../../src/kube/watch.ts';
import { pkiPaths } from '../../src/sandbox/apiserver/pki.ts';
import { rounds } from '../fixture/counts.ts';
import { freePort } from '../fixture/ports.ts';
import { adminClient } from './test-server.ts';

const ROUNDS = rounds(10);
const WATCHED_ROUNDS = rounds(4, 200);
const SEED = 20_240_501;
const WRITERS = 4;
const CONFIG_MAPS = '/api/v1/namespaces/default/configmaps';

/** mulberry32: small, seeded, good enough to choose moments. */
function randomOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

function startServer(dataDir: string, port: number): Promise<ChildProcess> {
  const script = fileURLToPath(new URL('server-process.ts', import.meta.url));
  const child = spawn(process.execPath, [script, dataDir, String(port)], { stdio: ['ignore', 'pipe', 'pipe'] });
  return new Promise((resolve, reject) => {
    let errors = '';
    child.stderr!.on('data', (chunk) => {
      errors += String(chunk);
    });
    child.stdout!.once('data', () => resolve(child));
    child.once('exit', () => reject(new Error(`the server ended: ${errors}`)));
  });
}

function ended(child: ChildProcess): Promise<void> {
  return child.exitCode !== null || child.signalCode !== null
    ? Promise.resolve()
    : new Promise((resolve) => child.once('exit', () => resolve()));
}

interface Meta {
  readonly metadata: { readonly name: string; readonly resourceVersion: string };
  readonly data?: { readonly n?: string };
}

test(`nothing acknowledged is lost in ${ROUNDS} rounds of kill -9`, async () => {
  const dataDir = mkdtempSync(join(tmpdir(), 'durability-'));
  const port = await freePort();
  const random = randomOf(SEED);
  /** What the server said it holds: name -> the number it was last told. */
  const acknowledged = new Map<string, number>();
  /** Sent, but the answer was cut off: may or may not be there. */
  const uncertain = new Map<string, number>();
  let child: ChildProcess | undefined;
  let written = 0;
  try {
    for (let round = 0; round < ROUNDS; round++) {
      child = await startServer(dataDir, port);
      const client = adminClient(dataDir, port);
      await checkAll(client, acknowledged, uncertain);
      const stop = new AbortController();
      const writers = Array.from({ length: WRITERS }, (_, writer) =>
        write(client, `r${round}-w${writer}`, stop.signal),
      );
      await sleep(80 + random() * 250);
      child.kill('SIGKILL');
      await ended(child);
      stop.abort();
      await Promise.all(writers);
      client.end();
    }
    child = await startServer(dataDir, port);
    const client = adminClient(dataDir, port);
    await checkAll(client, acknowledged, uncertain);
    client.end();
    expect(written).toBeGreaterThan(ROUNDS);
  } finally {
    child?.kill('SIGKILL');
    if (child) await ended(child);
    rmSync(dataDir, { recursive: true, force: true });
  }

  async function write(client: ReturnType<typeof adminClient>, prefix: string, signal: AbortSignal): Promise<void> {
    for (let n = 0; !signal.aborted; n++) {
      const name = `${prefix}-${Math.floor(n / 3)}`;
      const body = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name }, data: { n: String(n) } };
      uncertain.set(name, n);
      try {
        const answer =
          n % 3 === 0
            ? await client.send('POST', CONFIG_MAPS, body)
            : await client.send('PUT', `${CONFIG_MAPS}/${name}`, body);
        if (answer.status !== 200 && answer.status !== 201) throw new Error(`${answer.status} ${answer.text}`);
        acknowledged.set(name, n);
        uncertain.delete(name);
        written++;
      } catch (error) {
        // The connection died with the server; anything else is a failure of the test.
        if (/^\d{3} /.test((error as Error).message)) throw error;
        return;
      }
    }
  }
});

async function checkAll(
  client: ReturnType<typeof adminClient>,
  acknowledged: Map<string, number>,
  uncertain: Map<string, number>,
): Promise<void> {
  const { json } = await client.send('GET', CONFIG_MAPS);
  const found = new Map((json as { items: Meta[] }).items.map((item) => [item.metadata.name, Number(item.data?.n)]));
  const lost = [...acknowledged].filter(
    ([name, n]) => found.get(name) !== n && found.get(name) !== uncertain.get(name),
  );
  expect(lost).toEqual([]);
  // What came through in spite of the cut counts from now on.
  for (const [name, n] of uncertain) if (found.get(name) === n) acknowledged.set(name, n);
  uncertain.clear();
}

test('a watch goes on after kill -9 without a gap and without a repeat', async () => {
  const dataDir = mkdtempSync(join(tmpdir(), 'durability-'));
  const port = await freePort();
  let child = await startServer(dataDir, port);
  let client = adminClient(dataDir, port);
  const seen: string[] = [];
  let from = '';
  try {
    for (let round = 0; round < 3; round++) {
      if (from === '') from = ((await client.send('GET', CONFIG_MAPS)).json as Meta).metadata.resourceVersion;
      const start = from;
      const watched = client
        .watch(`${CONFIG_MAPS}?watch=1&resourceVersion=${start}`, () => false, {}, 5_000)
        .then(({ events }) => {
          for (const event of events as { object: Meta }[]) {
            seen.push(event.object.metadata.name);
            from = event.object.metadata.resourceVersion;
          }
        });
      for (let n = 0; n < 10; n++) {
        const body = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: `round${round}-${n}` } };
        expect((await client.send('POST', CONFIG_MAPS, body)).status).toBe(201);
      }
      child.kill('SIGKILL');
      await ended(child);
      await watched;
      client.end();
      child = await startServer(dataDir, port);
      client = adminClient(dataDir, port);
    }
    const rest = await client.watch(`${CONFIG_MAPS}?watch=1&resourceVersion=${from}&timeoutSeconds=1`, () => false);
    seen.push(...(rest.events as { object: Meta }[]).map(({ object }) => object.metadata.name));
    const expected = [0, 1, 2].flatMap((round) => Array.from({ length: 10 }, (_, n) => `round${round}-${n}`));
    expect(seen).toEqual(expected);
  } finally {
    client.end();
    child.kill('SIGKILL');
    await ended(child);
    rmSync(dataDir, { recursive: true, force: true });
  }
});

test(`the mesh's own watch hears every acknowledged change once, in order, across ${WATCHED_ROUNDS} rounds of kill -9`, async () => {
  const dataDir = mkdtempSync(join(tmpdir(), 'durability-'));
  const port = await freePort();
  const random = randomOf(SEED + 1);
  let child = await startServer(dataDir, port);
  const ending = new AbortController();
  const watching = new KubeClient(loadKubeconfig(pkiPaths(dataDir).kubeconfig.admin, undefined));
  const heard: number[] = [];
  let resumed = 0;
  const watch = watchResource(
    watching,
    CONFIG_MAP_TYPE,
    { namespace: 'default', signal: ending.signal, backoffMs: { first: 20, cap: 100 } },
    {
      upsert: ({ metadata }) => heard.push(Number(metadata.resourceVersion)),
      delete: ({ metadata }) => heard.push(Number(metadata.resourceVersion)),
      synced: () => {},
      resumed: () => resumed++,
    },
  );
  const acknowledged: number[] = [];
  try {
    for (let round = 0; round < WATCHED_ROUNDS; round++) {
      const client = adminClient(dataDir, port);
      const stop = new AbortController();
      const writers = Array.from({ length: WRITERS }, (_, i) => change(client, `r${round}-w${i}`, stop.signal));
      await sleep(80 + random() * 250);
      child.kill('SIGKILL');
      await ended(child);
      stop.abort();
      await Promise.all(writers);
      client.end();
      child = await startServer(dataDir, port);
    }
    const last = Math.max(...acknowledged);
    await expect.poll(() => heard.at(-1) ?? 0, { timeout: 30_000 }).toBeGreaterThanOrEqual(last);
    const known = new Set(heard);
    expect(acknowledged.filter((version) => !known.has(version))).toEqual([]);
    expect(heard).toEqual([...known].sort((a, b) => a - b));
    expect(resumed).toBeGreaterThan(0);
    expect(acknowledged.length).toBeGreaterThan(WATCHED_ROUNDS);
  } finally {
    ending.abort();
    await watch;
    watching.close();
    child.kill('SIGKILL');
    await ended(child);
    rmSync(dataDir, { recursive: true, force: true });
  }

  /** Creates, changes and deletes, and notes the version of each change that was acknowledged. */
  async function change(client: ReturnType<typeof adminClient>, prefix: string, signal: AbortSignal): Promise<void> {
    for (let n = 0; !signal.aborted; n++) {
      const name = `${prefix}-${Math.floor(n / 3)}`;
      const body = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name }, data: { n: String(n) } };
      const requests = [
        ['POST', CONFIG_MAPS, body],
        ['PUT', `${CONFIG_MAPS}/${name}`, body],
        ['DELETE', `${CONFIG_MAPS}/${name}`, undefined],
      ] as const;
      const [method, path, sent] = requests[n % 3]!;
      try {
        const { status, json } = await client.send(method, path, sent);
        if (status >= 300) throw new Error(`${status} ${JSON.stringify(json)}`);
        // A deletion is answered with a Status, which has no version.
        if (method !== 'DELETE') acknowledged.push(Number((json as Meta).metadata.resourceVersion));
      } catch (error) {
        if (/^\d{3} /.test((error as Error).message)) throw error;
        return;
      }
    }
  }
});
