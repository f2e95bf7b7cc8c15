// SPDX-License-Identifier: Apache-2.0
import { expect, test } from 'vitest';
import { shortenRefusal } from './ads-backend.ts';

test('of a refusal that recites the whole message the reason alone is told', () => {
  const path =
    'RouteConfigurationValidationError.VirtualHosts[0]: embedded message failed validation | caused by ' +
    'QueryParameterMatcherValidationError.Name: value length must be at least 1 characters';
  const recited = `goo.gle/debugstr  \nname: "8000"\nvirtual_hosts {\n}\n: Proto constraint validation failed (${path})`;
  expect(shortenRefusal(recited)).toBe(
    'constraint violated: QueryParameterMatcherValidationError.Name: value length must be at least 1 characters',
  );
  expect(shortenRefusal('Invalid path: /no/such/file')).toBe('Invalid path: /no/such/file');
});
