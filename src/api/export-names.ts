// SPDX-License-Identifier: Apache-2.0
// The names by which exports are written and read: labels, annotations, hosts, names of objects. Pure.
import { type Hostname, hostname } from './names.ts';

/** On a Service: `true` exports it, `false` keeps it home whatever else asks for it. */
export const EXPORT_ANNOTATION = 'isthmus.io/export';
/** Of Secrets in istio-system: each key is the name of another cluster of the mesh, its value a kubeconfig. */
export const PEER_LABEL = 'isthmus.io/peer';
export const PEER_SECRET_SELECTOR = `${PEER_LABEL}=true`;
/** Of the account by which other clusters read what this one exports. */
export const PEER_ACCOUNT = 'isthmus-peer';

export const MANAGED_BY_LABEL = 'app.kubernetes.io/managed-by';
export const MANAGED_BY = 'isthmus';
/** On what is derived from exports: the service's name, and its namespace. */
export const SERVICE_LABEL = 'isthmus.io/service';
export const SERVICE_NAMESPACE_LABEL = 'isthmus.io/service-namespace';
/** On what is derived from exports: the clusters behind it, `cluster1,cluster2`, the oldest export first. */
export const EXPORTERS_ANNOTATION = 'isthmus.io/exported-by';
/** On what is derived from exports: what it was made of, so that a person who reads it knows where to change it. */
export const DERIVED_ANNOTATION = 'isthmus.io/derived-from';
/** On what is derived from exports: since when each cluster exports it, `cluster1=2026-01-31T12:00:00Z,cluster2=...`. */
export const SINCE_ANNOTATION = 'isthmus.io/exported-since';
/** On endpoints that are gateways: the cluster behind them. The short one is how the label is written by hand. */
export const CLUSTER_LABEL = 'topology.istio.io/cluster';
export const SHORT_CLUSTER_LABEL = 'cluster';
/** On endpoints whose cluster does not have all ports of the entry: `listed`, those that it has are in their `ports`. */
export const PORTS_LABEL = 'isthmus.io/ports';

/** Of MCS: https://github.com/kubernetes/enhancements/tree/master/keps/sig-multicluster/1645-multi-cluster-services-api */
export const MCS_SERVICE_LABEL = 'multicluster.kubernetes.io/service-name';

/** Where a derived object lives whose service's namespace the cluster does not have. */
export const FALLBACK_NAMESPACE = 'istio-system';
/** Who may write what is derived and what is exported: one replica of the control plane. */
export const FEDERATION_LEASE = 'isthmus-federation';

/** The DNS zones in which services of several clusters have their names: the mesh's own, and that of MCS. */
export const GLOBAL_ZONE = 'global';
export const CLUSTERSET_ZONE = 'clusterset.local';

/** `NAMESPACE/NAME` of a service; the same service in every cluster that has it. */
export function serviceKey(namespace: string, name: string): string {
  return `${namespace}/${name}`;
}

/** `reviews.default.global` */
export function globalHost(namespace: string, name: string): Hostname {
  return hostname(`${name}.${namespace}.global`);
}

/** `reviews.default.svc.clusterset.local`, the name of the Multi-Cluster Services API. */
export function clustersetHost(namespace: string, name: string): Hostname {
  return hostname(`${name}.${namespace}.svc.clusterset.local`);
}

/** The service behind either of the two names; undefined for every other host. */
export function exportedServiceOf(host: string): { readonly namespace: string; readonly name: string } | undefined {
  const found = /^([^.*]+)\.([^.]+)\.(?:global|svc\.clusterset\.local)$/.exec(host);
  return found === null ? undefined : { name: found[1]!, namespace: found[2]! };
}

/** The name of the subset for pods of a version: letters, digits and dashes, as subsets have them. '' for none. */
export function subsetOfVersion(version: string): string {
  return version
    .toLowerCase()
    .replace(/[^a-z0-9-]+/g, '-')
    .replace(/^-+|-+$/g, '');
}
