// SPDX-License-Identifier: Apache-2.0
// Runs a further command in a container that runs: exec, exec probes, lifecycle hooks.
import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import type { Readable, Writable } from 'node:stream';
import { finished } from 'node:stream/promises';
import type { ContainerRuntime, RunningContainer } from './container-runtime.ts';
import { setprivWords } from './credentials.ts';
import { PRIVILEGED_ENVIRONMENT } from './privileged-environment.ts';
import { quoteWords, renderExec } from './shell.ts';
import { renderTerminal, TerminalResizer } from './terminal.ts';
import { atStandIn } from './toolbox.ts';

export interface ExecOptions {
  /** Give the command a terminal: stdout then carries what the terminal shows. */
  readonly tty: boolean;
  /** Keep standard input open. */
  readonly stdin: boolean;
}

export interface ContainerExec {
  readonly stdin: Writable | undefined;
  readonly stdout: Readable;
  readonly stderr: Readable;
  /** Resolves with the exit code (128 + N for signal N) when the command has ended and its output was read. */
  readonly exited: Promise<number>;
  /** Ends the command; what it started in the background stays, as in other runtimes. */
  kill(): void;
  /** With a terminal: sets its size. */
  resize(columns: number, rows: number): void;
}

/**
 * Enters all namespaces of the container and becomes who its processes are, with the container's environment.
 * The command's shell tells the name of its terminal over descriptor 4.
 */
export function execInContainer(
  runtime: ContainerRuntime,
  container: RunningContainer,
  argv: readonly string[],
  options: ExecOptions,
): ContainerExec {
  const { pid, config } = container;
  if (pid === undefined) throw new Error('the container has ended');
  const environment = {
    ...(options.tty && { TERM: 'xterm' }),
    // `kubectl cp` sends its user's files with their owner, and uid 0 here may not give files away.
    ...(argv[0] === 'tar' && config.credentials.uid === 0 && { TAR_OPTIONS: '--no-same-owner' }),
    ...config.environment,
  };
  const program = renderExec(atStandIn(argv), environment, config.workingDir, runtime.execPrefix);
  const owner = runtime.pipeOwner(config.credentials);
  const stdout = runtime.pipes.output(owner);
  const stderr = runtime.pipes.output(owner);
  const stdin = options.stdin ? runtime.pipes.input(owner) : undefined;
  const child = spawn(
    '/bin/sh',
    [
      '-c',
      // What is run in a container counts against its limits.
      `for group in ${quoteWords(container.group.joinFiles)}; do echo 0 >"$group"; done; exec nsenter "$@"`,
      'sh',
      `--target=${pid}`,
      '--mount',
      '--uts',
      '--ipc',
      '--net',
      '--pid',
      '/usr/bin/setpriv',
      ...setprivWords(config.credentials, runtime.rootless),
      '/bin/sh',
      '-c',
      // The script comes by a descriptor: in the command line every user of the machine could read the environment.
      'eval "$(cat <&3 3<&-)"',
    ],
    {
      env: PRIVILEGED_ENVIRONMENT,
      cwd: '/',
      stdio: [stdin?.childFd ?? 'ignore', stdout.childFd, stderr.childFd, 'pipe', 'pipe'],
      detached: true,
    },
  );
  for (const pipe of [stdin, stdout, stderr]) pipe?.release();
  const script = child.stdio[3] as Writable;
  script.on('error', () => {});
  const resizer = new TerminalResizer(pid, child.stdio[4] as Readable);
  if (options.tty) void resizer.firstSize.then((size) => script.end(renderTerminal(program, size, 'tty >&4')));
  else script.end(`exec 3<&- 4>&-\n${program}`);
  return {
    stdin: stdin?.writer,
    stdout: stdout.reader,
    stderr: stderr.reader,
    exited: exitCodeOf(child, [stdout.reader, stderr.reader]),
    kill: () => killInside(child),
    resize: (columns, rows) => resizer.resize({ columns, rows }),
  };
}

/**
 * Kills the command, not nsenter that waits for it outside: without its parent the command would become a zombie of a
 * process that may not reap it, and the container's namespace could not end.
 */
function killInside(child: ChildProcess): void {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  try {
    const inside = readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, 'utf8').trim();
    // Before nsenter forks there is no command yet.
    if (inside === '') child.kill('SIGKILL');
    else for (const pid of inside.split(' ')) process.kill(Number(pid), 'SIGKILL');
  } catch {
    child.kill('SIGKILL');
  }
}

async function exitCodeOf(child: ChildProcess, streams: readonly Readable[]): Promise<number> {
  const code = new Promise<number>((resolve) => {
    child.once('error', () => resolve(127));
    child.once('exit', (exitCode, signal) => resolve(exitCode ?? (signal === 'SIGKILL' ? 137 : 143)));
  });
  const output = streams.map((stream) => finished(stream, { writable: false }).catch(() => {}));
  const exitCode = await code;
  // A process left in the background may hold the pipes for ever.
  await Promise.race([Promise.all(output), new Promise((resolve) => setTimeout(resolve, 500).unref())]);
  return exitCode;
}

export interface CapturedExec {
  readonly exitCode: number;
  /** stdout and stderr as they came, at most 10 KiB (the kubelet's limit for probes). */
  readonly output: string;
}

/** Runs a command to its end or kills it after `timeoutMs` (then the exit code is undefined). */
export async function captureExec(
  runtime: ContainerRuntime,
  container: RunningContainer,
  argv: readonly string[],
  timeoutMs: number,
): Promise<CapturedExec | undefined> {
  const exec = execInContainer(runtime, container, argv, { tty: false, stdin: false });
  let output = '';
  const take = (chunk: Buffer) => {
    if (output.length < 10_240) output += chunk.toString('utf8');
  };
  exec.stdout.on('data', take);
  exec.stderr.on('data', take);
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => {
      exec.kill();
      resolve(undefined);
    }, timeoutMs);
  });
  const exitCode = await Promise.race([exec.exited, timeout]);
  clearTimeout(timer);
  return exitCode === undefined ? undefined : { exitCode, output: output.slice(0, 10_240) };
}
