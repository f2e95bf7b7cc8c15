// SPDX-License-Identifier: Apache-2.0
// What `mesh verify` and its program in the probe pods say to one another: JSON in arguments and on standard output.

/** A request as an application makes it: by name, through its own sidecar. */
export interface Question {
  readonly host: string;
  readonly port: number;
  /** Dialled when the name does not resolve, so that what lies behind it is tried all the same. */
  readonly address?: string;
  /** False: the name is nobody's to resolve where the probe is, and `address` is what counts. */
  readonly byName: boolean;
  /** How long what is new may take to reach the proxies: it is asked again until then. */
  readonly patienceMs: number;
}

export interface Answer {
  /** The clock of the pod's node when it began, in ms since 1970. */
  readonly podMs: number;
  readonly lookup: { readonly addresses: readonly string[] } | { readonly error: string };
  readonly attempts: number;
  /** The last attempt; `error`: no HTTP answer at all. */
  readonly outcome: HttpOutcome | { readonly error: string };
}

export interface HttpOutcome {
  readonly status: number;
  readonly body: string;
  readonly tookMs: number;
}

/** What the probe of a cluster answers. */
export interface ProbeReply {
  /** The context whose probe it is. */
  readonly cluster: string;
  /** The header by which a sidecar tells its application whose certificate the caller had; '' without one. */
  readonly clientCertificate: string;
}

/** A gateway's port, to be dialled past the sidecar. */
export interface Door {
  readonly address: string;
  readonly port: number;
  /** What the far gateway goes by; '' where the far pod itself is dialled. */
  readonly sni: string;
  /** Other ports of the same gateway: does anything of it answer? */
  readonly otherPorts: readonly number[];
}

/** `reset`: somebody took the connection and threw it away at once. */
export type TcpOutcome = 'open' | 'refused' | 'reset' | 'silent' | { readonly error: string };

export interface DoorSight {
  readonly door: Door;
  readonly podMs: number;
  /** Of a name; [] where it does not resolve. */
  readonly addresses: readonly string[];
  readonly tcp: TcpOutcome;
  readonly otherPorts: readonly { readonly port: number; readonly tcp: TcpOutcome }[];
  /** undefined: TCP was not open. */
  readonly tls?: TlsOutcome;
  /** The first bytes that plain HTTP was answered with; '' for a connection that was closed without any. */
  readonly plain?: string;
}

export type TlsOutcome =
  /** PEM, leaf first. */
  | { readonly kind: 'chain'; readonly protocol: string; readonly chain: readonly string[] }
  | { readonly kind: 'closed' | 'silent' | 'not-tls'; readonly message: string };

/** What a proxy has for one destination. */
export interface ProxySight {
  /** Its stream to the control plane stands. */
  readonly connected: boolean;
  /** undefined: it has no cluster of that name. */
  readonly destination?: {
    readonly tls: boolean;
    readonly endpoints: readonly string[];
  };
  /** Of its own identity; undefined while it has none. */
  readonly certificate?: { readonly notBeforeMs: number; readonly notAfterMs: number };
}
