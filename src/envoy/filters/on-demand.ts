// SPDX-License-Identifier: Apache-2.0
// Filters that hold a request until what its route needs has come.
import { create } from '@bufbuild/protobuf';
import { WireType } from '@bufbuild/protobuf/wire';
import { type Any, anyPack } from '@bufbuild/protobuf/wkt';
import { OnDemandSchema } from '#gen/envoy/extensions/filters/http/on_demand/v3/on_demand_pb.ts';
import { ConfigSchema } from '#gen/envoy/extensions/filters/http/set_filter_state/v3/set_filter_state_pb.ts';
import { byAds, duration, packed, withField } from '../messages.ts';

/** Longer than a control plane takes to come back, and be found again; a cluster that does not exist is answered at once. */
const CLUSTER_TIMEOUT_MS = 60_000;

/** Set behind onDemandFilter: a route that asks for it is none while a virtual host may still come. */
export const ASKED_STATE = { key: 'isthmus.asked', value: 'yes' } as const;

/** Asks for the virtual host of a request that has no route, and for the cluster of a route when it is not there. */
export function onDemandFilter(): { name: string; config: Any } {
  const odcds = { source: byAds(), timeout: duration(CLUSTER_TIMEOUT_MS) };
  return { name: 'envoy.filters.http.on_demand', config: packed(OnDemandSchema, { odcds }) };
}

export function askedStateFilter(): { name: string; config: Any } {
  const { key, value: inlineString } = ASKED_STATE;
  const format = {
    case: 'textFormatSource' as const,
    value: { specifier: { case: 'inlineString' as const, value: inlineString } },
  };
  const state = {
    key: { case: 'objectKey' as const, value: key },
    factoryKey: 'envoy.string',
    value: { case: 'formatString' as const, value: { format } },
  };
  // bool clear_route_cache = 2
  const config = withField(create(ConfigSchema, { onRequestHeaders: [state] }), 2, WireType.Varint, Uint8Array.of(1));
  return { name: 'envoy.filters.http.set_filter_state', config: anyPack(ConfigSchema, config) };
}
