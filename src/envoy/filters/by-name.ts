// SPDX-License-Identifier: Apache-2.0
// Destinations of which each client says the name: by the Host of a request, or by the server name of its TLS. Filters look
// the name up before the cluster is asked; both share one cache of answers.
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import type { Any } from '@bufbuild/protobuf/wkt';
import { type Cluster, Cluster_DnsLookupFamily, type ClusterSchema } from '#gen/envoy/config/cluster/v3/cluster_pb.ts';
import { type Filter, FilterSchema } from '#gen/envoy/config/listener/v3/listener_components_pb.ts';
import { ClusterConfigSchema } from '#gen/envoy/extensions/clusters/dynamic_forward_proxy/v3/cluster_pb.ts';
import type { DnsCacheConfigSchema } from '#gen/envoy/extensions/common/dynamic_forward_proxy/v3/dns_cache_pb.ts';
import { FilterConfigSchema as HttpFilterConfigSchema } from '#gen/envoy/extensions/filters/http/dynamic_forward_proxy/v3/dynamic_forward_proxy_pb.ts';
import { FilterConfigSchema as SniFilterConfigSchema } from '#gen/envoy/extensions/filters/network/sni_dynamic_forward_proxy/v3/sni_dynamic_forward_proxy_pb.ts';
import { packed } from '../messages.ts';

/** Envoy refuses two caches of one name that differ in anything. */
const CACHE: MessageInitShape<typeof DnsCacheConfigSchema> = {
  name: 'by-name',
  dnsLookupFamily: Cluster_DnsLookupFamily.V4_PREFERRED,
};

export const BY_NAME_CLUSTER = 'envoy.clusters.dynamic_forward_proxy';

/** `unproved`: Envoy takes it on demand only that servers do not have to prove the names that requests are for. */
export function byNameDiscovery(unproved = false): Exclude<MessageInitShape<typeof ClusterSchema>, Cluster> {
  const typedConfig = packed(ClusterConfigSchema, {
    clusterImplementationSpecifier: { case: 'dnsCacheConfig', value: CACHE },
    ...(unproved && { allowInsecureClusterOptions: true }),
  });
  return { clusterDiscoveryType: { case: 'clusterType', value: { name: BY_NAME_CLUSTER, typedConfig } } };
}

/** Leaves requests to other destinations alone. */
export function byNameFilter(): { name: string; config: Any } {
  const config = packed(HttpFilterConfigSchema, {
    implementationSpecifier: { case: 'dnsCacheConfig', value: CACHE },
  });
  return { name: 'envoy.filters.http.dynamic_forward_proxy', config };
}

export function byServerNameFilter(port: number): Filter {
  const value = packed(SniFilterConfigSchema, {
    dnsCacheConfig: CACHE,
    portSpecifier: { case: 'portValue', value: port },
  });
  return create(FilterSchema, {
    name: 'envoy.filters.network.sni_dynamic_forward_proxy',
    configType: { case: 'typedConfig', value },
  });
}
