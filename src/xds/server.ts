// SPDX-License-Identifier: Apache-2.0
// The discovery services (ADS and SDS, delta and state-of-the-world) over gRPC: who calls is proven by the bearer token of
// the call, and a stream ends no later than its credential.
import { type Admission, type AdmissionLimits, Admissions, DEFAULT_ADMISSION } from './admissions.ts';
import type { GrpcCall } from './grpc/call.ts';
import {
  type GrpcHandler,
  type GrpcLimits,
  type GrpcServer,
  startGrpcServer,
  type TlsIdentity,
} from './grpc/server.ts';
import { GrpcError } from './grpc/status.ts';
import { provenPod } from './proven-pod.ts';
import { RequestDecoder } from './request-decoding.ts';
import { ResponseEncoder } from './response-encoding.ts';
import { rememberDiffs } from './session/map-diff.ts';
import type { HeldType, SessionRequest, TypeStatus, Variant } from './session/session.ts';
import { SharedLists } from './session/shared-lists.ts';
import { ROUTE_TYPE, SECRET_TYPE } from './session/type-urls.ts';
import { type StreamContext, type StreamInfo, statusOf, type XdsEvent, XdsStream } from './stream.ts';
import { Turns } from './turns.ts';
import type { Authenticator, PeerIdentity, XdsBackend } from './types.ts';

export interface XdsServerOptions {
  /** An IP address; without `tls` only a loopback one is accepted. Port 0 takes a free one. */
  readonly listen: { readonly host: string; readonly port: number };
  readonly tls?: TlsIdentity;
  readonly authenticator: Authenticator;
  /** AggregatedDiscoveryService; absent: not served. */
  readonly ads?: XdsBackend;
  /** SecretDiscoveryService; absent: not served. */
  readonly sds?: XdsBackend;
  /** Who calls this server by such a name may come from anywhere: no keys for them. */
  readonly publicNames?: ReadonlySet<string>;
  readonly limits?: Partial<GrpcLimits>;
  /** How many ADS streams are given their first configuration at once; the others wait for their turn. */
  readonly admission?: AdmissionLimits;
  /** A stream must send its first request within this. */
  readonly firstRequestMs?: number;
  /** How often the credential of an open stream is asked about again: its pod may have been deleted. */
  readonly recheckMs?: number;
  /** How long listeners and routes wait for a proxy that is still warming clusters. */
  readonly warmingLimitMs?: number;
  readonly nowMs?: () => number;
  readonly observe?: (event: XdsEvent) => void;
  /** Unexpected errors and failed connections. */
  readonly onError?: (error: Error, about: 'handler' | 'connection' | 'limit') => void;
  /** A TLS handshake that did not come about; the error's code names the alert, or is CLOSED when the peer sent none. */
  readonly onHandshakeError?: (error: Error, address: string) => void;
}

export interface StreamStatus extends StreamInfo {
  readonly types: readonly TypeStatus[];
}

export interface XdsServer {
  readonly port: number;
  readonly connectionCount: number;
  /** New connections get this certificate. */
  setTls(tls: TlsIdentity): void;
  /** Every open stream and what its proxy asked for, has and refused. */
  streams(): StreamStatus[];
  /** What the proxy with this node id has acknowledged: of each of its streams. */
  held(node: string): HeldResources[];
  /** Ends the open streams that `concerned` names, with this status. */
  endStreams(
    concerned: (stream: StreamInfo) => boolean,
    code: 'UNAVAILABLE' | 'UNAUTHENTICATED',
    message: string,
  ): void;
  close(): Promise<void>;
}

export type HeldResources = StreamInfo & { readonly types: readonly HeldType[] };

const ADS = '/envoy.service.discovery.v3.AggregatedDiscoveryService';
const SDS = '/envoy.service.secret.v3.SecretDiscoveryService';
const MAX_TIMER_MS = 2 ** 31 - 1;
const RECHECK_MS = 5 * 60_000;
/** An Envoy has one of each service, and another while it restarts; who has proved one pod has no need of more. */
const MAX_STREAMS_OF_A_POD = 32;

/** Serves until `signal` aborts. Rejects when the address is taken, or plaintext was asked for beyond loopback. */
export async function startXdsServer(options: XdsServerOptions, signal: AbortSignal): Promise<XdsServer> {
  const service = new DiscoveryService(options);
  const server = await startGrpcServer(
    {
      listen: options.listen,
      handlers: service.handlers(),
      ...(options.tls === undefined ? {} : { tls: options.tls }),
      ...(options.limits === undefined ? {} : { limits: options.limits }),
      ...(options.onError === undefined ? {} : { onError: options.onError }),
      ...(options.onHandshakeError === undefined ? {} : { onHandshakeError: options.onHandshakeError }),
    },
    signal,
  );
  return withStreams(server, service);
}

