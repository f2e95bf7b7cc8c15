// SPDX-License-Identifier: Apache-2.0
// Programs of the user's own as pods, with folders of this machine: as root, and in a user namespace.
import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { sandboxObstacle, TestSandbox } from '../fixture/sandbox.ts';

const obstacle = sandboxObstacle('kubectl');
const canBeRootless = spawnSync('unshare', ['--user', '--map-root-user', '--net', 'true']).status === 0;
const isRoot = process.getuid?.() === 0;

const SERVER = `
import { createServer } from 'node:http';
createServer((request, response) => response.end(process.env.GREETING + ' from ' + process.cwd() + '\\n')).listen(8080);
`;

describe.skipIf(obstacle !== undefined).each([
  ['as root', [], isRoot],
  ['rootless', ['--rootless'], canBeRootless],
] as const)(`programs of one's own, %s${obstacle ? ` (skipped: ${obstacle})` : ''}`, (_title, flags, isPossible) => {
  let sandbox: TestSandbox;
  let app: string;
  const kubectl = (...args: string[]) => sandbox.kubectl('--context', 'cluster1', ...args);
  const images = (...args: string[]) => sandbox.isthmus('sandbox', 'images', ...args, '--name', sandbox.name);
  const waitFor = (pod: string, path: string, value: string) =>
    kubectl('wait', `--for=jsonpath={${path}}=${value}`, `pod/${pod}`, '--timeout=60s');

  beforeAll(async () => {
    if (!isPossible) return;
    sandbox = new TestSandbox('images');
    // Pods of root run as another user, which must be able to read the program.
    chmodSync(sandbox.dir, 0o755);
    app = join(sandbox.dir, 'home/app');
    mkdirSync(app, { recursive: true });
    writeFileSync(join(app, 'server.mjs'), SERVER);
    const file = join(sandbox.dir, 'images.yaml');
    const entry = { command: ['node', 'server.mjs'], env: { GREETING: 'hello' }, workingDir: app, hostFolders: [app] };
    writeFileSync(file, JSON.stringify({ images: { 'me/app': { ...entry, ports: [8080] } } }));
    await sandbox.up('--clusters', '1', '--images', file, ...flags);
  }, 120_000);
  afterAll(async () => {
    if (isPossible) expect(await sandbox.down()).toEqual([]);
  }, 60_000);

  it.skipIf(!isPossible)('run with their folder, which they cannot change', async () => {
    await kubectl('run', 'app', '--image=registry.test/me/app:v1', '--port=8080', '--expose');
    await kubectl('wait', '--for=condition=Ready', 'pod/app', '--timeout=60s');
    expect(await kubectl('exec', 'app', '--', 'curl', '-s', 'http://app:8080')).toBe(`hello from ${app}\n`);
    const touch = `touch ${app}/mine; ls ${app}/.. ; echo done`;
    // Beside the folder there is nothing, and nothing can be put into it.
    expect(await kubectl('exec', 'app', '--', 'sh', '-c', touch)).toBe('app\ndone\n');
    expect(existsSync(join(app, 'mine'))).toBe(false);
  });

  it.skipIf(!isPossible)('a name that is not there yet is said, and works once it is added', async () => {
    await kubectl('run', 'late', '--image=me/ap', '--restart=Never');
    await waitFor('late', '.status.containerStatuses[0].state.waiting.reason', 'ImagePullBackOff');
    const events = await kubectl('describe', 'pod', 'late');
    expect(events).toMatch(/image "me\/ap" is not in the sandbox's catalogue .* closest: me\/app, .*images add FILE/);
    const bad = join(sandbox.dir, 'bad.yaml');
    writeFileSync(bad, 'images:\n  me/ap: { comand: [sleep] }\n');
    expect(await images('add', bad)).toMatchObject({ code: 1, stderr: expect.stringContaining('closest: command') });
    const good = join(sandbox.dir, 'good.yaml');
    writeFileSync(good, 'images:\n  me/ap: { command: [sh, -c, "echo late but here"] }\n');
    expect((await images('add', good)).code).toBe(0);
    await waitFor('late', '.status.phase', 'Succeeded');
    expect(await kubectl('logs', 'late')).toBe('late but here\n');
    const listed = JSON.parse((await images('-o', 'json')).stdout) as { image: string; file?: string }[];
    expect(listed.filter(({ file }) => file !== undefined).map(({ image }) => image)).toEqual(['me/app', 'me/ap']);
    expect((await images('remove', 'me/ap')).code).toBe(0);
    expect(await images('remove', 'me/ap')).toMatchObject({ code: 1, stderr: expect.stringContaining('me/app') });
  });
});
