// SPDX-License-Identifier: Apache-2.0
// Every recorded flow of a real API server (recordings/README.md), replayed: each answer must be as recorded, but for
// what replay/differences.ts lists.
import { describe, expect, test } from 'vitest';
import { covers, DIFFERENCES, type KnownDifference } from './replay/differences.ts';
import type { Difference } from './replay/matching.ts';
import { readFlows } from './replay/recording.ts';
import { replayFlow } from './replay/stage.ts';

const FLOWS = readFlows();
/** How long the effect of a controller or an event of a watch may take. */
const PATIENCE_MS = 3_000;

const used = new Set<KnownDifference>();
const played = new Set<string>();

describe.concurrent('recorded flows', () => {
  for (const flow of FLOWS) {
    test(flow.name, async () => {
      const known = (step: number, request: string, one: Difference) =>
        DIFFERENCES.filter((entry) => covers(entry, flow.name, step, request, one));
      // What controllers may yet change is looked at again.
      const isKnown = (step: number, request: string, one: Difference) =>
        known(step, request, one).some(({ timing }) => !timing);
      const results = await replayFlow(flow, isKnown, PATIENCE_MS);
      const unexpected: string[] = [];
      for (const { step, request, differences } of results) {
        for (const one of differences) {
          const entries = known(step, request, one);
          for (const entry of entries) used.add(entry);
          if (entries.length > 0) continue;
          unexpected.push(`step ${step}, ${request}: ${one.where}: ${one.ours}, recorded ${one.recorded}`);
        }
      }
      played.add(flow.name);
      expect(unexpected).toEqual([]);
    });
  }
});

test('no listed difference is out of date', () => {
  const judged = DIFFERENCES.filter(({ timing }) => !timing).filter(({ flow }) =>
    flow === undefined ? played.size === FLOWS.length : played.has(flow),
  );
  const stale = judged
    .filter((entry) => !used.has(entry))
    .map(({ flow = 'any flow', where, reason }) => `${flow}: ${where}: ${reason}`);
  expect(stale).toEqual([]);
});
