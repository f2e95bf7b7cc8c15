// SPDX-License-Identifier: Apache-2.0
// Runs containers: processes in mount, pid, uts and ipc namespaces of their own, in a network namespace that exists.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chmodSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable, Writable } from 'node:stream';
import type { Controller } from './control-group-places.ts';
import { type ContainerLimits, type ControlGroup, ControlGroups } from './control-groups.ts';
import type { Credentials } from './credentials.ts';
import { type HostTree, MountTable, type ProcGuards, readHostTree, readProcGuards } from './host-tree.ts';
import { renderInit } from './init-script.ts';
import type { LogFile } from './log-file.ts';
import { PipePool } from './pipe-pool.ts';
import { PRIVILEGED_ENVIRONMENT } from './privileged-environment.ts';
import { identifyProcess, mountNamespaceOf, ProcessRecords, processesIn } from './process-identity.ts';
import { type ContainerMount, writeRoot } from './root-plan.ts';
import { type Toolbox, type ToolPaths, writeToolbox } from './toolbox.ts';

export interface ContainerConfig {
  readonly hostname: string;
  /** Name under /run/netns. */
  readonly netns: string;
  readonly argv: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  readonly workingDir: string;
  readonly credentials: Credentials;
  readonly mounts: readonly ContainerMount[];
  /** Of the machine, seen read-only at the same place. */
  readonly hostFolders?: readonly string[];
  readonly readOnlyRoot: boolean;
  readonly etcFiles: Readonly<Record<string, string>>;
  readonly sharedMemoryFolder: string;
  /** On a file system of the pod's own: what a container writes to its termination log must not fill another's. */
  readonly terminationFolder: string;
  /** Where the container finds it, besides /dev/termination-log. */
  readonly terminationMessagePath?: string | undefined;
  readonly log: LogFile;
  /** The first process of a pid namespace that the container shall live in; it has one of its own otherwise. */
  readonly processesOf?: number | undefined;
  readonly limits: ContainerLimits;
  /** Of each scratch folder (/tmp, /var/log...). */
  readonly scratchBytes: number;
  /** How soon the kernel picks it when the machine itself runs out of memory: 0 to 1000. */
  readonly oomScore: number;
  /** Keep standard input open for attach. */
  readonly stdin?: boolean;
  /** Run on a terminal of its own, /dev/pts/0; its input must be open. */
  readonly tty?: boolean;
}

export interface ContainerExit {
  readonly exitCode: number;
  /** As in a container's status. */
  readonly reason: 'Completed' | 'Error' | 'OOMKilled';
  readonly finishedAt: Date;
  /** What the program left in /dev/termination-log. */
  readonly message: string;
}

export interface ContainerRuntimeOptions {
  /** On disk, 0700: process records. */
  readonly stateDir: string;
  readonly rootless: boolean;
  readonly tools: ToolPaths;
}

/** Needs CAP_SYS_ADMIN in its user namespace, and util-linux (setpriv, nsenter, unshare, mount, pivot_root). */
export class ContainerRuntime {
  readonly rootless: boolean;
  /** A file system in memory for what must not reach the disk: secrets, tokens, environments. */
  readonly memoryDir: string;
  readonly execPrefix: readonly string[];
  readonly pipes: PipePool;
  /** What of a container's limits this machine lets us enforce. */
  readonly enforcedLimits: readonly Controller[];
  readonly #records: ProcessRecords;
  readonly #groups: ControlGroups;
  readonly #toolbox: Toolbox;
  readonly #hostTree: HostTree;
  readonly #procGuards: ProcGuards;
  readonly #mountTable: MountTable;
  readonly #running = new Set<RunningContainer>();

