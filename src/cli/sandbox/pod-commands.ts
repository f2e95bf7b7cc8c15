// SPDX-License-Identifier: Apache-2.0
// `isthmus sandbox logs` and `shell`, as the terminal sees them.
import { execInPod } from '../../kube/exec.ts';
import { findPod } from '../../sandbox/life/find-pod.ts';
import { listLogs, printLog } from '../../sandbox/life/logs.ts';
import { demandRunning } from '../../sandbox/life/status.ts';
import { UserError } from '../user-error.ts';
import { withCure } from './with-cure.ts';

interface PodOptions {
  readonly name: string;
  readonly cluster?: string;
  readonly namespace?: string;
  readonly container?: string;
}

export interface LogsOptions extends PodOptions {
  readonly follow: boolean;
  readonly tail?: number;
  readonly since?: number;
}

export async function logs(source: string | undefined, options: LogsOptions): Promise<void> {
  if (source === undefined) {
    const known = await withCure(async () => listLogs(options.name));
    process.stdout.write(known.map((name) => `${name}\n`).join(''));
    return;
  }
  const ending = new AbortController();
  process.once('SIGINT', () => ending.abort());
  // The reader of a pipe (head, less) has seen enough.
  process.stdout.on('error', () => ending.abort());
  const { since, tail } = options;
  const request = {
    name: options.name,
    source,
    pod: options,
    follow: options.follow,
    ...(tail === undefined ? {} : { tail }),
    ...(since === undefined ? {} : { sinceSeconds: since }),
  };
  await withCure(() => printLog(request, (text) => void process.stdout.write(text), ending.signal));
}

/** bash where the machine has it; every container sees the machine's /bin. */
const SHELL = ['/bin/sh', '-c', 'command -v bash >/dev/null && exec bash; exec sh'];

export async function shell(pod: string, options: PodOptions): Promise<void> {
  const found = await withCure(() => findPod(demandRunning(options.name), { ...options, name: pod }));
  const { stdin, stdout, stderr } = process;
  const tty = stdin.isTTY === true && stdout.isTTY === true;
  if (tty) {
    stderr.write(`${found.name}, container ${found.container}, in ${found.cluster}. Ctrl-D leaves.\n`);
    stdin.setRawMode(true);
  }
  try {
    process.exitCode = await execInPod(found.client, {
      ...{ namespace: found.namespace, pod: found.name, container: found.container },
      ...{ command: SHELL, tty, stdin, stdout, stderr },
      ...(tty && {
        terminalSize: () => ({ Width: stdout.columns, Height: stdout.rows }),
        onResize: (listener: () => void) => void stdout.on('resize', listener),
      }),
    });
  } catch (error) {
    throw new UserError(`No shell in pod ${found.name}: ${(error as Error).message}`);
  } finally {
    if (tty) stdin.setRawMode(false);
    found.client.close();
  }
}
