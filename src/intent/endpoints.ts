// SPDX-License-Identifier: Apache-2.0
import { EXTERNAL_NETWORK } from '../api/service-entry.ts';
import type { Endpoint, EndpointSet } from '../model/snapshot.ts';
import type { Discovery, EndpointIntent, NetworkChoice } from './types.ts';

/**
 * The endpoints that a destination takes of its service's, in the order of the set. Those on their way out only when there
 * are no others, as kube-proxy has it: a pod that is deleted serves until the one that replaces it is ready.
 */
export function buildEndpoints(
  discovery: Extract<Discovery, { kind: 'endpoints' }>,
  set: EndpointSet,
): EndpointIntent[] {
  const { portName, filter } = discovery;
  const wanted = Object.entries(filter.labels);
  const able = chooseNetwork(set, filter.network).filter((endpoint) => {
    if (endpoint.ports[portName] === undefined) return false;
    if (filter.cluster !== '' && endpoint.cluster !== filter.cluster) return false;
    if (filter.meshedOnly && !endpoint.meshed) return false;
    return wanted.every(([key, value]) => endpoint.labels[key] === value);
  });
  const staying = able.filter((endpoint) => !endpoint.draining);
  return (staying.length > 0 ? staying : able).map(({ address, ports, weight, locality, meshed }) => {
    return { address, port: ports[portName]!, weight, locality, meshed };
  });
}

/**
 * What `network` says of endpoints that a ServiceEntry names, before labels are asked: a proxy that requests a network has
 * the endpoints there, and not those beside them, which lead the others to it.
 */
export function chooseNetwork(endpoints: readonly Endpoint[], choice: NetworkChoice): readonly Endpoint[] {
  const { requested, only } = choice;
  const asked = requested.length === 0 ? [] : endpoints.filter((e) => requested.includes(e.network));
  if (asked.length > 0 || only) return asked;
  return endpoints.filter((e) => e.network !== EXTERNAL_NETWORK);
}
