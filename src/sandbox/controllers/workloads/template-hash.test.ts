// SPDX-License-Identifier: Apache-2.0
import { expect, test } from 'vitest';
import { hashTemplate, isSameTemplate } from './template-hash.ts';

const template = (image: string, labels: Record<string, string> = { app: 'a' }) => ({
  metadata: { labels },
  spec: { containers: [{ name: 'main', image }] },
});

test('the hash depends on the content alone: not on the order of keys, not on nulls, not on its own label', () => {
  const hash = hashTemplate(template('x'), 0);
  expect(
    hashTemplate(
      { spec: { containers: [{ image: 'x', name: 'main' } as never] }, metadata: { labels: { app: 'a' } } },
      0,
    ),
  ).toBe(hash);
  expect(
    hashTemplate({ ...template('x'), metadata: { labels: { app: 'a' }, creationTimestamp: null } as never }, 0),
  ).toBe(hash);
  expect(hashTemplate(template('x', { app: 'a', 'pod-template-hash': 'abc' }), 0)).toBe(hash);
  expect(hash).toMatch(/^[bcdfghjklmnpqrstvwxz2456789]+$/);
});

test('another template, or a name that was taken, has another hash', () => {
  const hashes = [hashTemplate(template('x'), 0), hashTemplate(template('y'), 0), hashTemplate(template('x'), 1)];
  expect(new Set(hashes).size).toBe(3);
});

test('templates are the same but for the hash label', () => {
  expect(isSameTemplate(template('x'), template('x', { app: 'a', 'pod-template-hash': 'abc' }))).toBe(true);
  expect(isSameTemplate(template('x'), template('x', { app: 'b' }))).toBe(false);
});
