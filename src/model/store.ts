// SPDX-License-Identifier: Apache-2.0
import type { Diagnostic } from '../api/diagnostics.ts';
import type { KubeObject } from '../kube/types.ts';
import type { MeshSnapshot } from './snapshot.ts';

/** What a source emits (structurally src/sources/contract.ts). `locate` gives the line of a field, where text is known. */
export type StoreEvent =
  | { kind: 'upsert'; cluster: string; object: KubeObject; locate?: (field: string) => number | undefined }
  | { kind: 'delete'; cluster: string; object: Pick<KubeObject, 'apiVersion' | 'kind' | 'metadata'> }
  | { kind: 'synced'; cluster: string };

export interface MeshStoreOptions {
  /** `cluster.local` */
  readonly trustDomain: string;
  /** `cluster.local` */
  readonly dnsDomain: string;
  /** Where mesh-wide rules live: `istio-system`. */
  readonly rootNamespace: string;
  /** The cluster whose VirtualServices, DestinationRules, ... rule the mesh; Services and Pods count from every one. */
  readonly configCluster: string;
}

export interface StoreUpdate {
  readonly snapshot: MeshSnapshot;
  /** All that is to be said now, not only what the events brought. */
  readonly diagnostics: readonly Diagnostic[];
}
