// SPDX-License-Identifier: Apache-2.0
import { expect, test } from 'vitest';
import { renderRules } from './rules.ts';

test('a line for each copy, and a sentence for each that is not in step', () => {
  const copy = { revision: '1a2b', generation: 3, message: '' };
  const text = renderRules([
    {
      kind: 'VirtualService',
      namespace: 'app',
      name: 'reviews',
      source: 'c1',
      revision: '1a2b',
      generation: 3,
      copies: [
        { ...copy, cluster: 'c2', state: 'in-step' },
        { ...copy, cluster: 'cluster3', state: 'behind', revision: '9f', generation: 2, message: 'has not arrived' },
      ],
    },
  ]);
  expect(text).toBe(
    `RULE             WRITTEN IN   REVISION   CLUSTER    STATE     HAS    GENERATION
vs/reviews.app   c1           1a2b       c2         in-step   1a2b   3 of 3
                                         cluster3   behind    9f     2 of 3

VirtualService app/reviews of c1, in cluster3: has not arrived
`,
  );
  expect(renderRules([])).toMatch(/^No rule names other clusters/);
});