  /** Kills what an earlier node process left, then mounts the memory file system anew. */
  constructor(options: ContainerRuntimeOptions) {
    this.rootless = options.rootless;
    const recordsDir = join(options.stateDir, 'processes');
    mkdirSync(recordsDir, { recursive: true, mode: 0o700 });
    this.#records = new ProcessRecords(recordsDir);
    this.#records.killAll();
    this.#groups = ControlGroups.open(options.stateDir);
    this.enforcedLimits = this.#groups.controllers;
    this.memoryDir = join(options.stateDir, 'memory');
    this.#remountMemory();
    this.#hostTree = readHostTree();
    this.#procGuards = readProcGuards();
    this.#mountTable = new MountTable();
    const copies = options.rootless ? undefined : join(options.stateDir, 'tools');
    this.#toolbox = writeToolbox(options.tools, join(this.memoryDir, 'toolbox'), copies);
    mkdirSync(join(this.memoryDir, 'containers'), { mode: 0o700 });
    mkdirSync(join(this.memoryDir, 'pipes'), { mode: 0o700 });
    this.pipes = new PipePool(join(this.memoryDir, 'pipes'));
    this.execPrefix = selectExecPrefix();
  }

  /** Starts a container. Rejects with what the set-up said; its log has nothing then. */
  async start(config: ContainerConfig): Promise<RunningContainer> {
    const id = randomBytes(32).toString('hex');
    const folder = join(this.memoryDir, 'containers', id.slice(0, 16));
    mkdirSync(folder, { mode: 0o700 });
    const group = this.#groups.create(id.slice(0, 16), config.limits);
    const terminationLog = join(config.terminationFolder, id.slice(0, 16));
    writeFileSync(terminationLog, '');
    chmodSync(terminationLog, 0o666);
    try {
      writeFileSync(
        join(folder, 'init.sh'),
        renderInit(config.argv, config.environment, config.workingDir, this.execPrefix, config.tty === true),
        { mode: 0o600 },
      );
      const script = writeRoot({
        folder,
        hostname: config.hostname,
        credentials: config.credentials,
        rootless: this.rootless,
        mounts: [...config.mounts, ...terminationMount(config, terminationLog)],
        hostFolders: config.hostFolders ?? [],
        readOnlyRoot: config.readOnlyRoot,
        etcFiles: config.etcFiles,
        sharedMemoryFolder: config.sharedMemoryFolder,
        terminationLog,
        toolbox: this.#toolbox,
        hostTree: this.#hostTree,
        procGuards: this.#procGuards,
        mountTable: this.#mountTable,
        joinFiles: group.joinFiles,
        scratchBytes: config.scratchBytes,
        oomScore: config.oomScore,
      });
      const owner = this.pipeOwner(config.credentials);
      const stdout = this.pipes.output(owner);
      const stderr = this.pipes.output(owner);
      const stdin = config.stdin ? this.pipes.input(owner) : undefined;
      const child = spawn('setpriv', setupCommand(config, script), {
        env: PRIVILEGED_ENVIRONMENT,
        cwd: '/',
        stdio: [stdin?.childFd ?? 'ignore', stdout.childFd, stderr.childFd, 'pipe'],
        detached: true,
      });
      for (const pipe of [stdin, stdout, stderr]) pipe?.release();
      const streams = { stdin: stdin?.writer, stdout: stdout.reader, stderr: stderr.reader };
      const container = new RunningContainer(id, child, config, streams, terminationLog, group);
      this.#running.add(container);
      void container.exited.then(async () => {
        this.#running.delete(container);
        this.#records.remove(id);
        rmSync(terminationLog, { force: true });
        await group.remove();
        await this.#removeFolder(folder);
      });
      await container.started((pid) => {
        const identity = identifyProcess(pid);
        if (identity) this.#records.write(id, identity);
        return identity?.pidNamespace;
      });
      return container;
    } catch (error) {
      await group.remove();
      await this.#removeFolder(folder);
      throw error;
    }
  }

  /** Who may open a container's standard streams anew. */
  pipeOwner(credentials: Credentials): number | undefined {
    return this.rootless ? undefined : credentials.uid;
  }

