// SPDX-License-Identifier: Apache-2.0

import { duplexPair } from 'node:stream';
import { createDeflate, deflateSync, constants as zlib } from 'node:zlib';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { rounds } from '#test/fixture/counts.ts';
import { SpdyConnection } from './spdy-connection.ts';
import { spdyDictionary } from './spdy-dictionary.ts';
import {
  decodeHeaders,
  encodeControl,
  encodeData,
  encodeHeaders,
  SPDY_CONTROL,
  type SpdyFrame,
  SpdyFrameParser,
  uint32,
} from './spdy-frame.ts';

test('the dictionary is that of the specification', () => {
  // A zlib stream with a dictionary names its checksum in bytes 2 to 5.
  expect(deflateSync(Buffer.from('x'), { dictionary: spdyDictionary() }).subarray(2, 6).toString('hex')).toBe(
    'e3c6a7c2',
  );
});

test('law: headers survive encoding', () => {
  const headers = fc.dictionary(fc.stringMatching(/^[a-z-]{1,20}$/), fc.string());
  fc.assert(
    fc.property(headers, (wanted) => {
      const map = new Map(Object.entries(wanted));
      expect(decodeHeaders(encodeHeaders(map))).toEqual(map);
    }),
    { seed: 3 },
  );
});

test('law: frames are the same however the bytes are cut', () => {
  const frame = fc.oneof(
    fc.tuple(
      fc.constant('data'),
      fc.integer({ min: 1, max: 0x7fffffff }),
      fc.integer({ min: 0, max: 255 }),
      fc.uint8Array(),
    ),
    fc.tuple(
      fc.constant('control'),
      fc.integer({ min: 1, max: 0xffff }),
      fc.integer({ min: 0, max: 255 }),
      fc.uint8Array(),
    ),
  );
  fc.assert(
    fc.property(fc.array(frame), fc.infiniteStream(fc.integer({ min: 1, max: 20 })), (frames, cuts) => {
      const bytes = Buffer.concat(
        frames.map(([kind, id, flags, payload]) =>
          kind === 'data'
            ? encodeData(id, flags, Buffer.from(payload))
            : encodeControl(id, flags, Buffer.from(payload)),
        ),
      );
      const parser = new SpdyFrameParser();
      const found: SpdyFrame[] = [];
      for (let at = 0; at < bytes.length; ) {
        const length = cuts.next().value as number;
        found.push(...parser.feed(bytes.subarray(at, at + length)));
        at += length;
      }
      expect(
        found.map((one) => [one.kind, one.kind === 'data' ? one.streamId : one.type, one.flags, [...one.payload]]),
      ).toEqual(frames.map(([kind, id, flags, payload]) => [kind, id, flags, [...payload]]));
    }),
    { seed: 3 },
  );
});

test('law: garbage ends the connection at worst, and nothing else', async () => {
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ minLength: 1, maxLength: 200 }), async (bytes) => {
      const [ours, theirs] = duplexPair();
      theirs.on('error', () => undefined).resume();
      new SpdyConnection(ours, Buffer.alloc(0), (stream) => void stream.resume().end());
      theirs.write(Buffer.from(bytes));
      theirs.end();
      await new Promise((resolve) => ours.once('close', resolve));
    }),
    { seed: 3, numRuns: rounds(200) },
  );
});

test('a header block that swells up ends the connection', async () => {
  const [ours, theirs] = duplexPair();
  theirs.on('error', () => undefined).resume();
  let streams = 0;
  new SpdyConnection(ours, Buffer.alloc(0), () => {
    streams++;
  });
  const deflate = createDeflate({ dictionary: spdyDictionary() });
  const parts: Buffer[] = [];
  deflate.on('data', (part: Buffer) => parts.push(part));
  deflate.write(encodeHeaders(new Map([['streamtype', 'x'.repeat(10_000_000)]])));
  await new Promise<void>((resolve) => deflate.flush(zlib.Z_SYNC_FLUSH, resolve));
  const block = Buffer.concat(parts);
  theirs.write(encodeControl(SPDY_CONTROL.synStream, 0, Buffer.concat([uint32(1), uint32(0), Buffer.alloc(2), block])));
  await new Promise((resolve) => ours.once('close', resolve));
  expect(streams).toBe(0);
});
