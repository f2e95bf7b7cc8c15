// SPDX-License-Identifier: Apache-2.0
// A container's own file tree: empty folders on the node's memory file system, two lists of mounts, one shell script.
//
// The order is what keeps a pod inside its tree:
//   1. Only paths that no pod can influence are mounted while the machine's tree is still there: the system's folders,
//      devices, /proc, and each volume at a numbered staging place.
//   2. pivot_root, and the machine's tree is gone.
//   3. Now the volumes go where the pod wants them. Symbolic links that a pod made in a volume lead at most to its own.
//   4. The root becomes read-only, so that nothing a container's root user writes (/lib64, /etc/ld.so.preload) can be
//      loaded by the privileged first steps of a later exec.
import { chmodSync, mkdirSync, realpathSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { type Credentials, setprivWords } from './credentials.ts';
import type { HostTree, MountTable, ProcGuards } from './host-tree.ts';
import { quoteWord, quoteWords } from './shell.ts';
import type { Toolbox } from './toolbox.ts';

export interface ContainerMount {
  /** A folder or file of the node. */
  readonly source: string;
  /** Absolute path in the container. */
  readonly target: string;
  /** Below `source`; made as a folder when it does not exist. */
  readonly subPath?: string | undefined;
  readonly readOnly: boolean;
}

export interface RootPlan {
  /** A folder of this container alone, on a file system in memory. */
  readonly folder: string;
  readonly hostname: string;
  readonly credentials: Credentials;
  readonly rootless: boolean;
  readonly mounts: readonly ContainerMount[];
  /** Folders of the machine that the image needs, e.g. `/home/me/app`: read-only, at the same place. */
  readonly hostFolders: readonly string[];
  /** readOnlyRootFilesystem: no scratch folders either. */
  readonly readOnlyRoot: boolean;
  /** File name in /etc -> content. */
  readonly etcFiles: Readonly<Record<string, string>>;
  /** Shared by the pod's containers. */
  readonly sharedMemoryFolder: string;
  /** Taken as the message of the container's end. */
  readonly terminationLog: string;
  /** Folder with node, envoy, isthmus, curl and the files behind the first two. */
  readonly toolbox: Toolbox;
  readonly hostTree: HostTree;
  readonly procGuards: ProcGuards;
  readonly mountTable: MountTable;
  /** Of the container's control groups. */
  readonly joinFiles: readonly string[];
  readonly scratchBytes: number;
  readonly oomScore: number;
}

/** Descriptors of one process: enough for a proxy under load, and an end for a program that forgets to close. */
const MAX_OPEN_FILES = 65_536;
const DEVICES = ['null', 'zero', 'full', 'random', 'urandom', 'tty'];
const FOLDERS = [
  'dev/pts',
  'dev/shm',
  'etc',
  'home',
  'media',
  'mnt',
  'opt/isthmus/bin',
  'opt/isthmus/dist',
  'opt/isthmus/volumes',
  'proc',
  'root',
  'run',
  'srv',
  'sys',
  'tmp',
  'var/cache',
  'var/lib',
  'var/log',
  'var/tmp',
];
/** Folders that stay writable, each a file system of its own. */
const SCRATCH: readonly (readonly [path: string, mode: string])[] = [
  ['tmp', '1777'],
  ['run', '1777'],
  ['home', '1777'],
  ['root', '0700'],
  ['var/cache', '1777'],
  ['var/lib', '1777'],
  ['var/log', '1777'],
  ['var/tmp', '1777'],
];

/** Writes the container's skeleton, mount lists and set-up script into `plan.folder`; returns the script's path. */
export function writeRoot(plan: RootPlan): string {
  const root = join(plan.folder, 'root');
  mkdirSync(root, { recursive: true, mode: 0o700 });
  // The root folder of the container is this one: everybody in there must be able to pass.
  chmodSync(root, 0o755);
  writeSkeleton(plan, root);
  writeFileSync(join(plan.folder, 'host.fstab'), hostMounts(plan, root).map(fstabLine).join(''), { mode: 0o600 });
  writeFileSync(join(plan.folder, 'volumes.fstab'), volumeMounts(plan).map(fstabLine).join(''), { mode: 0o600 });
  const script = join(plan.folder, 'setup.sh');
  writeFileSync(script, renderSetup(plan, root), { mode: 0o600 });
  return script;
}

function writeSkeleton(plan: RootPlan, root: string): void {
  for (const folder of FOLDERS) mkdirSync(join(root, folder), { recursive: true, mode: 0o755 });
  for (const { path, target } of plan.hostTree.symlinks) symlinkSync(target, join(root, path));
  for (const { target, isDirectory } of plan.hostTree.binds) makeMountPoint(join(root, target), isDirectory);
  for (const device of DEVICES) makeMountPoint(join(root, 'dev', device), false);
  for (const [name, target] of [
    ['ptmx', 'pts/ptmx'],
    ['fd', '/proc/self/fd'],
    ['stdin', '/proc/self/fd/0'],
    ['stdout', '/proc/self/fd/1'],
    ['stderr', '/proc/self/fd/2'],
  ] as const) {
    symlinkSync(target, join(root, 'dev', name));
  }
  symlinkSync('/run', join(root, 'var/run'));
  makeMountPoint(join(root, 'dev/termination-log'), false);
  for (const folder of plan.hostFolders) makeMountPoint(join(root, folder), true);
  for (const [name, content] of Object.entries(plan.etcFiles)) {
    writeFileSync(join(root, 'etc', name), content, { mode: 0o644 });
  }
  plan.mounts.forEach(({ source }, index) => {
    makeMountPoint(join(root, stagingPlace(index)), statSync(source).isDirectory());
  });
}

function makeMountPoint(path: string, isDirectory: boolean): void {
  mkdirSync(isDirectory ? path : dirname(path), { recursive: true, mode: 0o755 });
  if (!isDirectory) writeFileSync(path, '', { mode: 0o644 });
}

interface MountEntry {
  source: string;
  target: string;
  type: string;
  options: string;
}

function fstabLine({ source, target, type, options }: MountEntry): string {
  const encode = (text: string) =>
    text.replaceAll(/[\s\\#]/g, (char) => `\\${char.charCodeAt(0).toString(8).padStart(3, '0')}`);
  return `${encode(source)} ${encode(target)} ${type} ${options} 0 0\n`;
}

function hostMounts(plan: RootPlan, root: string): MountEntry[] {
  const readOnly = (source: string, target: string, isDevice = false): MountEntry => ({
    source,
    target: join(root, target),
    type: 'none',
    options: plan.mountTable.readOnlyBindOptions(source, isDevice, false),
  });
  /**
   * As root, mounts below a system folder stay out. In a user namespace they cannot be left out: each is covered by a
   * read-only bind of itself.
   */
  const readOnlyTree = (source: string, target: string): MountEntry[] => {
    const below = plan.rootless ? plan.mountTable.mountsBelow(source) : [];
    if (below.length === 0) return [readOnly(source, target)];
    const recursive = (from: string): MountEntry => ({
      ...readOnly(from, join(target, from.slice(source.length))),
      options: plan.mountTable.readOnlyBindOptions(from, false, plan.mountTable.mountsBelow(from).length > 0),
    });
    return [source, ...below].map(recursive);
  };
  const fresh = (type: string, target: string, options: string): MountEntry => ({
    source: type,
    target: join(root, target),
    type,
    options: `nosuid,noexec,${options}`,
  });
  return [
    bind(root, root, false),
    ...plan.hostTree.binds.flatMap(({ source, target }) => readOnlyTree(source, target)),
    readOnly(plan.toolbox.bin, 'opt/isthmus/bin'),
    ...Object.entries(plan.toolbox.programs).map(([name, file]) => readOnly(file, `opt/isthmus/bin/${name}`)),
    readOnly(plan.toolbox.dist, 'opt/isthmus/dist'),
    // Read-only devices can be written to; what cannot be changed is the machine's inode (its mode, its owner).
    ...DEVICES.map((device) => readOnly(`/dev/${device}`, `dev/${device}`, true)),
    fresh('devpts', 'dev/pts', 'newinstance,ptmxmode=0666,mode=0620'),
    bind(plan.sharedMemoryFolder, join(root, 'dev/shm'), false),
    bind(plan.terminationLog, join(root, 'dev/termination-log'), false),
    ...(plan.readOnlyRoot ? [] : SCRATCH).map(([path, mode]) => ({
      source: 'tmpfs',
      target: join(root, path),
      type: 'tmpfs',
      options: `nosuid,nodev,mode=${mode},size=${plan.scratchBytes}`,
    })),
    // Behind the scratch folders: /home/me/app lies in one of them.
    ...outerFirst(plan.hostFolders).flatMap((folder) =>
      readOnlyTree(realpathSync(folder), folder).map((entry) => ({
        ...entry,
        options: `${entry.options},X-mount.mkdir`,
      })),
    ),
    fresh('tmpfs', 'sys', 'nodev,ro,size=4k,mode=0555'),
    fresh('proc', 'proc', 'nodev'),
    ...plan.procGuards.readOnly.map((path) => ({
      source: join(root, path),
      target: join(root, path),
      type: 'none',
      options: 'bind,ro,nosuid,nodev,noexec',
    })),
    ...plan.procGuards.hiddenFiles.map((path) => readOnly('/dev/null', path, true)),
    ...plan.procGuards.hiddenFolders.map((path) => fresh('tmpfs', path, 'nodev,ro,size=4k')),
    ...plan.mounts.map(({ source, readOnly: isReadOnly }, index) =>
      bind(source, join(root, stagingPlace(index)), isReadOnly),
    ),
  ];
}

function outerFirst(paths: readonly string[]): string[] {
  return [...paths].sort((a, b) => a.split('/').length - b.split('/').length);
}

/** Where a volume waits, relative to the root, until the machine's tree is gone. */
function stagingPlace(index: number): string {
  return `opt/isthmus/volumes/${index}`;
}

function bind(source: string, target: string, readOnly: boolean): MountEntry {
  return { source, target, type: 'none', options: `bind,nosuid,nodev${readOnly ? ',ro' : ''}` };
}

/** Outer folders first, so that a volume inside another one is not covered by it. */
function orderedMounts(plan: RootPlan): { staged: string; mount: ContainerMount }[] {
  return plan.mounts
    .map((mount, index) => ({
      staged: `/${stagingPlace(index)}${mount.subPath ? `/${mount.subPath}` : ''}`,
      mount,
    }))
    .sort((a, b) => a.mount.target.split('/').length - b.mount.target.split('/').length);
}

function volumeMounts(plan: RootPlan): MountEntry[] {
  return orderedMounts(plan).map(({ staged, mount }) => {
    const entry = bind(staged, mount.target, mount.readOnly);
    return { ...entry, options: `${entry.options},X-mount.mkdir` };
  });
}

/** One call mounts all; only what a subPath leads to is not known beforehand and may be a file. */
function renderVolumeMounts(plan: RootPlan): string {
  if (plan.mounts.length === 0) return '';
  const places = plan.mounts.map((_, index) => `/${stagingPlace(index)}`).join(' ');
  const isSimple = plan.mounts.every(({ source, subPath }) => !subPath && statSync(source).isDirectory());
  const calls = isSimple
    ? 'mount -a -T /proc/self/fd/7\n'
    : orderedMounts(plan)
        .map(({ staged, mount }) => {
          const words = [staged, mount.target, bind(staged, mount.target, mount.readOnly).options];
          return `place ${quoteWords(words)}\n`;
        })
        .join('');
  return `${calls}umount ${places}\n`;
}

/**
 * Runs as the first process of the container's pid namespace, with all privileges that the node has.
 * Descriptor 3 is the node's: `pid N` as the node counts it, `started`, and what failed. 4, 8 and 9 carry the
 * container's standard error, its standard input and the script of its init past the set-up. The name comes by the system call where there is a program
 * for it: the file under /proc/sys belongs to the machine's root, also in a user namespace.
 */
function renderSetup(plan: RootPlan, root: string): string {
  return `set -eu
place() {
  [ -e "$1" ] || (umask 0; mkdir -p "$1")
  if [ -d "$1" ]; then
    [ -d "$2" ] || mkdir -p "$2"
  elif [ ! -e "$2" ]; then
    mkdir -p "\${2%/*}"
    : >"$2"
  fi
  mount -o "$3" "$1" "$2"
}
exec 4>&2 2>&3
for group in ${quoteWords(plan.joinFiles)}; do echo 0 >"$group"; done
echo ${plan.oomScore} >/proc/self/oom_score_adj || :
ulimit -n ${MAX_OPEN_FILES} 2>/dev/null || :
read -r pid rest </proc/self/stat
echo "pid $pid" >&3
echo 0 >/proc/sys/net/ipv4/ip_unprivileged_port_start
exec 7<${quoteWord(join(plan.folder, 'volumes.fstab'))} 9<${quoteWord(join(plan.folder, 'init.sh'))}
mount -a -T ${quoteWord(join(plan.folder, 'host.fstab'))}
hostname ${quoteWord(plan.hostname)} 2>/dev/null || { echo ${quoteWord(plan.hostname)} >/proc/sys/kernel/hostname; } 2>/dev/null || :
cd ${quoteWord(root)}
pivot_root . mnt
cd /
umount -l /mnt
${renderVolumeMounts(plan)}mount -o remount,bind,ro,nosuid,nodev /
exec 7<&-
exec setpriv ${quoteWords(setprivWords(plan.credentials, plan.rootless))} /bin/sh -s 8<&0 <&9 9<&-
`;
}