  /** Kills every container and unmounts the memory file system. */
  async close(): Promise<void> {
    const all = [...this.#running];
    for (const container of all) container.kill('SIGKILL');
    await Promise.all(all.map((container) => container.exited));
    await this.#groups.close();
    spawnSync('umount', ['-l', this.memoryDir], { env: PRIVILEGED_ENVIRONMENT });
  }

  #remountMemory(): void {
    mkdirSync(this.memoryDir, { recursive: true, mode: 0o700 });
    while (new MountTable().isMountPoint(this.memoryDir)) {
      const result = spawnSync('umount', ['-l', this.memoryDir], { env: PRIVILEGED_ENVIRONMENT, encoding: 'utf8' });
      if (result.status !== 0) throw new Error(`cannot unmount ${this.memoryDir}: ${result.stderr.trim()}`);
    }
    const options = 'mode=0700,nosuid,nodev,size=50%';
    const result = spawnSync('mount', ['-t', 'tmpfs', '-o', options, 'isthmus', this.memoryDir], {
      env: PRIVILEGED_ENVIRONMENT,
      encoding: 'utf8',
    });
    if (result.status !== 0) {
      throw new Error(
        `cannot mount a file system in memory at ${this.memoryDir}: ${result.error?.message ?? result.stderr.trim()}; the node must run as root or inside the sandbox's user namespace`,
      );
    }
  }

  async #removeFolder(folder: string): Promise<void> {
    // The container's mounts live in its own namespace. Should one ever show up here, deleting would follow it.
    if (new MountTable().mountsBelow(folder).length > 0) return;
    await rm(folder, { recursive: true, force: true });
  }
}

function terminationMount({ terminationMessagePath }: ContainerConfig, source: string): ContainerMount[] {
  if (!terminationMessagePath || terminationMessagePath === DEFAULT_TERMINATION_LOG) return [];
  return [{ source, target: terminationMessagePath, readOnly: false }];
}

function setupCommand({ netns, processesOf }: ContainerConfig, script: string): string[] {
  const network = `--net=/run/netns/${netns}`;
  const ownProcesses = ['nsenter', network, 'unshare', '--pid', '--fork', '--kill-child'];
  const words =
    processesOf === undefined ? ownProcesses : ['nsenter', network, `--pid=/proc/${processesOf}/ns/pid`, 'unshare'];
  return ['--pdeathsig', 'KILL', ...words, '--mount', '--uts', '--ipc', '/bin/sh', script];
}

/** env(1) can undo ignored signals since coreutils 8.31; without it programs start with SIGINT and SIGQUIT ignored. */
function selectExecPrefix(): readonly string[] {
  const prefix = ['env', '--default-signal=INT,QUIT'];
  const probe = spawnSync(prefix[0]!, [...prefix.slice(1), 'true'], { env: PRIVILEGED_ENVIRONMENT, stdio: 'ignore' });
  return probe.status === 0 ? prefix : [];
}

const DEFAULT_TERMINATION_LOG = '/dev/termination-log';
const SIGNAL_NUMBERS: Readonly<Record<string, number>> = { SIGKILL: 9, SIGTERM: 15, SIGSEGV: 11, SIGABRT: 6 };

interface ContainerStreams {
  readonly stdin: Writable | undefined;
  readonly stdout: Readable;
  readonly stderr: Readable;
}

export class RunningContainer {
  readonly id: string;
  readonly startedAt = new Date();
  readonly config: ContainerConfig;
  readonly group: ControlGroup;
  /** Resolves when the container's processes are gone and its output is in the log. */
  readonly exited: Promise<ContainerExit>;
  readonly stdin: Writable | undefined;
  readonly stdout: Readable;
  readonly stderr: Readable;
  #pid: number | undefined;
  #pidNamespace: string | undefined;
  #mountNamespace: string | undefined;
  #ended = false;
  #killed = false;
  readonly #child: ChildProcess;
  readonly #status: Readable;

