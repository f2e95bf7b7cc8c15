// SPDX-License-Identifier: Apache-2.0
import { mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { AtomicFolder, type VolumeFile } from './atomic-folder.ts';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'isthmus-volume-'));
});
afterEach(() => rmSync(dir, { recursive: true }));

const files = (contents: Record<string, string>, mode = 0o644) =>
  new Map<string, VolumeFile>(
    Object.entries(contents).map(([path, text]) => [path, { content: Buffer.from(text), mode }]),
  );

describe('AtomicFolder', () => {
  it('replaces all files by one link, and removes what is no longer there', () => {
    const folder = new AtomicFolder(join(dir, 'v'), undefined);
    folder.write(files({ a: '1', 'sub/b': '2' }, 0o440));
    expect(readFileSync(join(folder.path, 'sub/b'), 'utf8')).toBe('2');
    expect(statSync(join(folder.path, 'a')).mode & 0o777).toBe(0o440);
    const before = readlinkSync(join(folder.path, '..data'));
    folder.write(files({ a: '3', c: '4' }));
    expect(readFileSync(join(folder.path, 'a'), 'utf8')).toBe('3');
    expect(readdirSync(folder.path).filter((name) => !name.startsWith('..'))).toEqual(['a', 'c']);
    expect(readdirSync(folder.path)).not.toContain(before);
    expect(readlinkSync(join(folder.path, 'a'))).toBe('..data/a');
  });

  it('leaves equal content alone, so that watchers see no change', () => {
    const folder = new AtomicFolder(join(dir, 'v'), undefined);
    folder.write(files({ a: '1' }));
    const before = readlinkSync(join(folder.path, '..data'));
    folder.write(files({ a: '1' }));
    expect(readlinkSync(join(folder.path, '..data'))).toBe(before);
  });

  it.each(['../x', '/x', 'a/../../x', '..data', ''])('refuses the path %j', (path) => {
    const folder = new AtomicFolder(join(dir, 'v'), undefined);
    expect(() => folder.write(files({ [path]: 'x' }))).toThrow('not allowed');
    expect(readdirSync(folder.path)).toEqual([]);
  });
});
