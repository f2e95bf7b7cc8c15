// SPDX-License-Identifier: Apache-2.0
// `sandbox up` and what it has started, killed at any moment: the next `up` works, and `down` leaves nothing.
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { rounds } from '../fixture/counts.ts';
import { processesOf, root, sandboxObstacle, TestSandbox } from '../fixture/sandbox.ts';

const obstacle = sandboxObstacle();
const canBeRootless = spawnSync('unshare', ['--user', '--map-root-user', '--net', 'true']).status === 0;
const isRoot = process.getuid?.() === 0;
const entry = join(root, 'dist/isthmus.mjs');

/** What of this machine a sandbox could leave behind, but for its processes and files. */
function hostState(): string[] {
  const read = (command: string, ...args: string[]) => spawnSync(command, args, { encoding: 'utf8' }).stdout ?? '';
  return [
    ...readFileSync('/proc/self/mountinfo', 'utf8')
      .split('\n')
      .filter((line) => /isthmus|netns/.test(line)),
    read('ip', '-o', 'link'),
    read('ip', 'netns', 'list'),
    read('ip', 'route', 'show', 'table', 'all'),
    isRoot ? read('nft', 'list', 'ruleset') : '',
  ];
}

/** The sandbox's processes on the host by what they are, as far as they are there. */
function victims(dir: string): Record<'keeper' | 'first' | 'supervisor', number | undefined> {
  const found = processesOf(dir).map((line) => {
    const [, pid, command] = /^process (\d+): (.*)$/s.exec(line)!;
    return { pid: Number(pid), command: command! };
  });
  const find = (pattern: RegExp) => found.find(({ command }) => pattern.test(command))?.pid;
  return {
    keeper: find(/^\S*node .*component host /),
    first: find(/^unshare .*isthmus-init/s),
    supervisor: find(/^\S*node .*component supervisor/),
  };
}

function kill(pid: number | undefined): void {
  if (pid === undefined) return;
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It was quicker.
  }
}

function canConnect(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port });
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
    socket.once('connect', () => socket.destroy());
  });
}

describe.skipIf(obstacle !== undefined).each([
  ['as root', [], isRoot],
  ['rootless', ['--rootless'], canBeRootless],
] as const)(
  `a sandbox that ends suddenly, %s${obstacle ? ` (skipped: ${obstacle})` : ''}`,
  (_title, flags, isPossible) => {
    let sandbox: TestSandbox;
    const before = hostState();
    // Free again afterwards: so not one that another sandbox of this machine takes in the meantime.
    const apiPort = 20_000 + ((process.pid * 2 + flags.length) % 10_000);
    const up = ['sandbox', 'up', '--clusters', '1', '--api-port', `${apiPort}`, ...flags];

    beforeAll(() => {
      if (isPossible) sandbox = new TestSandbox('sudden');
    });
    afterAll(async () => {
      if (!isPossible) return;
      expect(await sandbox.down()).toEqual([]);
      expect(hostState()).toEqual(before);
    }, 60_000);

    /** Starts `up`, and kills at that moment the command, and with it one of the processes that it has started. */
    async function killAt(delayMs: number, also: keyof ReturnType<typeof victims> | undefined): Promise<void> {
      const child = spawn(process.execPath, [entry, ...up, '--name', sandbox.name], {
        env: sandbox.env,
        stdio: 'ignore',
      });
      const exited = once(child, 'exit');
      await sleep(delayMs);
      const chosen = also === undefined ? undefined : victims(sandbox.dir)[also];
      child.kill('SIGKILL');
      kill(chosen);
      await exited;
    }

    it.skipIf(!isPossible)(
      'at any moment of its start',
      async () => {
        const choices = [undefined, 'keeper', 'first', 'supervisor'] as const;
        for (let round = 0; round < rounds(3, 50); round++) {
          const delayMs = Math.round(Math.random() * 2_000);
          const also = choices[Math.floor(Math.random() * choices.length)];
          await killAt(delayMs, also);
          const where = `round ${round}: the command and ${also ?? 'nothing else'} killed after ${delayMs} ms`;
          const again = await sandbox.isthmus(...up, '--name', sandbox.name, '-o', 'json');
          expect([where, again.code, again.code === 0 ? '' : again.stderr]).toEqual([where, 0, '']);
          const { clusters } = JSON.parse(again.stdout) as { clusters: { ready: Record<string, boolean> }[] };
          expect([where, clusters.map(({ ready }) => ready)]).toEqual([where, [{ api: true, node: true, dns: true }]]);
          // One sandbox, not two: what the killed command had started is this one, or it is gone.
          const keepers = processesOf(sandbox.dir).filter((line) => / component host /.test(line));
          expect([where, keepers.length]).toEqual([where, 1]);
          await sandbox.must('sandbox', 'down', '--name', sandbox.name);
          expect([where, processesOf(sandbox.dir), readdirSync(join(sandbox.dir, 'state/sandbox'))]).toEqual([
            where,
            [],
            [],
          ]);
          expect([where, await canConnect(apiPort)]).toEqual([where, false]);
        }
      },
      rounds(120_000, 3_600_000),
    );

    it.skipIf(!isPossible)('down after a kill, without an up between', async () => {
      for (const also of ['keeper', 'first'] as const) {
        await killAt(300 + Math.random() * 700, also);
        await sandbox.must('sandbox', 'down', '--name', sandbox.name);
        expect([also, processesOf(sandbox.dir), readdirSync(join(sandbox.dir, 'state/sandbox'))]).toEqual([
          also,
          [],
          [],
        ]);
      }
    });

    it.skipIf(!isPossible)('two starts at once are one sandbox, and an end during the start waits for it', async () => {
      const [one, two] = await Promise.all([1, 2].map(() => sandbox.isthmus(...up, '--name', sandbox.name)));
      expect([one!.code, two!.code]).toEqual([0, 0]);
      expect([one!.stdout, two!.stdout].filter((text) => text.includes('is running already'))).toHaveLength(1);
      await sandbox.must('sandbox', 'down', '--name', sandbox.name);
      const starting = sandbox.isthmus(...up, '--name', sandbox.name);
      while (!existsSync(join(sandbox.dir, 'state/sandbox', sandbox.name, 'host.json'))) await sleep(10);
      await sandbox.must('sandbox', 'down', '--name', sandbox.name);
      await starting;
      expect(processesOf(sandbox.dir)).toEqual([]);
    });
  },
);

