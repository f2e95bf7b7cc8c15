// SPDX-License-Identifier: Apache-2.0
// Who answers at an address, seen from one of the clusters: pods and Services of its own, and what clusters show to the
// outside. The same address may be somebody else's in each.
import type { KubeObject } from '../kube/types.ts';
import type { Mesh, MeshCluster, SeenObject } from './mesh.ts';
import { addressesOfPod, isOnHostNetwork, isPod } from './pods.ts';

export interface PodPort {
  readonly cluster: MeshCluster;
  readonly pod: KubeObject;
  readonly port: number;
}

export type Occupant =
  | ({ readonly kind: 'pod' } & PodPort)
  /** `port` of the Service; `pods`: those that stand behind it. */
  | {
      readonly kind: 'service';
      readonly cluster: MeshCluster;
      readonly service: SeenObject;
      readonly port: number;
      /** By its cluster's own address, or by what it shows to the outside. */
      readonly from: 'inside' | 'outside';
      readonly pods: readonly PodPort[];
    }
  /** The address is a Service's, and not this port. */
  | {
      readonly kind: 'closed';
      readonly cluster: MeshCluster;
      readonly service: SeenObject;
      readonly ports: readonly number[];
    };

interface ServiceText {
  readonly spec?: {
    readonly clusterIP?: string;
    readonly clusterIPs?: readonly string[];
    readonly externalIPs?: readonly string[];
    readonly ports?: readonly { readonly name?: string; readonly port: number; readonly nodePort?: number }[];
  };
  readonly status?: {
    readonly loadBalancer?: { readonly ingress?: readonly { readonly ip?: string; readonly hostname?: string }[] };
  };
}

interface NodeText {
  readonly status?: { readonly addresses?: readonly { readonly address: string }[] };
}

interface ClusterAddresses {
  readonly pods: ReadonlyMap<string, KubeObject>;
  readonly services: ReadonlyMap<string, SeenObject>;
  /** IP addresses and names. */
  readonly shown: ReadonlyMap<string, readonly SeenObject[]>;
  readonly nodes: ReadonlySet<string>;
  readonly nodePorts: ReadonlyMap<number, SeenObject>;
}

export class AddressBook {
  readonly #mesh: Mesh;
  readonly #clusters = new Map<MeshCluster, ClusterAddresses>();

  constructor(mesh: Mesh) {
    this.#mesh = mesh;
  }

  /** @param from where it is dialled */
  occupantOf(from: MeshCluster, address: string, port: number): Occupant | undefined {
    return (
      this.#inside(from, address, port) ??
      [...this.#mesh.clusters.values()]
        .map((cluster) => this.#outside(cluster, address, port))
        .find((o) => o !== undefined)
    );
  }

  /** A pod of this cluster. */
  podAt(cluster: MeshCluster, address: string): KubeObject | undefined {
    return this.#of(cluster).pods.get(address);
  }

  /** Pods behind a port of a Service, as endpoints say. */
  podsBehind(cluster: MeshCluster, { object }: SeenObject, port: number): PodPort[] {
    const { metadata, spec } = object as KubeObject & ServiceText;
    const { services, index } = { services: cluster.plane.snapshot.endpoints, index: cluster.plane.snapshot.index };
    const host = `${metadata.name}.${metadata.namespace}.svc.cluster.local`;
    const [service] = (index.servicesByHost.get(host) ?? []).filter(({ registry }) => registry === 'kubernetes');
    const name = spec?.ports?.find((each) => each.port === port)?.name ?? '';
    const endpoints = service === undefined ? [] : (services.get(service.key) ?? []);
    return endpoints.flatMap((endpoint) => {
      const number = endpoint.ports[name];
      const pod = endpoint.cluster === cluster.name ? this.podAt(cluster, endpoint.address) : undefined;
      return pod === undefined || number === undefined ? [] : [{ cluster, pod, port: number }];
    });
  }

  #inside(cluster: MeshCluster, address: string, port: number): Occupant | undefined {
    const { pods, services } = this.#of(cluster);
    const pod = pods.get(address);
    if (pod !== undefined) return { kind: 'pod', cluster, pod, port };
    const service = services.get(address);
    return service && this.#service(cluster, service, port, 'inside');
  }

  #outside(cluster: MeshCluster, address: string, port: number): Occupant | undefined {
    const { shown, nodes, nodePorts } = this.#of(cluster);
    const owners = shown.get(address) ?? [];
    const found = owners.map((service) => this.#service(cluster, service, port, 'outside'));
    const open = found.find(({ kind }) => kind === 'service') ?? found[0];
    if (open !== undefined) return open;
    const service = nodes.has(address) ? nodePorts.get(port) : undefined;
    const behind = service && portsOf(service).find(({ nodePort }) => nodePort === port);
    return service && behind && this.#service(cluster, service, behind.port, 'outside');
  }

  #service(cluster: MeshCluster, service: SeenObject, port: number, from: 'inside' | 'outside'): Occupant {
    const ports = portsOf(service).map((each) => each.port);
    if (!ports.includes(port)) return { kind: 'closed', cluster, service, ports };
    return { kind: 'service', cluster, service, port, from, pods: this.podsBehind(cluster, service, port) };
  }

  #of(cluster: MeshCluster): ClusterAddresses {
    const addresses = this.#clusters.get(cluster) ?? read(cluster);
    this.#clusters.set(cluster, addresses);
    return addresses;
  }
}

function portsOf({ object }: SeenObject): readonly { readonly port: number; readonly nodePort?: number }[] {
  return (object as KubeObject & ServiceText).spec?.ports ?? [];
}

function read({ objects }: MeshCluster): ClusterAddresses {
  const pods = new Map<string, KubeObject>();
  const services = new Map<string, SeenObject>();
  const shown = new Map<string, SeenObject[]>();
  const nodes = new Set<string>();
  const nodePorts = new Map<number, SeenObject>();
  for (const seen of objects) {
    const { object } = seen;
    if (isPod(object) && !isOnHostNetwork(object)) for (const ip of addressesOfPod(object)) pods.set(ip, object);
    if (object.kind === 'Node')
      for (const { address } of (object as KubeObject & NodeText).status?.addresses ?? []) nodes.add(address);
    if (object.kind !== 'Service') continue;
    const { spec, status } = object as KubeObject & ServiceText;
    for (const ip of spec?.clusterIPs ?? [spec?.clusterIP ?? ''])
      if (ip !== '' && ip !== 'None') services.set(ip, seen);
    const ingress = (status?.loadBalancer?.ingress ?? []).flatMap(({ ip, hostname }) => [ip, hostname]);
    for (const address of [...ingress, ...(spec?.externalIPs ?? [])])
      if (address !== undefined) shown.set(address, [...(shown.get(address) ?? []), seen]);
    for (const { nodePort } of spec?.ports ?? []) if (nodePort !== undefined) nodePorts.set(nodePort, seen);
  }
  return { pods, services, shown, nodes, nodePorts };
}
