// SPDX-License-Identifier: Apache-2.0
// Where a request goes, and what is done to it. See types.ts.
import type { DestinationRef, HashIntent, IpFamilies } from './destination-types.ts';
import type { Origin } from './origin.ts';

/**
 * It goes where it was going, or nowhere, or all to one destination. `by-name`: requests go to the name that they are for, and
 * what is no HTTP where it was going.
 */
export type UnknownTraffic = 'pass-through' | 'by-name' | 'refuse' | DestinationRef;

export interface RouteTableIntent {
  readonly name: string;
  /** By name, in no order: no domain is in two of them. */
  readonly hosts: ReadonlyMap<string, VirtualHostIntent>;
  readonly otherwise: UnknownTraffic | 'not-found';
  /** Some of its requests go to names that they say themselves, which are looked up for these families. */
  readonly byName?: IpFamilies;
}

export interface VirtualHostIntent {
  readonly name: string;
  /** Without ports, which do not matter. */
  readonly domains: readonly string[];
  /** Plain HTTP is answered by a redirect to HTTPS. */
  readonly httpsOnly: boolean;
  /** Those that requests are sent to are not told how often it was tried. */
  readonly countsNoAttempts?: true;
  readonly routes: readonly HttpRouteIntent[];
  readonly origin: Origin;
}

export type TextMatch =
  | { readonly kind: 'exact'; readonly value: string }
  | { readonly kind: 'prefix'; readonly value: string }
  | { readonly kind: 'regex'; readonly value: string };

export interface NamedMatch {
  readonly name: string;
  readonly condition: TextMatch | { readonly kind: 'present' };
  readonly invert: boolean;
}

/** All conditions must hold. Scheme, method and authority are headers: `:scheme`, `:method`, `:authority`. */
export interface RequestMatch {
  readonly path: TextMatch;
  readonly ignoreCase: boolean;
  readonly headers: readonly NamedMatch[];
  readonly query: readonly NamedMatch[];
}

export interface HttpRouteIntent {
  readonly name: string;
  /** Of the route's own statistics; '': it has none. */
  readonly statPrefix: string;
  readonly match: RequestMatch;
  readonly action: RouteAction;
  readonly fault: FaultIntent | undefined;
  readonly cors: CorsIntent | undefined;
  readonly requestHeaders: HeaderEdits;
  readonly responseHeaders: HeaderEdits;
  readonly origin: Origin;
}

export type RouteAction =
  | {
      readonly kind: 'forward';
      /** At least one, each with a weight above 0. */
      readonly to: readonly WeightedDestination[];
      /** 0: none. */
      readonly timeoutMs: number;
      readonly retries: RetryIntent | undefined;
      readonly rewrite: RewriteIntent;
      readonly mirrors: readonly { readonly to: DestinationRef; readonly percent: number }[];
      /** Of the destinations that balance by hash; all of them count together. Absent: none. */
      readonly hashes?: readonly HashIntent[];
    }
  | {
      readonly kind: 'redirect';
      readonly path: string | undefined;
      /** What is put in the place of the prefix that the match asks for. */
      readonly prefix: string | undefined;
      readonly authority: string | undefined;
      readonly scheme: string | undefined;
      readonly port: number | undefined;
      readonly code: number;
    }
  | { readonly kind: 'respond'; readonly status: number; readonly body: ResponseBody | undefined };

export type ResponseBody = { readonly text: string } | { readonly base64: string };

export interface WeightedDestination {
  readonly to: DestinationRef;
  readonly weight: number;
  readonly requestHeaders: HeaderEdits;
  readonly responseHeaders: HeaderEdits;
  readonly authority: string | undefined;
  readonly origin: Origin;
}

export interface HeaderEdits {
  readonly set: Readonly<Record<string, string>>;
  readonly add: Readonly<Record<string, string>>;
  readonly remove: readonly string[];
}

export interface RewriteIntent {
  readonly path: string | undefined;
  readonly pattern: { readonly match: string; readonly rewrite: string } | undefined;
  readonly authority: string | undefined;
  /** X-Forwarded-Host has the authority of before. */
  readonly tellsHost?: true;
}

export interface RetryIntent {
  readonly attempts: number;
  readonly perTryTimeoutMs: number | undefined;
  readonly on: readonly string[];
  readonly statusCodes: readonly number[];
  readonly avoidPreviousHosts: boolean;
  /** Other priorities, which are other localities, go before those that were tried. */
  readonly otherPriorities: boolean;
  /** The rule says that other priorities are no business of it. */
  readonly samePriorities?: true;
  readonly backoffMs: number | undefined;
}

export interface FaultIntent {
  readonly delay: { readonly percent: number; readonly delayMs: number } | undefined;
  readonly abort: { readonly percent: number; readonly error: FaultError } | undefined;
}

/** `status`: a number, of HTTP or of gRPC. */
export interface FaultError {
  readonly kind: 'http' | 'grpc';
  readonly status: number;
}

export interface CorsIntent {
  readonly origins: readonly TextMatch[];
  readonly methods: readonly string[];
  readonly headers: readonly string[];
  readonly exposed: readonly string[];
  readonly maxAgeMs: number | undefined;
  readonly credentials: boolean | undefined;
  /** Preflight requests of other origins go to the service; else they are answered without its leave. */
  readonly forwardUnmatched: boolean;
}
