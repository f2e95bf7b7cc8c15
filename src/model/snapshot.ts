// SPDX-License-Identifier: Apache-2.0
// The mesh at one moment: plain frozen data. Members keep their identity from snapshot to snapshot until they change,
// which is what later stages key their caches by. Endpoints are apart, so that their churn leaves the index alone.
import type { DestinationRule } from '../api/destination-rule.ts';
import type { ObjectRef } from '../api/diagnostics.ts';
import type { EnvoyFilter } from '../api/envoy-filter.ts';
import type { Gateway } from '../api/gateway.ts';
import type { KubeService, TrafficDistribution, Workload } from '../api/kubernetes.ts';
import type { MeshConfig } from '../api/mesh-config.ts';
import type { ClusterName, Hostname, SpiffeId } from '../api/names.ts';
import type { Protocol } from '../api/protocol.ts';
import type { ProxyConfig } from '../api/proxy-config.ts';
import type { Sidecar } from '../api/sidecar.ts';
import type { Telemetry } from '../api/telemetry.ts';
import type { TrafficSplit } from '../api/traffic-shares.ts';
import type { VirtualService } from '../api/virtual-service.ts';
import type { WorkloadFacts } from '../kube/workload-facts.ts';
import type { NetworkIndex } from './networks.ts';
import type { RuleIndex } from './rule-table.ts';

/** `NAMESPACE/HOST`, and `/NAME` of the ServiceEntry behind it: several may give one host. */
export type ServiceKey = string;

export interface ServicePort {
  readonly name: string;
  readonly number: number;
  readonly protocol: Protocol;
  /** A number, or the name of a container port; of Kubernetes services only. */
  readonly targetPort: number | string;
}

/** How a client finds the endpoints: told by us, by DNS, by a name that it says itself, or where it was going anyway. */
export type Resolution = 'endpoints' | 'dns' | 'dns-round-robin' | 'by-name' | 'none';

/** What is true of a Kubernetes service in one cluster only. */
export interface ClusterService {
  readonly addresses: readonly string[];
  readonly selector: Readonly<Record<string, string>> | undefined;
  readonly ports: readonly ServicePort[];
}

export interface MeshService {
  readonly key: ServiceKey;
  readonly hostname: Hostname;
  readonly namespace: string;
  readonly origin: ObjectRef;
  readonly createdAtMs: number;
  readonly registry: 'kubernetes' | 'service-entry';
  readonly meshInternal: boolean;
  readonly resolution: Resolution;
  readonly ports: readonly ServicePort[];
  /** Of a ServiceEntry, the same in every cluster: IPs or CIDR blocks. */
  readonly addresses: readonly string[];
  /** Of a ServiceEntry that leaves it to us to find addresses for it: those found so far, sorted. */
  readonly allocated: readonly string[] | undefined;
  /** Of a Kubernetes service, by cluster. */
  readonly clusters: Readonly<Record<ClusterName, ClusterService>>;
  readonly sessionAffinity: KubeService['sessionAffinity'];
  readonly trafficDistribution: TrafficDistribution;
  /** Of a Kubernetes service: see KubeService. */
  readonly nodeLocal: boolean;
  readonly exportTo: readonly string[];
  /** Resolution by DNS: the names to look up. */
  readonly dnsEndpoints: readonly Endpoint[];
  /** Of an ExternalName service, and of what has several names: the name in whose place it stands. */
  readonly aliasOf: Hostname | undefined;
  /** Of a Kubernetes service that the own cluster exports: the parts of it that other clusters may ask for. */
  readonly exported?: readonly ExportedPart[];
  /** Of a Kubernetes service: without an endpoint it may be served by other clusters' pods. */
  readonly fallback: boolean;
  /** Of a ServiceEntry whose endpoints are clusters: how requests are divided among them. */
  readonly traffic: TrafficSplit | undefined;
  /** Of a ServiceEntry: its endpoints are workloads that it selects, and no gateways to others. */
  readonly selecting: boolean;
  /** Of a ServiceEntry: each endpoint written in it says as whom it answers, is of no other network, and no gateway's port. */
  readonly namesWorkloads: boolean;
  /** Of a ServiceEntry: others of its namespace for its host with the same are one service with it; absent: none is. */
  readonly likeness?: string;
  readonly subjectAltNames: readonly string[];
  /** Rules lead to it; clients do not see it. */
  readonly unlisted?: true;
  /** Of a ServiceEntry: the networks that its endpoints name, sorted. */
  readonly networks: readonly string[];
}

export interface ExportedPart {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
}

