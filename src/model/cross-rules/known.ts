// SPDX-License-Identifier: Apache-2.0
import type { DiagnosticCode, ObjectRef } from '../../api/diagnostics.ts';
import type { Hostname } from '../../api/names.ts';
import type { HostTable } from '../hosts.ts';
import type { MeshIndex, MeshService } from '../snapshot.ts';

/** Says one thing of one object, in its words and with its line. */
export type Say = (ref: ObjectRef, code: DiagnosticCode, field: string, message: string, cure: string) => void;

export type HostIndex = ReadonlyMap<Hostname, readonly MeshService[]>;

export interface Known {
  readonly index: MeshIndex;
  readonly hosts: HostIndex;
  /** Names of subsets by the hosts of their rules. */
  readonly subsets: HostTable<readonly string[]>;
}
