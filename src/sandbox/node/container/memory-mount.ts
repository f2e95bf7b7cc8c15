// SPDX-License-Identifier: Apache-2.0
// File systems in memory with a size: who fills one gets ENOSPC, and nobody else does.
import { execFile } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { promisify } from 'node:util';
import { MountTable } from './host-tree.ts';
import { PRIVILEGED_ENVIRONMENT } from './privileged-environment.ts';

const run = promisify(execFile);

/** @throws Error with what mount(8) said */
export async function mountMemory(path: string, bytes: number): Promise<void> {
  mkdirSync(path, { recursive: true });
  const options = `mode=0755,nosuid,nodev,size=${bytes}`;
  await run('mount', ['-t', 'tmpfs', '-o', options, 'isthmus', path], { env: PRIVILEGED_ENVIRONMENT });
}

/** Takes away what is mounted below a folder, so that the folder can be removed. */
export async function unmountBelow(folder: string): Promise<void> {
  const points = new MountTable().mountsBelow(folder).reverse();
  if (points.length > 0) await run('umount', ['-l', ...points], { env: PRIVILEGED_ENVIRONMENT });
}
