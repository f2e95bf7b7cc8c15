// SPDX-License-Identifier: Apache-2.0
import { expect, test } from 'vitest';
import { diagnose } from '../../api/report.ts';
import { renderRemarks } from './render.ts';
import { readSuppressions } from './suppressions.ts';

const ref = (kind: string, namespace: string, name: string) => ({ apiVersion: 'v1', kind, namespace, name });
const pod = diagnose(ref('Pod', 'shop', 'web-1'), 'ISM0402', '', 'it has no sidecar', 'make it anew');
const namespace = diagnose(ref('Namespace', '', 'shop'), 'ISM0401', '', 'its pods get no sidecar', 'label it');

test.each([
  ['IST0103=Pod web-1.shop', true],
  ['ISM0402=Pod shop/web-1', true],
  ['IST0103=Pod web-*', true],
  ['IST0103=* *', true],
  ['IST0103=Pod web-1', false],
  ['IST0103=Pod web-2.shop', false],
  ['IST0101=Pod web-1.shop', false],
])('%s', (text, isQuiet) => {
  expect(readSuppressions([text])(pod)).toBe(isQuiet);
});

test('what has no namespace goes by its name', () => {
  expect(readSuppressions(['IST0102=Namespace shop'])(namespace)).toBe(true);
});

test('any other form is a wrong call, and says the right one', () => {
  expect(() => readSuppressions(['IST0102'])).toThrow('write "CODE=KIND NAME.NAMESPACE"');
});

test('colour is the level’s alone', () => {
  expect(renderRemarks([pod], 'log', true)).toContain('\u001b[33mWarning\u001b[0m [IST0103] (Pod shop/web-1)');
  expect(renderRemarks([pod], 'log', false)).toMatch(/^Warning \[IST0103\] /);
});
