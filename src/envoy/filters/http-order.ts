// SPDX-License-Identifier: Apache-2.0
// The one place that says in which order HTTP filters run.
import { create } from '@bufbuild/protobuf';
import {
  type HttpFilter,
  HttpFilterSchema,
} from '#gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts';
import { corsFilter } from './cors.ts';
import { faultFilter } from './fault.ts';
import { routerFilter } from './router.ts';

/** Preflight requests are answered before faults are injected, and the router is always the last. */
const CLIENT_SIDE = [corsFilter, faultFilter, routerFilter];
const SERVER_SIDE = [routerFilter];

export function httpFilters(side: 'client' | 'server'): HttpFilter[] {
  return (side === 'client' ? CLIENT_SIDE : SERVER_SIDE).map((make) => {
    const { name, config } = make();
    return create(HttpFilterSchema, { name, configType: { case: 'typedConfig', value: config } });
  });
}
