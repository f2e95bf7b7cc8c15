// SPDX-License-Identifier: Apache-2.0
// What the supervisor tells the host about the sandbox: `<state>/status.json`, replaced with every change.
import type { ComponentStatus } from './component-process.ts';

export interface SandboxStatus {
  readonly phase: 'starting' | 'ready' | 'stopping';
  readonly startedAt: string;
  /** When all clusters were ready for the first time. */
  readonly readyAt?: string;
  readonly clusters: readonly ClusterStatus[];
  /** Components of no cluster: the portal. */
  readonly components: readonly ComponentStatus[];
}

export interface ClusterStatus {
  readonly name: string;
  readonly server: string;
  /** Clusters of one network reach one another's pods. */
  readonly network: string;
  readonly podCidr: string;
  readonly ready: ClusterReadiness;
  /** False while `sandbox network disconnect` keeps it off the external network. */
  readonly connected: boolean;
  readonly components: readonly ComponentStatus[];
}

export interface ClusterReadiness {
  /** The API server answers /readyz. */
  readonly api: boolean;
  /** The node's Ready condition is True. */
  readonly node: boolean;
  /** The cluster's DNS and service proxy serve. */
  readonly dns: boolean;
}

export function isReady(status: SandboxStatus): boolean {
  return status.clusters.every(({ ready }) => ready.api && ready.node && ready.dns);
}
