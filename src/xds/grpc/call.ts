// SPDX-License-Identifier: Apache-2.0
// One gRPC call on an HTTP/2 stream, seen from the server.
import { constants, type IncomingHttpHeaders, type ServerHttp2Stream } from 'node:http2';
import { MessageReader, messagePrefix, PREFIX_BYTES, wholeMessage } from './framing.ts';
import { encodeStatusMessage, GrpcError, STATUS, type StatusName } from './status.ts';

const RESPONSE_HEADERS = { ':status': 200, 'content-type': 'application/grpc', 'grpc-accept-encoding': 'identity' };
/** Below this, copying a message into one buffer is cheaper than writing its parts apart. */
const JOIN_BELOW_BYTES = 16 * 1024;

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
  readonly #reader: MessageReader;
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
    this.#reader = new MessageReader(limits.maxMessageBytes, account);
    this.closed = new Promise((resolve) => {
      stream.once('close', () => {
        this.#reader.drop();
        resolve();
      });
    });
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

  /** The peer's messages until it half-closes or the call ends. Reads no faster than the consumer takes. */
  async *messages(): AsyncGenerator<Buffer, void, void> {
    try {
      // Left early, the iterator would destroy the stream, and the status with it.
      for await (const chunk of this.#stream.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
        for (const message of this.#reader.push(chunk)) {
          if (this.isEnded) return;
          yield message;
        }
      }
    } catch (error) {
      if (error instanceof GrpcError) throw error;
      return; // reset or torn connection: `closed` follows
    }
    if (!this.#reader.atBoundary && !this.isEnded) {
      throw new GrpcError('INVALID_ARGUMENT', 'the stream ended within a message');
    }
  }

  /** Sends one message made of `parts`, which may be shared with other calls. Returns its size with the prefix. */
  send(parts: readonly Uint8Array[]): number {
    if (this.isEnded) return 0;
    this.#respond();
    let length = 0;
    for (const part of parts) length += part.length;
    if (length < JOIN_BELOW_BYTES) {
      this.#stream.write(wholeMessage(parts, length));
    } else {
      this.#stream.cork();
      this.#stream.write(messagePrefix(length));
      for (const part of parts) this.#stream.write(part);
      this.#stream.uncork();
    }
    return length + PREFIX_BYTES;
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
