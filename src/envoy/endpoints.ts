// SPDX-License-Identifier: Apache-2.0
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import type { LbEndpointSchema } from '#gen/envoy/config/endpoint/v3/endpoint_components_pb.ts';
import { type ClusterLoadAssignment, ClusterLoadAssignmentSchema } from '#gen/envoy/config/endpoint/v3/endpoint_pb.ts';
import type { EndpointIntent, LocalityIntent } from '../intent/destination-types.ts';
import { socketAddress } from './messages.ts';
import { workloadMetadata } from './telemetry-metadata.ts';

/** Endpoints by priority and locality. `tlsMode` is what a cluster's transport_socket_matches ask for. */
export function buildLoadAssignment(
  clusterName: string,
  endpoints: readonly EndpointIntent[],
  rule?: LocalityIntent,
): ClusterLoadAssignment {
  const localities = Map.groupBy(endpoints, ({ priority = 0, locality }) => `${priority} ${locality}`);
  return create(ClusterLoadAssignmentSchema, {
    clusterName,
    ...(rule?.kind === 'clusters' &&
      rule.split.kind === 'shares' && { policy: { overprovisioningFactor: WHOLE_SHARES } }),
    endpoints: [...localities.values()].sort(byPlace).map((members) => {
      const { priority = 0, locality, localityWeight } = members[0]!;
      const [region = '', zone = '', subZone = ''] = locality.split('/');
      return {
        ...(locality !== '' && { locality: { region, zone, subZone } }),
        ...(priority > 0 && { priority }),
        // Without it Envoy, weighing by locality, would send nothing there.
        loadBalancingWeight: localityWeight ?? members.reduce((sum, member) => sum + member.weight, 0),
        lbEndpoints: members.map(lbEndpoint),
      };
    }),
  });
}

/**
 * In percent. Envoy takes a part of its share from what is less healthy than a hundredth of this: shares that somebody
 * wrote down hold as long as one endpoint is left.
 */
const WHOLE_SHARES = 100_000;

function byPlace([a]: readonly EndpointIntent[], [b]: readonly EndpointIntent[]): number {
  return (a!.priority ?? 0) - (b!.priority ?? 0) || (a!.locality < b!.locality ? -1 : 1);
}

function lbEndpoint(endpoint: EndpointIntent): MessageInitShape<typeof LbEndpointSchema> {
  return {
    hostIdentifier: {
      case: 'endpoint',
      value: {
        address: socketAddress(endpoint.address, endpoint.port),
        ...(endpoint.alternatives && {
          additionalAddresses: endpoint.alternatives.map((each) => ({ address: socketAddress(each, endpoint.port) })),
        }),
      },
    },
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
