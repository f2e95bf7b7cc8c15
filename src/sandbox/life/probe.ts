// SPDX-License-Identifier: Apache-2.0
// What the machine must have for a sandbox. Everything that is missing is said at once, with the cure.
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { isExecutable } from '../../process/executable.ts';
import { SandboxError } from '../layout.ts';

export interface ProbeInputs {
  readonly platform: NodeJS.Platform;
  readonly rootless: boolean;
  readonly path: string;
  readonly stateDir: string;
  hasProgram(name: string, path: string): boolean;
  /** A kernel setting by its path under /proc/sys, trimmed; undefined where the kernel has none. */
  kernelSetting(name: string): string | undefined;
  /** Runs a program to its end; `error` is what it wrote to stderr. */
  run(command: readonly string[], path: string): { ok: boolean; error: string };
}

/** Debian's packages; other distributions use the same names or nearly. */
const PROGRAMS: readonly [program: string, source: string][] = [
  ['unshare', 'util-linux'],
  ['nsenter', 'util-linux'],
  ['setpriv', 'util-linux 2.33 or newer'],
  ['mount', 'mount (util-linux)'],
  ['umount', 'mount (util-linux)'],
  ['pivot_root', 'util-linux'],
  ['mkfifo', 'coreutils'],
  ['ip', 'iproute2'],
  ['sh', 'dash or bash'],
];

/** A pod has no interpreter of pyenv, conda or Homebrew. */
const POD_PATH = '/usr/sbin:/sbin:/usr/bin:/bin:/usr/local/sbin:/usr/local/bin';

/** A bridge and a veth are what the sandbox is wired with. */
const TRY_OUT = 'ip link add ib0 type bridge && ip link add iv0 type veth peer name iv1';

/** @throws SandboxError with one paragraph that names all that is missing. */
export function probeHost(inputs: ProbeInputs): void {
  const problems = findProblems(inputs);
  if (problems.length === 0) return;
  throw new SandboxError(`The sandbox cannot start on this machine. ${problems.join(' ')}`);
}

export function findProblems(inputs: ProbeInputs): string[] {
  if (inputs.platform !== 'linux') {
    return [
      'It is made of Linux namespaces, and this is not Linux: run it in a Linux virtual machine (on macOS for example ' +
        'by `limactl start` or Multipass; on Windows in WSL 2, `wsl --install`), with the project inside of it.',
    ];
  }
  const problems: string[] = [];
  const missing = PROGRAMS.filter(([program]) => !inputs.hasProgram(program, inputs.path));
  if (missing.length > 0) {
    const list = missing.map(([program, source]) => `${program} (package ${source})`).join(', ');
    problems.push(`Missing programs, to be installed with the system's package manager: ${list}.`);
  }
  if (!inputs.hasProgram('nft', POD_PATH) && !inputs.hasProgram('python3', POD_PATH)) {
    problems.push(
      'Packet rules need nft (package nftables) or python3, and neither is below /usr, which is what a pod sees: ' +
        "install one of them with the system's package manager.",
    );
  }
  if (/^\/run(\/|$)|^\/proc(\/|$)/.test(inputs.stateDir)) {
    problems.push(
      `Its files would lie in ${inputs.stateDir}, which the sandbox cannot see from inside (it has a /run of its own): ` +
        'set ISTHMUS_STATE_DIR to a folder elsewhere, such as ~/.local/state/isthmus.',
    );
  }
  if (missing.length === 0) {
    const namespaces = probeNamespaces(inputs);
    if (namespaces !== undefined) problems.push(namespaces);
  }
  return problems;
}

function probeNamespaces(inputs: ProbeInputs): string | undefined {
  const user = inputs.rootless ? ['--user', '--map-root-user'] : [];
  const unshare = ['unshare', ...user, '--net', '--mount', '--pid', '--fork', '--kill-child', '--mount-proc'];
  const bare = inputs.run(['setpriv', '--pdeathsig', 'KILL', '--', ...unshare, 'true'], inputs.path);
  if (!bare.ok) return inputs.rootless ? userNamespacesForbidden(inputs, bare.error) : rootForbidden(bare.error);
  const wired = inputs.run([...unshare, 'sh', '-ec', TRY_OUT], inputs.path);
  if (wired.ok) return undefined;
  return (
    `The kernel did not make a bridge and a veth pair (${wired.error}): load its modules as root ` +
    '(`modprobe bridge veth`) or use a kernel that has them.'
  );
}

function userNamespacesForbidden(inputs: ProbeInputs, error: string): string {
  const asRoot = 'or run the same command as root (by `sudo`)';
  if (inputs.kernelSetting('kernel/apparmor_restrict_unprivileged_userns') === '1') {
    return (
      'AppArmor forbids plain users to make user namespaces here (Ubuntu 23.10 and newer): allow it until the next ' +
      `boot by \`sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0\`, ${asRoot}.`
    );
  }
  if (inputs.kernelSetting('kernel/unprivileged_userns_clone') === '0') {
    return (
      'The kernel forbids plain users to make user namespaces: allow it by ' +
      `\`sudo sysctl -w kernel.unprivileged_userns_clone=1\`, ${asRoot}.`
    );
  }
  if (inputs.kernelSetting('user/max_user_namespaces') === '0') {
    return (
      'The limit of user namespaces is 0 on this machine: raise it by ' +
      `\`sudo sysctl -w user.max_user_namespaces=10000\`, ${asRoot}.`
    );
  }
  return (
    `User namespaces cannot be made here (${error}). In a container, give it the right to (for Docker: ` +
    `\`--security-opt seccomp=unconfined --security-opt systempaths=unconfined\`, or \`--privileged\`), ${asRoot}.`
  );
}

function rootForbidden(error: string): string {
  return (
    `Namespaces cannot be made here although this is root (${error}). In a container, run it with \`--privileged\`; ` +
    'or try as a plain user with --rootless.'
  );
}

/** The real machine. */
export function hostProbe(options: Pick<ProbeInputs, 'rootless' | 'path' | 'stateDir'>): ProbeInputs {
  return {
    ...options,
    platform: process.platform,
    hasProgram: (name, path) => path.split(':').some((dir) => dir !== '' && isExecutable(`${dir}/${name}`)),
    kernelSetting: (name) => {
      try {
        return readFileSync(`/proc/sys/${name}`, 'utf8').trim();
      } catch {
        return undefined;
      }
    },
    run: (command, path) => {
      const result = spawnSync(command[0]!, command.slice(1), {
        encoding: 'utf8',
        timeout: 10_000,
        env: { ...process.env, PATH: path },
      });
      const error = (result.error?.message ?? result.stderr).trim().replaceAll('\n', '; ');
      return { ok: result.status === 0, error: error || `exit code ${result.status}` };
    },
  };
}
