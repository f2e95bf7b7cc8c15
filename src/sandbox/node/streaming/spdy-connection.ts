// SPDX-License-Identifier: Apache-2.0
import { Duplex } from 'node:stream';
import { createDeflate, createInflate, constants as zlib } from 'node:zlib';
import { spdyDictionary } from './spdy-dictionary.ts';
import {
  decodeHeaders,
  encodeControl,
  encodeData,
  encodeHeaders,
  SPDY_CONTROL,
  SPDY_FLAG_FIN,
  type SpdyFrame,
  SpdyFrameParser,
  uint32,
} from './spdy-frame.ts';

const MAX_DATA_BYTES = 64 * 1024;
const RST_PROTOCOL_ERROR = 1;
/** Header blocks hold a few short names; more is an attempt to fill the memory. */
const MAX_HEADER_BYTES = 64 * 1024;

/** One stream that the client opened. Reading ends when the client sends FIN; `end()` sends ours. */
export class SpdyStream extends Duplex {
  readonly id: number;
  readonly headers: ReadonlyMap<string, string>;
  private readonly connection: SpdyConnection;
  /** Set once the client's FIN has come: pushing again would be an error. */
  private ended = false;

  constructor(connection: SpdyConnection, id: number, headers: ReadonlyMap<string, string>) {
    super({ allowHalfOpen: true });
    this.connection = connection;
    this.id = id;
    this.headers = headers;
    // Whoever pipes into a stream may destroy it with an error that nobody else waits for.
    this.on('error', () => undefined);
  }

  /** For the connection alone: bytes and end of the client's side. False asks it to stop reading. */
  receive(payload: Buffer, fin: boolean): boolean {
    if (this.ended || this.destroyed) return true;
    const goOn = payload.length === 0 || this.push(payload);
    if (fin) {
      this.ended = true;
      this.push(null);
    }
    return goOn;
  }

  override _read(): void {
    this.connection.resumeReading();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    this.connection.sendData(this.id, chunk, false, done);
  }

  override _final(done: (error?: Error | null) => void): void {
    this.connection.sendData(this.id, Buffer.alloc(0), true, done);
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.connection.resumeReading();
    done(error);
  }
}

/**
 * The server's side of one SPDY/3.1 connection, as much of it as kubectl's client speaks: that one
 * (moby/spdystream) has no flow control, sends no WINDOW_UPDATE and ignores ours, so backpressure is that of the
 * socket: the whole connection is left unread while a stream's reader is behind.
 */
export class SpdyConnection {
  private readonly socket: Duplex;
  private readonly onStream: (stream: SpdyStream) => void;
  private readonly parser = new SpdyFrameParser();
  private readonly streams = new Map<number, SpdyStream>();
  // Header blocks of a direction share one zlib stream, so they are coded strictly in order.
  private readonly inflate = createInflate({ dictionary: spdyDictionary() });
  private readonly deflate = createDeflate({ dictionary: spdyDictionary() });
  private queue: Promise<void> = Promise.resolve();

  /** @param onStream called for each stream of the client, after it was accepted with SYN_REPLY. */
  constructor(socket: Duplex, head: Buffer, onStream: (stream: SpdyStream) => void) {
    this.socket = socket;
    this.onStream = onStream;
    // A broken peer may send what zlib cannot read; the pending call hears of it, nobody else needs to.
    this.inflate.on('error', () => this.socket.destroy());
    this.deflate.on('error', () => this.socket.destroy());
    socket.on('error', () => socket.destroy());
    socket.once('close', () => this.closed());
    socket.on('data', (chunk: Buffer) => this.receive(chunk));
    // No client half-closes TCP and goes on reading: this one was killed, or its connection was.
    socket.on('end', () => this.enqueue(() => void socket.destroy()));
    if (head.length > 0) this.receive(head);
  }

  resumeReading(): void {
    if (this.socket.isPaused()) this.socket.resume();
  }

  sendData(streamId: number, payload: Buffer, fin: boolean, done: (error?: Error | null) => void): void {
    if (!this.socket.writable) {
      done();
      return;
    }
    let offset = 0;
    for (; payload.length - offset > MAX_DATA_BYTES; offset += MAX_DATA_BYTES) {
      this.socket.write(encodeData(streamId, 0, payload.subarray(offset, offset + MAX_DATA_BYTES)));
    }
    this.socket.write(encodeData(streamId, fin ? SPDY_FLAG_FIN : 0, payload.subarray(offset)), () => done());
  }

