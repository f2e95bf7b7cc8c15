// SPDX-License-Identifier: Apache-2.0
// The `net` component of a cluster: its service proxy and its DNS, from one watch of its services.
import type { Logger } from 'pino';
import { KubeClient } from '../../kube/client.ts';
import { loadKubeconfig } from '../../kube/config.ts';
import { CONFIG_MAPS, ENDPOINT_SLICES, EVENTS, NAMESPACES, PODS, SERVICES } from '../../kube/resources.ts';
import type { KubeObject, ResourceType } from '../../kube/types.ts';
import { watchResource } from '../../kube/watch.ts';
import { createResolver } from '../dns/resolver.ts';
import { serveDns } from '../dns/server.ts';
import { StubConfig } from '../dns/stub-config.ts';
import type { ClusterLayout } from '../layout.ts';
import { API_PORT, CLUSTER_DOMAIN, DNS_SERVICE_ADDRESS, SERVICE_CIDR } from './addresses.ts';
import { HostPorts } from './host-ports.ts';
import { ServiceProxy } from './service-proxy.ts';
import { ServiceTable } from './service-table.ts';

/** What a pod gets to finish (its grace period), so its connections do. */
const DRAIN_MS = 30_000;
const DNS_PORT = 53;

/** Serves until `signal` aborts. Runs in the cluster's router namespace. */
export async function runNet(cluster: ClusterLayout, log: Logger, signal: AbortSignal): Promise<void> {
  const client = new KubeClient(loadKubeconfig(cluster.pki.kubeconfig.net));
  const table = new ServiceTable((key) => proxy.changed(key));
  const proxy = new ServiceProxy(table, {
    nodeAddress: cluster.nodeAddress,
    nodeName: cluster.nodeName,
    loadBalancerAddresses: cluster.loadBalancerAddresses,
    excluded: new Set(['kube-system/kube-dns']),
    fallback: new Map([['default/kubernetes', { address: cluster.nodeAddress, port: API_PORT }]]),
    drainMs: DRAIN_MS,
    random: Math.random,
    now: () => performance.now(),
    onError: (where, error) => log.warn({ where, err: error }, 'service proxy'),
  });
  const hostPorts = new HostPorts({
    nodeAddress: cluster.nodeAddress,
    drainMs: DRAIN_MS,
    random: Math.random,
    onError: (where, error) => log.warn({ where, err: error }, 'service proxy'),
  });
  const stubs = new StubConfig({
    ownAddress: DNS_SERVICE_ADDRESS,
    onRead: (configMap, domains, notes) => log.info({ configMap, domains, notes }, 'stub domains'),
    onMistake: (object, sentence) => {
      log.warn({ configMap: `kube-system/${object.metadata.name}`, mistake: sentence }, 'the former stub domains stay');
      const event = dnsConfigEvent(object, sentence, new Date());
      client.create(EVENTS, event).catch((error: Error) => log.warn({ err: error }, 'event not written'));
    },
  });
  const resolver = createResolver({
    zone: { table, domain: CLUSTER_DOMAIN, serviceNetworkPrefix: SERVICE_CIDR.replace(/0\.0\/16$/, '') },
    stubs: () => stubs.current,
    random: Math.random,
  });
  const watch = (
    type: ResourceType,
    upsert: (object: KubeObject) => void,
    remove: (object: KubeObject) => void,
    namespace?: string,
  ) => startWatch({ client, type, namespace, upsert, remove, log, signal });
  const watches = [
    watch(
      SERVICES,
      (o) => table.upsertService(o),
      (o) => table.deleteService(o),
    ),
    watch(
      ENDPOINT_SLICES,
      (o) => table.upsertSlice(o),
      (o) => table.deleteSlice(o),
    ),
    watch(
      NAMESPACES,
      (o) => table.upsertNamespace(o),
      (o) => table.deleteNamespace(o),
    ),
    watch(
      PODS,
      (o) => hostPorts.upsert(o),
      (o) => hostPorts.remove(o),
    ),
    watch(
      CONFIG_MAPS,
      (o) => stubs.upsert(o),
      (o) => stubs.remove(o),
      'kube-system',
    ),
  ];
  // A DNS that does not know the services yet would answer NXDOMAIN, and clients would believe it.
  await Promise.race([Promise.all(watches.map(({ synced }) => synced)), ...watches.map(({ ended }) => ended)]);
  if (!signal.aborted) {
    const server = await serveDns(resolver, { host: DNS_SERVICE_ADDRESS, port: DNS_PORT });
    log.info({ address: DNS_SERVICE_ADDRESS }, 'the cluster has DNS and services');
    process.send?.('ready');
    await Promise.all(watches.map(({ ended }) => ended));
    server.close();
  }
  proxy.close();
  hostPorts.close();
  client.close();
}

interface WatchRequest {
  client: KubeClient;
  type: ResourceType;
  namespace: string | undefined;
  upsert(object: KubeObject): void;
  remove(object: KubeObject): void;
  log: Logger;
  signal: AbortSignal;
}

function startWatch(request: WatchRequest): { synced: Promise<void>; ended: Promise<void> } {
  const synced = Promise.withResolvers<void>();
  const { client, type, namespace, signal } = request;
  const ended = watchResource<KubeObject>(
    client,
    type,
    { namespace, signal },
    {
      upsert: request.upsert,
      delete: request.remove,
      synced: () => synced.resolve(),
      error: (error) => request.log.debug({ resource: type.resource, err: error }, 'watch interrupted'),
    },
  );
  return { synced: synced.promise, ended };
}

function dnsConfigEvent({ metadata }: KubeObject, sentence: string, now: Date): KubeObject {
  const time = now.toISOString().replace(/\.\d+Z$/, 'Z');
  const { namespace, name, uid, resourceVersion } = metadata;
  return {
    apiVersion: 'v1',
    kind: 'Event',
    metadata: { namespace: namespace!, name: `${name}.${now.getTime().toString(16)}` },
    involvedObject: { apiVersion: 'v1', kind: 'ConfigMap', namespace, name, uid, resourceVersion },
    type: 'Warning',
    reason: 'BadDnsConfig',
    message: `${sentence}. The cluster's DNS goes on with what it had before.`,
    source: { component: 'cluster-dns' },
    firstTimestamp: time,
    lastTimestamp: time,
    count: 1,
  };
}
