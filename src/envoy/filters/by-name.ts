// SPDX-License-Identifier: Apache-2.0
// Destinations of which each client says the name: by the Host of a request, or by the server name of its TLS. Filters look
// the name up before the cluster is asked; both share one cache of answers.
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import type { Any } from '@bufbuild/protobuf/wkt';
import type { Cluster, ClusterSchema } from '#gen/envoy/config/cluster/v3/cluster_pb.ts';
import { type Filter, FilterSchema } from '#gen/envoy/config/listener/v3/listener_components_pb.ts';
import { ClusterConfigSchema } from '#gen/envoy/extensions/clusters/dynamic_forward_proxy/v3/cluster_pb.ts';
import type { DnsCacheConfigSchema } from '#gen/envoy/extensions/common/dynamic_forward_proxy/v3/dns_cache_pb.ts';
import { FilterConfigSchema as HttpFilterConfigSchema } from '#gen/envoy/extensions/filters/http/dynamic_forward_proxy/v3/dynamic_forward_proxy_pb.ts';
import { FilterConfigSchema as SniFilterConfigSchema } from '#gen/envoy/extensions/filters/network/sni_dynamic_forward_proxy/v3/sni_dynamic_forward_proxy_pb.ts';
import type { IpFamilies } from '../../intent/destination-types.ts';
import type { TcpPolicyIntent } from '../../intent/types.ts';
import { allAtOnce } from '../lookup-families.ts';
import { packed } from '../messages.ts';

/** Envoy refuses two caches of one name that differ in anything: one proxy asks for the same families everywhere. */
function cacheOf(families: IpFamilies): MessageInitShape<typeof DnsCacheConfigSchema> {
  return { name: 'by-name', dnsLookupFamily: allAtOnce(families) };
}

export const BY_NAME_CLUSTER = 'envoy.clusters.dynamic_forward_proxy';

/** `unproved`: Envoy takes it on demand only that servers do not have to prove the names that requests are for. */
export function byNameDiscovery(
  families: IpFamilies = 'IPv4',
  unproved = false,
): Exclude<MessageInitShape<typeof ClusterSchema>, Cluster> {
  const typedConfig = packed(ClusterConfigSchema, {
    clusterImplementationSpecifier: { case: 'dnsCacheConfig', value: cacheOf(families) },
    ...(unproved && { allowInsecureClusterOptions: true }),
  });
  return { clusterDiscoveryType: { case: 'clusterType', value: { name: BY_NAME_CLUSTER, typedConfig } } };
}

/** Leaves requests to other destinations alone. */
export function byNameFilter(families: IpFamilies): { name: string; config: Any } {
  const config = packed(HttpFilterConfigSchema, {
    implementationSpecifier: { case: 'dnsCacheConfig', value: cacheOf(families) },
  });
  return { name: 'envoy.filters.http.dynamic_forward_proxy', config };
}

export function byServerNameFilter({ port, families }: NonNullable<TcpPolicyIntent['byName']>): Filter {
  const value = packed(SniFilterConfigSchema, {
    dnsCacheConfig: cacheOf(families),
    portSpecifier: { case: 'portValue', value: port },
  });
  return create(FilterSchema, {
    name: 'envoy.filters.network.sni_dynamic_forward_proxy',
    configType: { case: 'typedConfig', value },
  });
}
