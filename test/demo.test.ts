// SPDX-License-Identifier: Apache-2.0
// `isthmus demo`: the cheapest document from end to end, after one that was killed; all of them in `make test-all`.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, describe, expect, test } from 'vitest';
import { rounds } from './fixture/counts.ts';
import { root, run, sandboxObstacle, TestSandbox } from './fixture/sandbox.ts';

const obstacle = sandboxObstacle('kubectl', 'bash');
const ALL = ['004', '000', '001', '002', '003'];
const PATIENCE_MS = 300_000;

describe.skipIf(obstacle !== undefined)(`demos${obstacle ? ` (skipped: ${obstacle})` : ''}`, () => {
  const sandbox = new TestSandbox('demo');
  const demo = (...args: string[]) =>
    run(join(root, 'isthmus'), ['demo', '--name', sandbox.name, ...args], sandbox.env, PATIENCE_MS);
  /** One that has started its cluster, and goes on. */
  const begin = async (number: string): Promise<ChildProcess> => {
    const child = spawn(join(root, 'isthmus'), ['demo', number, '--name', sandbox.name], {
      env: sandbox.env,
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    for await (const line of createInterface({ input: child.stdout! })) if (line.includes('Start a cluster')) break;
    return child;
  };
  const expectNothingLeft = (): void => {
    for (const folder of ['sandbox', 'demo']) {
      const dir = join(sandbox.dir, 'state', folder);
      expect(existsSync(dir) ? readdirSync(dir) : []).toEqual([]);
    }
  };

  afterAll(async () => {
    expect(await sandbox.down()).toEqual([]);
  });

  test('an unknown number is told with those that exist', async () => {
    const refused = await demo('7');
    expect(refused.code).toBe(2);
    for (const number of ALL) expect(refused.stderr).toContain(`\n  ${number}  `);
  });

  test(
    'another one says which one runs; one after a kill takes over, and shows what the document says',
    async () => {
      const first = await begin('004');
      const second = await demo('000');
      expect(second.code).toBe(1);
      expect(second.stderr).toContain(`demo 004 runs already (process ${first.pid})`);
      expect(second.stderr).toContain(`sandbox down --name ${sandbox.name}`);
      const ended = once(first, 'close');
      first.kill('SIGKILL');
      await ended;
      const third = await demo('004', '--requests', '100');
      expect(third.stdout).toContain('Take down what demo 004 left');
      expectShown('004', third);
      expect(third.stdout).toContain(' explain --from productpage-v1 ');
      expect(third.stdout).toMatch(/^→ reviews-v3 in cluster1 itself$/m);
      expect(third.stdout).toMatch(/^The proxies on the way have acknowledged all of the \d+ resources/m);
      expectNothingLeft();
    },
    PATIENCE_MS,
  );

  test.skipIf(rounds(0, 1) === 0)('Ctrl-C ends it and everything with it (make test-all)', async () => {
    const interrupted = await begin('004');
    const ended = once(interrupted, 'close');
    interrupted.kill('SIGINT');
    expect((await ended)[0]).toBe(1);
    expectNothingLeft();
  });

  test.each(ALL.slice(1, rounds(1, ALL.length)))(
    'demo %s shows what its document says',
    async (number) => {
      expectShown(number, await demo(number));
      expectNothingLeft();
    },
    PATIENCE_MS,
  );
});

function expectShown(number: string, { code, stdout, stderr }: { code: number; stdout: string; stderr: string }): void {
  expect(code, stdout + stderr).toBe(0);
  expect(stdout).toMatch(/^ {2}time to ready +\d+\.\d s/m);
  expect(stdout).toMatch(/^ {2}from edit to effect +\d+ ms/m);
  expect(Number(/^ {2}lost requests +0 of (\d+)/m.exec(stdout)?.[1])).toBeGreaterThan(200);
  for (const other of ALL) expect(stdout.includes(`/isthmus demo ${other} `)).toBe(other !== number);
}
