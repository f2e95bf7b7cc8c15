// SPDX-License-Identifier: Apache-2.0
// One gRPC call on an HTTP/2 stream, seen from the server.
import { constants, type IncomingHttpHeaders, type ServerHttp2Stream } from 'node:http2';
import { type KnownMessages, MessageReader } from './framing.ts';
import { encodeStatusMessage, GrpcError, STATUS, type StatusName } from './status.ts';

const RESPONSE_HEADERS = { ':status': 200, 'content-type': 'application/grpc', 'grpc-accept-encoding': 'identity' };

export interface CallPeer {
  readonly secure: boolean;
  readonly address: string;
  /** By which name the peer called this server (SNI); '' when by none. */
  readonly serverName: string;
  /** What the peer presented, if anything. */
  readonly certificate?: PeerCertificate;
}

export interface PeerCertificate {
  /** Subject alternative names of that kind. */
  readonly uris: readonly string[];
  /** '' for one that holds. */
  readonly problem: string;
}

export interface CallLimits {
  /** Of a message from a peer. A reconnecting Envoy names every resource that it holds: about 80 bytes each. */
  readonly maxMessageBytes: number;
  /** How long a peer that does not read may hold up the end of a call. */
  readonly flushOnEndMs: number;
}

export class GrpcCall {
  readonly path: string;
  readonly peer: CallPeer;
  /** Resolves when the stream is gone, whoever ended it. Never rejects. */
  readonly closed: Promise<void>;
  readonly #headers: IncomingHttpHeaders;
  readonly #stream: ServerHttp2Stream;
  readonly #limits: CallLimits;
  readonly #account: (deltaBytes: number) => void;
  #ended: { code: StatusName; message: string } | undefined;

  /** `account` is told of every change of the bytes that are held for messages which are still coming. */
  constructor(
    stream: ServerHttp2Stream,
    headers: IncomingHttpHeaders,
    peer: CallPeer,
    limits: CallLimits,
    account: (deltaBytes: number) => void = () => {},
  ) {
    this.#stream = stream;
    this.#headers = headers;
    this.path = headers[':path'] ?? '';
    this.peer = peer;
    this.#limits = limits;
    this.#account = account;
    this.closed = new Promise((resolve) => stream.once('close', resolve));
    // A reset by the peer arrives as an error too; `closed` tells what is left to tell.
    stream.on('error', () => {});
  }

  /** The token of `authorization: Bearer TOKEN`, undefined when there is none. It is a secret: never log it. */
  get bearerToken(): string | undefined {
    return /^bearer +(\S+)$/i.exec(this.#headers.authorization ?? '')?.[1];
  }

  get isEnded(): boolean {
    return this.#ended !== undefined || this.#stream.destroyed || this.#stream.closed;
  }

  /** The status that this side ended the call with. */
  get status(): { code: StatusName; message: string } | undefined {
    return this.#ended;
  }

  /** True while the peer takes less than we write: hold further messages until `onDrain`. */
  get isCongested(): boolean {
    return this.#stream.writableNeedDrain;
  }

  onDrain(listener: () => void): void {
    this.#stream.on('drain', listener);
  }

  /**
   * Gives the peer's messages to `take`, one by one, and resolves when the peer half-closes or the call ends, and what was
   * given has been taken. Rejects with what `take` throws, and with GrpcError where the peer sends no messages; nothing is
   * taken after that. Reads no faster than `take` does, whose promises (of what cannot be said at once) are waited for. To
   * be called once.
   */
  receive(take: (message: Uint8Array) => Promise<void> | undefined, known?: KnownMessages): Promise<void> {
    const stream = this.#stream;
    const reader = new MessageReader(this.#limits.maxMessageBytes, this.#account, known);
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const waiting: Uint8Array[] = [];
    let isTaking = false;
    let hasHalfClosed = false;
    const stop = (): void => {
      waiting.length = 0;
      stream.off('data', push);
      reader.drop();
    };
    const fail = (error: unknown): void => {
      stop();
      // What still comes is let go of: a stream that is not read to its end is never closed.
      stream.resume();
      reject(error);
    };
    const takeWaiting = (): void => {
      for (let next = waiting.shift(); next !== undefined && !this.isEnded; next = waiting.shift()) {
        const taken = take(next);
        if (taken === undefined) continue;
        isTaking = true;
        stream.pause();
        taken.then(() => {
          isTaking = false;
          goOn(takeWaiting);
          if (!isTaking) stream.resume();
        }, fail);
        return;
      }
      // What comes behind the end of the call is for nobody.
      if (this.isEnded) waiting.length = 0;
      if (!hasHalfClosed && !stream.destroyed) return;
      if (reader.atBoundary || this.isEnded) resolve();
      else throw new GrpcError('INVALID_ARGUMENT', 'the stream ended within a message');
    };
    const goOn = (act: () => void): void => {
      try {
        act();
      } catch (error) {
        fail(error);
      }
    };
    const push = (chunk: Buffer): void =>
      goOn(() => {
        waiting.push(...reader.push(chunk));
        if (!isTaking) takeWaiting();
      });
    stream.on('data', push);
    stream.once('end', () => {
      hasHalfClosed = true;
      if (!isTaking) goOn(takeWaiting);
    });
    // Reset, or the connection is torn.
    void this.closed.then(() => {
      stop();
      if (!isTaking) resolve();
    });
    return promise;
  }

  /** Sends what is one message with its prefix, in parts that may be shared with other calls. Returns its size. */
  send(parts: readonly Uint8Array[]): number {
    if (this.isEnded) return 0;
    this.#respond();
    let length = 0;
    for (const part of parts) length += part.length;
    if (parts.length > 1) this.#stream.cork();
    for (const part of parts) this.#stream.write(part);
    if (parts.length > 1) this.#stream.uncork();
    return length;
  }

  /** Sends the response headers at once, so that the peer knows that the call was taken. */
  accept(): void {
    if (!this.isEnded) this.#respond();
  }

  #respond(): void {
    if (this.#stream.headersSent) return;
    this.#stream.respond(RESPONSE_HEADERS, { waitForTrailers: true });
  }

  /**
   * Ends the call with trailers (or trailers alone). What was sent before goes out first, if the peer takes it within
   * `flushOnEndMs`. Idempotent.
   */
  end(code: StatusName, message = ''): void {
    if (this.isEnded) return;
    this.#ended = { code, message };
    const trailers: Record<string, string | number> = { 'grpc-status': STATUS[code] };
    if (message !== '') trailers['grpc-message'] = encodeStatusMessage(message);
    const stream = this.#stream;
    const cut = setTimeout(() => stream.close(constants.NGHTTP2_CANCEL), this.#limits.flushOnEndMs);
    stream.once('close', () => clearTimeout(cut));
    // The peer may go on sending: tell it to stop, but behind the trailers, and without an error.
    const closeBehind = (): void => {
      setImmediate(() => stream.close(constants.NGHTTP2_NO_ERROR));
    };
    if (!stream.headersSent) {
      stream.respond({ ...RESPONSE_HEADERS, ...trailers }, { endStream: true });
      closeBehind();
    } else {
      stream.once('wantTrailers', () => {
        stream.sendTrailers(trailers);
        closeBehind();
      });
      stream.end();
    }
  }
}