export interface Endpoint {
  /** IP address, or a DNS name among `dnsEndpoints`. */
  readonly address: string;
  /** Its addresses of the other IP family, sorted; absent for none. */
  readonly alternatives?: readonly string[];
  /** Name of a service port -> number that the endpoint listens on. */
  readonly ports: Readonly<Record<string, number>>;
  readonly labels: Readonly<Record<string, string>>;
  readonly cluster: ClusterName;
  /** '': the default network; ANY_NETWORK: reached from everywhere. */
  readonly network: string;
  /** `region/zone/subzone`, or ''. */
  readonly locality: string;
  /** The node that it runs on; '' where that is not known. */
  readonly nodeName: string;
  readonly weight: number;
  readonly identity: SpiffeId | undefined;
  /** A sidecar answers there, so that mTLS can be spoken. */
  readonly meshed: boolean;
  /** Whose it is, for telemetry; absent where no pod is known. */
  readonly workload?: WorkloadFacts;
  /** On its way out: for traffic that would have nowhere to go otherwise. */
  readonly draining: boolean;
  /** A cluster's gateway, of as many pods as its weight says; its other gateways lead to the same ones. */
  readonly shared?: true;
}

/** Of one service, sorted by address. */
export type EndpointSet = readonly Endpoint[];

export type Placing = 'nowhere' | 'zone' | 'node';

/** Everything but endpoints and workloads. */
export interface MeshIndex {
  readonly settings: MeshSettings;
  readonly mesh: MeshConfig;
  readonly networks: NetworkIndex;
  readonly services: ReadonlyMap<ServiceKey, MeshService>;
  /** The same by host, those of one host by key; and by namespace, oldest first. */
  readonly servicesByHost: ReadonlyMap<string, readonly MeshService[]>;
  readonly servicesByNamespace: ReadonlyMap<string, readonly MeshService[]>;
  /** VirtualServices as they were written: `virtualServices` has each with the routes that it takes from others. */
  readonly writtenRules: readonly VirtualService[];
  /** Oldest first. */
  readonly virtualServices: readonly VirtualService[];
  /** Oldest first. */
  readonly envoyFilters: readonly EnvoyFilter[];
  readonly destinationRules: readonly DestinationRule[];
  readonly gateways: readonly Gateway[];
  readonly telemetries: readonly Telemetry[];
  /** Oldest first. */
  readonly sidecars: readonly Sidecar[];
  readonly proxyConfigs: readonly ProxyConfig[];
  /** Rules by their hosts; of VirtualServices only those for sidecars (`mesh`). */
  readonly meshRules: RuleIndex<VirtualService>;
  readonly hostRules: RuleIndex<DestinationRule>;
  /** Of the VirtualServices, those that are bound to Gateways, and those that ask their clients for labels. */
  readonly gatewayRules: readonly VirtualService[];
  readonly labelRules: readonly VirtualService[];
  /** Of the DestinationRules, those for some clients of their namespace, and those that compare labels for failover. */
  readonly selectiveRules: readonly DestinationRule[];
  readonly comparingRules: readonly DestinationRule[];
  /** Whether some service asks its clients for their zone, or for their node. */
  readonly placing: Placing;
  /** Who may answer for a service: the identities of its endpoints, sorted. */
  readonly identities: ReadonlyMap<ServiceKey, readonly SpiffeId[]>;
  /** By cluster: DNS gives a pod those of its own. */
  readonly headless: ReadonlyMap<ServiceKey, Readonly<Record<ClusterName, HeadlessState>>>;
}

/** Clients of a headless service dial its pods, so that its endpoints are part of the listeners and not only of EDS. */
export interface HeadlessState {
  /** Sorted. */
  readonly addresses: readonly string[];
  /** Every one of them has a sidecar. */
  readonly meshed: boolean;
}

export interface MeshSettings {
  readonly trustDomain: string;
  readonly dnsDomain: string;
  /** Where mesh-wide rules live. */
  readonly rootNamespace: string;
}

export interface MeshSnapshot {
  readonly revision: number;
  readonly index: MeshIndex;
  readonly endpoints: ReadonlyMap<ServiceKey, EndpointSet>;
  /** `CLUSTER/NAMESPACE/POD` */
  readonly workloads: ReadonlyMap<string, Workload>;
}

export function workloadKey(cluster: string, namespace: string, podName: string): string {
  return `${cluster}/${namespace}/${podName}`;
}

/** Ports on which every proxy listens itself: outbound, inbound, health, metrics. Another listener there is refused. */
export const PROXY_PORTS: ReadonlySet<number> = new Set([15001, 15006, 15021, 15090]);
