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

/** Cuts a stream of chunks, however they fall, into messages. */
export class MessageReader {
  readonly #maxMessageBytes: number;
  #chunks: Buffer[] = [];
  #buffered = 0;

  constructor(maxMessageBytes: number) {
    this.#maxMessageBytes = maxMessageBytes;
  }

  /** True when the chunks so far end between two messages. */
  get atBoundary(): boolean {
    return this.#buffered === 0;
  }

  /**
   * The messages that `chunk` completes. Throws GrpcError as soon as a prefix announces a compressed or too long message:
   * nothing is buffered beyond the limit.
   */
  push(chunk: Buffer): Buffer[] {
    this.#chunks.push(chunk);
    this.#buffered += chunk.length;
    const messages: Buffer[] = [];
    for (let length = this.#announced(); length !== undefined; length = this.#announced()) {
      if (this.#buffered < PREFIX_BYTES + length) break;
      messages.push(this.#take(PREFIX_BYTES + length).subarray(PREFIX_BYTES));
    }
    return messages;
  }

  #announced(): number | undefined {
    if (this.#buffered < PREFIX_BYTES) return undefined;
    const first = this.#chunks[0];
    const head = first !== undefined && first.length >= PREFIX_BYTES ? first : this.#joined();
    if (head[0] !== 0) throw new GrpcError('UNIMPLEMENTED', 'compressed messages are not supported');
    const length = head.readUInt32BE(1);
    if (length > this.#maxMessageBytes) {
      throw new GrpcError(
        'RESOURCE_EXHAUSTED',
        `a message of ${length} bytes is over the limit of ${this.#maxMessageBytes}`,
      );
    }
    return length;
  }

  #joined(): Buffer {
    const joined = Buffer.concat(this.#chunks);
    this.#chunks = [joined];
    return joined;
  }

  #take(length: number): Buffer {
    const all = this.#chunks.length === 1 && this.#chunks[0] !== undefined ? this.#chunks[0] : this.#joined();
    this.#buffered -= length;
    this.#chunks = this.#buffered === 0 ? [] : [all.subarray(length)];
    return all.subarray(0, length);
  }
}
