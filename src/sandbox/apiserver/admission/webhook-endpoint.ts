// SPDX-License-Identifier: Apache-2.0
// From a webhook's clientConfig to the addresses to dial. The API server dials pods directly.
import type { KubeObject } from '../../../kube/types.ts';
import type { ClusterObjects } from '../seams.ts';
import type { GroupResource } from '../status.ts';
import type { WebhookClientConfig } from './webhook-types.ts';

const SERVICES: GroupResource = { group: '', resource: 'services' };
const ENDPOINT_SLICES: GroupResource = { group: 'discovery.k8s.io', resource: 'endpointslices' };
const SERVICE_NAME = 'kubernetes.io/service-name';

export interface WebhookEndpoint {
  /** What errors show, and what the Host header and the path are taken from; without the timeout. */
  readonly url: URL;
  /** The name that the webhook's certificate must carry, where it is not the URL's host. */
  readonly serverName?: string;
  /** To be tried in this order; only until one accepts the connection. */
  readonly addresses: readonly { readonly host: string; readonly port: number }[];
}

interface ServicePort {
  readonly name?: string;
  readonly port: number;
}

interface EndpointSlice extends KubeObject {
  readonly endpoints?: readonly {
    readonly addresses: readonly string[];
    readonly conditions?: { readonly ready?: boolean };
  }[];
  readonly ports?: readonly { readonly name?: string; readonly port?: number }[];
}

/** Throws an Error in the real server's words when there is nothing to dial. `random` gives numbers in [0, 1). */
export function resolveWebhook(
  config: WebhookClientConfig,
  objects: ClusterObjects,
  random: () => number,
): WebhookEndpoint {
  const { service } = config;
  if (!service) {
    if (!config.url) throw new Error('webhook configuration must have either service or URL');
    const url = new URL(config.url);
    const host = url.hostname.replace(/^\[|\]$/g, '');
    return { url, addresses: [{ host, port: Number(url.port || 443) }] };
  }
  const serverName = `${service.name}.${service.namespace}.svc`;
  const port = service.port ?? 443;
  const path = service.path ? `/${service.path.replace(/^\/+/, '')}` : '/';
  // URL drops the default port from its text, which is why errors put it back themselves.
  const url = new URL(`https://${serverName}:${port}${path}`);
  return { url, serverName, addresses: serviceAddresses(service.namespace, service.name, port, objects, random) };
}

function serviceAddresses(
  namespace: string,
  name: string,
  port: number,
  objects: ClusterObjects,
  random: () => number,
): { host: string; port: number }[] {
  const service = objects.get(SERVICES, namespace, name);
  if (!service) throw new Error(`service ${JSON.stringify(name)} not found`);
  const ports = ((service.spec as { ports?: readonly ServicePort[] } | undefined)?.ports ?? []) as ServicePort[];
  const servicePort = ports.find((one) => one.port === port);
  if (!servicePort) throw new Error(`no service port ${port} found for service ${JSON.stringify(name)}`);
  const found = (objects.list(ENDPOINT_SLICES, namespace) as readonly EndpointSlice[])
    .filter((slice) => slice.metadata.labels?.[SERVICE_NAME] === name)
    .flatMap((slice) => readyAddresses(slice, servicePort));
  if (found.length === 0) throw new Error(`no endpoints available for service ${JSON.stringify(name)}`);
  const start = Math.floor(random() * found.length);
  return [...found.slice(start), ...found.slice(0, start)];
}

function readyAddresses(slice: EndpointSlice, servicePort: ServicePort): { host: string; port: number }[] {
  const port = slice.ports?.find((one) => (one.name ?? '') === (servicePort.name ?? ''))?.port;
  if (port === undefined) return [];
  return (slice.endpoints ?? [])
    .filter((endpoint) => endpoint.conditions?.ready !== false)
    .flatMap((endpoint) => endpoint.addresses.map((host) => ({ host, port })));
}