  constructor(
    id: string,
    child: ChildProcess,
    config: ContainerConfig,
    streams: ContainerStreams,
    terminationLog: string,
    group: ControlGroup,
  ) {
    this.id = id;
    this.group = group;
    this.config = config;
    this.#child = child;
    this.stdin = streams.stdin;
    this.stdout = streams.stdout;
    this.stderr = streams.stderr;
    this.#status = child.stdio[3] as Readable;
    const logged = Promise.all([config.log.consume('stdout', this.stdout), config.log.consume('stderr', this.stderr)]);
    this.exited = new Promise((resolve) => {
      child.once('error', () => this.#finish(127, terminationLog, logged, resolve));
      child.once('exit', (code, signal) => {
        // unshare says 1 for a first process that was killed.
        const exitCode = this.#killed ? 137 : (code ?? 128 + (SIGNAL_NUMBERS[signal ?? ''] ?? 0));
        this.#finish(exitCode, terminationLog, logged, resolve);
      });
    });
  }

  /** The first process of the container, as this process counts. */
  get pid(): number | undefined {
    return this.#ended ? undefined : this.#pid;
  }

  /** `pid:[4026532288]`; undefined until the container has its first process. */
  get pidNamespace(): string | undefined {
    return this.#pidNamespace;
  }

  /**
   * Resolves when the set-up is done and the program is about to run.
   * @param onPid answers which pid namespace it is
   */
  started(onPid: (pid: number) => string | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      let text = '';
      let isStarted = false;
      this.#status.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk;
        const pid = /^pid (\d+)$/m.exec(text)?.[1];
        if (pid !== undefined && this.#pid === undefined) {
          this.#pid = Number(pid);
          try {
            this.#pidNamespace = onPid(this.#pid);
          } catch (error) {
            // The disk is full, say: this container does not start, and the node with all the others goes on.
            this.kill('SIGKILL');
            reject(error as Error);
          }
          this.#mountNamespace = mountNamespaceOf(this.#pid);
        }
        if (/^started$/m.test(text)) {
          isStarted = true;
          resolve();
        }
      });
      this.#status.on('error', () => {});
      this.#child.once('error', (error) => reject(new Error(`cannot run setpriv: ${error.message}`)));
      this.#child.once('close', () => {
        if (isStarted) return;
        const said = this.group.wasOutOfMemory
          ? 'it was killed for want of memory (is the limit too low?)'
          : text.replace(/^pid \d+\n/, '').trim();
        reject(new Error(`the container's set-up failed: ${said || 'it was killed'}`));
      });
    });
  }

  /** SIGTERM goes to the program (the init passes it on); SIGKILL ends all processes of the container. */
  kill(signal: 'SIGTERM' | 'SIGKILL'): void {
    if (this.#ended) return;
    this.#killed ||= signal === 'SIGKILL';
    try {
      if (signal === 'SIGKILL') this.#endRest();
      if (this.#pid !== undefined) process.kill(this.#pid, signal);
      else this.#child.kill('SIGKILL');
    } catch {
      // It ended in this moment.
    }
  }

  /** With the first process of a pid namespace goes all the rest; in another's, each has to be ended. */
  #endRest(): void {
    if (this.config.processesOf === undefined || this.#mountNamespace === undefined) return;
    for (const pid of processesIn(this.#mountNamespace)) {
      try {
        process.kill(pid, 'SIGKILL');
      } catch {
        // It ended in this moment.
      }
    }
  }

  #finish(
    exitCode: number,
    terminationLog: string,
    logged: Promise<unknown>,
    resolve: (exit: ContainerExit) => void,
  ): void {
    this.#ended = true;
    this.#endRest();
    const finishedAt = new Date();
    const wasOutOfMemory = exitCode === 137 && !this.#killed && this.group.wasOutOfMemory;
    const reason = wasOutOfMemory ? 'OOMKilled' : exitCode === 0 ? 'Completed' : 'Error';
    void logged.then(() => {
      resolve({
        exitCode,
        reason,
        finishedAt,
        message: readMessage(terminationLog),
      });
    });
  }
}

/** At most 4096 bytes, as the kubelet takes them. */
function readMessage(path: string): string {
  try {
    return readFileSync(path).subarray(0, 4096).toString('utf8');
  } catch {
    return '';
  }
}
