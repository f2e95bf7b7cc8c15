// SPDX-License-Identifier: Apache-2.0
// What traffic can be sent to, and how. See types.ts.
import type { TrafficSplit } from '../api/traffic-shares.ts';
import type { IpFamilies } from '../model/ip-families.ts';
import type { Origin } from './origin.ts';
import type { CertificateSource, RootsSource } from './tls-types.ts';

/** A service's port, or the part of its endpoints that a subset names. */
export interface DestinationRef {
  readonly host: string;
  readonly port: number;
  /** '' for all endpoints. */
  readonly subset: string;
}

export interface DestinationIntent {
  /** `proxy`: this proxy opens TLS; `sni`: it passes on, byte by byte, the TLS of somebody else. */
  readonly use: 'proxy' | 'sni';
  readonly ref: DestinationRef;
  /**
   * `as-client`: HTTP/2 for a client that speaks it, HTTP/1 for one that speaks that, and bytes for any other.
   * `as-routed`: HTTP/1 for what is routed by requests, and bytes for the rest.
   */
  readonly protocol: 'http' | 'http2' | 'as-client' | 'as-routed' | 'tcp';
  /** HTTP/1 headers are passed on as they are written. */
  readonly keepsCase?: true;
  readonly discovery: Discovery;
  readonly security: ClientSecurity;
  /** As telemetry names it. */
  readonly service: { readonly name: string; readonly namespace: string };
  readonly balancing: BalancingIntent;
  /** How near endpoints go before far ones; undefined: where they are makes no difference. */
  readonly locality?: LocalityIntent;
  /** The PROXY protocol's header goes before everything else on a connection. */
  readonly proxyProtocol?: 'v1' | 'v2';
  readonly connectTimeoutMs: number;
  readonly pool: PoolIntent;
  readonly outlier: OutlierIntent | undefined;
  readonly origin: Origin;
  /** The DestinationRule in force, where there is one. */
  readonly rule?: Origin['object'];
}

export type BalancingIntent =
  | { readonly kind: 'least-request' | 'round-robin'; readonly warmup?: WarmupIntent }
  | { readonly kind: 'random' }
  /** By the hash of a request (HashIntent), or at random for what has none. */
  | { readonly kind: 'ring-hash'; readonly minimumRingSize: number }
  | { readonly kind: 'maglev'; readonly tableSize: number };

/** A new endpoint's share grows from the minimum to its whole over this time. */
export interface WarmupIntent {
  readonly durationMs: number;
  /** Of its weight, at first: 0 to 100. */
  readonly minimumPercent: number;
  /** 1: in a straight line; above: fast at first. */
  readonly aggression: number;
}

/** `/`-separated `region/zone/subzone`, of which the last may be missing or `*`. */
export type LocalityPattern = string;

export type LocalityIntent =
  /** Shares, in percent, of the traffic of the first `from` that fits the proxy; without one, where makes no difference. */
  | {
      readonly kind: 'distribute';
      readonly rules: readonly {
        readonly from: LocalityPattern;
        readonly to: readonly { readonly locality: LocalityPattern; readonly percent: number }[];
      }[];
      /** Where localities without a share stand in for those with one: nearest first, these regions before others. */
      readonly spare?: readonly { readonly from: string; readonly to: string }[];
    }
  /** Clusters have parts, or stand in for one another: within one priority, a cluster's part is its localities' weight. */
  | { readonly kind: 'clusters'; readonly split: TrafficSplit }
  /**
   * The nearest first, others when those are unhealthy. `labels` (`NAME` or `NAME=VALUE`): the more of them, from the first
   * on, an endpoint has in common with the proxy, the nearer; else by subzone, zone and region, and by `regions` after that.
   * `weighted`: within one priority, a locality's share is its endpoints' weight.
   */
  | {
      readonly kind: 'failover';
      readonly labels: readonly string[];
      readonly regions: readonly { readonly from: string; readonly to: string }[];
      readonly weighted: boolean;
    };

/** What of a request decides between the endpoints of a destination that balances by hash. */
export type HashIntent =
  | { readonly kind: 'header'; readonly name: string }
  | {
      readonly kind: 'cookie';
      readonly name: string;
      readonly path: string;
      /** The proxy sets the cookie where a request has none; 0: for the browser's session; undefined: it never does. */
      readonly ttlMs: number | undefined;
      readonly attributes: readonly { readonly name: string; readonly value: string }[];
    }
  | { readonly kind: 'source-ip' }
  | { readonly kind: 'query'; readonly name: string };

export type { IpFamilies };

/** Of which families the proxy can dial what a name resolves to. Absent: IPv4. */
export type NameFamilies = Exclude<IpFamilies, 'IPv4'>;

