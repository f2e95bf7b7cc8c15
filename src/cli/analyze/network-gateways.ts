// SPDX-License-Identifier: Apache-2.0
// Does anybody answer at the gateways that meshNetworks names? The control plane is told an address and cannot know; who
// sees the cluster that has it can.
import { decodeEndpointSlice, decodePod, decodeService, type KubeService, selects } from '../../api/kubernetes.ts';
import {
  decodeMeshNetworks,
  NETWORKS_FIELD,
  type NetworkGateway,
  type SayOfNetworks,
} from '../../api/mesh-networks.ts';
import { isRecord, member } from '../../api/shape.ts';
import type { KubeObject } from '../../kube/types.ts';
import { clusterOf, OWN_REGISTRY } from '../../model/networks.ts';
import { ISTIO_NAMESPACE } from '../../runtime/mesh-resources.ts';
import type { CollectedObject } from './collect.ts';
import type { InstallationReport } from './installation.ts';
import type { Remark } from './judge.ts';
import { settingsAmong } from './registries.ts';
import { matchRegistry } from './remote-secrets.ts';

export interface GatewayCluster {
  readonly context: string;
  /** As the user calls it; undefined where it is the only one. */
  readonly shownAs: string | undefined;
  readonly server: string;
  readonly caPem: string | undefined;
  readonly objects: readonly CollectedObject[];
  /** undefined: the user may not list them. */
  readonly nodes: readonly KubeObject[] | undefined;
  readonly installation: Pick<InstallationReport, 'role' | 'registries' | 'clusterName'>;
}

/** A Service at a gateway's address; `fault` is undefined where it leads to somebody. */
interface Entrance {
  readonly cluster: GatewayCluster;
  readonly service: KubeService;
  readonly fault: { readonly of: 'place' | 'port'; readonly message: string; readonly cure: string } | undefined;
}

interface Way {
  readonly network: string;
  readonly gateway: NetworkGateway;
  /** By whose settings. */
  readonly ruling: GatewayCluster;
}

/** Nothing of gateways that are in none of these clusters, or that the user may not see enough of. */
export function tellDeadGateways(clusters: readonly GatewayCluster[]): Remark[] {
  return clusters
    .filter(({ installation }) => installation.role !== 'remote')
    .flatMap((ruling) =>
      settingsAmong(ruling.objects).flatMap(({ object, file, locate }) => {
        const { shownAs } = ruling;
        const { value = {}, say } = decodeMeshNetworks(object, {
          locate,
          ...(shownAs === undefined ? {} : { cluster: shownAs }),
        });
        return Object.entries(value).flatMap(([network, { endpoints, gateways }]) => {
          const registries = endpoints.flatMap((entry) => (entry.kind === 'registry' ? [entry.name] : []));
          const near = clustersOf(registries, ruling, clusters);
          return gateways.flatMap((gateway, i) => {
            const at = `${member(`${NETWORKS_FIELD}.networks`, network)}.gateways[${i}]`;
            const told = tellGateway({ network, gateway, ruling }, near, at, say);
            return file === undefined ? told : told.map((remark) => ({ ...remark, file }));
          });
        });
      }),
    );
}

/**
 * Where a network's gateways stand: private addresses are found in many clusters, so only its own count; where it names
 * none (pods are on it by label or address), it may be any.
 */
function clustersOf(
  registries: readonly string[],
  ruling: GatewayCluster,
  clusters: readonly GatewayCluster[],
): readonly GatewayCluster[] {
  if (registries.length === 0) return clusters;
  const own = ruling.installation.clusterName ?? OWN_REGISTRY;
  const named = new Map(ruling.installation.registries.map((r) => [r.name, matchRegistry(r, clusters)]));
  const found = registries.map((name) => (clusterOf(name, own) === own ? ruling : named.get(name)));
  return [...new Set(found)].filter((cluster) => cluster !== undefined);
}

function tellGateway(way: Way, near: readonly GatewayCluster[], at: string, say: SayOfNetworks): Remark[] {
  const found = near.flatMap((cluster) => entrances(way, cluster));
  // One address is one place: if two clusters have it, nobody knows which of them is meant. A Service is in each.
  if (way.gateway.kind === 'address' && found.some(({ fault }) => fault === undefined)) return [];
  return found.flatMap(({ cluster, service, fault }) => {
    if (fault === undefined) return [];
    const where = `Service ${service.ref.namespace}/${service.ref.name} of ${cluster.context}`;
    const message = `${describe(way)} is ${where}, which ${fault.message}: nobody answers other networks there`;
    const place = way.gateway.kind === 'address' ? 'address' : 'registryServiceName';
    return [say('ISM0317', `${at}.${fault.of === 'place' ? place : 'port'}`, message, fault.cure)];
  });
}

