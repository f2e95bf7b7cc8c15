// SPDX-License-Identifier: Apache-2.0
// What a proxy should do, in the mesh's own terms: every default is resolved, every union is closed, and every node says
// which object and field asked for it. Nothing here knows Envoy; all of it is plain data that JSON can carry.

/** The object and the field behind a node. */
export interface Origin {
  readonly object: {
    readonly apiVersion: string;
    readonly kind: string;
    readonly namespace: string;
    readonly name: string;
    readonly cluster?: string;
  };
  readonly field: string;
}

/** What a proxy is given with the first request that needs it: clusters with their endpoints, or virtual hosts as well. */
export type OnDemand = 'CLUSTERS_ON_DEMAND' | 'ALL_ON_DEMAND';

export interface ProxyIntent {
  readonly kind: 'sidecar' | 'gateway';
  readonly telemetry: TelemetryIntent;
  /** Absent: the proxy is given everything at once. */
  readonly onDemand?: OnDemand;
  /** SO_MARK of the proxy's own connections. */
  readonly upstreamMark: number | undefined;
  readonly outbound: OutboundIntent | undefined;
  readonly inbound: InboundIntent | undefined;
  readonly gateway: GatewayIntent | undefined;
  /** Everything that traffic can be sent to, by use, host, port and subset. */
  readonly destinations: ReadonlyMap<string, DestinationIntent>;
}

/** What is told of requests and connections: those that the proxy makes (a gateway: passes on), and those that come to it. */
export interface TelemetryIntent {
  readonly client: SideTelemetry;
  readonly server: SideTelemetry;
  /** The objects that ask for it. */
  readonly origins: readonly Origin[];
}

export interface SideTelemetry {
  readonly logs: readonly LogIntent[];
  /** undefined: nothing is counted. */
  readonly metrics: MetricsIntent | undefined;
  readonly tracing: TracingIntent | undefined;
  /** Of gateways: what they make of what clients say of themselves; absent: nothing is believed. */
  readonly edge?: EdgeIntent;
}

export interface EdgeIntent {
  /** Proxies in front of it, whose entries of X-Forwarded-For are true. */
  readonly trustedProxies: number;
  readonly certificates: 'sanitize' | 'forward-only' | 'append-forward' | 'sanitize-set' | 'always-forward-only';
}

export interface LogIntent {
  readonly sink:
    | { readonly kind: 'file'; readonly path: string; readonly omitEmpty?: boolean }
    | { readonly kind: 'otlp'; readonly collector: CollectorIntent; readonly name: string };
  /** In Envoy's format commands; undefined: the usual line. */
  readonly format:
    | { readonly kind: 'text'; readonly text: string }
    /** `body`: a line beside the members, which a record of OTLP may have. */
    | { readonly kind: 'json'; readonly members: JsonFormat; readonly body?: string }
    | undefined;
  /** An expression (CEL) over Envoy's attributes: what it is true of is logged. */
  readonly filter: string | undefined;
}

/** Texts with format commands, or more of the same inside. */
export interface JsonFormat {
  readonly [member: string]: string | JsonFormat;
}

/** A service of the mesh that takes what proxies tell. */
export interface CollectorIntent {
  readonly to: DestinationRef;
  readonly timeoutMs: number | undefined;
}

/** Istio's names of metrics, without `istio_`. */
export type IstioMetric =
  | 'requests_total'
  | 'request_duration_milliseconds'
  | 'request_bytes'
  | 'response_bytes'
  | 'tcp_connections_opened_total'
  | 'tcp_connections_closed_total'
  | 'tcp_sent_bytes_total'
  | 'tcp_received_bytes_total';

export interface MetricsIntent {
  readonly off: readonly IstioMetric[];
  readonly edits: Readonly<Partial<Record<IstioMetric, LabelEdits>>>;
}

/** `set`: label -> expression (CEL). */
export interface LabelEdits {
  readonly removed: readonly string[];
  readonly set: Readonly<Record<string, string>>;
}

export interface TracingIntent {
  readonly exporter:
    | { readonly kind: 'zipkin'; readonly collector: CollectorIntent; readonly path: string; readonly w3c: boolean }
    | {
        readonly kind: 'otlp';
        readonly collector: CollectorIntent;
        /** By HTTP to this path; undefined: by gRPC. */
        readonly httpPath: string | undefined;
        readonly headers: Readonly<Record<string, string>>;
      }
    /** Headers are passed on, and nothing is told. */
    | { readonly kind: 'none' };
  /** Of requests about which nobody has decided yet. */
  readonly samplingPercent: number;
  readonly tags: readonly SpanTag[];
  readonly maxPathLength: number | undefined;
}

