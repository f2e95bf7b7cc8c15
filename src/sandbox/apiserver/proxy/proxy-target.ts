// SPDX-License-Identifier: Apache-2.0
// Where a proxied request goes: "web", "web:http", "https:web:443" of a service or pod, or a node's kubelet.
// https://kubernetes.io/docs/tasks/access-application-cluster/access-cluster-services/#manually-constructing-apiserver-proxy-urls
import { BlockList, isIP, isIPv6 } from 'node:net';
import type { KubeObject } from '../../../kube/types.ts';
import type { ClusterObjects } from '../seams.ts';
import { ApiError, badRequest, type GroupResource } from '../status.ts';
import { type KubeletLocation, locateNode } from './kubelet-location.ts';

const SLICES: GroupResource = { group: 'discovery.k8s.io', resource: 'endpointslices' };
const SERVICE_LABEL = 'kubernetes.io/service-name';

export type ProxyTarget =
  | { readonly kind: 'plain' | 'tls'; readonly host: string; readonly port: number }
  | { readonly kind: 'kubelet'; readonly location: KubeletLocation };

export interface ProxyName {
  readonly scheme: '' | 'http' | 'https';
  readonly name: string;
  readonly port: string;
}

/** Throws ApiError 400. */
export function parseProxyName(text: string): ProxyName {
  const parts = text.split(':');
  const [scheme, name = '', port = ''] = parts.length === 3 ? parts : ['', ...parts];
  if (parts.length > 3 || name === '' || !['', 'http', 'https'].includes(scheme ?? '')) {
    throw badRequest(`invalid proxy name ${JSON.stringify(text)}: write NAME, NAME:PORT or SCHEME:NAME:PORT`);
  }
  return { scheme: scheme as ProxyName['scheme'], name, port };
}

export function targetOfPod(pod: KubeObject, { scheme, port }: ProxyName): ProxyTarget {
  const { podIP } = (pod['status'] ?? {}) as { podIP?: string };
  const { containers = [] } = (pod['spec'] ?? {}) as {
    containers?: { ports?: { name?: string; containerPort: number }[] }[];
  };
  const name = pod.metadata.name ?? '';
  if (!podIP) throw unavailable(`address not allowed: pod ${JSON.stringify(name)} has no address yet`);
  const ports = containers.flatMap((container) => container.ports ?? []);
  const named = ports.find((one) => one.name === port)?.containerPort;
  const number = port === '' ? (ports[0]?.containerPort ?? 80) : (named ?? Number(port));
  return addressTarget(scheme, podIP, number, `pod ${JSON.stringify(name)}`);
}

export function targetOfService(
  service: KubeObject,
  { scheme, port }: ProxyName,
  objects: ClusterObjects,
  random: () => number,
): ProxyTarget {
  const { name = '', namespace = '' } = service.metadata;
  const ports = ((service['spec'] ?? {}) as { ports?: { name?: string; port: number }[] }).ports ?? [];
  const wanted =
    port === '' && ports.length === 1
      ? ports[0]
      : ports.find((one) => (one.name ?? '') === port || (port !== '' && String(one.port) === port));
  if (!wanted) throw unavailable(`no service port ${JSON.stringify(port)} found for service ${JSON.stringify(name)}`);
  const candidates = endpointsOf(objects, namespace, name, wanted.name ?? '');
  const chosen = candidates[Math.floor(random() * candidates.length)];
  if (!chosen) throw unavailable(`no endpoints available for service ${JSON.stringify(name)}`);
  return addressTarget(scheme, chosen.host, chosen.port, `service ${JSON.stringify(name)}`);
}

interface EndpointSlice extends KubeObject {
  endpoints?: { addresses?: string[]; conditions?: { ready?: boolean } }[] | null;
  ports?: { name?: string; port?: number }[] | null;
}

function endpointsOf(objects: ClusterObjects, namespace: string, service: string, portName: string) {
  return (objects.list(SLICES, namespace) as readonly EndpointSlice[])
    .filter(({ metadata }) => metadata.labels?.[SERVICE_LABEL] === service)
    .flatMap(({ endpoints, ports }) => {
      const port = ports?.find((one) => (one.name ?? '') === portName)?.port;
      if (port === undefined) return [];
      return (endpoints ?? [])
        .filter(({ conditions }) => conditions?.ready !== false)
        .flatMap(({ addresses }) => (addresses ?? []).slice(0, 1).map((host) => ({ host, port })));
    });
}

export function targetOfNode(node: KubeObject, { port }: ProxyName): ProxyTarget {
  const location = locateNode(node);
  if (port === '' || Number(port) === location.port) return { kind: 'kubelet', location };
  return addressTarget('http', location.host, Number(port), `node ${JSON.stringify(location.nodeName)}`);
}

/** Nobody reaches this server's own machine by writing its addresses into an object. */
const OWN_MACHINE = new BlockList();
OWN_MACHINE.addSubnet('127.0.0.0', 8, 'ipv4');
OWN_MACHINE.addSubnet('169.254.0.0', 16, 'ipv4');
OWN_MACHINE.addSubnet('0.0.0.0', 8, 'ipv4');
OWN_MACHINE.addAddress('::1', 'ipv6');
OWN_MACHINE.addSubnet('fe80::', 10, 'ipv6');

function addressTarget(scheme: ProxyName['scheme'], host: string, port: number, what: string): ProxyTarget {
  if (!Number.isInteger(port) || port < 1 || port > 65_535) throw badRequest(`${what} has no such port`);
  // A name would be looked up here, and may mean this machine too.
  if (isIP(host) === 0 || OWN_MACHINE.check(host, isIPv6(host) ? 'ipv6' : 'ipv4'))
    throw badRequest(`address not allowed: ${what} is at ${host}`);
  return { kind: scheme === 'https' ? 'tls' : 'plain', host, port };
}

function unavailable(message: string): ApiError {
  return new ApiError(503, 'ServiceUnavailable', message);
}
