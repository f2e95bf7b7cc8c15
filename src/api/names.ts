// SPDX-License-Identifier: Apache-2.0
// Names that must not be mixed up with other strings.

declare const brand: unique symbol;
type Branded<Name extends string> = string & { readonly [brand]: Name };

/** A Kubernetes cluster as the mesh calls it, e.g. `cluster1`. */
export type ClusterName = Branded<'ClusterName'>;
/** A fully qualified host, lower case, without a trailing dot: `reviews.default.svc.cluster.local`, `*.example.com`. */
export type Hostname = Branded<'Hostname'>;
/** `spiffe://cluster.local/ns/default/sa/bookinfo` */
export type SpiffeId = Branded<'SpiffeId'>;

export function clusterName(text: string): ClusterName {
  return text as ClusterName;
}

export function hostname(text: string): Hostname {
  return text.toLowerCase().replace(/\.$/, '') as Hostname;
}

/** SPIFFE ID of a Kubernetes service account, as Istio writes it. */
export function spiffeId(trustDomain: string, namespace: string, serviceAccount: string): SpiffeId {
  return `spiffe://${trustDomain}/ns/${namespace}/sa/${serviceAccount}` as SpiffeId;
}

/** Does `pattern` (exact, `*.suffix` or `*`) cover all of `host` (which may be a wildcard itself)? */
export function covers(pattern: string, host: string): boolean {
  if (pattern === host || pattern === '*') return true;
  return pattern.startsWith('*.') && host.length > pattern.length - 1 && host.endsWith(pattern.slice(1));
}
