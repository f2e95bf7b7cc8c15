// SPDX-License-Identifier: Apache-2.0
import { create } from '@bufbuild/protobuf';
import { expect, test } from 'vitest';
import { RouteSchema } from '#gen/envoy/config/route/v3/route_components_pb.ts';
import { duration } from '../messages.ts';
import { merged } from './merge.ts';

const route = () =>
  create(RouteSchema, {
    name: 'a',
    requestHeadersToRemove: ['x'],
    action: { case: 'route', value: { clusterSpecifier: { case: 'cluster', value: 'c' }, timeout: duration(1500) } },
  });
const change = () =>
  create(RouteSchema, {
    requestHeadersToRemove: ['y'],
    action: { case: 'route', value: { timeout: duration(2000), prefixRewrite: '/' } },
  });

test('scalars are replaced, messages merged, lists continued, and a duration is a whole', () => {
  expect(merged(RouteSchema, route(), change(), false)).toMatchObject({
    name: 'a',
    requestHeadersToRemove: ['x', 'y'],
    action: { value: { clusterSpecifier: { value: 'c' }, prefixRewrite: '/', timeout: { seconds: 2n, nanos: 0 } } },
  });
});

test('lists take the place of those before where that is asked for', () => {
  expect(merged(RouteSchema, route(), change(), true).requestHeadersToRemove).toEqual(['y']);
});
