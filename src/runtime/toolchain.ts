// SPDX-License-Identifier: Apache-2.0
// Where the pinned tools lie: .tools/ at the project's root, put there by ./isthmus (tools/setup.sh).
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { delimiter, dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { isExecutable } from '../process/executable.ts';

/** The checkout's root: the folder with package.json, from src/runtime or from dist. */
export function projectRoot(): string {
  let dir = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(dir, 'package.json'))) {
    const parent = resolve(dir, '..');
    if (parent === dir) throw new Error('the folder with Isthmus’ package.json was not found above ' + import.meta.url);
    dir = parent;
  }
  return dir;
}

/** Envoy's path: ENVOY_BIN, then the pinned one, then PATH; undefined when there is none. */
export function findEnvoy(): string | undefined {
  const candidates = [
    process.env['ENVOY_BIN'],
    join(projectRoot(), '.tools/envoy/envoy'),
    ...(process.env['PATH'] ?? '').split(delimiter).map((dir) => join(dir, 'envoy')),
  ];
  return candidates.find((path): path is string => path !== undefined && path !== '' && isExecutable(path));
}

/**
 * The same, but an ENVOY_BIN that cannot be used is an error: the user named it.
 * @throws Error that names ENVOY_BIN and the cure.
 */
export function findCheckedEnvoy(): string | undefined {
  const own = process.env['ENVOY_BIN'];
  if (!own) return findEnvoy();
  const pins = readFileSync(join(projectRoot(), 'tools/versions.env'), 'utf8');
  requireEnvoy(own, /^ENVOY_MIN=(.+)$/m.exec(pins)![1]!);
  return resolve(own);
}

/** @throws Error unless `path`, given by ENVOY_BIN, is an Envoy of version `minimum` or newer. */
export function requireEnvoy(path: string, minimum: string): void {
  const found = readEnvoyVersion(resolve(path));
  const cure = 'Unset it: then the pinned Envoy is used.';
  if (found === undefined) throw new Error(`ENVOY_BIN is ${path}, which is not an Envoy that starts. ${cure}`);
  if (isOlder(found, minimum)) {
    throw new Error(`ENVOY_BIN is ${path}, Envoy ${found}; Isthmus needs ${minimum} or newer. ${cure}`);
  }
}

/** `1.40.0`; undefined when it does not start, or is something else. */
export function readEnvoyVersion(path: string): string | undefined {
  try {
    const said = execFileSync(path, ['--version'], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
      timeout: 10_000,
    });
    // "envoy  version: COMMIT/1.40.0/Clean/RELEASE/BoringSSL", also 1.41.0-dev
    return /version: *[^/\s]+\/(\d+\.\d+\.\d+)[^/\s]*\//.exec(said)?.[1];
  } catch {
    return undefined;
  }
}

function isOlder(a: string, b: string): boolean {
  const [x, y] = [a, b].map((text) => text.split('.').map(Number));
  const at = x!.findIndex((part, i) => part !== y![i]);
  return at >= 0 && x![at]! < y![at]!;
}
