// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import { type GuardedPod, guardDisk } from './disk-guard.ts';

const MEBIBYTE = 2 ** 20;

describe('the guard of the node’s disk', () => {
  /** Looks at the disk once per value; resolves with what the evicted pods were told, by their index. */
  async function guard(freeBytes: number[], podBytes: number[], finished: number[] = []): Promise<[number, string][]> {
    const stop = new AbortController();
    const evictions: [number, string][] = [];
    const pods = podBytes.map(
      (bytes, index): GuardedPod => ({
        isFinished: finished.includes(index),
        diskUsage: async () => bytes,
        evict: async (message) => void evictions.push([index, message]),
      }),
    );
    const looks = [...freeBytes];
    const read = async () => {
      const free = looks.shift();
      if (free === undefined) stop.abort();
      return free ?? Number.POSITIVE_INFINITY;
    };
    await guardDisk(read, () => pods, stop.signal, 0);
    return evictions;
  }

  it('evicts nobody while there is room', async () => {
    expect(await guard([600 * MEBIBYTE, 513 * MEBIBYTE], [900 * MEBIBYTE])).toEqual([]);
  });

  it('evicts who has most, and says what was low', async () => {
    const [eviction, ...others] = await guard(
      [100 * MEBIBYTE],
      [70, 900, 80].map((size) => size * MEBIBYTE),
    );
    expect(others).toEqual([]);
    expect(eviction?.[0]).toBe(1);
    expect(eviction?.[1]).toBe(
      'The node was low on resource: ephemeral-storage. Threshold quantity: 512Mi, available: 100Mi. The pod was using 900Mi, more than any other.',
    );
  });

  it('leaves pods alone that are over, or too small to be the reason', async () => {
    expect(await guard([0], [900 * MEBIBYTE, 10 * MEBIBYTE], [0])).toEqual([]);
  });
});
