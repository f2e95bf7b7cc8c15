// SPDX-License-Identifier: Apache-2.0
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { findGroupPlaces } from './control-group-places.ts';

describe('places for control groups', () => {
  let root: string;
  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), 'groups-'));
  });
  afterEach(() => rmSync(root, { recursive: true }));

  const mount = (type: string, at: string, shows: string, options: string) =>
    `30 20 0:25 ${shows} ${join(root, at)} rw,nosuid shared:4 - ${type} cgroup rw,${options}\n`;
  const group = (path: string, offered = '') => {
    mkdirSync(join(root, path), { recursive: true });
    writeFileSync(join(root, path, 'cgroup.subtree_control'), offered);
  };

  it('are the own groups, one per hierarchy, in version 1', () => {
    for (const path of ['memory/outer/own', 'pids', 'cpu,cpuacct']) group(path);
    const mountinfo =
      mount('cgroup', 'memory', '/', 'memory') +
      mount('cgroup', 'pids', '/', 'pids') +
      mount('cgroup', 'cpu,cpuacct', '/', 'cpu,cpuacct') +
      mount('cgroup2', 'unified', '/', 'nsdelegate');
    const own = '9:name=systemd:/\n8:pids:/\n4:memory:/outer/own\n1:cpu,cpuacct:/\n0::/\n';
    expect(findGroupPlaces(mountinfo, own)).toEqual([
      { version: 1, folder: join(root, 'pids'), controllers: ['pids'] },
      { version: 1, folder: join(root, 'memory/outer/own'), controllers: ['memory'] },
      { version: 1, folder: join(root, 'cpu,cpuacct'), controllers: ['cpu'] },
    ]);
  });

  it('is the nearest ancestor that gives controllers to its children, in version 2', () => {
    group('v2', 'cpuset cpu io memory pids');
    group('v2/user.slice', 'cpu memory pids');
    group('v2/user.slice/session.scope');
    const mountinfo = mount('cgroup2', 'v2', '/', 'nsdelegate');
    expect(findGroupPlaces(mountinfo, '0::/user.slice/session.scope\n')).toEqual([
      { version: 2, folder: join(root, 'v2/user.slice'), controllers: ['memory', 'pids', 'cpu'] },
    ]);
  });

  it('begin where the mount begins, when it shows a part of the hierarchy', () => {
    group('v2', 'memory');
    const mountinfo = mount('cgroup2', 'v2', '/docker/abc', 'nsdelegate');
    expect(findGroupPlaces(mountinfo, '0::/docker/abc\n')).toEqual([
      { version: 2, folder: join(root, 'v2'), controllers: ['memory'] },
    ]);
    expect(findGroupPlaces(mountinfo, '0::/other\n')).toEqual([]);
  });

  it('are none where nothing is mounted or offered', () => {
    group('v2');
    expect(findGroupPlaces('', '0::/\n')).toEqual([]);
    expect(findGroupPlaces(mount('cgroup2', 'v2', '/', 'x'), '0::/\n')).toEqual([]);
  });
});
