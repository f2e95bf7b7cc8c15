// SPDX-License-Identifier: Apache-2.0
import { defineConfig } from 'vitest/config';

// Unisolated: 400 tests in 2 s instead of 13 s. So no test may leave module state behind.
export default defineConfig({
  test: {
    include: ['src/**/*.test.ts', 'test/**/*.test.ts'],
    isolate: false,
    testTimeout: 20_000,
    hookTimeout: 60_000,
    maxWorkers: 2,
  },
});
