// SPDX-License-Identifier: Apache-2.0
// What of the machine's file tree a container sees (always read-only), and with which mount options.
import { existsSync, lstatSync, readFileSync, readlinkSync, realpathSync, statSync } from 'node:fs';
import { dirname } from 'node:path';

export interface HostBind {
  readonly source: string;
  readonly target: string;
  readonly isDirectory: boolean;
}
export interface HostTree {
  readonly binds: readonly HostBind[];
  /** Path -> target, as on the machine: /bin -> usr/bin. */
  readonly symlinks: readonly { readonly path: string; readonly target: string }[];
}

const SYSTEM_FOLDERS = ['/usr', '/bin', '/sbin', '/lib', '/lib32', '/lib64', '/libx32'];
// Only what holds no secret: /etc/ssl/private, /etc/pki/tls/private stay out.
const SYSTEM_CONFIGURATION = [
  '/etc/alternatives',
  '/etc/crypto-policies',
  '/etc/ld.so.cache',
  '/etc/localtime',
  '/etc/pki/ca-trust/extracted',
  '/etc/pki/tls/certs',
  '/etc/ssl/certs',
  '/etc/ssl/openssl.cnf',
];

/** Looks at the machine once; the answer holds for every container of a node. */
export function readHostTree(): HostTree {
  const binds: HostBind[] = [];
  const symlinks: { path: string; target: string }[] = [];
  for (const path of SYSTEM_FOLDERS) {
    const info = lstatSync(path, { throwIfNoEntry: false });
    if (info?.isSymbolicLink()) symlinks.push({ path, target: readlinkSync(path) });
    else if (info?.isDirectory()) binds.push({ source: path, target: path, isDirectory: true });
  }
  for (const path of SYSTEM_CONFIGURATION) {
    if (!existsSync(path)) continue;
    const source = realpathSync(path);
    binds.push({ source, target: path, isDirectory: statSync(source).isDirectory() });
  }
  return { binds, symlinks };
}

/** What of /proc tells about the machine or changes it, beyond the container's own processes (as OCI runtimes do). */
const PROC_READ_ONLY = ['/proc/sys', '/proc/sysrq-trigger', '/proc/irq', '/proc/bus', '/proc/fs', '/proc/mtrr'];
const PROC_HIDDEN = [
  '/proc/acpi',
  '/proc/asound',
  '/proc/kcore',
  '/proc/keys',
  '/proc/latency_stats',
  '/proc/scsi',
  '/proc/timer_list',
  '/proc/timer_stats',
  '/proc/sched_debug',
  '/proc/interrupts',
];

export interface ProcGuards {
  readonly readOnly: readonly string[];
  readonly hiddenFiles: readonly string[];
  readonly hiddenFolders: readonly string[];
}

export function readProcGuards(): ProcGuards {
  const hidden = PROC_HIDDEN.filter((path) => existsSync(path));
  return {
    readOnly: PROC_READ_ONLY.filter((path) => existsSync(path)),
    hiddenFiles: hidden.filter((path) => !statSync(path).isDirectory()),
    hiddenFolders: hidden.filter((path) => statSync(path).isDirectory()),
  };
}

interface Mount {
  readonly point: string;
  readonly options: ReadonlySet<string>;
}

/** The mounts that this process sees; to be read once per node, before it makes its own. */
export class MountTable {
  readonly #mounts: readonly Mount[];

  constructor(mountinfo: string = readFileSync('/proc/self/mountinfo', 'utf8')) {
    this.#mounts = mountinfo
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => {
        const fields = line.split(' ');
        return { point: decodeOctal(fields[4] ?? '/'), options: new Set((fields[5] ?? '').split(',')) };
      });
  }

  /** Mount points strictly below `path`, outer ones first. */
  mountsBelow(path: string): string[] {
    return this.#mounts.map(({ point }) => point).filter((point) => point.startsWith(`${path}/`));
  }

  isMountPoint(path: string): boolean {
    return this.#mounts.some(({ point }) => point === path);
  }

  /**
   * Options of a read-only bind of `source`. In a user namespace nosuid, nodev and noexec of the source are locked:
   * a remount that leaves one out is refused. A bind that would uncover what other mounts hide is refused there too.
   * @param recursive with all mounts below; these are not made read-only by it
   */
  readOnlyBindOptions(source: string, isDevice: boolean, recursive: boolean): string {
    const options = [recursive ? 'rbind' : 'bind', 'ro', 'nosuid'];
    if (!isDevice) options.push('nodev');
    if (this.#mountOf(source)?.options.has('noexec')) options.push('noexec');
    return options.join(',');
  }

  #mountOf(path: string): Mount | undefined {
    for (let folder = path; ; folder = dirname(folder)) {
      const mount = this.#mounts.findLast(({ point }) => point === folder);
      if (mount || folder === '/') return mount;
    }
  }
}

/** Undoes the octal escapes of /proc/self/mountinfo. */
function decodeOctal(text: string): string {
  return text.replaceAll(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
}
