// SPDX-License-Identifier: Apache-2.0
// What a proxy should do, in the mesh's own terms: every default is resolved, every union is closed, and every node says
// which object and field asked for it. Nothing here knows Envoy; all of it is plain data that JSON can carry.
import type { ClientSecurity, DestinationIntent, DestinationRef, IpFamilies, PoolIntent } from './destination-types.ts';
import type { Origin } from './origin.ts';
import type { RouteTableIntent, UnknownTraffic } from './route-types.ts';
import type { TelemetryIntent } from './telemetry-types.ts';
import type { ServerTlsIntent } from './tls-types.ts';

/** What a proxy is given with the first request that needs it: clusters with their endpoints, or virtual hosts as well. */
export type OnDemand = 'CLUSTERS_ON_DEMAND' | 'ALL_ON_DEMAND';

export interface ProxyIntent {
  readonly kind: 'sidecar' | 'gateway';
  readonly telemetry: TelemetryIntent;
  /** Absent: the proxy is given everything at once. */
  readonly onDemand?: OnDemand;
  /** SO_MARK of the proxy's own connections. */
  readonly upstreamMark: number | undefined;
  /** The proxy has an IPv6 address, alone or beside an IPv4 one. */
  readonly hasIpv6?: true | undefined;
  readonly outbound: OutboundIntent | undefined;
  readonly inbound: InboundIntent | undefined;
  readonly gateway: GatewayIntent | undefined;
  /** Everything that traffic is sent to, by use, host, port and subset. */
  readonly destinations: ReadonlyMap<string, DestinationIntent>;
  /** Where that is only what routes and listeners name: everything that they could. */
  readonly nameable?: ReadonlyMap<string, DestinationIntent>;
}

export interface OutboundIntent {
  /** What happens to connections that no service claims. */
  readonly unknown: UnknownTraffic;
  /** Of `by-name` alone. */
  readonly strangers?: StrangersIntent;
  /** How long to wait for a client's first bytes, where they decide; 0: as long as it takes. */
  readonly detectionTimeoutMs: number;
  /** By address and port. */
  readonly httpPorts: ReadonlyMap<string, OutboundHttpPortIntent>;
  readonly tcpPorts: ReadonlyMap<string, TcpPortIntent>;
}

/** How names that no service has are dialled. */
export interface StrangersIntent {
  readonly families: IpFamilies;
  readonly security: Extract<ClientSecurity, { kind: 'plain' | 'tls' }>;
  readonly connectTimeoutMs: number;
}

export interface HttpPortIntent {
  /** An IP address, or `unix://` and a path; absent or '': every address. */
  readonly address?: string;
  readonly port: number;
  readonly table: RouteTableIntent;
}

/** Where HTTP is told from other protocols by the client's first bytes. */
export interface OutboundHttpPortIntent extends HttpPortIntent {
  /** As TcpPortIntent has it. */
  readonly address: string;
  readonly open?: true;
  /** CIDR blocks of `chains` in which requests go by the table, too. */
  readonly httpBlocks: readonly string[];
  /** What takes connections that are no HTTP. */
  readonly chains: readonly TcpChainIntent[];
}

export interface TcpPortIntent {
  /** An IP address; '' for every address that no other listener of the port has. */
  readonly address: string;
  readonly port: number;
  /** The proxy has the port open itself; else the redirect hands over what is captured. */
  readonly open?: true;
  readonly chains: readonly TcpChainIntent[];
}

export interface TcpChainIntent {
  /** Server names of the client's TLS; empty: any, or none. */
  readonly serverNames: readonly string[];
  /** CIDR blocks of the address that the client dialled; empty: any. */
  readonly blocks: readonly string[];
  /** At least one, each with a weight above 0. */
  readonly to: readonly TcpShare[];
  /** Which of the destination's two forms. */
  readonly use: DestinationIntent['use'];
  /** What the destination's rule says of connections as such; absent: nothing. */
  readonly policy?: TcpPolicyIntent;
  /** Opened before the bytes go on; absent: they go as they came. */
  readonly tls?: ServerTlsIntent;
  readonly origin: Origin;
}

