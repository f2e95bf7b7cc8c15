// SPDX-License-Identifier: Apache-2.0
import { expect, test } from 'vitest';
import { expression, textExpression } from './expression.ts';
import { Report } from './report.ts';
import type { Shape } from './shape.ts';

const NOBODY = { apiVersion: 'v1', kind: 'ConfigMap', namespace: '', name: '' };

function read(shape: Shape<string>, raw: string): string | undefined {
  const report = new Report(NOBODY);
  return shape.decode(raw, { field: 'x', report }) ?? report.diagnostics[0]?.message;
}

// Each was given to Envoy 1.40, which refuses a whole listener for what is refused here.
test.each([
  ['response.code >= 400 && xds.cluster_name == "BlackHoleCluster"', true],
  ['"x-user" in request.headers && has(request.time)', true],
  ['re.extract(request.host, "a", "b").size() > int("3")', true],
  ['string(response.code) == "200"', 'no function string()'],
  ['request.host.split(".")[0] == "a"', 'no function split()'],
  ['response.code > 1 ? [1].exists(x, x == 1) : true', 'no function exists()'],
  ['has(request.headers["x-user"])', 'has() asks for a member'],
  ['((', 'no CEL expression'],
])('%s', (raw, expected) => {
  expect(read(expression, raw)).toContain(expected === true ? raw : expected);
});

test('a tag is text as it is', () => {
  expect(read(textExpression, 'string(destination.port)')).toBe('destination.port');
  expect(read(textExpression, 'string(a.b) == string(c.d)')).toContain('no function string()');
});
