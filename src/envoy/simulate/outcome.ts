// SPDX-License-Identifier: Apache-2.0
// What is asked of a proxy, and what it will do: everything that is left to chance by its probability.
import type { FilterChain } from '#gen/envoy/config/listener/v3/listener_components_pb.ts';
import type { HeaderMatcher, Route, VirtualHost } from '#gen/envoy/config/route/v3/route_components_pb.ts';
import type { HttpConnectionManager } from '#gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts';
import type { RuleRef } from '../rule-metadata.ts';

export interface Connection {
  /** IPv4 address and port that the client dialled, before any redirect. */
  readonly address: string;
  readonly port: number;
  /** Of the client's TLS; absent: plaintext. */
  readonly tls?: ClientTls;
}

export interface ClientTls {
  readonly serverName: string;
  readonly alpn: readonly string[];
  /** The client presents one that the server takes. Absent: no where a gateway asks, yes between proxies of the mesh. */
  readonly certificate?: boolean;
  /** The highest that the client speaks; absent: 1.3. */
  readonly version?: '1.0' | '1.1' | '1.2' | '1.3';
  /** The URI in its certificate; absent: one that is asked for. */
  readonly identity?: string;
}

export interface HttpRequest {
  readonly method: string;
  readonly scheme: string;
  readonly authority: string;
  /** With its query. */
  readonly path: string;
  /** Lower-case names. */
  readonly headers: Readonly<Record<string, string>>;
  /** Absent: http/1.1. */
  readonly protocol?: 'http/1.0' | 'http/1.1' | 'h2';
  /** Of a header that nobody told: whether a condition on it holds. undefined: `headers` has it, or it is not there. */
  readonly decide?: (condition: HeaderMatcher) => boolean | undefined;
}

export interface Call {
  /** `outbound`: from the application; `inbound`: to it; `gateway`: to a port that the proxy itself has open. */
  readonly direction: 'outbound' | 'inbound' | 'gateway';
  readonly connection: Connection;
  /** Absent: bytes that are no HTTP, or that nobody on the way reads. */
  readonly request?: HttpRequest;
}

export type Outcome = Place & Verdict;

/** How far it came, and by whose rule. */
export interface Place {
  /** '' where nothing listens. */
  readonly listener: string;
  /** Absent for TCP, and where no virtual host takes the request. */
  readonly virtualHost?: string;
  readonly route?: string;
  /** The rule that made the route; absent where a Service alone did. */
  readonly rule?: RuleRef;
  readonly chosen: Chosen;
  /** What comes before all else; probabilities of what is forwarded are of requests that no abort takes. */
  readonly faults?: Faults;
}

/** The very messages that the call met, as far as it came. */
export interface Chosen {
  readonly chain?: FilterChain;
  readonly manager?: HttpConnectionManager;
  /** Name of the route configuration. */
  readonly table?: string;
  readonly virtualHost?: VirtualHost;
  readonly route?: Route;
}

export interface Faults {
  readonly delay?: { readonly probability: number; readonly delayMs: number };
  readonly abort?: { readonly probability: number; readonly status: number; readonly grpcStatus?: number };
}

export type Verdict =
  | {
      readonly kind: 'forward';
      readonly to: readonly ForwardTarget[];
      /** Absent for TCP. */
      readonly http?: Forwarding;
      /** The destination is an HTTP proxy, which is asked for a way to `target` first. */
      readonly tunnel?: { readonly method: 'CONNECT' | 'POST'; readonly target: string };
    }
  | {
      readonly kind: 'redirect';
      readonly status: number;
      readonly location: string;
      /** Of clients that speak gRPC, whose `status` is 200. */
      readonly grpcStatus?: number;
      readonly responseHeaders?: readonly HeaderChange[];
    }
  | Response
  | { readonly kind: 'refuse'; readonly why: string }
  /** Something stands in the way of which only the proxy knows what it does; `otherwise`: if it changed nothing. */
  | {
      readonly kind: 'unknown';
      readonly why: string;
      /** Names of the filters, or of the fields, that it hangs on. */
      readonly filters: readonly string[];
      readonly otherwise: Outcome;
    };

/** The proxy answers by itself. */
export interface Response {
  readonly kind: 'respond';
  readonly status: number;
  readonly by: 'rule' | 'fault' | 'preflight' | 'no-route' | 'https-only' | 'request';
  /** Clients that speak gRPC are told by this one. */
  readonly grpcStatus?: number;
  readonly body?: Uint8Array;
  readonly responseHeaders?: readonly HeaderChange[];
}

export interface Forwarding {
  /** 0: none. */
  readonly timeoutMs: number;
  /** Absent: none. */
  readonly retries?: Retries;
  readonly mirrors: readonly Mirror[];
  /** What the choice of an endpoint goes by, for destinations that balance by hash. */
  readonly hashes: readonly HashKey[];
  /** What the connection becomes: `websocket`. */
  readonly upgrade?: string;
}

export interface Retries {
  /** After the first one. */
  readonly attempts: number;
  /** Envoy's conditions. */
  readonly on: readonly string[];
  readonly statusCodes: readonly number[];
  readonly perTryTimeoutMs?: number;
}

export interface Mirror {
  readonly cluster: string;
  readonly probability: number;
  readonly upstream?: Upstream;
}

export interface HashKey {
  readonly by: 'header' | 'cookie' | 'query' | 'source-ip' | 'other';
  readonly name?: string;
  /** What this request has there; absent: nothing, or (of addresses) what only the proxy knows. */
  readonly value?: string;
}

export interface ForwardTarget {
  readonly cluster: string;
  /** 0 to 1; all of them add up to 1. */
  readonly probability: number;
  /** Absent: Envoy has no such cluster, and answers 503. */
  readonly upstream?: Upstream;
  /** As the destination gets it, but for headers that every proxy adds of itself. */
  readonly request?: HttpRequest;
  /** What is done to its answer, in this order. */
  readonly responseHeaders?: readonly HeaderChange[];
}

export interface HeaderChange {
  readonly action: 'set' | 'add' | 'remove';
  /** Lower-case. */
  readonly name: string;
  /** As the rule has it, with its %COMMANDS%; absent: it is removed. */
  readonly value?: string;
}

export interface Upstream {
  /** Those that get traffic while all are healthy. */
  readonly endpoints: readonly UpstreamEndpoint[];
  /** Those that would, if `endpoints` were not: of later priorities, the next one first. */
  readonly standby: readonly UpstreamEndpoint[];
  /** Where the client was going anyway. */
  readonly original: boolean;
  /** At the name that the request, or the TLS of the connection, is for. */
  readonly byName: boolean;
  /** How one is chosen: by weights, or by the hash of what Forwarding names. */
  readonly by: 'weight' | 'hash';
}

export interface UpstreamEndpoint {
  /** `10.1.0.7:9080` */
  readonly address: string;
  /** Its part of the sum of all weights. */
  readonly weight: number;
  readonly tls: { readonly serverName: string; readonly alpn: readonly string[] } | undefined;
  /** `region/zone/subzone`; '': nobody knows. */
  readonly locality: string;
  readonly priority: number;
}
