// SPDX-License-Identifier: Apache-2.0
import type { MessageInitShape } from '@bufbuild/protobuf';
import type { AddressSchema } from '#gen/envoy/config/core/v3/address_pb.ts';
import type {
  LbEndpointSchema,
  LocalityLbEndpoints,
  LocalityLbEndpointsSchema,
} from '#gen/envoy/config/endpoint/v3/endpoint_components_pb.ts';
import type { ClusterLoadAssignmentSchema } from '#gen/envoy/config/endpoint/v3/endpoint_pb.ts';
import type { EndpointIntent, LocalityIntent } from '../intent/destination-types.ts';
import { isWeighed } from './load-balancing.ts';
import { socketInit } from './messages.ts';
import { workloadMetadata } from './telemetry-metadata.ts';

const SOCKET_MATCH = 'envoy.transport_socket_match';
/** What a cluster's transport_socket_matches ask for. */
const MESHED = { [SOCKET_MATCH]: { tlsMode: 'istio' } };

/** Endpoints by priority and locality, as a resource of their own. */
export function buildLoadAssignment(
  clusterName: string,
  endpoints: readonly EndpointIntent[],
  rule?: LocalityIntent,
): AssignmentInit {
  const places = [...Map.groupBy(endpoints, placeOf).values()].sort(byPlace);
  return {
    clusterName,
    ...(hasShares(rule) && { policy: { overprovisioningFactor: WHOLE_SHARES } }),
    endpoints: places.flatMap((members) => {
      const place = placeInit(members, isWeighed(rule));
      const meshed = members.filter((member) => member.meshed);
      const others = members.filter((member) => !member.meshed);
      return [
        ...(meshed.length > 0 ? [group(place, meshed.map(byLocality), MESHED)] : []),
        ...(others.length > 0 ? [group(place, others.map(byLocality))] : []),
      ];
    }),
  };
}

/** Tells apart what is built of the same endpoints under different rules. */
export function assignmentContext(rule: LocalityIntent | undefined): string {
  return `${isWeighed(rule)} ${hasShares(rule)}`;
}

function hasShares(rule: LocalityIntent | undefined): boolean {
  return rule?.kind === 'clusters' && rule.split.kind === 'shares';
}

/** The same as a part of a cluster, which is made anew when anything of it changes. */
export function buildOwnLoadAssignment(
  clusterName: string,
  endpoints: readonly EndpointIntent[],
  rule?: LocalityIntent,
): AssignmentInit {
  const places = [...Map.groupBy(endpoints, placeOf).values()].sort(byPlace);
  const byThemselves = (member: EndpointIntent) => lbEndpoint(member, member.meshed ? MESHED : {});
  return {
    clusterName,
    endpoints: places.map((members) => group(placeInit(members, isWeighed(rule)), members.map(byThemselves))),
  };
}

type AssignmentInit = MessageInitShape<typeof ClusterLoadAssignmentSchema>;
type Group = Exclude<MessageInitShape<typeof LocalityLbEndpointsSchema>, LocalityLbEndpoints>;

/**
 * Endpoints of one place, or those of them with a sidecar: what the sockets to them go by is said once for all. Envoy takes
 * several groups of one locality together; each says the weight of the whole.
 */
function group(
  place: Group,
  lbEndpoints: MessageInitShape<typeof LbEndpointSchema>[],
  filterMetadata?: typeof MESHED,
): Group {
  return { ...place, lbEndpoints, ...(filterMetadata && { metadata: { filterMetadata } }) };
}

/**
 * `weighed`: Envoy weighs localities, and sends nothing to one without a weight, or without a locality. Else a weight is
 * said as well, for whoever has his proxies weigh them, but not where there is no locality: there it counts for nothing.
 */
function placeInit(members: readonly EndpointIntent[], weighed: boolean): Group {
  const { priority = 0, locality, localityWeight } = members[0]!;
  const [region = '', zone = '', subZone = ''] = locality.split('/');
  return {
    ...(priority > 0 && { priority }),
    ...((weighed || locality !== '') && {
      locality: { region, zone, subZone },
      loadBalancingWeight: localityWeight ?? members.reduce((sum, member) => sum + member.weight, 0),
    }),
  };
}

/**
 * Envoy goes by the locality's word of when it first saw the address, whatever it is told later, as long as the endpoint
 * seems to be the same. One with another name is another: only those without a sidecar have names here, so that one that
 * gets or loses its sidecar is seen anew.
 */
function byLocality(endpoint: EndpointIntent): MessageInitShape<typeof LbEndpointSchema> {
  return lbEndpoint(endpoint, {}, endpoint.meshed ? '' : endpoint.address);
}

function placeOf({ priority = 0, locality }: EndpointIntent): string {
  return `${priority} ${locality}`;
}

/**
 * In percent. Envoy takes a part of its share from what is less healthy than a hundredth of this: shares that somebody
 * wrote down hold as long as one endpoint is left.
 */
const WHOLE_SHARES = 100_000;

function byPlace([a]: readonly EndpointIntent[], [b]: readonly EndpointIntent[]): number {
  return (a!.priority ?? 0) - (b!.priority ?? 0) || (a!.locality < b!.locality ? -1 : 1);
}

const UNIX = 'unix://';

function addressOf({ address, port }: EndpointIntent): MessageInitShape<typeof AddressSchema> {
  if (!address.startsWith(UNIX)) return socketInit(address, port);
  return { address: { case: 'pipe', value: { path: address.slice(UNIX.length) } } };
}

function lbEndpoint(
  endpoint: EndpointIntent,
  said: Partial<typeof MESHED>,
  hostname = '',
): MessageInitShape<typeof LbEndpointSchema> {
  const filterMetadata = { ...said, ...(endpoint.workload && workloadMetadata(endpoint.workload)) };
  return {
    hostIdentifier: {
      case: 'endpoint',
      value: {
        hostname,
        address: addressOf(endpoint),
        ...(endpoint.alternatives && {
          additionalAddresses: endpoint.alternatives.map((each) => ({ address: socketInit(each, endpoint.port) })),
        }),
      },
    },
    // Envoy takes 1 for what is not said.
    ...(endpoint.weight !== 1 && { loadBalancingWeight: endpoint.weight }),
    ...(Object.keys(filterMetadata).length > 0 && { metadata: { filterMetadata } }),
  };
}
