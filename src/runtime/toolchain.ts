// SPDX-License-Identifier: Apache-2.0
// Where the pinned tools lie: .tools/ at the project's root, put there by ./isthmus (tools/setup).
import { accessSync, constants, existsSync } from 'node:fs';
import { delimiter, dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

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

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
