// SPDX-License-Identifier: Apache-2.0
// Route tables as Envoy route configurations, put together from the bytes of their virtual hosts.
import { create, toBinary } from '@bufbuild/protobuf';
import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import { type RouteMatch, RouteMatchSchema } from '#gen/envoy/config/route/v3/route_components_pb.ts';
import { RouteConfigurationSchema } from '#gen/envoy/config/route/v3/route_pb.ts';
import { FilterStateMatcherSchema } from '#gen/envoy/type/matcher/v3/filter_state_pb.ts';
import type { RouteTableIntent } from '../intent/route-types.ts';
import { encodeFields, type Field } from '../xds/delimited.ts';
import { ASKED_STATE } from './filters/on-demand.ts';
import { byAds, duration, stringMatcher, withField } from './messages.ts';
import { unclaimedName } from './names.ts';
import { encodeVirtualHost, type VirtualHostInit } from './virtual-hosts.ts';

/**
 * A serialized envoy.config.route.v3.RouteConfiguration, put together from its virtual hosts' bytes: protobuf lets a
 * repeated field be written piece by piece, and with one changed host a thousand others need not be written anew.
 */
export function encodeRouteConfiguration(table: RouteTableIntent, virtualHosts: readonly Uint8Array[]): Uint8Array {
  return encodeTable(table.name, [...virtualHosts, ...otherwise(table.otherwise).map(encodeVirtualHost)]);
}

/**
 * The same for a proxy that gets virtual hosts as resources of their own (VHDS): what the table says of hosts that are
 * none of the mesh's. `asked`: hosts come with the first request for them, so that those routes must wait until the proxy
 * has asked whether there is one.
 */
export function encodeOnDemandTable(
  table: RouteTableIntent,
  { isAsked, isTaken }: { readonly isAsked: boolean; readonly isTaken: boolean },
): Uint8Array {
  const others = isTaken ? [] : otherwise(table.otherwise, isAsked);
  const vhds = toBinary(
    RouteConfigurationSchema,
    create(RouteConfigurationSchema, { vhds: { configSource: byAds() } }),
  );
  return Buffer.concat([encodeTable(table.name, others.map(encodeVirtualHost)), vhds]);
}

/** Every request; `asked`: only after the proxy has asked whether there is a host for it. */
function everything(asked: boolean): RouteMatch {
  const match = create(RouteMatchSchema, { pathSpecifier: { case: 'prefix', value: '/' } });
  if (!asked) return match;
  const matcher = create(FilterStateMatcherSchema, {
    key: ASKED_STATE.key,
    matcher: { case: 'stringMatch', value: stringMatcher({ kind: 'exact', value: ASKED_STATE.value }) },
  });
  const data = new BinaryWriter().bytes(toBinary(FilterStateMatcherSchema, matcher)).finish();
  // repeated FilterStateMatcher filter_state = 16
  return withField(match, 16, WireType.LengthDelimited, data);
}

const TABLE_FIELDS = new Map(RouteConfigurationSchema.fields.map(({ name, number }) => [name, number]));
const fieldOf = (name: 'name' | 'virtual_hosts'): number => TABLE_FIELDS.get(name)!;

const TABLE_REST = toBinary(
  RouteConfigurationSchema,
  create(RouteConfigurationSchema, {
    // The port of `Host: reviews:9080` is known already: it chose this table.
    ignorePortInHostMatching: true,
    // A route to a cluster that does not exist (yet) answers 503; it must not hold up all other routes.
    validateClusters: false,
    maxDirectResponseBodySizeBytes: 1 << 20,
  }),
);

function encodeTable(name: string, hosts: readonly Uint8Array[]): Uint8Array {
  const number = fieldOf('virtual_hosts');
  const fields = hosts.map((host): Field => [number, host]);
  return encodeFields([[fieldOf('name'), Buffer.from(name)], ...fields], TABLE_REST);
}

function otherwise(kind: RouteTableIntent['otherwise'], asked = false): VirtualHostInit[] {
  const match = everything(asked);
  const to = (cluster: string): VirtualHostInit => {
    const value = { clusterSpecifier: { case: 'cluster' as const, value: cluster }, timeout: duration(0) };
    const action = { case: 'route' as const, value };
    return { name: 'allow_any', domains: ['*'], routes: [{ name: 'allow_any', match, action }] };
  };
  switch (kind) {
    case 'not-found':
      return [];
    case 'refuse': {
      const action = { case: 'directResponse' as const, value: { status: 502 } };
      return [{ name: 'block_all', domains: ['*'], routes: [{ name: 'block_all', match, action }] }];
    }
    default:
      return [to(unclaimedName(kind))];
  }
}
