// SPDX-License-Identifier: Apache-2.0
// What is wrong, named by its cause.

/** In the order in which one explains another: what comes first is told first. */
export const CAUSES = [
  'cluster-unreachable',
  'mesh-not-installed',
  'root-expired',
  'intermediate-expired',
  'ca-unusable',
  'control-plane-down',
  'clock-skew',
  'secret-unusable',
  'bad-token',
  'powerless-token',
  'wrong-server-address',
  'cluster-not-watched',
  'injection-off',
  'probe-refused',
  'different-roots',
  'ca-not-reloaded',
  'network-missing',
  'gateway-missing',
  'gateway-no-endpoints',
  'gateway-not-ready',
  'gateway-port-missing',
  'gateway-no-address',
  'wrong-gateway-address',
  'layer-7-balancer',
  'port-blocked',
  'gateway-unreachable',
  'nobody-listens',
  'workload-certificate-expired',
  'wrong-certificate',
  'plaintext-rule',
  'proxy-disconnected',
  'probe-not-ready',
  'dns-server-down',
  'dns-stub-missing',
  'name-unresolved',
  'not-passed-on',
  'hidden-by-sidecar',
  'rule-in-the-way',
  'no-endpoints',
  'wrong-destination',
  'peer-not-read',
  'exports-not-arriving',
  'trust-domain-differs',
  'version-skew',
  'ends-soon',
  'told-by-the-mesh',
  'unknown',
] as const;
export type Cause = (typeof CAUSES)[number];

export interface Finding {
  readonly cause: Cause;
  /** `error`: what it is about does not work. `warning`: it does, and may not for long. */
  readonly severity: 'error' | 'warning';
  /** The context of the cluster where it is to be mended. */
  readonly cluster: string;
  /** `Secret istio-system/cacerts`; '' where no object is to blame. */
  readonly object: string;
  /** A sentence. */
  readonly message: string;
  /** What was seen, a line each. */
  readonly evidence: readonly string[];
  readonly cure: string;
  /** The failed pairs that it explains. */
  readonly pairs: readonly PairName[];
}

export interface PairName {
  readonly from: string;
  readonly to: string;
}

/** Of the pairs that failed, those that it may explain; what explains none of them is told all the same. */
export interface Suspicion extends Omit<Finding, 'pairs'> {
  explains(pair: PairName): boolean;
}

export const nobody = (): boolean => false;
/** Pairs that begin or end there. */
export const touching =
  (...clusters: readonly string[]) =>
  ({ from, to }: PairName): boolean =>
    clusters.includes(from) || clusters.includes(to);
export const into =
  (...clusters: readonly string[]) =>
  ({ to }: PairName): boolean =>
    clusters.includes(to);
export const outOf =
  (...clusters: readonly string[]) =>
  ({ from }: PairName): boolean =>
    clusters.includes(from);
export const exactly =
  (...pairs: readonly PairName[]) =>
  ({ from, to }: PairName): boolean =>
    pairs.some((pair) => pair.from === from && pair.to === to);
