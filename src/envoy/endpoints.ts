// SPDX-License-Identifier: Apache-2.0
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import type { LbEndpointSchema } from '#gen/envoy/config/endpoint/v3/endpoint_components_pb.ts';
import { type ClusterLoadAssignment, ClusterLoadAssignmentSchema } from '#gen/envoy/config/endpoint/v3/endpoint_pb.ts';
import type { EndpointIntent } from '../intent/types.ts';
import { socketAddress } from './messages.ts';
import { workloadMetadata } from './telemetry-metadata.ts';

/** Endpoints by locality. `tlsMode` is what a cluster's transport_socket_matches ask for. */
export function buildLoadAssignment(clusterName: string, endpoints: readonly EndpointIntent[]): ClusterLoadAssignment {
  const localities = Map.groupBy(endpoints, (endpoint) => endpoint.locality);
  return create(ClusterLoadAssignmentSchema, {
    clusterName,
    endpoints: [...localities]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([locality, members]) => {
        const [region = '', zone = '', subZone = ''] = locality.split('/');
        return {
          ...(locality !== '' && { locality: { region, zone, subZone } }),
          // Without it Envoy, weighing by locality, would send nothing there.
          loadBalancingWeight: members.reduce((sum, member) => sum + member.weight, 0),
          lbEndpoints: members.map(lbEndpoint),
        };
      }),
  });
}

function lbEndpoint(endpoint: EndpointIntent): MessageInitShape<typeof LbEndpointSchema> {
  return {
    hostIdentifier: { case: 'endpoint', value: { address: socketAddress(endpoint.address, endpoint.port) } },
    loadBalancingWeight: endpoint.weight,
    ...((endpoint.meshed || endpoint.workload) && {
      metadata: {
        filterMetadata: {
          ...(endpoint.meshed && { 'envoy.transport_socket_match': { tlsMode: 'istio' } }),
          ...(endpoint.workload && workloadMetadata(endpoint.workload)),
        },
      },
    }),
  };
}
