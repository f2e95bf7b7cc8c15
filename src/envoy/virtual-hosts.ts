// SPDX-License-Identifier: Apache-2.0
// Virtual hosts: their routes, and what most of those have in common said once for all.
import type { MessageInitShape } from '@bufbuild/protobuf';
import { VirtualHost_TlsRequirementType, VirtualHostSchema } from '#gen/envoy/config/route/v3/route_components_pb.ts';
import type { HttpRouteIntent, RetryIntent, VirtualHostIntent } from '../intent/route-types.ts';
import { encode } from './encode.ts';
import { buildRetryPolicy, retriesKey } from './retries.ts';
import { buildRoute, type HostDefaults } from './routes.ts';
import { configOf, hostMetadata } from './rule-metadata.ts';

export type VirtualHostInit = MessageInitShape<typeof VirtualHostSchema>;

export function buildVirtualHost(host: VirtualHostIntent): Uint8Array {
  return encodeVirtualHost(virtualHost(host));
}

export function encodeVirtualHost(host: VirtualHostInit): Uint8Array {
  return encode(VirtualHostSchema, host);
}

function virtualHost(host: VirtualHostIntent): VirtualHostInit {
  const retries = commonest(
    host.routes.flatMap((route) => retriesOf(route) ?? []),
    retriesKey,
  );
  const config = commonest(
    host.routes.flatMap(({ origin }) => configOf(origin) ?? []),
    (path) => path,
  );
  const defaults: HostDefaults = { retries: retries && retriesKey(retries), config };
  return {
    name: host.name,
    domains: [...host.domains],
    routes: host.routes.map((route) => buildRoute(route, defaults)),
    ...(!host.countsNoAttempts && { includeRequestAttemptCount: true }),
    ...(host.httpsOnly && { requireTls: VirtualHost_TlsRequirementType.ALL }),
    ...(retries && { retryPolicy: buildRetryPolicy(retries) }),
    ...(config !== undefined && hostMetadata(config)),
  };
}

function retriesOf({ action }: HttpRouteIntent): RetryIntent | undefined {
  return action.kind === 'forward' ? action.retries : undefined;
}

/** Of those that are there more than once, one that is there most often. */
function commonest<T>(values: readonly T[], keyOf: (value: T) => string): T | undefined {
  const groups = [...Map.groupBy(values, keyOf).values()].filter((group) => group.length > 1);
  return groups.sort((a, b) => b.length - a.length)[0]?.[0];
}

/**
 * A virtual host as a resource: the same bytes, and behind them what is said anew (of a field that is there twice, the
 * last one counts). A request for which it has no route is refused by itself: Envoy would ask for the host once more.
 */
export function encodeHostResource(host: VirtualHostIntent, name: string, bytes: Uint8Array): Uint8Array {
  const rest = encode(VirtualHostSchema, {
    name,
    routes: host.routes.some(takesAll)
      ? []
      : [
          {
            name: 'no_route',
            match: { pathSpecifier: { case: 'prefix', value: '/' } },
            action: { case: 'directResponse', value: { status: 404 } },
          },
        ],
  });
  return Buffer.concat([bytes, rest]);
}

function takesAll({ match }: HttpRouteIntent): boolean {
  const { path, headers, query } = match;
  return path.kind === 'prefix' && path.value === '/' && headers.length === 0 && query.length === 0;
}
