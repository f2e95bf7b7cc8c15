// SPDX-License-Identifier: Apache-2.0
import type { Logger } from 'pino';
import type { Clock } from '../identity/renewal.ts';
import type { KubeClient } from '../kube/client.ts';
import type { ControlPlaneEndpoint } from '../xds/envoy-client.ts';

/** What one process does of it. Where another cluster's plane is the pilot, the others stay at home. */
export const ROLES = ['pilot', 'ca', 'injector', 'validator'] as const;
export type Role = (typeof ROLES)[number];

export interface ControlPlaneOptions {
  readonly client: KubeClient;
  /** The cluster's name in the mesh. */
  readonly cluster: string;
  readonly trustDomain: string;
  readonly dnsDomain: string;
  /** Default: all. */
  readonly roles?: ReadonlySet<Role>;
  readonly host: string;
  /** 0 takes a free one. */
  readonly ports: { readonly xds: number; readonly admin: number; readonly webhooks: number };
  readonly log: Logger;
  /** Wait for Secret cacerts instead of making a root of its own. */
  readonly requireGivenCa?: boolean;
  /** Names by which proxies reach this process, besides those of its Services. */
  readonly serverNames?: readonly string[];
  /** Of workloads' certificates; default: a day. */
  readonly workloadLifetimeMs?: number;
  /** This replica's name: its pod's. */
  readonly replica?: string;
  readonly clock?: Clock;
  /** Where the proxies get their keys, if not at SDS_ADDRESS. */
  readonly secrets?: ControlPlaneEndpoint;
  /** Where what is known of other clusters is kept over restarts; absent: nowhere. */
  readonly registryStateDir?: string;
  /** Told once everything listens. */
  readonly onListening?: (ports: { xds: number; admin: number; webhooks: number }) => void;
}