export interface SpanTag {
  readonly name: string;
  readonly from: 'literal' | 'environment' | 'header';
  /** The text, or the name of the variable or header. */
  readonly value: string;
  readonly otherwise: string;
}

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
  /** `as-client`: HTTP/2 for a client that speaks it, HTTP/1 for one that speaks that, and bytes for any other. */
  readonly protocol: 'http' | 'http2' | 'as-client' | 'tcp';
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
    }
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

export type Discovery =
  | { readonly kind: 'endpoints'; readonly service: string; readonly portName: string; readonly filter: EndpointFilter }
  /** `once`: the first address that the name resolves to, per connection. */
  | { readonly kind: 'dns'; readonly once: boolean; readonly endpoints: readonly EndpointIntent[] }
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
  /** Connections that could not be made, or broke; 0: no ejection for those. undefined: they count as answers with 5xx do. */
  readonly connectFailures: number | undefined;
  readonly intervalMs: number;
  readonly baseEjectionMs: number;
  /** An endpoint that is ejected again and again stays away longer each time, up to this; undefined: five minutes. */
  readonly maxEjectionMs: number | undefined;
  readonly maxEjectionPercent: number;
  readonly minHealthPercent: number;
}

export interface OutboundIntent {
  /** What happens to connections that no service claims. */
  readonly unknown: UnknownTraffic;
  /** How long to wait for a client's first bytes, where they decide; 0: as long as it takes. */
  readonly detectionTimeoutMs: number;
  /** By address and port. */
  readonly httpPorts: ReadonlyMap<string, OutboundHttpPortIntent>;
  readonly tcpPorts: ReadonlyMap<string, TcpPortIntent>;
}

/** It goes where it was going, or nowhere, or all to one destination. */
export type UnknownTraffic = 'pass-through' | 'refuse' | DestinationRef;

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
  /** The destination is an HTTP proxy, which is asked for a way to HOST:PORT first. */
  readonly tunnel?: { readonly method: 'CONNECT' | 'POST'; readonly host: string; readonly port: number };
}

/** A part of a chain's connections. */
export interface TcpShare {
  readonly ref: DestinationRef;
  readonly weight: number;
}

export interface RouteTableIntent {
  readonly name: string;
  /** By name, in no order: no domain is in two of them. */
  readonly hosts: ReadonlyMap<string, VirtualHostIntent>;
  readonly otherwise: UnknownTraffic | 'not-found';
}

export interface VirtualHostIntent {
  readonly name: string;
  /** Without ports, which do not matter. */
  readonly domains: readonly string[];
  /** Plain HTTP is answered by a redirect to HTTPS. */
  readonly httpsOnly: boolean;
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
}

export interface RetryIntent {
  readonly attempts: number;
  readonly perTryTimeoutMs: number | undefined;
  readonly on: readonly string[];
  readonly statusCodes: readonly number[];
  readonly avoidPreviousHosts: boolean;
  /** Other priorities, which are other localities, go before those that were tried. */
  readonly otherPriorities: boolean;
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

export interface InboundIntent {
  /** Only mutual TLS of the mesh is let in. */
  readonly mtls: 'strict';
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
  readonly pool?: PoolIntent;
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

/** Keys and certificates are in none of these: a proxy gets them apart, by these names. */
export type CertificateSource =
  /** A Secret in the proxy's own namespace. */
  | { readonly kind: 'secret'; readonly name: string }
  /** Files in the proxy. */
  | { readonly kind: 'files'; readonly chain: string; readonly key: string };

export type RootsSource =
  /** The Secret NAME-cacert, or else NAME itself, in the proxy's own namespace. */
  | { readonly kind: 'secret'; readonly name: string }
  | { readonly kind: 'files'; readonly roots: string; readonly crl: string | undefined };

export type TlsVersion = '1.0' | '1.1' | '1.2' | '1.3';

/** How the proxy proves itself to its clients, and what it asks of them. */
export interface ServerTlsIntent {
  /** `mesh`: its own identity. Several: one for each kind of key. */
  readonly certificates: 'mesh' | readonly CertificateSource[];
  /** Whether clients need a certificate, may have one, or are not asked. */
  readonly clients: 'required' | 'asked' | 'unasked';
  /** Who vouches for them; undefined while they are not asked. */
  readonly roots: 'mesh' | RootsSource | undefined;
  /** A file in the proxy: of the mesh's roots, certificates that are revoked. */
  readonly meshCrl: string | undefined;
  /** Of which the client's certificate must have one as a subject alternative name; empty: any. */
  readonly names: readonly string[];
  /** SHA-256 of the public key (base64) and of the certificate (hexadecimal), of which one must be the client's; empty: any. */
  readonly keyHashes: readonly string[];
  readonly hashes: readonly string[];
  /** Certificates count even if nobody vouches for them. */
  readonly untrusted: boolean;
  readonly versions: { readonly min: TlsVersion; readonly max: TlsVersion };
  /** Up to TLS 1.2; empty: the usual. */
  readonly cipherSuites: readonly string[];
  readonly curves: readonly string[];
}
