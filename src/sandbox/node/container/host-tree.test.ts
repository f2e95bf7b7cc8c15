// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import { MountTable, readHostTree } from './host-tree.ts';

const MOUNTINFO = `21 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw
22 21 8:2 / /usr rw,nosuid,relatime - ext4 /dev/sda2 rw
23 22 8:3 / /usr/share/with\\040space rw,noexec,relatime - ext4 /dev/sda3 rw
24 21 0:5 / /dev rw,nosuid,noexec - devtmpfs dev rw
`;

describe('MountTable', () => {
  const table = new MountTable(MOUNTINFO);

  it('knows what lies below a path, by names with escapes too', () => {
    expect(table.mountsBelow('/usr')).toEqual(['/usr/share/with space']);
    expect(table.mountsBelow('/us')).toEqual([]);
    expect(table.isMountPoint('/usr/share/with space')).toBe(true);
  });

  it('keeps the options that a user namespace would not let go', () => {
    expect(table.readOnlyBindOptions('/usr/lib', false, false)).toBe('bind,ro,nosuid,nodev');
    expect(table.readOnlyBindOptions('/usr/share/with space/x', false, false)).toBe('bind,ro,nosuid,nodev,noexec');
    expect(table.readOnlyBindOptions('/dev/null', true, false)).toBe('bind,ro,nosuid,noexec');
    expect(table.readOnlyBindOptions('/usr', false, true)).toBe('rbind,ro,nosuid,nodev');
  });
});

describe('readHostTree', () => {
  it('takes the system’s programs, and no secret', () => {
    const { binds, symlinks } = readHostTree();
    expect(binds.map(({ target }) => target)).toContain('/usr');
    expect([...binds, ...symlinks.map(({ path }) => ({ target: path }))].map(({ target }) => target)).toContain('/bin');
    expect(binds.filter(({ target }) => /^\/(home|root|var|etc$|etc\/ssl$|etc\/shadow)/.test(target))).toEqual([]);
  });
});
