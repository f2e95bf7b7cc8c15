// SPDX-License-Identifier: Apache-2.0
// Between the streams of `kubectl exec` and `kubectl attach` and a container.
import type { Readable, Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { execInContainer } from '../container/container-exec.ts';
import type { ContainerRuntime, RunningContainer } from '../container/container-runtime.ts';
import type { LogStream } from '../container/log-file.ts';
import { resizeTerminal } from '../container/terminal.ts';
import type { ExecRun } from '../streaming/exec-session.ts';

/** Runs a command in the container; when the client goes, the command is killed. */
export function execRun(runtime: ContainerRuntime, running: RunningContainer, command: readonly string[]): ExecRun {
  return async (io) => {
    const exec = execInContainer(runtime, running, command, { tty: io.tty, stdin: io.stdin !== undefined });
    io.onResize(({ width, height }) => exec.resize(width, height));
    const kill = () => exec.kill();
    io.signal.addEventListener('abort', kill, { once: true });
    if (io.signal.aborted) kill();
    try {
      if (io.stdin && exec.stdin) void forward(io.stdin, exec.stdin);
      const output = Promise.all([forward(exec.stdout, io.stdout), forward(exec.stderr, io.stderr)]);
      const exitCode = await exec.exited;
      // What a background process of the command may still write is not waited for.
      await Promise.race([output, new Promise((resolve) => setTimeout(resolve, 500).unref())]);
      return { exitCode };
    } finally {
      io.signal.removeEventListener('abort', kill);
      exec.stdin?.destroy();
      exec.stdout.destroy();
      exec.stderr.destroy();
    }
  };
}

/** The terminal of a container's own program is the first one that is opened in it. */
const FIRST_TERMINAL = '/dev/pts/0';

/** Shows what the container writes from now on, and gives it the client's input when its spec has `stdin: true`. */
export function attachRun(running: RunningContainer): ExecRun {
  return async (io) => {
    const { log, tty } = running.config;
    const show = (stream: LogStream, chunk: Buffer) => void (stream === 'stdout' ? io.stdout : io.stderr).write(chunk);
    log.on('data', show);
    if (tty) {
      io.onResize(({ width, height }) => {
        if (running.pid) resizeTerminal(running.pid, FIRST_TERMINAL, { columns: width, rows: height });
      });
    }
    if (io.stdin && running.stdin) void forward(io.stdin, running.stdin);
    const gone = new Promise<undefined>((resolve) => {
      io.signal.addEventListener('abort', () => resolve(undefined), { once: true });
    });
    await Promise.race([running.exited, gone]);
    log.off('data', show);
    // How the program ended is for the pod's status to say: the client looks there.
    return { exitCode: 0 };
  };
}

/** Copies to the end; that a side breaks off is an end too. */
async function forward(source: Readable, target: Writable): Promise<void> {
  await pipeline(source, target, { end: true }).catch(() => {});
}