  /** Says goodbye and ends the socket once everything written before has left. */
  close(): void {
    if (!this.socket.writable) return;
    const lastStream = Math.max(0, ...this.streams.keys());
    this.socket.end(encodeControl(SPDY_CONTROL.goAway, 0, Buffer.concat([uint32(lastStream), uint32(0)])));
    this.resumeReading();
  }

  private receive(chunk: Buffer): void {
    this.enqueue(async () => {
      for (const frame of this.parser.feed(chunk)) await this.handle(frame);
    });
  }

  /** Frames are handled one after the other, since inflating a header block takes a turn of the event loop. */
  private enqueue(step: () => void | Promise<void>): void {
    this.queue = this.queue.then(step).catch(() => {
      this.socket.destroy();
    });
  }

  private async handle(frame: SpdyFrame): Promise<void> {
    if (frame.kind === 'data') {
      const goOn = this.streams.get(frame.streamId)?.receive(frame.payload, (frame.flags & SPDY_FLAG_FIN) !== 0);
      if (goOn === false) this.socket.pause();
      return;
    }
    switch (frame.type) {
      case SPDY_CONTROL.synStream:
        return this.openStream(frame.payload, (frame.flags & SPDY_FLAG_FIN) !== 0);
      case SPDY_CONTROL.headers:
        // Nothing is in them for us, but the zlib stream must see every block.
        await runZlib(this.inflate, frame.payload.subarray(4));
        return;
      case SPDY_CONTROL.ping:
        this.socket.write(encodeControl(SPDY_CONTROL.ping, 0, frame.payload));
        return;
      case SPDY_CONTROL.rstStream: {
        const id = frame.payload.readUInt32BE(0) & 0x7fffffff;
        this.streams.get(id)?.receive(Buffer.alloc(0), true);
        return;
      }
      // SETTINGS, WINDOW_UPDATE, GOAWAY: nothing to do; after GOAWAY the client closes by itself.
    }
  }

  private async openStream(payload: Buffer, fin: boolean): Promise<void> {
    const id = payload.readUInt32BE(0) & 0x7fffffff;
    const headers = decodeHeaders(await runZlib(this.inflate, payload.subarray(10)));
    if (id % 2 === 0 || this.streams.has(id)) {
      this.socket.write(
        encodeControl(SPDY_CONTROL.rstStream, 0, Buffer.concat([uint32(id), uint32(RST_PROTOCOL_ERROR)])),
      );
      return;
    }
    const stream = new SpdyStream(this, id, headers);
    this.streams.set(id, stream);
    stream.once('close', () => this.streams.delete(id));
    const block = await runZlib(this.deflate, encodeHeaders(new Map()));
    this.socket.write(encodeControl(SPDY_CONTROL.synReply, 0, Buffer.concat([uint32(id), block])));
    this.onStream(stream);
    if (fin) stream.receive(Buffer.alloc(0), true);
  }

  private endInputs(): void {
    for (const stream of this.streams.values()) stream.receive(Buffer.alloc(0), true);
  }

  private closed(): void {
    this.endInputs();
    this.inflate.close();
    this.deflate.close();
  }
}

/** Feeds one block through a direction's zlib stream and returns what came out up to the sync flush. */
function runZlib(
  stream: ReturnType<typeof createInflate> | ReturnType<typeof createDeflate>,
  block: Buffer,
): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const output: Buffer[] = [];
    let length = 0;
    const collect = (chunk: Buffer) => {
      length += chunk.length;
      if (length > MAX_HEADER_BYTES) stream.destroy(new Error('SPDY header block is too long'));
      else output.push(chunk);
    };
    const settle = (error?: Error | null) => {
      stream.off('data', collect);
      stream.off('error', settle);
      if (error) reject(error);
      else resolve(Buffer.concat(output));
    };
    stream.on('data', collect);
    stream.once('error', settle);
    stream.write(block);
    stream.flush(zlib.Z_SYNC_FLUSH, () => settle());
  });
}
