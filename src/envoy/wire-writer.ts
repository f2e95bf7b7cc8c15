// SPDX-License-Identifier: Apache-2.0
// Protobuf's wire format, written into one buffer that is used again and again: a buffer for each message, and a larger one
// each time it grows, cost more than what is written. https://protobuf.dev/programming-guides/encoding/

/** Longer texts are left to the runtime: it has faster ways, which cost something to begin with. */
const SHORT_TEXT = 100;

export class WireWriter {
  #bytes = Buffer.allocUnsafeSlow(1 << 14);
  #at = 0;

  /** What was written since the last time. */
  take(): Uint8Array {
    const { length } = this;
    this.#at = 0;
    return Buffer.from(this.#bytes.subarray(0, length));
  }

  get length(): number {
    return this.#at;
  }

  /** Forgets what was written. */
  reset(): void {
    this.#at = 0;
  }

  /** @param value of 32 bits, without a sign */
  varint(value: number): void {
    this.#reserve(5);
    let rest = value;
    for (; rest > 127; rest >>>= 7) this.#bytes[this.#at++] = (rest & 127) | 128;
    this.#bytes[this.#at++] = rest;
  }

  /** Of 64 bits; below zero in two's complement. */
  longVarint(value: bigint): void {
    this.#reserve(10);
    let rest = BigInt.asUintN(64, value);
    for (; rest > 127n; rest >>= 7n) this.#bytes[this.#at++] = Number(rest & 127n) | 128;
    this.#bytes[this.#at++] = Number(rest);
  }

  double(value: number): void {
    this.#reserve(8);
    this.#at = this.#bytes.writeDoubleLE(value, this.#at);
  }

  float(value: number): void {
    this.#reserve(4);
    this.#at = this.#bytes.writeFloatLE(value, this.#at);
  }

  raw(bytes: Uint8Array): void {
    this.#reserve(bytes.length);
    this.#bytes.set(bytes, this.#at);
    this.#at += bytes.length;
  }

  /** With its length before it. */
  text(value: string): void {
    const { length } = value;
    this.#reserve(length * 3 + 5);
    if (length <= SHORT_TEXT && this.#plainText(value)) return;
    const start = this.open();
    this.#reserve(length * 3);
    this.#at += this.#bytes.write(value, this.#at, 'utf8');
    this.close(start);
  }

  /** Begins what has its length before it; to be ended by `close` with what this returns. */
  open(): number {
    this.#reserve(1);
    return ++this.#at;
  }

  close(start: number): void {
    const length = this.#at - start;
    if (length > 127) {
      let size = 1;
      for (let rest = length; rest > 127; rest >>>= 7) size++;
      this.#reserve(size);
      this.#bytes.copyWithin(start + size - 1, start, this.#at);
    }
    this.#at = start - 1;
    this.varint(length);
    this.#at += length;
  }

  /** False if it is not ASCII; then nothing is written. */
  #plainText(value: string): boolean {
    const bytes = this.#bytes;
    const { length } = value;
    let at = this.#at;
    bytes[at++] = length;
    for (let i = 0; i < length; i++) {
      const code = value.charCodeAt(i);
      if (code > 127) return false;
      bytes[at++] = code;
    }
    this.#at = at;
    return true;
  }

  #reserve(size: number): void {
    const needed = this.#at + size;
    if (needed <= this.#bytes.length) return;
    const larger = Buffer.allocUnsafeSlow(Math.max(needed, this.#bytes.length * 2));
    larger.set(this.#bytes.subarray(0, this.#at));
    this.#bytes = larger;
  }
}
