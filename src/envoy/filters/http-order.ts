// SPDX-License-Identifier: Apache-2.0
// The one place that says in which order HTTP filters run.
import { create } from '@bufbuild/protobuf';
import {
  type HttpFilter,
  HttpFilterSchema,
} from '#gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts';
import type { IpFamilies } from '../../intent/destination-types.ts';
import type { OnDemand } from '../../intent/types.ts';
import { byNameFilter } from './by-name.ts';
import { corsFilter } from './cors.ts';
import { faultFilter } from './fault.ts';
import { askedStateFilter, onDemandFilter } from './on-demand.ts';
import { routerFilter } from './router.ts';

/** Preflight requests are answered before faults are injected, and the router is always the last. */
const CLIENT_SIDE = [corsFilter, faultFilter];

/** First of all, since the others go by the route. */
const FETCHING: Readonly<Record<OnDemand, typeof CLIENT_SIDE>> = {
  CLUSTERS_ON_DEMAND: [onDemandFilter],
  ALL_ON_DEMAND: [onDemandFilter, askedStateFilter],
};

export interface HttpFilterOptions {
  /** What of its configuration the proxy fetches when a request needs it. */
  readonly onDemand?: OnDemand | undefined;
  /** Some requests go to names that they say themselves. */
  readonly byName?: IpFamilies | undefined;
  /** See HeadersIntent. */
  readonly noEnvoyHeaders?: true | undefined;
}

export function httpFilters(
  side: 'client' | 'server',
  { onDemand, byName, noEnvoyHeaders }: HttpFilterOptions = {},
): HttpFilter[] {
  const fetching = onDemand === undefined ? [] : FETCHING[onDemand];
  const lookingUp = byName ? [() => byNameFilter(byName)] : [];
  const router = () => routerFilter(noEnvoyHeaders);
  return [...fetching, ...(side === 'client' ? CLIENT_SIDE : []), ...lookingUp, router].map((make) => {
    const { name, config } = make();
    return create(HttpFilterSchema, { name, configType: { case: 'typedConfig', value: config } });
  });
}
