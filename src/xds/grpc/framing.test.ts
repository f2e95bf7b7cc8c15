// SPDX-License-Identifier: Apache-2.0

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { rounds } from '#test/fixture/counts.ts';
import { MessageReader, messagePrefix } from './framing.ts';
import { decodeTimeoutMs, encodeStatusMessage, GrpcError } from './status.ts';

/** `bytes` cut into chunks at the given places. */
function cut(bytes: Buffer, places: readonly number[]): Buffer[] {
  const at = [0, ...places.map((place) => place % (bytes.length + 1)), bytes.length].sort((a, b) => a - b);
  return at.slice(1).map((end, index) => bytes.subarray(at[index], end));
}

describe('MessageReader', () => {
  it('gives back the messages, however their bytes were cut', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 50 })), fc.array(fc.nat()), (messages, places) => {
        const bytes = Buffer.concat(messages.flatMap((message) => [messagePrefix(message.length), message]));
        const reader = new MessageReader(50);
        const read = cut(bytes, places).flatMap((chunk) => reader.push(chunk));
        expect(read.map((message) => [...message])).toEqual(messages.map((message) => [...message]));
        expect(reader.atBoundary).toBe(true);
      }),
      { seed: 1 },
    );
  });

  it('answers garbage with a status, and never holds more than the limit', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 40 })), (chunks) => {
        const reader = new MessageReader(100);
        try {
          for (const chunk of chunks)
            for (const message of reader.push(Buffer.from(chunk))) expect(message.length).toBeLessThanOrEqual(100);
        } catch (error) {
          expect(error).toBeInstanceOf(GrpcError);
        }
      }),
      { seed: 2, numRuns: rounds(500) },
    );
  });

  it('holds no more than twice what came of a message, though it comes byte by byte, and nothing once it is whole', () => {
    let held = 0;
    const reader = new MessageReader(1_000_000, (delta) => {
      held += delta;
    });
    reader.push(messagePrefix(100_000));
    for (let sent = 1; sent < 100_000; sent++) {
      expect(reader.push(Buffer.from([7]))).toEqual([]);
      if (held > Math.max(4096, 2 * sent)) expect.fail(`${held} bytes are held of ${sent}`);
    }
    expect(reader.push(Buffer.from([7]))).toEqual([Buffer.alloc(100_000, 7)]);
    expect(held).toBe(0);
    reader.push(Buffer.concat([messagePrefix(10), Buffer.from([1])]));
    reader.drop();
    expect(held).toBe(0);
  });

  it('gives a known message for the same bytes, and holds nothing meanwhile; others are read as they came', () => {
    const known = Buffer.from('the same thousands of names');
    const find = (length: number, start: Uint8Array) =>
      length === known.length && known.subarray(0, start.length).equals(start) ? known : undefined;
    fc.assert(
      fc.property(fc.option(fc.nat(known.length - 1)), fc.array(fc.nat()), (changedAt, places) => {
        const sent = Buffer.from(known);
        if (changedAt !== null) sent[changedAt] = sent[changedAt]! ^ 1;
        let [held, most] = [0, 0];
        const account = (delta: number) => {
          held += delta;
          most = Math.max(most, held);
        };
        const reader = new MessageReader(100, account, { find });
        const bytes = Buffer.concat([messagePrefix(sent.length), sent]);
        const pieces = cut(bytes, [...places, 5]);
        const [read] = pieces.flatMap((piece) => reader.push(piece));
        expect(Buffer.from(read!).toString('latin1')).toBe(sent.toString('latin1'));
        expect(held).toBe(0);
        if (changedAt === null) expect(most).toBe(0);
        if (changedAt === null && pieces.filter((piece) => piece.length > 0).length > 2) expect(read).toBe(known);
      }),
      { seed: 4 },
    );
  });

  it('refuses a long or compressed message by its prefix alone', () => {
    expect(() => new MessageReader(10).push(messagePrefix(11))).toThrow(/11 bytes is over the limit of 10/);
    expect(() => new MessageReader(10).push(Buffer.from([1, 0, 0, 0, 1]))).toThrow(/compressed/);
  });
});

describe('status headers', () => {
  it('hold any message in printable ASCII, and a peer gets it back', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 200 }), (message) => {
        const encoded = encodeStatusMessage(message);
        expect(encoded).toMatch(/^[\x20-\x7e]*$/);
        expect(decodeURIComponent(encoded)).toBe(Buffer.from(message, 'utf8').toString('utf8'));
      }),
      { seed: 3 },
    );
    expect(encodeStatusMessage('x'.repeat(10_000)).length).toBe(1024);
  });

  it('decodes deadlines, and refuses what is none', () => {
    expect(['1H', '2M', '3S', '4m', '5000u', '6000000n'].map(decodeTimeoutMs)).toEqual([
      3600_000, 120_000, 3000, 4, 5, 6,
    ]);
    for (const bad of ['', '1', 'S', '-1S', '123456789S', '1s'])
      expect(() => decodeTimeoutMs(bad)).toThrow(/grpc-timeout/);
  });
});
