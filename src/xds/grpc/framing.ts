// SPDX-License-Identifier: Apache-2.0
// Length-prefixed messages: one octet of flags (1 = compressed), four of length, the message.
import { GrpcError } from './status.ts';

export const PREFIX_BYTES = 5;

/** The five octets before an uncompressed message of `length` octets. */
export function messagePrefix(length: number): Buffer {
  const prefix = Buffer.allocUnsafe(PREFIX_BYTES);
  prefix[0] = 0;
  prefix.writeUInt32BE(length, 1);
  return prefix;
}

/** An uncompressed message made of `parts`, `length` octets in all, with its prefix. */
export function wholeMessage(parts: readonly Uint8Array[], length: number): Buffer {
  const message = Buffer.allocUnsafe(PREFIX_BYTES + length);
  message[0] = 0;
  message.writeUInt32BE(length, 1);
  let at = PREFIX_BYTES;
  for (const part of parts) {
    message.set(part, at);
    at += part.length;
  }
  return message;
}

const INITIAL_BYTES = 4096;

/** Messages that others have sent before. */
export interface KnownMessages {
  /** One of that many octets that begins with `start`, if there is any. It must not change any more. */
  find(length: number, start: Uint8Array): Uint8Array | undefined;
}

/**
 * Cuts a stream of chunks, however they fall, into messages. What it holds of an unfinished one is at most twice what came
 * of it, even when that came byte by byte; and nothing as long as it goes like a known one, which is then given in its place.
 */
export class MessageReader {
  readonly #maxMessageBytes: number;
  readonly #account: (deltaBytes: number) => void;
  readonly #known: KnownMessages | undefined;
  readonly #prefix = Buffer.alloc(PREFIX_BYTES);
  #prefixFilled = 0;
  #length = 0;
  /** The beginning of a message of which the rest is still to come. */
  #body: Buffer | undefined;
  /** The known message that it goes like so far. */
  #alike: Uint8Array | undefined;
  #filled = 0;

  /** `account` is told of every change of the bytes that are held for an unfinished message. */
  constructor(maxMessageBytes: number, account: (deltaBytes: number) => void = () => {}, known?: KnownMessages) {
    this.#maxMessageBytes = maxMessageBytes;
    this.#account = account;
    this.#known = known;
  }

  /** True when the chunks so far end between two messages. */
  get atBoundary(): boolean {
    return this.#prefixFilled === 0;
  }

  /**
   * The messages that `chunk` completes. Throws GrpcError as soon as a prefix announces a compressed or too long message:
   * nothing is buffered beyond the limit.
   */
  push(chunk: Buffer): Uint8Array[] {
    const messages: Uint8Array[] = [];
    for (let at = 0; at < chunk.length; ) {
      if (this.#prefixFilled < PREFIX_BYTES) {
        at += this.#takePrefix(chunk, at);
        if (this.#prefixFilled < PREFIX_BYTES) break;
      }
      const end = Math.min(chunk.length, at + this.#length - this.#filled);
      const isWhole = this.#filled === 0 && end - at === this.#length;
      const message = isWhole ? chunk.subarray(at, end) : this.#takePiece(chunk.subarray(at, end));
      if (message === undefined) return messages;
      messages.push(message);
      at = end;
      this.drop();
    }
    return messages;
  }

  /** Lets go of what is unfinished. */
  drop(): void {
    if (this.#body !== undefined) this.#account(-this.#body.length);
    this.#body = undefined;
    this.#alike = undefined;
    this.#filled = 0;
    this.#prefixFilled = 0;
  }

  #takePrefix(chunk: Buffer, at: number): number {
    const taken = chunk.copy(this.#prefix, this.#prefixFilled, at, at + PREFIX_BYTES - this.#prefixFilled);
    this.#prefixFilled += taken;
    if (this.#prefix[0] !== 0) throw new GrpcError('UNIMPLEMENTED', 'compressed messages are not supported');
    this.#length = this.#prefix.readUInt32BE(1);
    if (this.#prefixFilled === PREFIX_BYTES && this.#length > this.#maxMessageBytes) {
      const message = `a message of ${this.#length} bytes is over the limit of ${this.#maxMessageBytes}`;
      throw new GrpcError('RESOURCE_EXHAUSTED', message);
    }
    return taken;
  }

  /** The message, once it is whole. */
  #takePiece(piece: Buffer): Uint8Array | undefined {
    if (this.#filled === 0) this.#alike = this.#known?.find(this.#length, piece);
    if (!this.#goesOn(piece)) this.#takeBody(piece);
    this.#filled += piece.length;
    return this.#filled < this.#length ? undefined : (this.#alike ?? this.#body);
  }

  /** Whether the message still goes like the known one; if not, what came of it so far is what it has in common with that. */
  #goesOn(piece: Buffer): boolean {
    const alike = this.#alike;
    if (alike === undefined) return false;
    if (piece.equals(alike.subarray(this.#filled, this.#filled + piece.length))) return true;
    this.#alike = undefined;
    this.#grow(this.#filled + piece.length);
    this.#body!.set(alike.subarray(0, this.#filled));
    return false;
  }

  #takeBody(piece: Buffer): void {
    const needed = this.#filled + piece.length;
    if (this.#body === undefined || this.#body.length < needed) this.#grow(needed);
    piece.copy(this.#body!, this.#filled);
  }

  #grow(needed: number): void {
    const before = this.#body?.length ?? 0;
    const grown = Buffer.allocUnsafe(Math.min(this.#length, Math.max(needed, before * 2, INITIAL_BYTES)));
    this.#body?.copy(grown, 0, 0, this.#filled);
    this.#body = grown;
    this.#account(grown.length - before);
  }
}
