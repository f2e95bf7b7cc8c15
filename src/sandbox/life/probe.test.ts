// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import { findProblems, type ProbeInputs, probeHost } from './probe.ts';

function machine(overrides: Partial<ProbeInputs> & { missing?: string[]; settings?: Record<string, string> } = {}) {
  const { missing = [], settings = {}, ...rest } = overrides;
  return {
    platform: 'linux',
    rootless: true,
    path: '/usr/bin',
    stateDir: '/home/a/.local/state/isthmus/sandbox/default',
    hasProgram: (name) => !missing.includes(name),
    kernelSetting: (name) => settings[name],
    run: () => ({ ok: true, error: '' }),
    ...rest,
  } satisfies ProbeInputs;
}

const forbidden = () => ({ ok: false, error: 'unshare: unshare failed: Operation not permitted' });

describe('the probe of the host', () => {
  it('is content with a machine that has everything', () => {
    expect(findProblems(machine())).toEqual([]);
    expect(findProblems(machine({ missing: ['nft'] }))).toEqual([]);
    expect(findProblems(machine({ missing: ['python3'] }))).toEqual([]);
  });

  it('does not count an interpreter that pods cannot see', () => {
    const inHome = (name: string, path: string) => name !== 'nft' && (name !== 'python3' || path.includes('/home'));
    expect(findProblems(machine({ path: '/home/a/bin:/usr/bin', hasProgram: inHome })).join()).toContain('below /usr');
  });

  it('says all that is missing at once, in one paragraph', () => {
    const probe = () =>
      probeHost(machine({ missing: ['ip', 'setpriv', 'nft', 'python3'], stateDir: '/run/user/1000/x' }));
    expect(probe).toThrow(/setpriv .*ip \(package iproute2\).*nftables.*python3.*ISTHMUS_STATE_DIR/);
    expect(probe).not.toThrow(/\n/);
  });

  it.each([
    [
      'kernel/apparmor_restrict_unprivileged_userns',
      '1',
      /AppArmor.*sysctl -w kernel.apparmor_restrict_unprivileged_userns=0.*sudo/,
    ],
    ['kernel/unprivileged_userns_clone', '0', /sysctl -w kernel.unprivileged_userns_clone=1/],
    ['user/max_user_namespaces', '0', /sysctl -w user.max_user_namespaces=/],
    ['nothing/special', '', /User namespaces cannot be made here \(unshare: .*not permitted\)/],
  ])('user namespaces forbidden by %s', (setting, value, message) => {
    expect(findProblems(machine({ run: forbidden, settings: { [setting]: value } }))).toEqual([
      expect.stringMatching(message),
    ]);
  });

  it('tells a container’s root what it lacks', () => {
    expect(findProblems(machine({ rootless: false, run: forbidden }))[0]).toMatch(/--privileged/);
  });

  it('names the kernel’s modules when a bridge cannot be made', () => {
    const run: ProbeInputs['run'] = (command) =>
      command.includes('sh') ? { ok: false, error: 'Error: Unknown device type.' } : { ok: true, error: '' };
    expect(findProblems(machine({ run }))[0]).toMatch(/Unknown device type.*modprobe bridge veth/);
  });

  it('tells other systems what to do', () => {
    expect(findProblems(machine({ platform: 'darwin', missing: ['ip'] }))).toEqual([expect.stringMatching(/WSL 2/)]);
  });
});
