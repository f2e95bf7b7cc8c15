// SPDX-License-Identifier: Apache-2.0
// Between the streams of `kubectl exec` and `kubectl attach` and a container.
import { Readable, type Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { execInContainer } from '../container/container-exec.ts';
import type { ContainerRuntime, RunningContainer } from '../container/container-runtime.ts';
import { readLog } from '../container/log-reader.ts';
import type { ContainerLoop } from '../pod/container-loop.ts';
import type { PodRuntime } from '../pod/pod-runtime.ts';
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

/** Shows what the container writes from now on, and gives it the client's input when its spec has `stdin: true`. */
export function attachRun(pod: PodRuntime, container: ContainerLoop, running: RunningContainer): ExecRun {
  return async (io) => {
    const path = pod.logPath(container.name, container.attempt);
    const follow = (stream: 'stdout' | 'stderr', target: Writable) => {
      const lines = readLog(path, container.log, { follow: true, tailLines: 0, stream }, io.signal);
      return forward(Readable.from(lines), target);
    };
    if (io.stdin && running.stdin) void forward(io.stdin, running.stdin);
    const output = Promise.all([follow('stdout', io.stdout), follow('stderr', io.stderr)]);
    const gone = new Promise((resolve) => io.signal.addEventListener('abort', resolve, { once: true }));
    await Promise.race([output, gone]);
    const exit = await Promise.race([running.exited, gone.then(() => undefined)]);
    return { exitCode: exit?.exitCode ?? 0 };
  };
}

/** Copies to the end; that a side breaks off is an end too. */
async function forward(source: Readable, target: Writable): Promise<void> {
  await pipeline(source, target, { end: true }).catch(() => {});
}
