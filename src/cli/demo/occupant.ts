// SPDX-License-Identifier: Apache-2.0
// Which demo has the sandbox of a name: told to whoever starts another one, and what a killed demo left is known by it.
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { sandboxDir } from '../../sandbox/layout.ts';
import { identify, isAlive, type ProcessIdentity } from '../../sandbox/life/process-identity.ts';

export interface Occupant {
  /** The document's. */
  readonly number: string;
  readonly process: ProcessIdentity;
}

/** Beside the sandboxes, since a start clears a sandbox's own folder. */
function occupantFile(name: string): string {
  return join(dirname(dirname(sandboxDir(name))), 'demo', `${name}.json`);
}

/** `dead`: its process is gone, and its sandbox may still be there. */
export function readOccupant(name: string): (Occupant & { readonly isDead: boolean }) | undefined {
  try {
    const occupant = JSON.parse(readFileSync(occupantFile(name), 'utf8')) as Occupant;
    return { ...occupant, isDead: !isAlive(occupant.process) };
  } catch {
    // Never written, or cut off by a kill: the sandbox itself tells whether anything runs.
    return undefined;
  }
}

/** This process has it from now on. */
export function occupy(name: string, number: string): void {
  const file = occupantFile(name);
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
  writeFileSync(file, JSON.stringify({ number, process: identify(process.pid)! } satisfies Occupant));
}

export function vacate(name: string): void {
  rmSync(occupantFile(name), { force: true });
}
