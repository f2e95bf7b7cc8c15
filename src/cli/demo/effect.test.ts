// SPDX-License-Identifier: Apache-2.0
import { expect, test } from 'vitest';
import { measureEffect } from './effect.ts';
import type { LoggedCall } from './evidence.ts';

const call = (startedAt: number, subset: string): LoggedCall => ({
  startedAt,
  subset,
  userAgent: '',
  path: '/',
  status: 200,
  upstreamCluster: '',
  host: 'reviews',
  upstreamHost: '',
  tlsVersion: '',
});
const GATEWAYS = { 'ingress of cluster2': undefined, 'egress of cluster1': undefined };
const isV1 = ({ subset }: LoggedCall): boolean => subset === 'v1';
const isV3 = ({ subset }: LoggedCall): boolean => subset === 'v3';

test('a rule that begins: the first call by it, whatever went by it before the edit', () => {
  const calls = [call(130, 'v3'), call(90, 'v3'), call(110, 'v1'), call(140, 'v3')];
  expect(measureEffect({ kind: 'begins', shows: isV3 }, calls, GATEWAYS, 100)).toBe(30);
  expect(measureEffect({ kind: 'begins', shows: isV3 }, calls.slice(1, 3), GATEWAYS, 100)).toBeUndefined();
});

test('a rule that ends: the first call of a long row without one by it', () => {
  const after = Array.from({ length: 20 }, (_, i) => call(150 + i, 'v3'));
  const calls = [call(110, 'v3'), call(120, 'v1'), ...after];
  expect(measureEffect({ kind: 'ends', shows: isV1 }, calls, GATEWAYS, 100)).toBe(50);
  expect(measureEffect({ kind: 'ends', shows: isV1 }, calls.slice(0, -1), GATEWAYS, 100)).toBeUndefined();
  expect(measureEffect({ kind: 'ends', shows: isV1 }, [...calls, call(200, 'v1')], GATEWAYS, 100)).toBeUndefined();
});
