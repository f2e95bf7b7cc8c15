// SPDX-License-Identifier: Apache-2.0
// Patches of EnvoyFilters: the one place where an intent speaks Envoy's words, for whoever wrote them did.
import type { Origin } from './origin.ts';

/** A change to a proxy's resources in the words of Envoy, which nobody but `envoy/patch` reads. */
export interface PatchIntent {
  readonly applyTo:
    | 'LISTENER'
    | 'LISTENER_FILTER'
    | 'FILTER_CHAIN'
    | 'NETWORK_FILTER'
    | 'HTTP_FILTER'
    | 'ROUTE_CONFIGURATION'
    | 'VIRTUAL_HOST'
    | 'HTTP_ROUTE'
    | 'CLUSTER'
    | 'EXTENSION_CONFIG';
  readonly context: PatchContext | 'ANY';
  readonly match: {
    readonly listener: ListenerPatchMatch | undefined;
    readonly routeConfiguration: RoutePatchMatch | undefined;
    readonly cluster: ClusterPatchMatch | undefined;
  };
  readonly operation:
    | 'MERGE'
    | 'MERGE_AND_REPLACE_LIST'
    | 'ADD'
    | 'REMOVE'
    | 'INSERT_BEFORE'
    | 'INSERT_AFTER'
    | 'INSERT_FIRST'
    | 'REPLACE';
  /** proto3 JSON; undefined for REMOVE. */
  readonly value: unknown;
  readonly origin: Origin;
}

export type PatchContext = 'SIDECAR_INBOUND' | 'SIDECAR_OUTBOUND' | 'GATEWAY';

/** '' and 0: any. */
export interface ListenerPatchMatch {
  readonly name: string;
  readonly portNumber: number;
  readonly listenerFilter: string;
  readonly filterChain:
    | {
        readonly name: string;
        readonly sni: string;
        readonly transportProtocol: string;
        /** Separated by commas. */
        readonly applicationProtocols: string;
        readonly destinationPort: number;
        readonly filter:
          | { readonly name: string; readonly subFilter: { readonly name: string } | undefined }
          | undefined;
      }
    | undefined;
}

export interface RoutePatchMatch {
  readonly name: string;
  readonly portNumber: number;
  readonly portName: string;
  /** NAMESPACE/NAME */
  readonly gateway: string;
  readonly vhost:
    | {
        readonly name: string;
        readonly domainName: string;
        readonly route:
          | { readonly name: string; readonly action: 'ANY' | 'ROUTE' | 'REDIRECT' | 'DIRECT_RESPONSE' }
          | undefined;
      }
    | undefined;
}

export interface ClusterPatchMatch {
  readonly name: string;
  readonly portNumber: number;
  readonly service: string;
  readonly subset: string;
}
