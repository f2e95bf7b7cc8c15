// SPDX-License-Identifier: Apache-2.0
import type { EndpointSet } from '../model/snapshot.ts';
import type { Discovery, EndpointIntent } from './types.ts';

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
  const able = set.filter((endpoint) => {
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
