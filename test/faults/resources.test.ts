// SPDX-License-Identifier: Apache-2.0
// What runs out: the disk of an API server, its file descriptors. What was acknowledged stays, reading goes on, the reason
// is told, and the end of the shortage is the end of the trouble.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, test } from 'vitest';
import { adminClient } from '../apiserver/test-server.ts';
import { freePort } from '../fixture/ports.ts';
import { findProgram } from '../fixture/sandbox.ts';
import { expectSoon } from '../fixture/waiting.ts';

const CONFIG_MAPS = '/api/v1/namespaces/default/configmaps';
const script = fileURLToPath(new URL('../apiserver/server-process.ts', import.meta.url));
const asRoot = process.getuid?.() === 0 ? [] : ['--user', '--map-root-user'];
const unshare = [...asRoot, '--mount', '--propagation', 'private'];
const canMount = spawnSync('unshare', [...unshare, 'mount', '-t', 'tmpfs', 'tmpfs', '/mnt']).status === 0;

interface Scene {
  readonly dir: string;
  readonly port: number;
  child: ChildProcess | undefined;
  said: string;
}

let scene: Scene;
const clients: { end(): void }[] = [];

afterEach(async () => {
  for (const client of clients.splice(0)) client.end();
  await kill();
  rmSync(scene.dir, { recursive: true, force: true });
});

async function prepare(): Promise<void> {
  scene = { dir: mkdtempSync(join(tmpdir(), 'shortage-')), port: await freePort(), child: undefined, said: '' };
}

/** Starts the server by `command`, which ends with the words that are to be run; resolves when it serves. */
async function start(command: string, args: readonly string[]): Promise<void> {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  scene.child = child;
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk) => {
      scene.said += String(chunk);
    });
  }
  await expectSoon(() => scene.said.includes('ready') || child.exitCode !== null).toBe(true);
}

async function kill(): Promise<void> {
  const { child } = scene;
  if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGKILL');
  await ended;
}

function administrator(dataDir: string) {
  const client = adminClient(dataDir, scene.port);
  clients.push(client);
  return client;
}

const configMap = (name: string, bytes = 10) => ({ metadata: { name }, data: { text: 'x'.repeat(bytes) } });

describe.skipIf(!canMount)(`a disk that is full${canMount ? '' : ' (skipped: no tmpfs can be mounted here)'}`, () => {
  test('writes are refused with the reason, what was acknowledged stays, and room is the cure', async () => {
    await prepare();
    const mounted = ['sh', '-ec', `mount -t tmpfs -o size=6m tmpfs ${scene.dir}; exec "$@"`, 'sh'];
    const server = [process.execPath, script, scene.dir, String(scene.port)];
    await start('unshare', [...unshare, ...mounted, ...server]);
    // `unshare` runs the server in its own place: one process, whose mounts are seen through /proc.
    const inside = `/proc/${scene.child!.pid}/root${scene.dir}`;
    const client = administrator(inside);
    const acknowledged: string[] = [];
    const write = async (name: string, bytes?: number): Promise<number> => {
      const { status } = await client.send('POST', CONFIG_MAPS, configMap(name, bytes));
      if (status === 201) acknowledged.push(name);
      return status;
    };
    expect(await write('before')).toBe(201);
    const version = ((await client.send('GET', CONFIG_MAPS)).json as { metadata: { resourceVersion: string } })
      .metadata;
    fill(join(inside, 'ballast'), inside);
    await expectSoon(async () => write(`full-${acknowledged.length}`, 60_000)).toBe(507);
    const refused = await client.send('POST', CONFIG_MAPS, configMap('more', 60_000));
    expect(refused.json).toMatchObject({ kind: 'Status', status: 'Failure', reason: 'InsufficientStorage', code: 507 });
    expect((refused.json as { message: string }).message).toContain(`no space left for ${scene.dir}/state.db`);
    // Reading goes on, and shows what was acknowledged and nothing else.
    const names = async (from: ReturnType<typeof administrator>) =>
      ((await from.send('GET', CONFIG_MAPS)).json as { items: { metadata: { name: string } }[] }).items
        .map(({ metadata }) => metadata.name)
        .filter((name) => name !== 'kube-root-ca.crt')
        .sort();
    expect(await names(client)).toEqual(acknowledged.toSorted());
    rmSync(join(inside, 'ballast'));
    expect(await write('after', 60_000)).toBe(201);
    // Watchers heard of every acknowledged change, once, and of no other.
    const from = `${CONFIG_MAPS}?watch=1&resourceVersion=${version.resourceVersion}`;
    const { events } = await client.watch(from, (seen) => seen.length >= acknowledged.length - 1);
    const heard = (events as { object: { metadata: { name: string } } }[]).map(({ object }) => object.metadata.name);
    expect(heard).toEqual(acknowledged.slice(1));
  });
});

/** Leaves no room; a file by itself, as somebody's forgotten log would be. */
function fill(file: string, dir: string): void {
  const { bavail, bsize } = statfsSync(dir);
  writeFileSync(file, Buffer.alloc(bavail * bsize));
}

const canLimit = findProgram('prlimit') !== undefined;
describe.skipIf(!canLimit)(`no file descriptor left${canLimit ? '' : ' (skipped: no prlimit on PATH)'}`, () => {
  test('those who are connected are served, the log says why nobody else is, and then everybody is again', async () => {
    await prepare();
    // Both limits: Node raises the soft one to the hard one.
    await start('prlimit', ['--nofile=90:90', process.execPath, script, scene.dir, String(scene.port)]);
    const client = administrator(scene.dir);
    expect((await client.send('POST', CONFIG_MAPS, configMap('before'))).status).toBe(201);
    const sockets: Socket[] = [];
    try {
      for (let i = 0; i < 120; i++) sockets.push(connect(scene.port, '127.0.0.1').on('error', () => {}));
      await expectSoon(() => scene.said).toContain('file descriptors are in use');
      expect((await client.send('POST', CONFIG_MAPS, configMap('meanwhile'))).status).toBe(201);
    } finally {
      for (const socket of sockets) socket.destroy();
    }
    const newcomer = administrator(scene.dir);
    await expectSoon(() =>
      newcomer.send('GET', '/readyz').then(
        (answer) => answer.status,
        () => 0,
      ),
    ).toBe(200);
    await expectSoon(() => scene.said).toContain('enough file descriptors again');
    const { json } = await newcomer.send('GET', CONFIG_MAPS);
    const names = (json as { items: { metadata: { name: string } }[] }).items.map(({ metadata }) => metadata.name);
    expect(names).toEqual(expect.arrayContaining(['before', 'meanwhile']));
  });
});
