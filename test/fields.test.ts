// SPDX-License-Identifier: Apache-2.0
// Every field of Istio's API is carried out, and a case shows it, or refused, and a diagnostic says so.
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { readDeclarations } from './fields/declared.ts';
import { findGaps } from './fields/gaps.ts';
import { readInventory } from './fields/inventory.ts';
import { findShown } from './fields/shown.ts';
import { FIELD_TABLE, fieldTable } from './fields/table.ts';

const inventory = readInventory();
const declarations = readDeclarations(inventory);

test('every field of Istio’s API is shown by a case or refused by a diagnostic', () => {
  expect(findGaps(declarations, findShown(inventory)).map(({ key, text }) => `${key} ${text}`)).toEqual([]);
});

test('docs/fields.md is what the shapes and the cases say (make golden)', () => {
  expect(fieldTable()).toBe(readFileSync(FIELD_TABLE, 'utf8'));
});

describe('what tells them', () => {
  test('the names have no loose ends', () => {
    const scalars = /^(string|bool|u?int32|u?int64|double|float|bytes|duration|timestamp|struct)$/;
    const known = (type: string) => scalars.test(type) || inventory.messages.has(type) || inventory.enums.has(type);
    for (const [message, fields] of inventory.messages) {
      for (const field of fields.values())
        expect(known(field.type), `${message}.${field.name}: ${field.type}`).toBe(true);
    }
    for (const message of inventory.roots.values()) expect(inventory.messages.has(message), message).toBe(true);
  });

  test('what no case shows is a gap, each field by name', () => {
    const gaps = new Set(findGaps(declarations, { used: new Map(), diagnosed: new Map() }).map((g) => g.key));
    for (const place of declarations.places) expect(gaps, place.path).toContain(place.key);
  });

  test('a field that Istio gains is a gap', () => {
    const route = new Map(inventory.messages.get('networking.HTTPRoute'));
    route.set('teleport', { ...route.get('timeout')!, name: 'teleport' });
    const newer = { ...inventory, messages: new Map(inventory.messages).set('networking.HTTPRoute', route) };
    const gaps = findGaps(readDeclarations(newer), findShown(newer));
    expect(gaps.map((g) => `${g.key} ${g.text}`)).toContainEqual(
      expect.stringMatching(
        /^networking\.HTTPRoute\.teleport at VirtualService\.http\[\]\.teleport: Istio has it and our/,
      ),
    );
  });

  test('a kind that Istio gains is a gap', () => {
    const newer = { ...inventory, roots: new Map(inventory.roots).set('Teleporter', 'networking.Gateway') };
    expect(findGaps(readDeclarations(newer), findShown(newer)).map((g) => g.key)).toContain('Teleporter');
  });
});
