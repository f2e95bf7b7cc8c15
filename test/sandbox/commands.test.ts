// SPDX-License-Identifier: Apache-2.0
// The commands around a sandbox that runs: logs, shell, reset.
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { findProgram, root, sandboxObstacle, TestSandbox } from '../fixture/sandbox.ts';

const obstacle = sandboxObstacle('kubectl');
const script = findProgram('script');

describe.skipIf(obstacle !== undefined)(`a running sandbox${obstacle ? ` (skipped: ${obstacle})` : ''}`, () => {
  const sandbox = new TestSandbox('commands');
  const named = ['--name', sandbox.name];
  const on = (cluster: string, ...args: string[]) => sandbox.kubectl('--context', cluster, ...args);
  const cli = (...args: string[]) => sandbox.isthmus('sandbox', ...args, ...named);
  /** Runs the command with this on its standard input. */
  const feed = async (input: string, command: readonly string[]) => {
    const child = spawn(command[0]!, command.slice(1), { env: sandbox.env, stdio: ['pipe', 'pipe', 'inherit'] });
    let stdout = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text;
    });
    child.stdin.end(input);
    const [code] = (await once(child, 'close')) as [number];
    return { code, stdout };
  };
  const entry = [process.execPath, '--disable-warning=ExperimentalWarning', join(root, 'dist/isthmus.mjs')];

  beforeAll(async () => {
    await sandbox.up();
    await on('cluster1', 'run', 'web', '--image=kennethreitz/httpbin');
    await on('cluster2', 'run', 'website', '--image=kennethreitz/httpbin');
    await on('cluster1', 'wait', '--for=condition=Ready', 'pod/web', '--timeout=60s');
    await on('cluster2', 'wait', '--for=condition=Ready', 'pod/website', '--timeout=60s');
  }, 120_000);
  afterAll(async () => {
    expect(await sandbox.down()).toEqual([]);
  }, 60_000);

  it('shows the logs of its parts and of pods, wherever they are', async () => {
    expect((await cli('logs')).stdout.split('\n')).toContain('cluster2-apiserver');
    expect((await cli('logs', 'cluster1-node')).stdout).toContain('Started container web');
    expect((await cli('logs', 'cluster1-node', '--tail', '1')).stdout.trim().split('\n')).toHaveLength(1);
    expect((await cli('logs', 'webs')).stdout).toBe('httpbin listens on 80\n');
    expect((await cli('logs', 'cluster1-net', '--since', '2h')).stdout).toContain('the cluster has DNS and services');
    expect(await cli('logs', 'cluster1-nod')).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/no pod "cluster1-nod".*cluster1-node, .* come closest/),
    });
    expect(await cli('logs', 'web', '--since', 'yesterday')).toMatchObject({ code: 2 });
  });

  it('opens a shell in a pod, by the beginning of its name', async () => {
    const shell = [...entry, 'sandbox', 'shell', ...named];
    expect(await feed('hostname; exit 3', [...shell, 'webs'])).toEqual({ code: 3, stdout: 'website\n' });
    expect(await feed('', [...shell, 'web', '--cluster', 'cluster1'])).toEqual({ code: 0, stdout: '' });
    expect(await cli('shell', 'we')).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('Several pods fit "we"'),
    });
    await on('cluster1', 'run', 'unpulled', '--image=me/nothing');
    expect(await cli('shell', 'unpulled')).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/No shell in pod unpulled: (?!HTTP)\w/),
    });
    expect(await cli('shell', 'wob')).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('Closest: web (cluster1'),
    });
    expect(await cli('shell', 'web', '-c', 'x')).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('It has: web.'),
    });
  });

  it.skipIf(!script)(
    `gives the shell a terminal of the user's size${script ? '' : ' (skipped: no script)'}`,
    async () => {
      const command = [...entry, 'sandbox', 'shell', 'website', ...named].join(' ');
      const { stdout, code } = await feed('stty size\nexit 5\n', [
        script!,
        '-qec',
        `stty cols 77 rows 22; ${command}`,
        '/dev/null',
      ]);
      expect([code, stdout]).toEqual([5, expect.stringContaining('22 77')]);
    },
  );

  it('resets one cluster or all, and keeps what the user holds in hand', async () => {
    const before = readFileSync(sandbox.status.kubeconfig, 'utf8');
    await on('cluster2', 'create', 'configmap', 'kept');
    await sandbox.must('sandbox', 'reset', '--cluster', 'cluster1', ...named);
    expect(await on('cluster1', 'get', 'pods', '--all-namespaces', '-o', 'name')).toBe('');
    expect(await on('cluster2', 'get', 'configmap/kept', 'pod/website', '-o', 'name')).toBe(
      'configmap/kept\npod/website\n',
    );
    await sandbox.must('sandbox', 'reset', ...named);
    expect(await on('cluster2', 'get', 'configmap', 'kept', '--ignore-not-found', '-o', 'name')).toBe('');
    expect(readFileSync(sandbox.status.kubeconfig, 'utf8')).toBe(before);
    expect(readdirSync(join(sandbox.status.kubeconfig, '../cluster1/node/pods'))).toEqual([]);
    // An empty cluster works as a new one does, with the first pod's address.
    await on('cluster1', 'run', 'again', '--image=kennethreitz/httpbin');
    await on('cluster1', 'wait', '--for=condition=Ready', 'pod/again', '--timeout=60s');
    expect(await on('cluster1', 'get', 'pod', 'again', '-o', 'jsonpath={.status.podIP}')).toBe('10.1.0.10');
    expect(await cli('reset', '--cluster', 'c')).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('There are: '),
    });
  });

  it('every command explains itself with examples', () => {
    const commands = ['up', 'status', 'down', 'reset', 'logs', 'shell', 'images', 'network'];
    const helps = commands.map((command) => {
      const { stdout } = spawnSync(entry[0]!, [...entry.slice(1), 'sandbox', command, '--help'], { encoding: 'utf8' });
      return [command, stdout.includes('Examples:')];
    });
    expect(helps).toEqual(commands.map((command) => [command, true]));
  });
});
