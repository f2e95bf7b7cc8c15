// SPDX-License-Identifier: Apache-2.0
// What changes leaves nothing behind: rules, endpoints, services and namespaces that come and go, proxies that connect and leave.
import { setImmediate as nextTurn } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, test } from 'vitest';
import { VersionedMap } from '../../src/incremental/versioned-map.ts';
import { rounds } from '../fixture/counts.ts';
import { ChangingMesh } from './changing-mesh.ts';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

/** MiB that are in use, buffers included, once garbage is gone. */
async function memory(): Promise<number> {
  for (let i = 0; i < 2; i++) {
    await nextTurn();
    collect();
  }
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return (heapUsed + arrayBuffers) / 2 ** 20;
}

const PARTS = 4;
/** A leak of one service's resources with each change would be some fifty times as much. */
const MAX_GROWTH_MIB = 8;

test('memory is flat over thousands of changes of every kind', async () => {
  const count = rounds(640, 20_000);
  const mesh = await ChangingMesh.start(20, 3);
  const used: number[] = [];
  for (let from = 0; from < count; from += 10) {
    await mesh.run(from, from + 10);
    await nextTurn();
    if ((from + 10) % (count / PARTS) === 0) used.push(await memory());
  }
  expect(used).toHaveLength(PARTS);
  // The first half fills the caches.
  expect(Math.max(...used.slice(2)) - used[1]!, used.join(', ')).toBeLessThan(MAX_GROWTH_MIB);
});

test('an old version of a map, held for long, holds nothing that came and went since', async () => {
  let newest = new VersionedMap<string, object>(new Map([['a', { first: true }]]));
  const held = newest;
  const between: WeakRef<object>[] = [];
  for (let i = 0; i < 1_000; i++) {
    const value = { i };
    if (i < 500) between.push(new WeakRef(value));
    newest = newest.with([
      ['a', value],
      [`b${i}`, value],
      [`b${i - 1}`, undefined],
    ]);
    if (i % 250 === 0) await memory();
  }
  await memory();
  expect(between.filter((each) => each.deref() !== undefined)).toEqual([]);
  expect([...held]).toEqual([['a', { first: true }]]);
  const changed = new Set(newest.changesSince(held)?.keys());
  expect([changed.has('a'), changed.has('b999'), changed.size < 600]).toEqual([true, true, true]);
});