export interface TcpPolicyIntent {
  /** Endpoints are chosen by the client's address. */
  readonly hashed?: true;
  /** 0: never. */
  readonly idleTimeoutMs?: number;
  readonly lifetimeMs?: number;
  /** Endpoints to try until one takes the connection. Absent: 1. */
  readonly connectAttempts?: number;
  /** The name in the client's TLS is looked up, and this port of it dialled. */
  readonly byName?: { readonly port: number; readonly families: IpFamilies };
  /** The destination is an HTTP proxy, which is asked for a way to HOST:PORT first. */
  readonly tunnel?: { readonly method: 'CONNECT' | 'POST'; readonly host: string; readonly port: number };
}

/** A part of a chain's connections. */
export interface TcpShare {
  readonly ref: DestinationRef;
  readonly weight: number;
}

export interface InboundIntent {
  /** The lowest version of the mesh's TLS that is taken; absent: 1.2. */
  readonly minTls?: '1.3';
  /** Sorted by port. */
  readonly ports: readonly InboundPortIntent[];
}

export interface InboundPortIntent {
  /** The port that the application listens on. */
  readonly port: number;
  /** `auto`: HTTP where the client's sidecar says so in its TLS (ALPN). */
  readonly protocol: 'http' | 'http2' | 'tcp' | 'auto';
  readonly host: string;
  readonly origin: Origin;
  /** Where the application listens; absent: where the client dialled. */
  readonly endpoint?: LocalEndpointIntent;
  /** An address that the proxy listens on itself; absent: what is captured. */
  readonly open?: string;
  /** Instead of the mesh's own. */
  readonly tls?: ServerTlsIntent;
  /** Of the mesh's own TLS; absent: 1.2. */
  readonly minTls?: '1.3';
  readonly pool?: PoolIntent;
  /** How long to wait for the application to take a connection; absent: 10 s. */
  readonly connectTimeoutMs?: number;
  /** The application is spoken to as the client speaks: HTTP/1.1 or HTTP/2. */
  readonly asClient?: true;
  /** HTTP/1 headers are passed on as they are written. */
  readonly keepsCase?: true;
  /** What the application is asked again; absent: only what it never saw, while it starts. */
  readonly retries?: InboundRetriesIntent;
}

/** `attempts` 0: nothing is. */
export interface InboundRetriesIntent {
  readonly attempts: number;
  readonly on: readonly string[];
  readonly statusCodes: readonly number[];
  readonly backoffMs: number | undefined;
}

export type LocalEndpointIntent =
  | { readonly kind: 'address'; readonly address: string; readonly port: number }
  /** Of the pod, whatever its address. */
  | { readonly kind: 'port'; readonly port: number }
  | { readonly kind: 'unix'; readonly path: string };

export interface GatewayIntent {
  /** Requests in plain text. */
  readonly httpPorts: readonly HttpPortIntent[];
  /** TLS, opened here or passed on, and bytes that nobody reads. */
  readonly tcpPorts: readonly GatewayPortIntent[];
}

export interface GatewayPortIntent {
  /** See HttpPortIntent. */
  readonly address: string;
  readonly port: number;
  /** TLS only: chains are chosen by its server name, other names and plaintext have nowhere to go. Else there is one chain. */
  readonly secure: boolean;
  readonly chains: readonly TcpChainIntent[];
  readonly https: readonly HttpsChainIntent[];
}

/** TLS that is opened here, and requests in it. */
export interface HttpsChainIntent {
  /** Server names of the client's TLS; empty: any, or none. */
  readonly serverNames: readonly string[];
  readonly tls: ServerTlsIntent;
  readonly table: RouteTableIntent;
  readonly origin: Origin;
}
