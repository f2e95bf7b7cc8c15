// SPDX-License-Identifier: Apache-2.0
import { setFlagsFromString } from 'node:v8';

/** How V8 collects in a process that serves streams (docs/decisions/0043). NODE_OPTIONS may have neither. */
export const COLLECTOR_FLAGS = [
  // What the first sync makes lives long, so V8 puts later objects of its kind among the old at once: each stream's share of
  // each change, garbage within milliseconds, was then for a full collection to find, every twenty changes.
  '--no-allocation-site-pretenuring',
  // Percent of what lives. While little happens V8 allows for a tenth, so that a full collection stood in the way of some change soon.
  '--heap-growing-percent=50',
  // The young generation grows to all that it may have at once, and not by doubling: each step on the way copies what the first sync made.
  '--semi-space-growth-factor=32',
];

/** For all of this process, and for what it compiles from then on. */
export function collectSeldom(): void {
  for (const flag of COLLECTOR_FLAGS) setFlagsFromString(flag);
}
