// SPDX-License-Identifier: Apache-2.0
import { expect, test } from 'vitest';
import { diagnose } from '../../api/report.ts';
import { nextStatus, type ObjectStatus, readStatus, statusPatch } from './object-status.ts';

const ref = { apiVersion: 'networking.istio.io/v1', kind: 'VirtualService', namespace: 'default', name: 'reviews' };
const unknown = diagnose(ref, 'ISM0003', 'spec.http[0].wieght', 'there is no field `wieght` here', 'did you mean it?');
const dangling = diagnose(ref, 'ISM0101', 'spec.hosts[0]', 'no service x is known', 'create it');
const refused = diagnose(ref, 'ISM0201', 'spec', 'Envoy refuses it: bad', 'mend it');
const EMPTY = readStatus(undefined);
const WRITER = { ofValidation: true, ofRefusal: false };
const at = (nowMs: number, generation = 1, may = WRITER) => ({ nowMs, generation, may });

test('an object that is taken as it is has no status', () => {
  expect(nextStatus(EMPTY, [], at(0))).toEqual(EMPTY);
});

test('what refuses an object is a condition and a message; what lies between objects is a message', () => {
  const status = nextStatus(EMPTY, [unknown, dangling], at(1_000, 3));
  expect(status).toEqual({
    conditions: [
      {
        type: 'Reconciled',
        status: 'False',
        reason: 'Invalid',
        message: 'spec.http[0].wieght: there is no field `wieght` here: did you mean it? (IST0106, ISM0003)',
        observedGeneration: 3,
        lastTransitionTime: '1970-01-01T00:00:01Z',
      },
    ],
    validationMessages: [
      expect.objectContaining({ type: { code: 'IST0106', name: 'unknown field' }, level: 'ERROR' }),
      expect.objectContaining({ type: { code: 'IST0101', name: 'host not found' }, level: 'ERROR' }),
    ],
    observedGeneration: 3,
  });
  expect(nextStatus(EMPTY, [dangling], at(0)).conditions).toEqual([]);
});

test('time alone changes nothing, and what is mended leaves nothing but what others wrote', () => {
  const foreign = { type: 'Other', status: 'True' };
  const before = readStatus({ conditions: [foreign] });
  const bad = nextStatus(before, [unknown], at(1_000));
  expect(nextStatus(bad, [unknown], at(9_000))).toEqual(bad);
  expect(nextStatus(bad, [unknown], at(9_000, 2)).conditions[1]).toMatchObject({
    observedGeneration: 2,
    lastTransitionTime: '1970-01-01T00:00:01Z',
  });
  const mended = nextStatus(bad, [], at(9_000));
  expect(mended).toEqual(before);
  expect(statusPatch(mended)).toEqual({ conditions: [foreign], validationMessages: null, observedGeneration: null });
});

test('a replica that does not write validation tells what its own proxies refuse, and nothing else', () => {
  const may = { ofValidation: false, ofRefusal: false };
  const byLeader = nextStatus(EMPTY, [unknown], at(0));
  const both = nextStatus(byLeader, [refused], at(0, 1, may));
  expect(both.conditions.map(({ type }) => type)).toEqual(['Reconciled', 'Programmed']);
  expect(both.validationMessages).toEqual(byLeader.validationMessages);
  // The leader, whose proxies refuse nothing, leaves that as it is.
  expect(nextStatus(both, [unknown], at(0))).toEqual(both);
  expect(nextStatus(both, [], at(0, 1, { ...may, ofRefusal: true }))).toEqual(byLeader);
});

test('whatever stands in a status is read without harm', () => {
  for (const raw of [null, 'x', 7, [], { conditions: 'x' }, { conditions: [null, {}, 3], validationMessages: {} }]) {
    expect(readStatus(raw)).toEqual({ conditions: [], validationMessages: [], observedGeneration: undefined });
  }
  const long: ObjectStatus = nextStatus(EMPTY, Array(50).fill(dangling), at(0));
  expect(long.validationMessages).toHaveLength(20);
});
