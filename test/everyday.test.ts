// SPDX-License-Identifier: Apache-2.0
// An hour of everyday work: the pages of scenarios/everyday, line by line, with stock kubectl on a sandbox with the mesh.
import { mkdirSync, readdirSync, readFileSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Shell } from './everyday/shell.ts';
import { differs, parsePage } from './everyday/transcript.ts';
import { root, sandboxObstacle, TestSandbox } from './fixture/sandbox.ts';

const PAGES = join(root, 'scenarios/everyday');
/** A line that takes longer than this hangs. */
const LINE_MS = 100_000;

const obstacle = sandboxObstacle('kubectl');
const pages = readdirSync(PAGES)
  .filter((file) => /^\d\d-.*\.md$/.test(file))
  .sort()
  .map((file) => ({ file, sections: parsePage(readFileSync(join(PAGES, file), 'utf8')) }));

test('it is an hour’s work: at least forty lines of kubectl, each with what it prints', () => {
  const lines = pages.flatMap(({ sections }) => sections.flatMap(({ commands }) => commands));
  expect(lines.filter(({ text }) => /\bkubectl\b/.test(text)).length).toBeGreaterThan(40);
});

describe.skipIf(obstacle !== undefined)(`on a sandbox${obstacle ? ` (skipped: ${obstacle})` : ''}`, () => {
  const sandbox = new TestSandbox('everyday');
  let work = '';
  /** The pages are one story: after a line that went wrong the others mean nothing. */
  let broken: string | undefined;

  beforeAll(async () => {
    await sandbox.up('--clusters', '1');
    await sandbox.must('install', '--context', 'cluster1');
    work = join(sandbox.dir, 'work');
    mkdirSync(work);
    symlinkSync(join(root, 'samples'), join(work, 'samples'));
    // Plain output whatever the machine's habits are.
    Object.assign(sandbox.env, { LC_ALL: 'C.UTF-8', KUBECTL_COMMAND_HEADERS: 'false', PAGER: 'cat' });
  });
  afterAll(async () => {
    expect(await sandbox.down()).toEqual([]);
  });

  describe.each(pages)('$file', ({ file, sections }) => {
    let shell: Shell;
    beforeAll(() => {
      shell = new Shell(work, sandbox.env);
    });
    afterAll(() => shell.close());

    test.for(sections)('$title', async ({ commands }, context) => {
      context.skip(broken !== undefined, `after ${broken}`);
      for (const { line, text, output, exitCode } of commands) {
        const where = `${file}:${line}: ${text}`;
        broken = where;
        const result = await shell.run(text, LINE_MS).catch((error: Error) => {
          throw new Error(`${where}\n${error.message}`);
        });
        const unmet = differs(output, result.lines);
        const said = `${where}\nprinted:\n${result.lines.join('\n')}\n[exit ${result.exitCode}]`;
        expect(unmet, `${said}\nnot met: ${unmet}`).toBeUndefined();
        expect(result.exitCode, said).toBe(exitCode);
        broken = undefined;
      }
    });
  });
});
