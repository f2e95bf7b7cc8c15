// SPDX-License-Identifier: Apache-2.0
// One discovery stream: a gRPC call, a session, and the backend's proxy, tied together.
import type { GrpcCall } from './grpc/call.ts';
import { GrpcError } from './grpc/status.ts';
import type { ResponseEncoder } from './response-encoding.ts';
import type { DiffMaps } from './session/map-diff.ts';
import {
  type HeldType,
  type Received,
  Session,
  type SessionRequest,
  type TypeStatus,
  type Variant,
} from './session/session.ts';
import type { SharedLists } from './session/shared-lists.ts';
import type { Turns } from './turns.ts';
import {
  type OfferedState,
  type PeerIdentity,
  type XdsBackend,
  type XdsNode,
  type XdsProxy,
  XdsRefusal,
} from './types.ts';

/** What happens on streams, for logs and metrics. Holds no credential and no resource. */
export type XdsEvent =
  | { readonly kind: 'opened'; readonly stream: StreamInfo }
  | { readonly kind: 'closed'; readonly stream: StreamInfo; readonly status: string; readonly message: string }
  | {
      readonly kind: 'sent';
      readonly stream: StreamInfo;
      readonly typeUrl: string;
      readonly resources: number;
      readonly removed: number;
      readonly bytes: number;
    }
  | { readonly kind: 'received'; readonly stream: StreamInfo; readonly received: Received }
  /** Nobody who may have a stream: why, and where the call came from. */
  | {
      readonly kind: 'refused';
      readonly service: 'ads' | 'sds';
      readonly address: string;
      readonly status: string;
      readonly message: string;
    }
  /** The backend failed to say what the proxy should have; the stream goes on with what it had. */
  | { readonly kind: 'backend-failed'; readonly stream: StreamInfo; readonly error: Error };

export interface StreamInfo {
  readonly service: 'ads' | 'sds';
  readonly variant: Variant;
  readonly peer: PeerIdentity;
  readonly node: XdsNode;
  readonly connectedAtMs: number;
  /** The proxy has presented a certificate of its own. */
  readonly mutualTls: boolean;
}

/** What all streams of a server share. */
export interface StreamContext {
  readonly service: 'ads' | 'sds';
  readonly variant: Variant;
  readonly impliedType: string | undefined;
  readonly backend: XdsBackend;
  readonly encoder: ResponseEncoder;
  readonly diff: DiffMaps;
  readonly lists: SharedLists;
  readonly turns: Turns;
  readonly nowMs: () => number;
  readonly observe: (event: XdsEvent) => void;
  readonly warmingLimitMs: number;
}

export class XdsStream {
  readonly info: StreamInfo;
  readonly #call: GrpcCall;
  readonly #context: StreamContext;
  readonly #session: Session;
  readonly #takeTurn = (): void => this.#refresh();
  #proxy: XdsProxy | undefined;
  /** Asked for so far. */
  readonly #types = new Set<string>();
  #hasDesired = false;
  #isClosed = false;
  #wake: NodeJS.Timeout | undefined;

