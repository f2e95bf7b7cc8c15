// SPDX-License-Identifier: Apache-2.0
// A real Envoy process with a static bootstrap, in a directory of its own that goes with it.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { create, toBinary } from '@bufbuild/protobuf';
import { type Bootstrap, BootstrapSchema } from '#gen/envoy/config/bootstrap/v3/bootstrap_pb.ts';

export interface EnvoyOptions {
  readonly environment?: Readonly<Record<string, string>>;
  /** More of a bootstrap, as JSON. */
  readonly also?: string;
}

export class RunningEnvoy {
  readonly #dir = mkdtempSync(join(tmpdir(), 'isthmus-envoy-'));
  #process: ChildProcess | undefined;

  /** Resolves when it is ready. */
  static async start(envoyPath: string, bootstrap: Bootstrap, options: EnvoyOptions = {}): Promise<RunningEnvoy> {
    const envoy = new RunningEnvoy();
    try {
      await envoy.#start(envoyPath, bootstrap, options);
      return envoy;
    } catch (error) {
      await envoy.stop();
      throw error;
    }
  }

  /** Name of a listener -> port that it has. */
  async listeners(): Promise<Map<string, number>> {
    const lines = (await this.admin('/listeners')).trim().split('\n');
    return new Map(
      lines.flatMap((line) => {
        const [, name, port] = /^(.+)::[\d.]+:(\d+)$/.exec(line) ?? [];
        return name === undefined ? [] : [[name, Number(port)]];
      }),
    );
  }

  async stop(): Promise<void> {
    if (this.#process !== undefined && this.#process.exitCode === null && this.#process.signalCode === null) {
      this.#process.kill('SIGKILL');
      await once(this.#process, 'exit');
    }
    rmSync(this.#dir, { recursive: true, force: true });
  }

  async #start(envoyPath: string, bootstrap: Bootstrap, { environment = {}, also }: EnvoyOptions): Promise<void> {
    const address = { case: 'pipe' as const, value: { path: join(this.#dir, 'admin') } };
    bootstrap.admin = create(BootstrapSchema, { admin: { address: { address } } }).admin;
    const path = join(this.#dir, 'bootstrap.pb');
    writeFileSync(path, toBinary(BootstrapSchema, bootstrap));
    const args = [
      '--disable-hot-restart',
      ...['--concurrency', '1'],
      ...['--log-level', 'off'],
      ...['--file-flush-interval-msec', '100'],
      ...['--config-path', path],
      ...(also === undefined ? [] : ['--config-yaml', also]),
    ];
    this.#process = spawn(envoyPath, args, { stdio: 'ignore', env: { ...process.env, ...environment } });
    const deadline = Date.now() + 15_000;
    for (;;) {
      const ready = await this.admin('/ready').catch(() => '');
      if (ready.startsWith('LIVE')) return;
      const { exitCode } = this.#process;
      if (exitCode !== null || Date.now() > deadline)
        throw new Error(`Envoy did not get ready (exit code ${exitCode})`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  /** GET on the admin interface. */
  admin(path: string): Promise<string> {
    const { promise, resolve, reject } = Promise.withResolvers<string>();
    http
      .get({ socketPath: join(this.#dir, 'admin'), path, agent: false }, (response) => {
        let body = '';
        response.setEncoding('utf8');
        response.on('data', (chunk: string) => {
          body += chunk;
        });
        response.on('end', () => resolve(body));
      })
      .on('error', reject);
    return promise;
  }
}
