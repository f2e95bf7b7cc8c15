// SPDX-License-Identifier: Apache-2.0
import { Registry } from 'prom-client';
import { expect, test } from 'vitest';
import { registerProcessMetrics } from './process-metrics.ts';

test('CPU time only grows; the rest is read at each look', async () => {
  const registry = new Registry();
  registerProcessMetrics(registry);
  const read = async (): Promise<Record<string, number>> =>
    Object.fromEntries(
      (await registry.metrics())
        .split('\n')
        .filter((line) => line !== '' && !line.startsWith('#'))
        .map((line) => [line.split(' ')[0]!, Number(line.split(' ')[1])]),
    );
  const first = await read();
  for (const end = performance.now() + 20; performance.now() < end; ) JSON.stringify(first);
  const second = await read();
  expect(second['process_cpu_seconds_total']).toBeGreaterThan(first['process_cpu_seconds_total']!);
  const { user, system } = process.cpuUsage();
  expect(second['process_cpu_seconds_total']).toBeLessThanOrEqual((user + system) / 1e6);
  expect(second['process_resident_memory_bytes']).toBeGreaterThan(10e6);
  expect(second['process_open_fds']).toBeGreaterThan(2);
  expect(second['nodejs_eventloop_utilization']).toBeLessThanOrEqual(1);
});
