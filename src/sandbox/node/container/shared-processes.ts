// SPDX-License-Identifier: Apache-2.0
// The process that keeps a pod's common pid namespace (shareProcessNamespace) while its containers come and go.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Readable } from 'node:stream';
import { PRIVILEGED_ENVIRONMENT } from './privileged-environment.ts';

/** The containers' processes may see it: it is nobody, and reaps what loses its parent. */
const KEEP = 'while :; do sleep 86400 & wait; done';
const NOBODY = ['--reuid=65534', '--regid=65534', '--clear-groups'];

export class SharedProcesses {
  /** The namespace's first process, as this process counts. */
  readonly pid: number;
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess, pid: number) {
    this.#child = child;
    this.pid = pid;
  }

  /** @throws Error when it cannot be made */
  static async start(rootless: boolean): Promise<SharedProcesses> {
    const identity = rootless ? [] : NOBODY;
    const drop = ['setpriv', ...identity, '--no-new-privs', '--bounding-set=-all', '--inh-caps=-all'];
    const script = `read -r pid rest </proc/self/stat; echo $pid; exec ${drop.join(' ')} /bin/sh -c '${KEEP}'`;
    const unshare = ['unshare', '--pid', '--fork', '--kill-child', '/bin/sh', '-c', script];
    const child = spawn('setpriv', ['--pdeathsig', 'KILL', ...unshare], {
      env: PRIVILEGED_ENVIRONMENT,
      cwd: '/',
      stdio: ['ignore', 'pipe', 'ignore'],
      detached: true,
    });
    const output = (child.stdout as Readable).setEncoding('utf8');
    const said = await Promise.race([
      once(output, 'data').then(([text]) => String(text)),
      once(child, 'exit').then(() => ''),
    ]);
    output.destroy();
    const pid = Number(said);
    if (!(pid > 0)) throw new Error('the common process namespace of the pod could not be made');
    return new SharedProcesses(child, pid);
  }

  /** Ends every process in it. */
  stop(): void {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    try {
      process.kill(this.pid, 'SIGKILL');
    } catch {
      // It has ended already.
    }
  }
}
