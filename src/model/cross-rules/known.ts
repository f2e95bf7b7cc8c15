// SPDX-License-Identifier: Apache-2.0
import type { DestinationRule } from '../../api/destination-rule.ts';
import type { DiagnosticCode, ObjectRef } from '../../api/diagnostics.ts';
import type { Gateway } from '../../api/gateway.ts';
import type { HostTable } from '../hosts.ts';
import type { MeshService, MeshSettings } from '../snapshot.ts';
import type { PortFacts } from './ports-below.ts';

/** Says one thing of one object, in its words and with its line. */
export type Say = (ref: ObjectRef, code: DiagnosticCode, field: string, message: string, cure: string) => void;

export type HostIndex = ReadonlyMap<string, readonly MeshService[]>;

export interface Known {
  readonly settings: MeshSettings;
  /** What stands in the place of another service of the mesh has that one's ports. */
  readonly hosts: HostIndex;
  /** Of wildcards that are hosts of rules. */
  readonly below: ReadonlyMap<string, readonly PortFacts[]>;
  /** By NAMESPACE/NAME. */
  readonly gateways: ReadonlyMap<string, Gateway>;
  /** By the hosts of the rules. */
  readonly policies: HostTable<RuleFacts>;
  /** Services by `selectorKeys`, those of one label by key: see ports.ts. */
  readonly selecting: HostIndex;
}

/** What is asked of a DestinationRule. */
export interface RuleFacts {
  readonly namespace: string;
  readonly exportTo: readonly string[];
  /** Names. */
  readonly subsets: readonly string[];
  /** Its clients speak TLS of their own on some port. */
  readonly secures: boolean;
}

export function factsOf({ spec, ref }: DestinationRule): RuleFacts {
  const { trafficPolicy, subsets, exportTo, workloadSelector } = spec;
  const policies = [trafficPolicy, ...(trafficPolicy?.portLevelSettings ?? [])];
  return {
    namespace: ref.namespace,
    exportTo: workloadSelector === undefined ? exportTo : ['.'],
    subsets: subsets.map(({ name }) => name),
    secures: policies.some((policy) => policy?.tls !== undefined && policy.tls.mode !== 'DISABLE'),
  };
}
