// SPDX-License-Identifier: Apache-2.0
// Where a pod's kubelet is, and how the API server knows that it speaks with that one.
import type { PeerCertificate } from 'node:tls';
import type { KubeObject } from '../../../kube/types.ts';
import type { ClusterObjects } from '../seams.ts';
import { ApiError, badRequest, type GroupResource, notFound } from '../status.ts';

const NODES: GroupResource = { group: '', resource: 'nodes' };
const DEFAULT_PORT = 10250;
const ADDRESS_ORDER = ['InternalIP', 'Hostname', 'InternalDNS', 'ExternalDNS', 'ExternalIP'];
const DEFAULT_CONTAINER = 'kubectl.kubernetes.io/default-container';

export interface KubeletTls {
  readonly caPem: string;
  readonly certPem: string;
  readonly keyPem: string;
}

export interface KubeletLocation {
  readonly nodeName: string;
  readonly host: string;
  readonly port: number;
}

interface PodSpec {
  readonly nodeName?: string;
  readonly containers?: readonly { name: string }[];
  readonly initContainers?: readonly { name: string }[];
  readonly ephemeralContainers?: readonly { name: string }[];
}

interface NodeStatus {
  readonly addresses?: readonly { type: string; address: string }[];
  readonly daemonEndpoints?: { readonly kubeletEndpoint?: { readonly Port?: number } };
}

/** The pod's kubelet; undefined while the pod has no node. Throws ApiError 404 or 500 when the node cannot be reached. */
export function locateKubelet(objects: ClusterObjects, pod: KubeObject): KubeletLocation | undefined {
  const { nodeName } = (pod.spec ?? {}) as PodSpec;
  if (!nodeName) return undefined;
  const node = objects.get(NODES, '', nodeName);
  if (!node) throw notFound(NODES, nodeName);
  return locateNode(node);
}

/** Throws ApiError 500 when the node has told no address. */
export function locateNode(node: KubeObject): KubeletLocation {
  const nodeName = node.metadata.name ?? '';
  const status = (node.status ?? {}) as NodeStatus;
  const byType = new Map((status.addresses ?? []).map(({ type, address }) => [type, address]));
  const host = ADDRESS_ORDER.map((type) => byType.get(type)).find((address) => address !== undefined);
  if (host === undefined) {
    throw new ApiError(500, undefined, `no preferred addresses found; known addresses: [] (node ${nodeName})`);
  }
  return { nodeName, host, port: status.daemonEndpoints?.kubeletEndpoint?.Port || DEFAULT_PORT };
}

/** The container that is meant: the one asked for, the annotated one, or the only one. Throws ApiError 400 otherwise. */
export function selectContainer(pod: KubeObject, wanted: string | undefined): string {
  const { containers = [], initContainers = [], ephemeralContainers = [] } = (pod.spec ?? {}) as PodSpec;
  const name = pod.metadata.name ?? '';
  const names = containers.map((container) => container.name);
  if (!wanted) {
    const annotated = pod.metadata.annotations?.[DEFAULT_CONTAINER];
    if (annotated && names.includes(annotated)) return annotated;
    if (names.length === 1) return names[0]!;
    const inits = initContainers.map((container) => container.name);
    const others = inits.length > 0 ? ` or one of the init containers: [${inits.join(' ')}]` : '';
    throw badRequest(
      `a container name must be specified for pod ${name}, choose one of: [${names.join(' ')}]${others}`,
    );
  }
  if (![...containers, ...initContainers, ...ephemeralContainers].some((container) => container.name === wanted)) {
    throw badRequest(`container ${wanted} is not valid for pod ${name}`);
  }
  return wanted;
}

/**
 * TLS options for a node's kubelet. Its certificate must be of the cluster's CA and carry the node's own identity: the
 * CA also signs clients, and an address may have belonged to somebody else before.
 */
export function kubeletTlsOptions(location: KubeletLocation, tls: KubeletTls) {
  return {
    host: location.host,
    port: location.port,
    ca: tls.caPem,
    cert: tls.certPem,
    key: tls.keyPem,
    servername: location.nodeName,
    checkServerIdentity(_host: string, certificate: PeerCertificate): Error | undefined {
      const identity = certificate.subject?.CN;
      if (identity === `system:node:${location.nodeName}`) return undefined;
      return new Error(`tls: the kubelet's certificate is that of ${identity}, not of node ${location.nodeName}`);
    },
  };
}

/** "dial tcp 10.0.0.1:10250: connect: connection refused", as Go would say it. */
export function describeDialError(error: unknown, location: { host: string; port: number }): string {
  const { code, message } = error as NodeJS.ErrnoException;
  const where = `dial tcp ${location.host}:${location.port}`;
  switch (code) {
    case 'ECONNREFUSED':
      return `${where}: connect: connection refused`;
    case 'EHOSTUNREACH':
      return `${where}: connect: no route to host`;
    case 'ENETUNREACH':
      return `${where}: connect: network is unreachable`;
    case 'ETIMEDOUT':
      return `${where}: i/o timeout`;
    default:
      return message;
  }
}
