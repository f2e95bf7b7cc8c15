// SPDX-License-Identifier: Apache-2.0
// Endpoints that are the same to whoever asks: pods of one workload, an address of a gateway.
import { isIP } from 'node:net';
import type { UpstreamEndpoint } from '../envoy/simulate/outcome.ts';
import type { KubeObject } from '../kube/types.ts';
import type { Occupant } from './address-book.ts';
import type { Mesh, MeshCluster } from './mesh.ts';
import { resolveName } from './names.ts';

export interface EndpointGroup {
  /** Of the destination's requests: 0 to 1. */
  readonly share: number;
  /** One of them. */
  readonly endpoint: UpstreamEndpoint;
  /** IP address and port, where a name leads; the name itself where that is not known. */
  readonly address: string;
  readonly port: number;
  readonly addresses: readonly string[];
  readonly occupant: Occupant | undefined;
  /** Cluster of the pod at the address. */
  readonly hint: MeshCluster | undefined;
}

export interface Vantage {
  readonly cluster: MeshCluster;
  readonly pod: KubeObject;
  /** Host of the destination: whose endpoints they are. */
  readonly host: string;
}

export function endpointGroups(mesh: Mesh, at: Vantage, endpoints: readonly UpstreamEndpoint[]): EndpointGroup[] {
  const sum = endpoints.reduce((total, { weight }) => total + weight, 0);
  const groups = new Map<string, EndpointGroup>();
  for (const endpoint of endpoints) {
    const { address, port } = splitAddress(endpoint.address);
    const hint = clusterOfEndpoint(mesh, at, address);
    const ip = isIP(address) === 0 ? addressOfName(mesh, at, address) : address;
    const occupant = mesh.book.occupantOf(hint ?? at.cluster, ip, port);
    const key = `${whose(mesh, occupant) ?? endpoint.address} ${port} ${endpoint.tls?.serverName ?? ''}`;
    const share = sum > 0 ? endpoint.weight / sum : 1 / endpoints.length;
    const known = groups.get(key);
    groups.set(
      key,
      known === undefined
        ? { share, endpoint, address: ip, port, addresses: [endpoint.address], occupant, hint }
        : { ...known, share: known.share + share, addresses: [...known.addresses, endpoint.address] },
    );
  }
  return [...groups.values()];
}

export function splitAddress(text: string): { address: string; port: number } {
  const colon = text.lastIndexOf(':');
  return { address: text.slice(0, colon).replace(/^\[|\]$/g, ''), port: Number(text.slice(colon + 1)) };
}

function whose(mesh: Mesh, occupant: Occupant | undefined): string | undefined {
  if (occupant === undefined || occupant.kind !== 'pod') return undefined;
  const { cluster, namespace, workload } = mesh.placeOf(occupant.cluster, occupant.pod);
  return `${cluster} ${namespace}/${workload}`;
}

/** Pods of two clusters may have one address: the registry knows whose it is. */
function clusterOfEndpoint(mesh: Mesh, { cluster, host }: Vantage, address: string): MeshCluster | undefined {
  const { index, endpoints } = cluster.plane.snapshot;
  for (const service of index.servicesByHost.get(host) ?? []) {
    if (service.registry !== 'kubernetes') continue;
    const found = endpoints.get(service.key)?.find((endpoint) => endpoint.address === address);
    const owner = found && mesh.clusters.get(cluster.plane.members.get(found.cluster) ?? '');
    if (owner !== undefined) return owner;
  }
  return undefined;
}

/** As Envoy's own look-up in the pod would find; the name itself where the DNS of the world has the answer. */
function addressOfName(mesh: Mesh, { cluster, pod }: Vantage, name: string): string {
  const [told] = mesh.names.get(name) ?? [];
  if (told !== undefined) return told;
  const found = resolveName(mesh, cluster, pod, name);
  return found.kind === 'found' ? (found.addresses[0] ?? name) : name;
}
