// SPDX-License-Identifier: Apache-2.0
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { projectRoot } from '../../runtime/toolchain.ts';
import { agentOf } from './ask.ts';
import { DOCUMENTS, findDocument } from './documents.ts';

test('a document is found by its number, however short; an unknown one is told with those that exist', () => {
  expect(findDocument('004').number).toBe('004');
  expect(findDocument('4').number).toBe('004');
  expect(() => findDocument('')).toThrow('there is no demo ""');
  expect(() => findDocument('7')).toThrow(/^there is no demo "7". There are:\n {2}000 .*\n(.*\n)* {2}004 /);
});

describe.each(DOCUMENTS)('$number', (document) => {
  const scenario = join(projectRoot(), 'scenarios/seeds', document.number);

  test('its lines exist, and come in the document’s order', () => {
    const numbers = document.acts.flatMap(({ lines = [] }) => lines).filter((line) => typeof line === 'number');
    const steps = readdirSync(join(scenario, 'steps')).map((file) => Number(file.slice(0, 2)));
    expect(numbers.filter((number) => !steps.includes(number))).toEqual([]);
    expect(numbers).toEqual(numbers.toSorted((a, b) => a - b));
    expect(existsSync(join(scenario, 'setup.sh'))).toBe(true);
  });

  test('its counts are told apart in the logs, and their shares add up', () => {
    const counts = document.acts.flatMap(({ counts = [] }) => counts);
    expect(new Set(counts.map(({ who }) => agentOf(who))).size).toBe(counts.length);
    for (const { expected } of counts) expect(expected.reduce((sum, { share }) => sum + share, 0)).toBeCloseTo(1);
  });

  test('traffic starts once, before the first edit and the first count', () => {
    const starts = document.acts.flatMap((act, i) => (act.firstAnswers ? [i] : []));
    const first = document.acts.findIndex(({ edit, counts }) => edit ?? counts);
    expect(starts).toHaveLength(1);
    expect(starts[0]).toBeLessThanOrEqual(first);
  });
});
