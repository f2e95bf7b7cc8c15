// SPDX-License-Identifier: Apache-2.0
// The `net` component of a cluster: its service proxy and its DNS, from one watch of its services.
import type { Logger } from 'pino';
import { KubeClient } from '../../kube/client.ts';
import { loadKubeconfig } from '../../kube/config.ts';
import { CONFIG_MAPS, ENDPOINT_SLICES, NAMESPACES, SERVICES } from '../../kube/resources.ts';
import type { KubeObject, ResourceType } from '../../kube/types.ts';
import { watchResource } from '../../kube/watch.ts';
import { createResolver } from '../dns/resolver.ts';
import { serveDns } from '../dns/server.ts';
import { readCorefile, readKubeDnsConfig, type StubDomains } from '../dns/stub-domains.ts';
import type { ClusterLayout } from '../layout.ts';
import { API_PORT, CLUSTER_DOMAIN, DNS_SERVICE_ADDRESS, SERVICE_CIDR } from './addresses.ts';
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
    loadBalancerAddresses: cluster.loadBalancerAddresses,
    excluded: new Set(['kube-system/kube-dns']),
    fallback: new Map([['default/kubernetes', { address: cluster.nodeAddress, port: API_PORT }]]),
    drainMs: DRAIN_MS,
    random: Math.random,
    onError: (where, error) => log.warn({ where, err: error }, 'service proxy'),
  });
  const stubs = new StubConfig(log);
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

/** The stub domains of the two ConfigMaps; a faulty one keeps what it said last. */
class StubConfig {
  readonly #byName = new Map<string, StubDomains>();
  readonly #log: Logger;
  #current: StubDomains = new Map();

  constructor(log: Logger) {
    this.#log = log;
  }

  get current(): StubDomains {
    return this.#current;
  }

  upsert(object: KubeObject): void {
    const name = object.metadata.name!;
    const data = (object['data'] ?? {}) as Record<string, string>;
    try {
      if (name === 'kube-dns') this.#set(name, readKubeDnsConfig(data));
      else if (name === 'coredns') this.#set(name, readCorefile(data['Corefile'] ?? ''));
    } catch (error) {
      this.#log.warn({ configMap: `kube-system/${name}`, err: error }, 'stub domains not read: the former ones stay');
    }
  }

  remove(object: KubeObject): void {
    this.#set(object.metadata.name!, new Map());
  }

  /** Our own address as a server would be asked for ever. */
  #set(name: string, stubs: StubDomains): void {
    const foreign = [...stubs].map(([domain, servers]) => {
      return [domain, servers.filter(({ host }) => host !== DNS_SERVICE_ADDRESS)] as const;
    });
    this.#byName.set(name, new Map(foreign.filter(([, servers]) => servers.length > 0)));
    this.#current = new Map([...this.#byName.values()].flatMap((domains) => [...domains]));
    this.#log.info({ configMap: name, domains: [...this.#current.keys()] }, 'stub domains');
  }
}
