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

/**
 * Cuts a stream of chunks, however they fall, into messages. What it holds of an unfinished one is at most twice what came
 * of it, even when that came byte by byte.
 */
export class MessageReader {
  readonly #maxMessageBytes: number;
  readonly #account: (deltaBytes: number) => void;
  readonly #prefix = Buffer.alloc(PREFIX_BYTES);
  #prefixFilled = 0;
  #length = 0;
  /** The beginning of a message of which the rest is still to come. */
  #body: Buffer | undefined;
  #filled = 0;

  /** `account` is told of every change of the bytes that are held for an unfinished message. */
  constructor(maxMessageBytes: number, account: (deltaBytes: number) => void = () => {}) {
    this.#maxMessageBytes = maxMessageBytes;
    this.#account = account;
  }

  /** True when the chunks so far end between two messages. */
  get atBoundary(): boolean {
    return this.#prefixFilled === 0;
  }

  /**
   * The messages that `chunk` completes. Throws GrpcError as soon as a prefix announces a compressed or too long message:
   * nothing is buffered beyond the limit.
   */
  push(chunk: Buffer): Buffer[] {
    const messages: Buffer[] = [];
    for (let at = 0; at < chunk.length; ) {
      if (this.#prefixFilled < PREFIX_BYTES) {
        at += this.#takePrefix(chunk, at);
        if (this.#prefixFilled < PREFIX_BYTES) break;
      }
      const end = Math.min(chunk.length, at + this.#length - this.#filled);
      if (this.#body === undefined && end - at === this.#length) messages.push(chunk.subarray(at, end));
      else if (!this.#takeBody(chunk.subarray(at, end))) return messages;
      else messages.push(this.#body!);
      at = end;
      this.drop();
    }
    return messages;
  }

  /** Lets go of what is unfinished. */
  drop(): void {
    if (this.#body !== undefined) this.#account(-this.#body.length);
    this.#body = undefined;
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

  /** True when the message is whole. */
  #takeBody(piece: Buffer): boolean {
    const needed = this.#filled + piece.length;
    if (this.#body === undefined || this.#body.length < needed) this.#grow(needed);
    piece.copy(this.#body!, this.#filled);
    this.#filled = needed;
    return needed === this.#length;
  }

  #grow(needed: number): void {
    const before = this.#body?.length ?? 0;
    const grown = Buffer.allocUnsafe(Math.min(this.#length, Math.max(needed, before * 2, INITIAL_BYTES)));
    this.#body?.copy(grown, 0, 0, this.#filled);
    this.#body = grown;
    this.#account(grown.length - before);
  }
}