export type Discovery =
  | {
      readonly kind: 'endpoints';
      readonly service: string;
      readonly portName: string;
      readonly filter: EndpointFilter;
      /** Whose endpoints it has while it has none. */
      readonly spare?: { readonly service: string; readonly portName: string; readonly split: TrafficSplit };
    }
  /** `once`: the first address that the name resolves to, per connection. */
  | {
      readonly kind: 'dns';
      readonly once: boolean;
      readonly families?: NameFamilies;
      /** Until a name is looked up again that DNS did not know. */
      readonly againMs: number;
      readonly endpoints: readonly EndpointIntent[];
    }
  /** At the name that a request, or a connection's TLS, is for. */
  | { readonly kind: 'by-name'; readonly families?: NameFamilies }
  /** Where the client was going anyway; `port`: but for the port. */
  | { readonly kind: 'original'; readonly port?: number };

/**
 * `all`: where a service has endpoints on networks that the proxy requests, those, else all but what is reserved to such
 * requests; `requested`: the former only; `own`: those of the proxy's own network, since what comes from another one is not
 * sent on to a third.
 */
export type NetworkChoice = 'all' | 'requested' | 'own';

export interface EndpointFilter {
  readonly labels: Readonly<Record<string, string>>;
  readonly meshedOnly: boolean;
  readonly networks: NetworkChoice;
  /** Only those on the proxy's own node. */
  readonly sameNode?: true;
}

export interface EndpointIntent {
  readonly address: string;
  /** Other addresses of the same endpoint, to be tried when there is no way to the first. */
  readonly alternatives?: readonly string[];
  readonly port: number;
  readonly weight: number;
  readonly locality: string;
  readonly meshed: boolean;
  /** Whose it is, for telemetry; absent where nobody knows. */
  readonly workload?: WorkloadIntent;
  /** Endpoints of a higher one are for when those of lower ones are unhealthy. Absent: 0. */
  readonly priority?: number;
  /** Its locality's part of the traffic, among localities of the same priority. Absent: the sum of its endpoints' weights. */
  readonly localityWeight?: number;
}

export interface WorkloadIntent {
  readonly workload: string;
  readonly namespace: string;
  readonly service: string;
  readonly revision: string;
  readonly app: string;
  readonly version: string;
  readonly cluster: string;
}

/** How the proxy proves itself to a destination, and what it asks of it. */
export type ClientSecurity =
  | { readonly kind: 'plain' }
  | {
      readonly kind: 'mesh';
      /** `where-meshed`: endpoints without a sidecar get plaintext. */
      readonly when: 'always' | 'where-meshed';
      readonly sni: string;
      /** SPIFFE IDs that may answer; empty: whoever the mesh's roots vouch for. */
      readonly peers: readonly string[];
    }
  | {
      readonly kind: 'tls';
      readonly sni: string;
      readonly peers: readonly string[];
      /** undefined: any certificate will do. */
      readonly roots: RootsSource | undefined;
      readonly certificate: CertificateSource | undefined;
      /** Up to TLS 1.2; absent: the usual. */
      readonly cipherSuites?: readonly string[];
      readonly curves?: readonly string[];
      /** The rule that asks for it. */
      readonly origin: Origin;
    };

export interface PoolIntent {
  readonly maxConnections?: number;
  readonly maxPendingRequests?: number;
  readonly maxRequests?: number;
  readonly maxRequestsPerConnection?: number;
  readonly maxRetries?: number;
  readonly maxConcurrentStreams?: number;
  readonly idleTimeoutMs?: number;
  /** A connection takes no new request after it; those on it end in peace. */
  readonly lifetimeMs?: number;
  readonly keepalive?: { readonly probes?: number; readonly timeMs?: number; readonly intervalMs?: number };
  /** HTTP/2 pings on connections that are silent. */
  readonly pings?: { readonly intervalMs: number; readonly timeoutMs: number };
  /** Retries under way, as a share of the requests under way, instead of as a number. */
  readonly retryBudget?: { readonly percent: number; readonly minConcurrency: number; readonly intervalMs?: number };
}

export interface OutlierIntent {
  readonly consecutive5xx: number;
  readonly consecutiveGatewayErrors: number;
  /** HTTP statuses that count as errors; absent: 5xx. */
  readonly errorCodes?: readonly number[];
  /** Connections that could not be made, or broke; 0: no ejection for those. undefined: they count as answers with 5xx do. */
  readonly connectFailures: number | undefined;
  readonly intervalMs: number;
  readonly baseEjectionMs: number;
  /** An endpoint that is ejected again and again stays away longer each time, up to this; undefined: five minutes. */
  readonly maxEjectionMs: number | undefined;
  readonly maxEjectionPercent: number;
  readonly minHealthPercent: number;
}
