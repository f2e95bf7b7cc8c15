// SPDX-License-Identifier: Apache-2.0
import type { DiagnosticCode, ObjectRef } from '../../api/diagnostics.ts';
import type { Gateway } from '../../api/gateway.ts';
import type { HostTable } from '../hosts.ts';
import type { MeshService, MeshSettings } from '../snapshot.ts';

/** Says one thing of one object, in its words and with its line. */
export type Say = (ref: ObjectRef, code: DiagnosticCode, field: string, message: string, cure: string) => void;

export type HostIndex = ReadonlyMap<string, readonly MeshService[]>;

export interface Known {
  readonly settings: MeshSettings;
  /** What stands in the place of another service of the mesh has that one's ports. */
  readonly hosts: HostIndex;
  /** By NAMESPACE/NAME. */
  readonly gateways: ReadonlyMap<string, Gateway>;
  /** Names of subsets by the hosts of their rules. */
  readonly subsets: HostTable<readonly string[]>;
}
