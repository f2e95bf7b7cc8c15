// SPDX-License-Identifier: Apache-2.0
// Recorded flows of a real API server, replayed. Those of FAITHFUL must match in every exchange; of the others it is
// printed how far they come.
import { afterAll, describe, expect, test } from 'vitest';
import { readFlows, recordingsFolder } from './recording.ts';
import { replayFlow } from './replay.ts';
import { startTestServer } from './test-server.ts';

const FAITHFUL: ReadonlySet<string> = new Set([
  'apply-configmap',
  'configmap-create-from-file',
  'delete-gone',
  'edit',
  'invalid-422',
  'label-selectors',
  'leases',
  'multi-document-apply',
  'namespace-default-errors',
  'replace',
  'secret-generic',
  'watch-kubectl',
]);

const folder = recordingsFolder();

describe.skipIf(!folder)(`recorded flows (${folder ?? 'no recordings: set ISTHMUS_RECORDINGS'})`, () => {
  const partial: string[] = [];

  for (const flow of folder ? readFlows(folder) : []) {
    test(flow.name, async () => {
      const server = await startTestServer();
      try {
        const results = await replayFlow(flow, server);
        const wrong = results.filter(({ differences }) => differences.length > 0);
        if (FAITHFUL.has(flow.name)) expect(wrong).toEqual([]);
        else if (wrong.length > 0) partial.push(`${flow.name}: ${results.length - wrong.length} of ${results.length}`);
      } finally {
        await server.close();
      }
    }, 30_000);
  }

  afterAll(() => {
    if (partial.length > 0)
      process.stdout.write(`Recorded flows that do not match in every exchange yet:\n  ${partial.join('\n  ')}\n`);
  });
});