function describe({ network, gateway }: Way): string {
  const place = gateway.kind === 'address' ? ` ${gateway.address}:${gateway.port}` : '';
  return `the gateway${place} of network ${network}`;
}

function entrances(way: Way, cluster: GatewayCluster): Entrance[] {
  const { gateway } = way;
  const services = cluster.objects
    .filter(({ object: { kind, apiVersion } }) => kind === 'Service' && apiVersion === 'v1')
    .map(({ object }) => ({ object, service: decodeService(object, cluster.context) }));
  const at = services.filter(({ service: { ref, externalAddresses } }) =>
    gateway.kind === 'service'
      ? ref.name === gateway.name && ref.namespace === gateway.namespace
      : externalAddresses.some((address) => isSameAddress(address, gateway.address)),
  );
  const open = at.flatMap(({ service }) =>
    service.ports.filter(({ number }) => number === gateway.port).map(({ name }) => enter(cluster, service, name)),
  );
  if (open.length > 0) return open;
  if (gateway.kind === 'address') {
    if (cluster.nodes === undefined) return [];
    // Of a node, another port may be a pod's own (hostPort), which no Service tells.
    if (cluster.nodes.some((node) => hasAddress(node, gateway.address)))
      return services.flatMap(({ object, service }) =>
        nodePortNames(object, gateway.port).map((name) => enter(cluster, service, name)),
      );
  }
  return at.map(({ service }) => ({ cluster, service, fault: noPort(way, service, cluster) }));
}

function enter(cluster: GatewayCluster, service: KubeService, portName: string): Entrance {
  const { namespace, name } = service.ref;
  const isReady = cluster.objects.some(({ object }) => {
    if (object.kind !== 'EndpointSlice') return false;
    const slice = decodeEndpointSlice(object);
    const isOfPort = slice.namespace === namespace && slice.service === name && Object.hasOwn(slice.ports, portName);
    return isOfPort && slice.endpoints.some(({ ready }) => ready);
  });
  if (isReady) return { cluster, service, fault: undefined };
  const kubectl = `kubectl --context ${cluster.context} -n ${namespace}`;
  const { selector } = service;
  if (selector === undefined) {
    const cure = `${kubectl} describe service ${name} says where it leads`;
    return { cluster, service, fault: { of: 'place', message: 'has no ready endpoint', cure } };
  }
  const labels = Object.entries(selector).map(([key, value]) => `${key}=${value}`);
  const hasPods = cluster.objects.some(
    ({ object: pod }) =>
      pod.kind === 'Pod' &&
      pod.metadata.namespace === namespace &&
      pod.metadata.deletionTimestamp === undefined &&
      selects(selector, decodePod(pod, cluster.context).labels),
  );
  const message = `has no ready endpoint (${hasPods ? 'none of its pods is ready' : 'it has no pod'})`;
  const cure = hasPods
    ? `${kubectl} describe pods -l ${labels.join(',')} says why none is ready`
    : `${kubectl} get deployments shows its Deployment; one without replicas is brought back by ` +
      `${kubectl} scale deployment ${name} --replicas=1`;
  return { cluster, service, fault: { of: 'place', message, cure } };
}

function noPort({ gateway, ruling }: Way, { ref, ports }: KubeService, cluster: GatewayCluster): Entrance['fault'] {
  const known = ports.map(({ number }) => number).join(', ');
  const cure =
    `write one of its ports here (kubectl --context ${ruling.context} -n ${ISTIO_NAMESPACE} edit configmap istio): ${known}; ` +
    `kubectl --context ${cluster.context} -n ${ref.namespace} get service ${ref.name} shows them`;
  return { of: 'port', message: `has no port ${gateway.port}`, cure };
}

function nodePortNames({ spec }: KubeObject, port: number): string[] {
  const ports = isRecord(spec) && Array.isArray(spec['ports']) ? spec['ports'].filter(isRecord) : [];
  return ports
    .filter((each) => each['nodePort'] === port)
    .map((each) => (typeof each['name'] === 'string' ? each['name'] : ''));
}

function hasAddress({ status }: KubeObject, address: string): boolean {
  const { addresses = [] } = (status ?? {}) as { addresses?: readonly { address: string }[] };
  return addresses.some((own) => isSameAddress(own.address, address));
}

/** Names of load balancers, which have no case and may end with a dot. */
function isSameAddress(a: string, b: string): boolean {
  const plain = (address: string) => address.toLowerCase().replace(/\.$/, '');
  return plain(a) === plain(b);
}
