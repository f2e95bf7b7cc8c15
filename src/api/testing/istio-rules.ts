// SPDX-License-Identifier: Apache-2.0
// What Istio's validation refuses, in cases of our own: each is refused here too, at a field and with a cure. Behind each is
// the same object without its fault, which is taken.
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import type { KubeObject } from '../../kube/types.ts';
import { KINDS } from '../kinds.ts';
import { validateObject } from '../validate.ts';

/** Of an object its spec, as YAML. */
export type Rule = readonly [what: string, refused: string, taken: string];

/** By kind. */
export function describeRules(rules: Readonly<Record<string, readonly Rule[]>>): void {
  describe.each(Object.entries(rules))('%s', (kind, ofKind) => {
    test.each(ofKind)('%s', (_, refused, taken) => {
      const errors = errorsOf(kind, refused);
      expect(errors.length).toBeGreaterThan(0);
      for (const { field, cure } of errors) expect(field === '' || cure === '').toBe(false);
      expect(errorsOf(kind, taken)).toEqual([]);
    });
  });
}

function errorsOf(kind: string, spec: string) {
  const { group, versions } = KINDS.find((k) => k.kind === kind)!;
  const object: KubeObject = {
    apiVersion: `${group}/${versions.at(-1)}`,
    kind,
    metadata: { name: 'x', namespace: 'n' },
    spec: parse(spec),
  };
  return validateObject(object).filter((d) => d.severity === 'error');
}
