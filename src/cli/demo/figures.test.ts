// SPDX-License-Identifier: Apache-2.0
import { expect, test } from 'vitest';
import { Figures } from './figures.ts';

test('time to ready, each edit’s time, and lost requests of all', () => {
  const figures = new Figures();
  figures.readySeconds = 9.12;
  figures.effects.push({ what: 'half to v3', ms: 61.7 });
  for (let i = 0; i < 3; i++) figures.add({ version: 'v1', detail: '' });
  expect(figures.render()).toBe(
    [
      '  time to ready        9.1 s    from nothing to the first answer',
      '  from edit to effect  62 ms    half to v3',
      '  lost requests        0 of 3   since the first answer, while the rules changed too',
    ].join('\n'),
  );
});

test('the first losses are told, and how many there are besides', () => {
  const figures = new Figures();
  for (let i = 0; i < 7; i++) figures.add({ version: undefined, detail: `HTTP 50${i}` });
  expect(figures.lost).toBe(7);
  expect(figures.render().split('\n').slice(1)).toEqual([
    ...[0, 1, 2, 3, 4].map((i) => `  lost: HTTP 50${i}`),
    '  and 2 more',
  ]);
});
