// SPDX-License-Identifier: Apache-2.0
// SPDY/3.1 frames as bytes (draft 3.1, section 2.2), without any state of a connection.

export const SPDY_CONTROL = {
  synStream: 1,
  synReply: 2,
  rstStream: 3,
  settings: 4,
  ping: 6,
  goAway: 7,
  headers: 8,
  windowUpdate: 9,
} as const;

export const SPDY_FLAG_FIN = 0x01;
const VERSION = 3;
const HEADER_LENGTH = 8;
const MAX_PAYLOAD = 0xffffff;

export type SpdyFrame =
  | { readonly kind: 'control'; readonly type: number; readonly flags: number; readonly payload: Buffer }
  | { readonly kind: 'data'; readonly streamId: number; readonly flags: number; readonly payload: Buffer };

/** Cuts frames out of a byte stream. Throws on a control frame of another version: the peer does not speak SPDY/3. */
export class SpdyFrameParser {
  private pending: Buffer[] = [];
  private pendingLength = 0;

  *feed(chunk: Buffer): Generator<SpdyFrame> {
    this.pending.push(chunk);
    this.pendingLength += chunk.length;
    if (this.pendingLength < HEADER_LENGTH) return;
    let buffer = this.pending.length === 1 ? chunk : Buffer.concat(this.pending);
    while (buffer.length >= HEADER_LENGTH) {
      const length = buffer.readUInt32BE(4) & MAX_PAYLOAD;
      if (buffer.length < HEADER_LENGTH + length) break;
      yield decodeFrame(buffer, buffer.subarray(HEADER_LENGTH, HEADER_LENGTH + length));
      buffer = buffer.subarray(HEADER_LENGTH + length);
    }
    this.pending = buffer.length > 0 ? [buffer] : [];
    this.pendingLength = buffer.length;
  }
}

function decodeFrame(header: Buffer, payload: Buffer): SpdyFrame {
  const flags = header.readUInt8(4);
  const word = header.readUInt32BE(0);
  if (word >>> 31 === 0) return { kind: 'data', streamId: word, flags, payload };
  const version = (word >>> 16) & 0x7fff;
  if (version !== VERSION) throw new Error(`SPDY control frame of version ${version}, expected ${VERSION}`);
  return { kind: 'control', type: word & 0xffff, flags, payload };
}

export function encodeControl(type: number, flags: number, payload: Buffer): Buffer {
  const header = Buffer.alloc(HEADER_LENGTH);
  header.writeUInt32BE((0x80000000 | (VERSION << 16) | type) >>> 0, 0);
  header.writeUInt32BE(((flags << 24) | payload.length) >>> 0, 4);
  return Buffer.concat([header, payload]);
}

/** A data frame; `payload` is at most 2^24 - 1 bytes, callers cut before. */
export function encodeData(streamId: number, flags: number, payload: Buffer): Buffer {
  const header = Buffer.alloc(HEADER_LENGTH);
  header.writeUInt32BE(streamId & 0x7fffffff, 0);
  header.writeUInt32BE(((flags << 24) | payload.length) >>> 0, 4);
  return Buffer.concat([header, payload]);
}

/** Reads a decompressed name/value block (section 2.6.10). Throws when it is cut short. */
export function decodeHeaders(block: Buffer): Map<string, string> {
  const headers = new Map<string, string>();
  let offset = 4;
  const text = () => {
    const length = block.readUInt32BE(offset);
    const value = block.toString('utf8', offset + 4, offset + 4 + length);
    offset += 4 + length;
    if (offset > block.length) throw new Error('SPDY header block is cut short');
    return value;
  };
  for (let left = block.readUInt32BE(0); left > 0; left--) headers.set(text().toLowerCase(), text());
  return headers;
}

export function encodeHeaders(headers: ReadonlyMap<string, string>): Buffer {
  const parts = [uint32(headers.size)];
  for (const [name, value] of headers) {
    const bytes = Buffer.from(value);
    parts.push(uint32(Buffer.byteLength(name)), Buffer.from(name), uint32(bytes.length), bytes);
  }
  return Buffer.concat(parts);
}

export function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value >>> 0);
  return bytes;
}
