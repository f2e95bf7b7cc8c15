// SPDX-License-Identifier: Apache-2.0
import { expect, test } from 'vitest';
import type { KubeObject } from '../kube/types.ts';
import { ObjectLedger, type Standing } from './object-ledger.ts';

const COUNT = 500;

function standing(i: number, file: string): Standing {
  const object: KubeObject = { apiVersion: 'v1', kind: 'Service', metadata: { namespace: 'shop', name: `svc-${i}` } };
  return { object, file };
}

test('what a large file says is taken object by object', () => {
  const ledger = new ObjectLedger<Standing>();
  const large = Array.from({ length: COUNT }, (_, i) => standing(i, 'a.yaml'));
  const steps = ledger.update(
    new Map([
      ['a.yaml', large],
      ['b.yaml', [standing(7, 'b.yaml'), standing(COUNT, 'b.yaml')]],
    ]),
  );
  let count = 0;
  for (let step = steps.next(); ; step = steps.next(), count++) {
    if (step.done !== true) continue;
    expect(step.value.map(({ before, after }) => [before, after?.object.metadata.name])).toEqual(
      Array.from({ length: COUNT + 1 }, (_, i) => [undefined, `svc-${i}`]),
    );
    break;
  }
  expect(count).toBeGreaterThan(COUNT);
  expect(ledger.repeated()).toEqual([{ counts: large[7], out: standing(7, 'b.yaml') }]);
});
