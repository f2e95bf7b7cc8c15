// SPDX-License-Identifier: Apache-2.0
import type { EndpointSet } from '../model/snapshot.ts';
import type { Discovery, EndpointIntent } from './types.ts';

/** The endpoints that a destination takes of its service's, in the order of the set. */
export function buildEndpoints(
  discovery: Extract<Discovery, { kind: 'endpoints' }>,
  set: EndpointSet,
): EndpointIntent[] {
  const { portName, filter } = discovery;
  const wanted = Object.entries(filter.labels);
  return set.flatMap((endpoint) => {
    const port = endpoint.ports[portName];
    if (port === undefined) return [];
    if (filter.cluster !== '' && endpoint.cluster !== filter.cluster) return [];
    if (filter.meshedOnly && !endpoint.meshed) return [];
    if (!wanted.every(([key, value]) => endpoint.labels[key] === value)) return [];
    const { address, weight, locality, meshed } = endpoint;
    return [{ address, port, weight, locality, meshed }];
  });
}
