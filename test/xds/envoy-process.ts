// SPDX-License-Identifier: Apache-2.0
// A real Envoy with a bootstrap of its own, in a folder of its own.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';

export interface HttpAnswer {
  readonly status: number;
  readonly body: string;
}

export interface EnvoyProcess {
  readonly pid: number;
  /** GET on the admin interface. */
  admin(path: string): Promise<HttpAnswer>;
  log(): string;
  stop(): Promise<void>;
}

/** Starts Envoy in `dir` with `bootstrap` (proto3 JSON, without admin). */
export function startEnvoy(
  bin: string,
  dir: string,
  bootstrap: Record<string, unknown>,
  env: Record<string, string> = {},
  more: readonly string[] = [],
): EnvoyProcess {
  const config = join(dir, 'bootstrap.json');
  const logFile = join(dir, 'envoy.log');
  const adminPath = join(dir, 'admin.sock');
  writeFileSync(config, JSON.stringify({ admin: { address: { pipe: { path: adminPath } } }, ...bootstrap }));
  const log = openSync(logFile, 'w');
  const args = ['-c', config, '--disable-hot-restart', '--concurrency', '1', '-l', 'info', ...more];
  const child = spawn(bin, args, { stdio: ['ignore', log, log], env: { ...process.env, ...env } });
  closeSync(log);
  return {
    pid: child.pid ?? 0,
    admin: (path) => httpGet({ socketPath: adminPath, path }),
    log: () => readFileSync(logFile, 'utf8'),
    stop: () => stop(child),
  };
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.kill('SIGKILL');
  await exited;
}

/** Status 0 when there was no answer. */
export function httpGet(to: { socketPath?: string; port?: number; path: string }): Promise<HttpAnswer> {
  return new Promise((resolve) => {
    const sent = request({ host: '127.0.0.1', agent: false, timeout: 2000, ...to }, (response) => {
      let body = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => {
        body += chunk;
      });
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body }));
      response.on('error', () => resolve({ status: 0, body: '' }));
    });
    sent.on('timeout', () => sent.destroy());
    sent.on('error', () => resolve({ status: 0, body: '' }));
    sent.end();
  });
}
