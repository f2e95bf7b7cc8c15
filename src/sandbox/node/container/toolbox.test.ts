// SPDX-License-Identifier: Apache-2.0
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { atStandIn, writeToolbox } from './toolbox.ts';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'isthmus-toolbox-'));
  mkdirSync(join(dir, 'dist/images'), { recursive: true });
  writeFileSync(join(dir, 'dist/images/curl.mjs'), 'curl');
  writeFileSync(join(dir, 'node'), 'node');
  for (const path of ['dist', 'dist/images', 'node']) chmodSync(join(dir, path), 0o755);
  chmodSync(join(dir, 'dist/images/curl.mjs'), 0o644);
});
afterEach(() => rmSync(dir, { recursive: true }));

const write = (copies: string | undefined) =>
  writeToolbox(
    { node: join(dir, 'node'), envoy: undefined, dist: join(dir, 'dist') },
    join(dir, 'bin'),
    copies && join(dir, copies),
  );

describe('the toolbox', () => {
  it('leaves files where they are when everybody can read them', () => {
    expect(write('copies')).toEqual({
      bin: join(dir, 'bin'),
      programs: { node: join(dir, 'node') },
      dist: join(dir, 'dist'),
    });
  });

  it('copies what the pods’ users could not read', () => {
    chmodSync(join(dir, 'node'), 0o700);
    chmodSync(join(dir, 'dist/images/curl.mjs'), 0o600);
    const { programs, dist } = write('copies');
    expect(programs['node']).toBe(join(dir, 'copies/node'));
    expect(statSync(join(dir, 'copies/node')).mode & 0o777).toBe(0o755);
    expect(readFileSync(join(dist, 'images/curl.mjs'), 'utf8')).toBe('curl');
    expect(statSync(join(dist, 'images/curl.mjs')).mode & 0o777).toBe(0o644);
    expect(statSync(join(dir, 'node')).mode & 0o777).toBe(0o700);
  });

  it('has what images have and the machine may lack; the machine’s own comes first', () => {
    write(undefined);
    const script = readFileSync(join(dir, 'bin/nc'), 'utf8');
    expect(script.indexOf('exec "$own"')).toBeLessThan(script.indexOf('images/nc.mjs'));
    expect(atStandIn(['/usr/bin/fortio', 'load'])).toEqual(['/opt/isthmus/bin/fortio', 'load']);
    expect(atStandIn(['/usr/bin/env', 'a'])).toEqual(['/usr/bin/env', 'a']);
  });

  it('copies nothing when pods run as the same user', () => {
    chmodSync(join(dir, 'node'), 0o700);
    expect(write(undefined).programs['node']).toBe(join(dir, 'node'));
  });
});
