// SPDX-License-Identifier: Apache-2.0
// A small mesh for tests: one listener, its route, and clusters with endpoints.
import { createRegistry, type DescMessage, fromJson, type JsonObject, toBinary } from '@bufbuild/protobuf';
import { ClusterSchema } from '#gen/envoy/config/cluster/v3/cluster_pb.ts';
import { ClusterLoadAssignmentSchema } from '#gen/envoy/config/endpoint/v3/endpoint_pb.ts';
import { FileBasedMetadataConfigSchema } from '#gen/envoy/config/grpc_credential/v3/file_based_metadata_pb.ts';
import { ListenerSchema } from '#gen/envoy/config/listener/v3/listener_pb.ts';
import { RouteConfigurationSchema } from '#gen/envoy/config/route/v3/route_pb.ts';
import { RouterSchema } from '#gen/envoy/extensions/filters/http/router/v3/router_pb.ts';
import { HttpConnectionManagerSchema } from '#gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts';
import { UpstreamTlsContextSchema } from '#gen/envoy/extensions/transport_sockets/tls/v3/tls_pb.ts';
import { sdsConfigSource } from '../../src/xds/envoy-client.ts';
import type { XdsResource } from '../../src/xds/types.ts';
import { resource } from './memory-backend.ts';

const registry = createRegistry(
  FileBasedMetadataConfigSchema,
  HttpConnectionManagerSchema,
  RouterSchema,
  UpstreamTlsContextSchema,
);
const ads = { ads: {}, resource_api_version: 'V3' };
const TYPE = 'type.googleapis.com';

function build(schema: DescMessage, name: string, json: JsonObject): XdsResource {
  return resource(`${TYPE}/${schema.typeName}`, name, toBinary(schema, fromJson(schema, json, { registry })));
}

/** An Envoy that waits for its endpoints waits until they come, not for 15 s. */
export const NEVER: JsonObject = { initial_fetch_timeout: '0s' };

/** `change` goes into the cluster as it is, e.g. another timeout; `fetch` into where its endpoints come from. */
export function edsCluster(name: string, change: JsonObject = {}, fetch: JsonObject = {}): XdsResource {
  const eds_config = { ...ads, ...fetch };
  const json = { name, type: 'EDS', connect_timeout: '1s', eds_cluster_config: { eds_config }, ...change };
  return build(ClusterSchema, name, json as JsonObject);
}

/** Mutual TLS with the SDS secrets `default` and `ROOTCA`. */
export function mutualTls(endpoint: Parameters<typeof sdsConfigSource>[0], peerUri: string): JsonObject {
  const sds_config = sdsConfigSource(endpoint);
  return {
    transport_socket: {
      name: 'envoy.transport_sockets.tls',
      typed_config: {
        '@type': `${TYPE}/${UpstreamTlsContextSchema.typeName}`,
        common_tls_context: {
          tls_params: { tls_maximum_protocol_version: 'TLSv1_3' },
          tls_certificate_sds_secret_configs: [{ name: 'default', sds_config }],
          combined_validation_context: {
            default_validation_context: {
              match_typed_subject_alt_names: [{ san_type: 'URI', matcher: { exact: peerUri } }],
            },
            validation_context_sds_secret_config: { name: 'ROOTCA', sds_config },
          },
        },
      },
    },
  } as unknown as JsonObject;
}

export function endpoints(name: string, port: number): XdsResource {
  const address = { socket_address: { address: '127.0.0.1', port_value: port } };
  const json = { cluster_name: name, endpoints: [{ lb_endpoints: [{ endpoint: { address } }] }] };
  return build(ClusterLoadAssignmentSchema, name, json);
}

export function listener(name: string, port: number, routeName: string): XdsResource {
  const hcm = {
    '@type': `${TYPE}/${HttpConnectionManagerSchema.typeName}`,
    stat_prefix: name,
    rds: { config_source: ads, route_config_name: routeName },
    http_filters: [{ name: 'router', typed_config: { '@type': `${TYPE}/${RouterSchema.typeName}` } }],
  };
  const address = { socket_address: { address: '127.0.0.1', port_value: port } };
  const filter = { name: 'hcm', typed_config: hcm };
  return build(ListenerSchema, name, { name, address, filter_chains: [{ filters: [filter] }] });
}

/** Each prefix to its cluster, in that order. */
export function routes(name: string, prefixes: Readonly<Record<string, string>>): XdsResource {
  const list = Object.entries(prefixes).map(([prefix, cluster]) => ({ match: { prefix }, route: { cluster } }));
  const virtual_hosts = [{ name: 'all', domains: ['*'], routes: list }];
  return build(RouteConfigurationSchema, name, { name, virtual_hosts });
}

/** Refused by Envoy: two virtual hosts for the same domain. */
export function badRoutes(name: string): XdsResource {
  const host = (title: string) => ({ name: title, domains: ['*'], routes: [] });
  return build(RouteConfigurationSchema, name, { name, virtual_hosts: [host('a'), host('b')] });
}
