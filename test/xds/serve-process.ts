// SPDX-License-Identifier: Apache-2.0
// `isthmus serve` as a process of its own, with a directory of configuration that goes with it, and its peak of memory.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { Diagnostic } from '../../src/api/diagnostics.ts';
import { httpGet } from './envoy-process.ts';

const MAIN = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url));

export class ServeProcess {
  readonly dir = mkdtempSync(join(tmpdir(), 'isthmus-hostile-'));
  ports = { xds: 0, admin: 0 };
  /** Lines of the log that are errors. */
  readonly errors: string[] = [];
  #process: ChildProcess | undefined;

  /** Resolves when it listens and has read `files`, by name. */
  static async start(files: Readonly<Record<string, string>>): Promise<ServeProcess> {
    const serve = new ServeProcess();
    for (const [name, text] of Object.entries(files)) serve.write(name, text);
    const args = [MAIN, 'serve', '--config-dir', serve.dir, '--port', '0', '--admin-port', '0', '--no-keys'];
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
    serve.#process = child;
    const started = Promise.withResolvers<void>();
    child.once('exit', (code) => started.reject(new Error(`serve ended with ${code}`)));
    createInterface(child.stdout!).on('line', (line) => {
      if (!line.startsWith('{')) return;
      const { level, msg, xds, admin } = JSON.parse(line) as { level: string; msg: string; xds: number; admin: number };
      if (level === 'error') serve.errors.push(line);
      if (msg === 'listening') serve.ports = { xds, admin };
      if (msg === 'the files have been read') started.resolve();
    });
    await started.promise;
    return serve;
  }

  write(name: string, text: string): void {
    writeFileSync(join(this.dir, name), text);
  }

  remove(name: string): void {
    rmSync(join(this.dir, name));
  }

  /** Of the process so far, in MB. */
  get peakMemory(): number {
    const status = readFileSync(`/proc/${this.#process!.pid}/status`, 'utf8');
    return Number(/^VmHWM:\s+(\d+) kB/m.exec(status)![1]) / 1024;
  }

  diagnostics(): Promise<Diagnostic[]> {
    return this.#debug('diagnostics');
  }

  problems(): Promise<{ where: string; message: string }[]> {
    return this.#debug('problems');
  }

  async #debug<T>(view: string): Promise<T> {
    return JSON.parse((await httpGet({ port: this.ports.admin, path: `/debug/${view}` })).body) as T;
  }

  async stop(): Promise<void> {
    const child = this.#process;
    if (child !== undefined && child.exitCode === null && child.signalCode === null) {
      child.removeAllListeners('exit');
      child.kill();
      await once(child, 'exit');
    }
    rmSync(this.dir, { recursive: true, force: true });
  }
}
