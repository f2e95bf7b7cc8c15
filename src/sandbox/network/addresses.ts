// SPDX-License-Identifier: Apache-2.0
// The sandbox's address plan: one pure function from a cluster's index, so that no part invents an address of its own.

import type { NetworkChoice } from './network-plan.ts';

/** Between the clusters: the load balancers' network, and nothing else. */
export const EXTERNAL_BRIDGE = 'ext0';
/** A router's leg on it, as it is called inside of the router. */
export const EXTERNAL_LEG = 'ext';
export const EXTERNAL_CIDR = '172.31.0.0/24';
export const EXTERNAL_GATEWAY = '172.31.0.1';
/** The same in every cluster: service addresses mean nothing outside of theirs. */
export const SERVICE_CIDR = '10.96.0.0/16';
export const DNS_SERVICE_ADDRESS = '10.96.0.10';
export const API_PORT = 6443;
export const KUBELET_PORT = 10250;
export const CLUSTER_DOMAIN = 'cluster.local';
/** Load balancer addresses per cluster; 7 clusters fill the /24. */
const LOAD_BALANCERS = 20;
export const MAX_CLUSTERS = 7;

export interface ClusterAddresses {
  /** 1-based. */
  readonly index: number;
  readonly name: string;
  /** The router's network namespace, by its name under /run/netns. */
  readonly netns: string;
  /** The cluster's own address on the external network: API server, kubelet, node ports. */
  readonly nodeAddress: string;
  readonly podBridge: string;
  readonly podGateway: string;
  /** A /16. */
  readonly podCidr: string;
  /** Clusters of the same network reach one another's pods. */
  readonly network: string;
  readonly loadBalancerAddresses: readonly string[];
}

/** @param choice the user's (network-plan.ts); by default every cluster has a network of its own. */
export function planCluster(
  index: number,
  { network, podCidr }: NetworkChoice = { network: `network${index}`, podCidr: `10.${index}.0.0/16` },
): ClusterAddresses {
  if (!Number.isInteger(index) || index < 1 || index > MAX_CLUSTERS) {
    throw new RangeError(`cluster index ${index}: the sandbox has addresses for 1 to ${MAX_CLUSTERS} clusters`);
  }
  return {
    index,
    name: `cluster${index}`,
    netns: `cl${index}`,
    nodeAddress: `172.31.0.${10 + index}`,
    podBridge: 'pods0',
    podGateway: podCidr.replace(/0\/16$/, '1'),
    podCidr,
    network,
    loadBalancerAddresses: Array.from({ length: LOAD_BALANCERS }, (_, n) => `172.31.0.${100 + 20 * (index - 1) + n}`),
  };
}