function withStreams(server: GrpcServer, service: DiscoveryService): XdsServer {
  return {
    port: server.port,
    get connectionCount() {
      return server.connectionCount;
    },
    setTls: (tls) => server.setTls(tls),
    streams: () => service.streams(),
    held: (node) => service.held(node),
    endStreams: (concerned, code, message) => service.endStreams(concerned, code, message),
    close: () => server.close(),
  };
}

class DiscoveryService {
  readonly #options: XdsServerOptions;
  readonly #streams = new Set<XdsStream>();
  /** By the UID that the token proves. */
  readonly #streamsOfPods = new Map<string, number>();
  readonly #encoder = new ResponseEncoder();
  readonly #diff = rememberDiffs();
  readonly #lists = new SharedLists();
  readonly #decoder = new RequestDecoder();
  readonly #turns = new Turns();
  readonly #admissions: Admissions;

  constructor(options: XdsServerOptions) {
    this.#options = options;
    this.#admissions = new Admissions(options.admission ?? DEFAULT_ADMISSION);
  }

  streams(): StreamStatus[] {
    return [...this.#streams].map((stream) => ({ ...stream.info, types: stream.status() }));
  }

  held(node: string): HeldResources[] {
    const streams = [...this.#streams].filter(({ info }) => info.node.id === node);
    return streams.map((stream) => ({ ...stream.info, types: stream.acknowledged() }));
  }

  endStreams(
    concerned: (stream: StreamInfo) => boolean,
    code: 'UNAVAILABLE' | 'UNAUTHENTICATED',
    message: string,
  ): void {
    for (const stream of this.#streams) if (concerned(stream.info)) stream.end(code, message);
  }

  handlers(): Map<string, GrpcHandler> {
    const { ads, sds } = this.#options;
    const handlers = new Map<string, GrpcHandler>();
    if (ads !== undefined) {
      handlers.set(`${ADS}/DeltaAggregatedResources`, this.#handler('ads', 'delta', ads));
      handlers.set(`${ADS}/StreamAggregatedResources`, this.#handler('ads', 'sotw', ads));
    }
    if (sds !== undefined) {
      handlers.set(`${SDS}/DeltaSecrets`, this.#handler('sds', 'delta', sds));
      handlers.set(`${SDS}/StreamSecrets`, this.#handler('sds', 'sotw', sds));
    }
    return handlers;
  }

  #handler(service: 'ads' | 'sds', variant: Variant, backend: XdsBackend): GrpcHandler {
    const { nowMs = Date.now, observe = () => {}, warmingLimitMs = 5000 } = this.#options;
    const context: StreamContext = {
      service,
      variant,
      impliedType: service === 'sds' ? SECRET_TYPE : undefined,
      backend,
      encoder: this.#encoder,
      diff: this.#diff,
      lists: this.#lists,
      turns: this.#turns,
      nowMs,
      observe,
      warmingLimitMs,
    };
    return (call) => this.#serve(call, context);
  }

  async #serve(call: GrpcCall, context: StreamContext): Promise<void> {
    const firstRequest = setTimeout(
      () => call.end('DEADLINE_EXCEEDED', 'no discovery request came'),
      this.#options.firstRequestMs ?? 15_000,
    );
    let cancelExpiry = (): void => {};
    let cancelRechecks = (): void => {};
    let leavePod = (): void => {};
    let stream: XdsStream | undefined;
    let admission: Admission | undefined;
    try {
      if (context.service === 'sds' && this.#options.publicNames?.has(call.peer.serverName) === true) {
        throw new GrpcError('PERMISSION_DENIED', `keys are not given by the name ${call.peer.serverName}`);
      }
      const peer = await this.#options.authenticator.authenticate(call.bearerToken, call.peer);
      leavePod = this.#enterPod(peer);
      cancelExpiry = this.#endAtExpiry(call, peer, context.nowMs);
      cancelRechecks = this.#endWhenRevoked(call);
      const open = async (message: Uint8Array): Promise<void> => {
        clearTimeout(firstRequest);
        // Secrets do not wait: proxies that were let in need them to make use of what they are given.
        if (context.service === 'ads') {
          admission = await this.#admissions.enter(call.closed);
          if (admission === undefined) return;
        }
        const { node, request } = decode(message);
        stream = await XdsStream.open(call, context, peer, node);
        this.#streams.add(stream);
        take(stream, request);
      };
      const decode = (message: Uint8Array) => this.#decoder.decode(context.variant, message, context.impliedType);
      const take = (to: XdsStream, request: SessionRequest): undefined => {
        const received = to.receive(request);
        // Routes are the last that a proxy asks for.
        if (received.kind === 'acknowledged' && received.typeUrl === ROUTE_TYPE) admission?.release();
        else admission?.heard();
      };
      await call.receive(
        (message) => (stream === undefined ? open(message) : take(stream, decode(message).request)),
        this.#decoder,
      );
      call.end('OK');
    } catch (error) {
      const status = statusOf(error);
      if (status.code === 'INTERNAL')
        this.#options.onError?.(error instanceof Error ? error : new Error(String(error)), 'handler');
      else if (stream === undefined) {
        const { service } = context;
        context.observe({
          kind: 'refused',
          service,
          address: call.peer.address,
          status: status.code,
          message: status.message,
        });
      }
      call.end(status.code, status.message);
    } finally {
      clearTimeout(firstRequest);
      cancelExpiry();
      cancelRechecks();
      leavePod();
      admission?.release();
      if (stream !== undefined) this.#closed(stream, call, context);
    }
  }

  /** @throws GrpcError when the pod has as many streams as any may have */
  #enterPod(peer: PeerIdentity): () => void {
    const pod = provenPod(peer);
    if (pod === undefined) return () => {};
    const count = (this.#streamsOfPods.get(pod) ?? 0) + 1;
    if (count > MAX_STREAMS_OF_A_POD) {
      throw new GrpcError('RESOURCE_EXHAUSTED', `pod ${peer.podName} has ${MAX_STREAMS_OF_A_POD} streams already`);
    }
    this.#streamsOfPods.set(pod, count);
    return () => {
      const left = this.#streamsOfPods.get(pod)! - 1;
      if (left === 0) this.#streamsOfPods.delete(pod);
      else this.#streamsOfPods.set(pod, left);
    };
  }

  #closed(stream: XdsStream, call: GrpcCall, context: StreamContext): void {
    stream.close();
    this.#streams.delete(stream);
    const { code = 'CANCELLED', message = '' } = call.status ?? {};
    context.observe({ kind: 'closed', stream: stream.info, status: code, message });
  }

  /** Ends the call when its credential does: the client comes back with the one that has replaced it. */
  #endAtExpiry(call: GrpcCall, peer: PeerIdentity, nowMs: () => number): () => void {
    let timer: NodeJS.Timeout | undefined;
    const check = (): void => {
      const leftMs = peer.expiresAtMs - nowMs();
      if (leftMs <= 0)
        call.end('UNAUTHENTICATED', 'the token of this stream has expired; connect again with the renewed one');
      else if (Number.isFinite(leftMs)) timer = setTimeout(check, Math.min(leftMs, MAX_TIMER_MS));
    };
    check();
    return () => clearTimeout(timer);
  }

  /** Ends the call when its token proves nobody any more. While that cannot be found out, the stream goes on. */
  #endWhenRevoked(call: GrpcCall): () => void {
    const { authenticator, recheckMs = RECHECK_MS } = this.#options;
    let timer: NodeJS.Timeout | undefined;
    let isOver = false;
    const check = async (): Promise<void> => {
      try {
        await authenticator.authenticate(call.bearerToken, call.peer);
      } catch (error) {
        const { code, message } = statusOf(error);
        if (code === 'UNAUTHENTICATED') call.end(code, message);
      }
      schedule();
    };
    const schedule = (): void => {
      // Streams that came together, after a restart say, do not ask together for ever.
      if (!isOver) timer = setTimeout(check, recheckMs * (0.75 + Math.random() / 2));
    };
    schedule();
    return () => {
      isOver = true;
      clearTimeout(timer);
    };
  }
}

/** For plaintext on loopback: whoever reaches it is believed to be `peer`, and has no credential that could expire. */
export function trustLoopback(peer: Omit<PeerIdentity, 'expiresAtMs'>): Authenticator {
  return {
    authenticate: (_token, transport) =>
      transport.secure
        ? Promise.reject(new GrpcError('UNAUTHENTICATED', 'a bearer token is needed'))
        : Promise.resolve({ ...peer, expiresAtMs: Number.POSITIVE_INFINITY }),
  };
}
