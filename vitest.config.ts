// SPDX-License-Identifier: Apache-2.0
import { defineConfig } from 'vitest/config';

// `make test-all` repeats random tests many times over (test/fixture/counts.ts): they may take as much longer.
const PATIENCE = process.env['ISTHMUS_TEST_ALL'] === undefined ? 1 : 30;

// Unisolated: 400 tests in 2 s instead of 13 s. So no test may leave module state behind.
export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: 'unit',
          include: ['src/**/*.test.ts'],
          isolate: false,
          testTimeout: 60_000 * PATIENCE,
          hookTimeout: 60_000,
          maxWorkers: 2,
          // For what never comes, not for a machine that has other work.
          expect: { poll: { timeout: 10_000 } },
        },
      },
      // Whole processes, namespaces, clusters: one file at a time.
      {
        test: {
          name: 'system',
          include: ['test/**/*.test.ts'],
          fileParallelism: false,
          testTimeout: 120_000 * PATIENCE,
          hookTimeout: 180_000,
          // One kubectl takes longer than the default second where the machine has other work.
          expect: { poll: { timeout: 30_000 } },
        },
      },
    ],
  },
});
