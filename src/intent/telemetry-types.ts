// SPDX-License-Identifier: Apache-2.0
// What is told of requests and connections, and to whom. See types.ts.
import type { DestinationRef } from './destination-types.ts';
import type { Origin } from './origin.ts';

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
  /** What proxies say of themselves and of requests in headers, where it is not as usual. */
  readonly headers?: HeadersIntent;
  /** What becomes of the paths of requests before anything else; absent: `.`, `..` and `\\` are resolved. */
  readonly paths?: 'kept' | 'merge-slashes' | 'decode-and-merge-slashes';
  /** What is taken from those who connect, where it is not as usual. */
  readonly connections?: ConnectionsIntent;
  /** The same, whole, of gateways. */
  readonly edgeConnections?: ConnectionsIntent;
}

/** Absent members: as usual. Time-outs of 0: never. */
export interface ConnectionsIntent {
  /** Of gateways: how much a connection may hold that has not gone on. */
  readonly bufferBytes?: number;
  readonly idleTimeoutMs?: number;
  readonly lifetimeMs?: number;
  /** Between telling a client to leave and closing its connection. */
  readonly drainTimeoutMs?: number;
  /** For a whole request to come. */
  readonly requestTimeoutMs?: number;
  readonly requestHeadersTimeoutMs?: number;
  readonly streamIdleTimeoutMs?: number;
  readonly streamLifetimeMs?: number;
  readonly maxConcurrentStreams?: number;
  readonly streamWindowBytes?: number;
  readonly connectionWindowBytes?: number;
  /** Of names of headers. */
  readonly underscores?: 'allow' | 'reject' | 'drop';
  readonly mergeSlashes?: boolean;
  /** Of `%2F` and the like in paths. */
  readonly escapedSlashes?: 'keep' | 'reject' | 'unescape-and-redirect' | 'unescape-and-forward';
}

export interface EdgeIntent {
  /** Proxies in front of it, whose entries of X-Forwarded-For are true. */
  readonly trustedProxies: number;
  readonly certificates: ForwardedCertificates;
  /** Who connects is told by the PROXY protocol's header, before everything else; `optional`: by those who send one. */
  readonly proxyProtocol?: 'required' | 'optional';
}

/** What becomes of X-Forwarded-Client-Cert. */
export type ForwardedCertificates =
  | 'sanitize'
  | 'forward-only'
  | 'append-forward'
  | 'sanitize-set'
  | 'always-forward-only';

/** Absent members: as usual. */
export interface HeadersIntent {
  /** `server` of responses: left as the application has it, or this text. */
  readonly server?: { readonly kind: 'kept' } | { readonly kind: 'named'; readonly name: string };
  /** No request is given an x-request-id. */
  readonly noRequestIds?: true;
  /** None of Envoy's own about times and limits. */
  readonly noEnvoyHeaders?: true;
  /** X-Forwarded-Port has the port that the client dialled. */
  readonly port?: true;
  /** HTTP/1 headers are passed on as they are written. */
  readonly keepsCase?: true;
  /** Of a sidecar, to its application: what its client's certificate says. */
  readonly certificates?: {
    readonly forwarded: ForwardedCertificates;
    readonly details: readonly ('subject' | 'cert' | 'chain' | 'dns' | 'uri')[];
  };
}

export interface LogIntent {
  readonly sink:
    | { readonly kind: 'file'; readonly path: string; readonly omitEmpty?: boolean }
    | { readonly kind: 'otlp'; readonly collector: CollectorIntent; readonly name: string }
    | AccessLogServiceIntent;
  /** In Envoy's format commands; undefined: the usual line. */
  readonly format:
    | { readonly kind: 'text'; readonly text: string }
    /** `body`: a line beside the members, which a record of OTLP may have. */
    | { readonly kind: 'json'; readonly members: JsonFormat; readonly body?: string }
    | undefined;
  /** An expression (CEL) over Envoy's attributes: what it is true of is logged. */
  readonly filter: string | undefined;
}

/** Envoy's own service of access logs: records with all that Envoy knows, of requests or of connections. */
export interface AccessLogServiceIntent {
  readonly kind: 'als';
  readonly of: 'requests' | 'connections';
  readonly collector: CollectorIntent;
  readonly name: string;
  /** Keys of Envoy's filter state that are told as well. */
  readonly filterState: readonly string[];
  /** Names of those that are told as well, of requests. */
  readonly headers?: {
    readonly request: readonly string[];
    readonly response: readonly string[];
    readonly trailers: readonly string[];
  };
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
    | {
        readonly kind: 'zipkin';
        readonly collector: CollectorIntent;
        readonly path: string;
        readonly w3c: boolean;
        readonly headers: Readonly<Record<string, string>>;
        /** Trace ids of 64 bits, in place of 128. */
        readonly shortIds?: true;
      }
    | {
        readonly kind: 'otlp';
        readonly collector: CollectorIntent;
        /** By HTTP to this path; undefined: by gRPC. */
        readonly httpPath: string | undefined;
        readonly headers: Readonly<Record<string, string>>;
      }
    /** The agent; spans name the service that the proxy's environment does. */
    | { readonly kind: 'datadog'; readonly collector: CollectorIntent }
    /** `token`: by which the collector knows that it may believe them. */
    | { readonly kind: 'skywalking'; readonly collector: CollectorIntent; readonly token?: string }
    /** Headers are passed on, and nothing is told. */
    | { readonly kind: 'none' };
  /** Of requests about which nobody has decided yet. */
  readonly samplingPercent: number;
  readonly tags: readonly SpanTag[];
  readonly maxPathLength: number | undefined;
  /** Where requests are sent on to learns nothing of the trace. */
  readonly endsHere?: true;
  /** What x-request-id says of sampling is not believed. */
  readonly ignoresRequestId?: true;
}

export interface SpanTag {
  readonly name: string;
  readonly from: 'literal' | 'environment' | 'header' | 'format';
  /** The text, in Envoy's format commands where it is a format, or the name of the variable or header. */
  readonly value: string;
  readonly otherwise: string;
}
