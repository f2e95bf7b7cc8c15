// SPDX-License-Identifier: Apache-2.0
import type { ConfigDelivery } from '../api/config-delivery.ts';
import type { ClusterName } from '../api/names.ts';

/** One Envoy, as the control plane knows it: proven by its token and its pod, never by what it says of itself. */
export interface MeshProxy {
  /** The node id: `sidecar~10.1.0.5~productpage-v1-abc.default~default.svc.cluster.local`. */
  readonly id: string;
  readonly kind: 'sidecar' | 'gateway';
  readonly cluster: ClusterName;
  readonly namespace: string;
  readonly podName: string;
  readonly ip: string;
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
