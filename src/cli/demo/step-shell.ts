// SPDX-License-Identifier: Apache-2.0
// A document's lines, run as somebody would type them: by bash, in one folder, each with the variables of those before.
import { spawn } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, symlinkSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { projectRoot } from '../../runtime/toolchain.ts';
import { shellWord } from '../shell-word.ts';
import { UserError } from '../user-error.ts';

/**
 * Makes `dir` a folder that looks like the project's root to somebody who types a document's lines. What these write is
 * written there. `bin` has `istioctl`.
 */
export function linkProject(dir: string, root = projectRoot()): void {
  for (const own of ['bin', 'samples']) mkdirSync(join(dir, own), { recursive: true, mode: 0o700 });
  for (const entry of ['isthmus', 'install', 'scenarios']) symlinkSync(join(root, entry), join(dir, entry));
  symlinkSync(join(root, 'isthmus'), join(dir, 'bin/istioctl'));
  // The samples one by one: certificates are made below samples/certs, and these are a scenario's own.
  for (const sample of readdirSync(join(root, 'samples')))
    if (sample !== 'certs') symlinkSync(join(root, 'samples', sample), join(dir, 'samples', sample));
}

export class StepShell {
  readonly #dir: string;
  readonly #scenario: string;
  readonly #env: NodeJS.ProcessEnv;
  readonly #signal: AbortSignal;

  /** `dir` becomes the folder of `linkProject`; `number` is the document's, in scenarios/seeds. */
  constructor(dir: string, number: string, kubeconfig: string, signal: AbortSignal) {
    this.#dir = dir;
    this.#scenario = join(projectRoot(), 'scenarios/seeds', number);
    this.#signal = signal;
    linkProject(dir);
    this.#env = {
      ...process.env,
      PATH: `${join(dir, 'bin')}${delimiter}${process.env['PATH'] ?? ''}`,
      KUBECONFIG: kubeconfig,
      KUBECACHEDIR: join(dir, '.kube-cache'),
    };
  }

  /** `setup.sh`, the number of a step, or a script. @returns what it printed */
  async run(line: number | string, detail: (text: string) => void): Promise<string> {
    const { name, script } = this.#find(line);
    detail(name);
    return this.#bash(script, name);
  }

  #find(line: number | string): { name: string; script: string } {
    if (line === 'setup.sh') return { name: line, script: readFileSync(join(this.#scenario, line), 'utf8') };
    if (typeof line === 'string') return { name: line.split('\n')[0]!, script: line };
    const steps = join(this.#scenario, 'steps');
    const name = readdirSync(steps).find((file) => file.startsWith(`${String(line).padStart(2, '0')}-`));
    if (name === undefined) throw new Error(`there is no step ${line} in ${steps}`);
    return { name, script: readFileSync(join(steps, name), 'utf8') };
  }

  #bash(script: string, name: string): Promise<string> {
    this.#signal.throwIfAborted();
    const kept = shellWord(join(this.#dir, '.variables'));
    // -a: what a line sets, later lines have, exported or not, as in one terminal.
    const wrapped = `[ -f ${kept} ] && . ${kept}\ncd ${shellWord(this.#dir)}\nset -eao pipefail\n${script}\nexport -p > ${kept}\n`;
    const { promise, resolve, reject } = Promise.withResolvers<string>();
    // A group of its own: Ctrl-C reaches the demo alone, which ends the whole group.
    const child = spawn('bash', ['-c', wrapped], { env: this.#env, stdio: ['ignore', 'pipe', 'pipe'], detached: true });
    let output = '';
    let said = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      output += text;
      said += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      said += text;
    });
    const stop = (): void => {
      try {
        if (child.pid !== undefined) process.kill(-child.pid, 'SIGTERM');
      } catch {
        // It ended in this moment.
      }
    };
    this.#signal.addEventListener('abort', stop, { once: true });
    child.on('error', reject);
    child.on('close', (code, killedBy) => {
      this.#signal.removeEventListener('abort', stop);
      if (this.#signal.aborted) reject(this.#signal.reason);
      else if (code === 0) resolve(output);
      else reject(new UserError(describeFailure(name, killedBy ?? `exit code ${code}`, said)));
    });
    return promise;
  }
}

function describeFailure(name: string, ending: string, said: string): string {
  return `${name} failed (${ending}):\n${said.trim().split('\n').slice(-15).join('\n')}`;
}
