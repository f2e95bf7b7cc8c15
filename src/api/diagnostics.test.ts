// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { DIAGNOSTICS } from './diagnostics.ts';

test('docs/diagnostics.md has every code, with its severity and title', () => {
  const page = readFileSync(new URL('../../docs/diagnostics.md', import.meta.url), 'utf8');
  const rows = [...page.matchAll(/^\| (IST\d+)? ?\| (ISM\d+) \| (\w+) \| \*\*(.*?)\.\*\* .+ \|$/gm)];
  const shown = rows.map(([, istio, code, severity, title]) => [code, { severity, title, ...(istio && { istio }) }]);
  expect(Object.fromEntries(shown)).toEqual(DIAGNOSTICS);
});
