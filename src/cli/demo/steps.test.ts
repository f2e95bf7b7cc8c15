// SPDX-License-Identifier: Apache-2.0
import { expect, test } from 'vitest';
import { Steps } from './steps.ts';

test('a line that is over is shown whole, however narrow the terminal is', async () => {
  const written: string[] = [];
  const out = { isTTY: true, columns: 52, write: (text: string) => written.push(text) > 0 };
  const title = 'Ask as jason, and as often as nobody does';
  await new Steps(out as unknown as NodeJS.WriteStream).run(title, async (detail) => detail('in force after 73 ms'));
  expect(written.at(-1)).toContain(`  ${title}: in force after 73 ms\n`);
});
