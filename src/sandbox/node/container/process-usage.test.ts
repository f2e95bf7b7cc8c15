// SPDX-License-Identifier: Apache-2.0
import { readlinkSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { parseCpuTicks, readMachineUsage, readUsages } from './process-usage.ts';

describe('what processes use', () => {
  it('counts user and system time, its own and its ended children’s, whatever the name', () => {
    const stat = '7 (a ) b) S 1 7 7 0 -1 4194560 100 200 0 0 5 6 70 80 20 0 1 0 12345 1000 50';
    expect(parseCpuTicks(stat)).toBe(5 + 6 + 70 + 80);
  });

  it('sums the processes of a pid namespace, and of no other', async () => {
    const own = readlinkSync('/proc/self/ns/pid');
    const usages = await readUsages(new Set([own, 'pid:[1]']));
    expect([...usages.keys()]).toEqual([own]);
    expect(usages.get(own)?.memoryBytes).toBeGreaterThan(10_000_000);
    expect(usages.get(own)?.cpuNanoseconds).toBeGreaterThan(0);
  });

  it('reads the machine’s', async () => {
    const { cpuNanoseconds, memoryBytes } = await readMachineUsage();
    expect(cpuNanoseconds).toBeGreaterThan(0);
    expect(memoryBytes).toBeGreaterThan(0);
  });
});
