// SPDX-License-Identifier: Apache-2.0
import { expect } from 'vitest';

/** expect.poll with the patience that a loaded machine needs. */
export function eventually<T>(read: () => T | Promise<T>) {
  return expect.poll(read, { timeout: 10_000, interval: 20 });
}