describe.skipIf(obstacle !== undefined)('a start that cannot be', () => {
  it('on a full disk says so, and what to do', async () => {
    const sandbox = new TestSandbox('full');
    const state = sandbox.env['ISTHMUS_STATE_DIR']!;
    mkdirSync(state, { recursive: true });
    // A file system of its own, in a namespace of its own: nothing has to be unmounted.
    const user = isRoot ? [] : ['--user', '--map-root-user'];
    const command = (kilobytes: number) =>
      `mount -t tmpfs -o size=${kilobytes}k none ${state} && exec ${process.execPath} --disable-warning=ExperimentalWarning ${entry} sandbox up --clusters 1 --name ${sandbox.name}`;
    try {
      for (const kilobytes of [8, 700]) {
        const { status, stderr } = spawnSync('unshare', [...user, '--mount', 'sh', '-c', command(kilobytes)], {
          env: sandbox.env,
          encoding: 'utf8',
          timeout: 100_000,
        });
        expect([kilobytes, status, stderr]).toEqual([
          kilobytes,
          1,
          expect.stringMatching(/The disk is full.*ISTHMUS_STATE_DIR/),
        ]);
      }
      expect(processesOf(sandbox.dir)).toEqual([]);
    } finally {
      rmSync(sandbox.dir, { recursive: true, force: true });
    }
  });

  it('with the state of another version says so; --fresh starts from nothing', async () => {
    const sandbox = new TestSandbox('old');
    const dir = join(sandbox.env['ISTHMUS_STATE_DIR']!, 'sandbox', sandbox.name);
    mkdirSync(dir, { recursive: true, mode: 0o700 });
    try {
      writeFileSync(join(dir, 'config.json'), '{"format": 99, "version": "9.9.9", "clusters": 1}');
      const refused = await sandbox.isthmus('sandbox', 'up', '--name', sandbox.name);
      expect([refused.code, refused.stderr]).toEqual([
        1,
        expect.stringMatching(/version 9\.9\.9.*form \(99\).*--fresh/),
      ]);
      // What cannot even be read is as if it were not there.
      writeFileSync(join(dir, 'config.json'), '{"format": ');
      await sandbox.up('--clusters', '1');
      await sandbox.must('sandbox', 'down', '--keep-state', '--name', sandbox.name);
      writeFileSync(join(dir, 'cluster1/apiserver/state.db'), 'no database');
      for (const file of ['state.db-wal', 'state.db-shm'])
        rmSync(join(dir, 'cluster1/apiserver', file), { force: true });
      const broken = await sandbox.isthmus('sandbox', 'up', '--name', sandbox.name, '--clusters', '1');
      expect([broken.code, broken.stderr]).toEqual([
        1,
        expect.stringMatching(/cluster1-apiserver does not start.*--fresh/),
      ]);
      await sandbox.up('--clusters', '1', '--fresh');
    } finally {
      expect(await sandbox.down()).toEqual([]);
    }
  });
});
