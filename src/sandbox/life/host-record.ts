// SPDX-License-Identifier: Apache-2.0
// `<state>/host.json`: which processes of the host are the sandbox. Written by its keeper; read by everybody else.
import { readJson, writeAtomically } from '../atomic-file.ts';
import { paths } from '../layout.ts';
import { isAlive, type ProcessIdentity } from './process-identity.ts';

export interface HostRecord {
  readonly keeper: ProcessIdentity;
  /** The first process of the namespaces, as the host sees its parent: killing it removes all of them. */
  readonly unshare?: ProcessIdentity;
  /** Why the sandbox ended, when it was not asked to. */
  readonly failure?: string;
}

export function writeHostRecord(stateDir: string, record: HostRecord): void {
  writeAtomically(paths.host(stateDir), `${JSON.stringify(record, undefined, 2)}\n`);
}

export function readHostRecord(stateDir: string): HostRecord | undefined {
  return readJson<HostRecord>(paths.host(stateDir));
}

/** The sandbox's processes that live, the one to end first coming first. */
export function livingProcesses(record: HostRecord | undefined): ProcessIdentity[] {
  return [record?.keeper, record?.unshare].filter((identity) => identity !== undefined).filter(isAlive);
}