  private constructor(call: GrpcCall, context: StreamContext, info: StreamInfo) {
    this.#call = call;
    this.#context = context;
    this.info = info;
    const { variant, diff, lists, warmingLimitMs } = context;
    this.#session = new Session({ variant, diff, lists, warmingLimitMs });
    call.onDrain(() => this.#pump());
  }

  /**
   * Connects a stream to the backend by the node of its first request, which is then to be given to `receive`. Rejects with
   * XdsRefusal when the backend refuses. Whoever opens it closes it.
   */
  static async open(
    call: GrpcCall,
    context: StreamContext,
    peer: PeerIdentity,
    node: XdsNode | undefined,
  ): Promise<XdsStream> {
    if (node === undefined) throw new GrpcError('INVALID_ARGUMENT', 'the first request of a stream has no node');
    const { service, variant } = context;
    const mutualTls = call.peer.certificate !== undefined;
    const info = { service, variant, peer, node, connectedAtMs: context.nowMs(), mutualTls };
    const stream = new XdsStream(call, context, info);
    stream.#proxy = await context.backend.connect(peer, node, () => stream.#changed());
    context.observe({ kind: 'opened', stream: info });
    call.accept();
    return stream;
  }

  receive(request: SessionRequest): Received {
    const { nowMs, observe } = this.#context;
    const isFirst = !this.#types.has(request.typeUrl);
    if (isFirst) {
      this.#types.add(request.typeUrl);
      this.#proxy?.opens?.(request.typeUrl);
      this.#update();
    }
    const received = this.#session.receive(request, nowMs());
    if (received.kind === 'acknowledged')
      this.#proxy?.acknowledged(received.typeUrl, received.nonce, received.resources);
    if (isFirst && request.initialVersions.length > 0)
      this.#proxy?.resumed?.(request.typeUrl, this.#session.heldResources(request.typeUrl));
    if (received.kind === 'rejected') this.#proxy?.rejected(received.nack);
    for (const [typeUrl, names] of this.#session.takeNewlyAsked()) this.#proxy?.asked?.(typeUrl, names);
    observe({ kind: 'received', stream: this.info, received });
    this.#pump();
    return received;
  }

  status(): TypeStatus[] {
    return this.#session.status();
  }

  acknowledged(): HeldType[] {
    return this.#session.acknowledged();
  }

  /** Nothing is sent from now on; the call ends with this status. */
  end(code: 'UNAVAILABLE' | 'UNAUTHENTICATED', message: string): void {
    this.#call.end(code, message);
  }

  /** Tells the backend that the stream is gone. Idempotent. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    clearTimeout(this.#wake);
    this.#context.turns.cancel(this.#takeTurn);
    this.#proxy?.closed();
  }

  #changed(): void {
    if (!this.#isClosed) this.#context.turns.request(this.#takeTurn);
  }

  #refresh(): void {
    if (this.#isClosed || this.#call.isEnded || this.#proxy === undefined) return;
    try {
      this.#update();
      this.#pump();
    } catch (error) {
      const { code, message } = statusOf(error);
      this.#call.end(code, message);
    }
  }

  #update(): void {
    if (this.#proxy === undefined) return;
    try {
      const desired = this.#proxy.desired();
      this.#session.update(desired, this.#offered(this.#proxy), this.#proxy.kept?.());
      if (!this.#hasDesired) this.#session.foresee(this.#proxy.foreseen?.() ?? new Map());
      this.#hasDesired = true;
    } catch (error) {
      if (error instanceof XdsRefusal || !this.#hasDesired) throw error;
      this.#context.observe({ kind: 'backend-failed', stream: this.info, error: asError(error) });
    }
  }

  #offered(proxy: XdsProxy): OfferedState | undefined {
    const offered = proxy.offered?.();
    if (offered === undefined || offered.size === 0 || this.#context.variant === 'delta') return offered;
    throw new XdsRefusal('INVALID_ARGUMENT', 'configuration on demand needs the delta protocol: api_type DELTA_GRPC');
  }

  #pump(): void {
    const { encoder, variant, nowMs, observe } = this.#context;
    while (!this.#call.isEnded && !this.#call.isCongested) {
      const response = this.#session.next(nowMs());
      if (response === undefined) break;
      const bytes = this.#call.send(encoder.encode(variant, response));
      const { typeUrl, resources, named = [], removed } = response;
      observe({
        kind: 'sent',
        stream: this.info,
        typeUrl,
        resources: resources.length + named.length,
        removed: removed.length,
        bytes,
      });
    }
    this.#scheduleWake(nowMs());
  }

  #scheduleWake(nowMs: number): void {
    clearTimeout(this.#wake);
    const atMs = this.#isClosed ? undefined : this.#session.wakeAtMs(nowMs);
    if (atMs !== undefined) this.#wake = setTimeout(() => this.#pump(), atMs - nowMs + 1);
  }
}

/** The gRPC status that an error ends a stream with. Messages of unexpected errors stay in the server. */
export function statusOf(error: unknown): GrpcError {
  if (error instanceof GrpcError) return error;
  if (error instanceof XdsRefusal) return new GrpcError(error.code, error.message);
  return new GrpcError('INTERNAL', 'the control plane failed to serve this stream; its log says why');
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}
