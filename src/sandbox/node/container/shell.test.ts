// SPDX-License-Identifier: Apache-2.0

import { execFileSync } from 'node:child_process';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { rounds } from '#test/fixture/counts.ts';
import { quoteWord, renderExec } from './shell.ts';

describe('quoting for the shell', () => {
  it('gives every word back unchanged', () => {
    const word = fc.string({ unit: 'binary' }).filter((text) => !text.includes('\0'));
    fc.assert(
      fc.property(fc.array(word, { minLength: 1, maxLength: 20 }), (words) => {
        const script = `printf '%s\\0' ${words.map(quoteWord).join(' ')}`;
        const output = execFileSync('sh', ['-s'], { input: script, encoding: 'utf8' });
        expect(output).toBe(words.map((text) => `${text}\0`).join(''));
      }),
      { numRuns: rounds(30), seed: 7 },
    );
  });

  it('refuses what cannot be passed', () => {
    expect(() => quoteWord('a\0b')).toThrow('NUL');
  });
});

describe('renderExec', () => {
  const run = (environment: Record<string, string>, argv: string[]) =>
    execFileSync('env', ['-i', 'PATH=/usr/bin:/bin', 'LC_ALL=C', 'sh', '-s'], {
      input: renderExec(argv, environment, '/tmp', []),
      encoding: 'utf8',
    });

  it('sets values that a shell would read otherwise, and names that it does not know', () => {
    const environment = { PATH: '/usr/bin:/bin', A: `$(id) '"\n\\`, 'with.dot': 'x y', IFS: ':', UID: '7', PS4: 'p' };
    const output = run(environment, ['env', '-0']);
    const found = Object.fromEntries(
      output.split('\0').flatMap((line) => (line === '' ? [] : [line.split(/=(.*)/s).slice(0, 2) as [string, string]])),
    );
    expect(found).toMatchObject(environment);
    expect(Object.keys(found).filter((name) => !(name in environment))).toEqual(['PWD']);
    expect(found['PWD']).toBe('/tmp');
  });

  it('says by 128 that the working directory is not there', () => {
    const script = renderExec(['true'], {}, '/does/not/exist', []);
    expect(() => execFileSync('sh', ['-s'], { input: script, stdio: ['pipe', 'ignore', 'ignore'] })).toThrow(
      expect.objectContaining({ status: 128 }),
    );
  });
});
