// SPDX-License-Identifier: Apache-2.0
import { compareNames } from './clusters.ts';
import { type Held, inside, list, type Message, message, textOf } from './dump.ts';

export interface EndpointFilter {
  readonly address?: string | undefined;
  readonly port?: number | undefined;
  readonly cluster?: string | undefined;
  readonly status?: string | undefined;
}

/** Addresses, by cluster, that the proxy leaves out for a while because they failed (outlier detection). */
export type Ejected = ReadonlyMap<string, ReadonlySet<string>>;

export const ENDPOINT_HEADER = ['NAME', 'STATUS', 'LOCALITY', 'CLUSTER'];

/** Load assignments with the endpoints that are asked for; those of which none is are left out. */
export function selectEndpoints(all: readonly Held[], filter: EndpointFilter, ejected: Ejected): Message[] {
  return all
    .map(({ resource }) => ({
      ...resource,
      endpoints: list(resource, 'endpoints').map((locality) => ({
        ...locality,
        lb_endpoints: list(locality, 'lb_endpoints').filter((endpoint) =>
          isWanted(endpoint, textOf(resource, 'cluster_name'), filter, ejected),
        ),
      })),
    }))
    .filter(({ endpoints }) => endpoints.some(({ lb_endpoints }) => lb_endpoints.length > 0))
    .sort((a, b) => compareNames(textOf(a, 'cluster_name'), textOf(b, 'cluster_name')));
}

export function endpointRows(assignment: Message, ejected: Ejected): string[][] {
  const cluster = textOf(assignment, 'cluster_name');
  return list(assignment, 'endpoints').flatMap((locality) => {
    const where = ['region', 'zone', 'sub_zone'].map((part) => textOf(inside(locality, 'locality'), part));
    const place = where.filter((part) => part !== '').join('/');
    return list(locality, 'lb_endpoints').map((endpoint) => [
      addressOf(endpoint),
      statusOf(endpoint, cluster, ejected),
      place,
      cluster,
    ]);
  });
}

function isWanted(
  endpoint: Message,
  of: string,
  { address, port, cluster, status }: EndpointFilter,
  ejected: Ejected,
): boolean {
  const [host, own] = splitPort(addressOf(endpoint));
  return (
    (address === undefined || host === address || addressOf(endpoint) === address) &&
    (port === undefined || own === String(port)) &&
    (cluster === undefined || of.toLowerCase() === cluster.toLowerCase()) &&
    (status === undefined || statusOf(endpoint, of, ejected).toLowerCase() === status.toLowerCase())
  );
}

function splitPort(address: string): [host: string, port: string] {
  const at = address.lastIndexOf(':');
  return at < 0 ? [address, ''] : [address.slice(0, at), address.slice(at + 1)];
}

/** `10.1.0.7:9080`, or a path. */
function addressOf(endpoint: Message): string {
  const address = inside(endpoint, 'endpoint', 'address');
  const socket = message(address['socket_address']);
  return address['pipe'] === undefined
    ? `${textOf(socket, 'address')}:${textOf(socket, 'port_value')}`
    : textOf(inside(address, 'pipe'), 'path');
}

/** What the control plane says of it; EJECTED where the proxy has seen it fail since. */
function statusOf(endpoint: Message, cluster: string, ejected: Ejected): string {
  if (ejected.get(cluster)?.has(addressOf(endpoint)) === true) return 'EJECTED';
  const told = textOf(endpoint, 'health_status');
  return told === '' || told === 'UNKNOWN' ? 'HEALTHY' : told;
}

/** From `/clusters?format=json` (envoy.admin.v3.Clusters). */
export function readEjected(clusters: Message): Ejected {
  return new Map(
    list(clusters, 'cluster_statuses').map((cluster) => {
      const failed = list(cluster, 'host_statuses').filter(
        ({ health_status }) => message(health_status)['failed_outlier_check'] === true,
      );
      const addresses = failed.map((host) => {
        const socket = inside(host, 'address', 'socket_address');
        return `${textOf(socket, 'address')}:${textOf(socket, 'port_value')}`;
      });
      return [textOf(cluster, 'name'), new Set(addresses)];
    }),
  );
}
