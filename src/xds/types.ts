// SPDX-License-Identifier: Apache-2.0
// The seam between the compile stages and the xDS sessions: xds/ knows resources as named, versioned bytes and nothing
// of the mesh; runtime/ supplies an XdsBackend that wires the two together.

/** One xDS resource: serialized once, shared as bytes by every stream that sends it. */
export interface XdsResource {
  /** e.g. `type.googleapis.com/envoy.config.cluster.v3.Cluster`. */
  readonly typeUrl: string;
  readonly name: string;
  /** Content hash of `value`: equal bytes, equal version. */
  readonly version: string;
  /** The serialized message (the `value` of the google.protobuf.Any, without the Any around it). */
  readonly value: Uint8Array;
}

/**
 * Everything one proxy should have: type URL -> resource name -> resource. Frozen; a change makes a new one, and keeps the
 * inner map of every type that did not change (the session skips those by identity; proxies that share a map share the
 * work of comparing it). A ClusterLoadAssignment has the name of its cluster.
 */
export type DesiredState = ReadonlyMap<string, ReadonlyMap<string, XdsResource>>;

/** What a proxy is given of one type when it asks by name, beyond what it should have anyway. */
export interface Offer {
  /** The same map while nothing in it changed. */
  readonly resources: ReadonlyMap<string, XdsResource>;
  /** The name of the resource that a virtual host's `ROUTE_CONFIGURATION/host` means; undefined where no host is meant. */
  resolve?(asked: string): string | undefined;
  /** Answers for a name without a resource, where the proxy would wait in vain for one. Equal names, equal answers. */
  standIn?(name: string): XdsResource | undefined;
}

/** Type URL -> what there is on demand. Types that are not in it have nothing but what is pushed. */
export type OfferedState = ReadonlyMap<string, Offer>;

export interface Kept {
  find(name: string): XdsResource | undefined;
  /** Everything that is found: asked for only where a proxy has much of it, and the same map each time. */
  all(): ReadonlyMap<string, XdsResource>;
}

/**
 * Type URL -> what there is now under a name that the proxy has or asks for, and need not have any more: a cluster that no
 * route names since, say, to which requests are still under way. It goes on with that as it is now; a name without a resource is taken back.
 * The same objects while none of their answers has changed.
 */
export type KeptState = ReadonlyMap<string, Kept>;

/** envoy.config.core.v3.Node as the stream's first request gave it; `metadata` is the Struct as plain JSON. */
export interface XdsNode {
  readonly id: string;
  readonly cluster: string;
  readonly metadata: Readonly<Record<string, unknown>>;
  readonly userAgentVersion: string;
}

/** Who is at the other end, proven by the transport (a bound service-account token), never by what the node says. */
export interface PeerIdentity {
  readonly trustDomain: string;
  readonly clusterName: string;
  readonly namespace: string;
  readonly serviceAccount: string;
  /** From the token's binding; '' where the transport proved none (loopback plaintext only). */
  readonly podName: string;
  readonly podUid: string;
  /** Milliseconds since the epoch when the credential ends; the server ends the stream then. */
  readonly expiresAtMs: number;
}

/** Where a call came from. `secure` is false only for plaintext on loopback. */
export interface PeerTransport {
  readonly secure: boolean;
  readonly address: string;
  /** The certificate that the peer presented, if any: its URIs, and why it does not hold ('' when it does). */
  readonly certificate?: { readonly uris: readonly string[]; readonly problem: string };
}

export interface Authenticator {
  /**
   * Who holds `token`, the bearer token of a call (undefined when there was none). Rejects with XdsRefusal: UNAUTHENTICATED
   * when the token proves nobody, UNAVAILABLE when that could not be found out now. Called once for each stream; the token
   * is a secret and belongs in no log and no message.
   */
  authenticate(token: string | undefined, transport: PeerTransport): Promise<PeerIdentity>;
}

/** Thrown (or returned as a rejection) by a backend or an authenticator to end the stream with a gRPC status. */
export class XdsRefusal extends Error {
  readonly code: 'PERMISSION_DENIED' | 'UNAUTHENTICATED' | 'UNAVAILABLE' | 'INVALID_ARGUMENT';
  constructor(code: XdsRefusal['code'], message: string) {
    super(message);
    this.code = code;
  }
}

/** A resource that the proxy refused, by itself: of a refused response with several, the session finds out which. */
export interface XdsNack {
  readonly typeUrl: string;
  /** Versions of the resources in the refused response: name -> version. */
  readonly resources: ReadonlyMap<string, string>;
  readonly nonce: string;
  readonly message: string;
}

/** One proxy's side of the backend, from the stream's first request to its end. */
export interface XdsProxy {
  /**
   * What the proxy should have now. Called once after `connect`, and once after one or more calls of `changed`. XdsRefusal
   * ends the stream; with any other error the proxy keeps what it has.
   */
  desired(): DesiredState;
  /** The first request for a type is about to be answered, by what `desired` says then. */
  opens?(typeUrl: string): void;
  /** What it may ask for by name, as of the last call of `desired`. Delta only; absent where everything is pushed. */
  offered?(): OfferedState;
  /** What it need not have and is not to lose, as of the last call of `desired`; absent where there is no such thing. */
  kept?(): KeptState;
  /** Type URL -> names on offer that the proxy is likely to ask for: it is given them at once. */
  foreseen?(): ReadonlyMap<string, Iterable<string>>;
  /** The proxy asked for these names on offer, or holds them from an earlier stream. */
  asked?(typeUrl: string, names: readonly string[]): void;
  /** `resources`: those that the response brought. */
  acknowledged(typeUrl: string, nonce: string, resources: readonly XdsResource[]): void;
  /** The resources that it goes on with from an earlier stream, and that are as it holds them: it took them then. */
  resumed?(typeUrl: string, resources: readonly XdsResource[]): void;
  rejected(nack: XdsNack): void;
  closed(): void;
}

export interface XdsBackend {
  /**
   * A stream's first request. `changed` may be called any number of times, from any tick; the session coalesces.
   * Throws XdsRefusal when `node` contradicts `peer`. May wait until the sources have synced.
   */
  connect(peer: PeerIdentity, node: XdsNode, changed: () => void): Promise<XdsProxy>;
}
