// SPDX-License-Identifier: Apache-2.0
import type { ConfigDelivery } from '../api/config-delivery.ts';
import type { Workload } from '../api/kubernetes.ts';
import { labelledLocality } from '../api/localities.ts';
import { type ClusterName, clusterName } from '../api/names.ts';
import { familiesOf, type IpFamilies } from './ip-families.ts';

/** One Envoy, as the control plane knows it: proven by its token and its pod, never by what it says of itself. */
export interface MeshProxy {
  /** The node id: `sidecar~10.1.0.5~productpage-v1-abc.default~default.svc.cluster.local`. */
  readonly id: string;
  readonly kind: 'sidecar' | 'gateway';
  readonly cluster: ClusterName;
  readonly namespace: string;
  readonly podName: string;
  readonly ip: string;
  /** Of all of its addresses; absent: IPv4 alone. */
  readonly families?: Exclude<IpFamilies, 'IPv4'>;
  readonly labels: Readonly<Record<string, string>>;
  readonly serviceAccount: string;
  /** NETWORK, as its node says; '' where it says none, and its pod decides. */
  readonly network: string;
  /** REQUESTED_NETWORK_VIEW: networks that this proxy is to reach. Nobody else reaches `external`. Sorted. */
  readonly requestedNetworks: readonly string[];
  /** `region/zone/subzone`, where it is known. */
  readonly locality?: string;
  /** Name of the node that it runs on, where it is known. */
  readonly node?: string;
  readonly trustDomain: string;
  /** `cluster.local` */
  readonly dnsDomain: string;
  /** SO_MARK that Envoy's own connections carry where rules cannot tell them by uid. */
  readonly upstreamMark?: number;
  /** How its bootstrap says that it wants its configuration; absent: all of it, at once. */
  readonly delivery?: ConfigDelivery;
  /** ISTIO_VERSION of its node's metadata, else Envoy's own; for EnvoyFilters alone. */
  readonly version?: string;
  /** Texts of its node's metadata; for EnvoyFilters alone, since nobody proves them. */
  readonly metadata?: Readonly<Record<string, string>>;
}

/** What a proxy says of itself, as far as it makes a difference. */
export type ProxyClaims = Pick<
  MeshProxy,
  'kind' | 'namespace' | 'podName' | 'ip' | 'labels' | 'serviceAccount' | 'network' | 'requestedNetworks' | 'dnsDomain'
> & {
  /** INSTANCE_IPS: all addresses of its pod, as far as it says. */
  readonly instanceIps: readonly string[];
  readonly upstreamMark: number | undefined;
  readonly delivery: ConfigDelivery;
  readonly version: string;
  readonly metadata: Readonly<Record<string, string>>;
};

/** `workload`: its pod; absent where none is known. `isBelieved`: nobody has to prove anything (loopback). */
export function buildMeshProxy(known: {
  readonly id: string;
  readonly cluster: string;
  readonly trustDomain: string;
  readonly claims: ProxyClaims;
  readonly workload: Workload | undefined;
  readonly isBelieved: boolean;
}): MeshProxy {
  const { id, cluster, trustDomain, claims, workload, isBelieved } = known;
  // Labels choose Gateways, and with them keys: what a proxy says of its own is believed only where all of it is.
  const said = isBelieved ? claims.labels : {};
  const more = workload === undefined ? (isBelieved ? claims.instanceIps : []) : (workload.otherIps ?? []);
  const families = familiesOf([claims.ip, ...more]);
  return {
    id,
    kind: claims.kind,
    cluster: clusterName(cluster),
    namespace: claims.namespace,
    podName: claims.podName,
    ip: claims.ip,
    ...(families !== 'IPv4' && { families }),
    labels: workload?.labels ?? said,
    serviceAccount: workload?.serviceAccount ?? claims.serviceAccount,
    network: claims.network,
    requestedNetworks: claims.requestedNetworks,
    locality: workload?.locality || labelledLocality(said),
    node: workload?.nodeName ?? '',
    trustDomain,
    dnsDomain: claims.dnsDomain,
    delivery: claims.delivery,
    version: claims.version,
    metadata: claims.metadata,
    ...(claims.upstreamMark === undefined ? {} : { upstreamMark: claims.upstreamMark }),
  };
}
