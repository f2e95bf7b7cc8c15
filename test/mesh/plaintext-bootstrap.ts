// SPDX-License-Identifier: Apache-2.0

/** Bootstrap of a sidecar that takes everything from a discovery server on loopback, in plaintext, as it says to be. */
export function plaintextBootstrap(
  port: number,
  apiType: 'DELTA_GRPC' | 'GRPC' = 'DELTA_GRPC',
): Record<string, unknown> {
  const http = 'envoy.extensions.upstreams.http.v3.HttpProtocolOptions';
  const address = { socket_address: { address: '127.0.0.1', port_value: port } };
  return {
    node: { id: 'sidecar~127.0.0.1~client.default~default.svc.cluster.local', cluster: 'client' },
    dynamic_resources: {
      ads_config: {
        api_type: apiType,
        transport_api_version: 'V3',
        grpc_services: [{ envoy_grpc: { cluster_name: 'xds' } }],
      },
      cds_config: { ads: {}, resource_api_version: 'V3' },
      lds_config: { ads: {}, resource_api_version: 'V3' },
    },
    static_resources: {
      clusters: [
        {
          name: 'xds',
          type: 'STATIC',
          load_assignment: { cluster_name: 'xds', endpoints: [{ lb_endpoints: [{ endpoint: { address } }] }] },
          typed_extension_protocol_options: {
            [http]: { '@type': `type.googleapis.com/${http}`, explicit_http_config: { http2_protocol_options: {} } },
          },
        },
      ],
    },
  };
}
