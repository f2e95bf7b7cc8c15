// SPDX-License-Identifier: Apache-2.0
// The values of each cluster's installation: the user's own, and over them what the mesh as a whole decides.
import { readValues } from '../../install/values/read-values.ts';
import { ISTIO_NAMESPACE, type Values } from '../../install/values/values.ts';
import { ValuesError } from '../../install/values/values-error.ts';
import { UserError } from '../user-error.ts';
import { hasOwnPlane, type Member, servedBy } from './members.ts';
import type { Mesh } from './mesh-file.ts';

/** 15443 is open on every gateway of ours. */
const GATEWAY_PORT = 15_443;
/** Of RFC 5737: stands in a plan for an address that nobody knows yet, and is never applied. */
const UNKNOWN_ADDRESS = '192.0.2.1';

/** Values that mesh.yaml has a field for. */
const SAID_ELSEWHERE: Readonly<Record<string, string>> = {
  'global.network': 'spec.clusters[].network',
  'global.multiCluster.clusterName': 'spec.clusters[].name',
  'global.trustDomain': 'spec.trustDomain',
  'global.meshNetworks': 'spec.clusters[].network and .gateway',
  'global.meshExpansion': 'spec.clusters[].controlPlane',
  'global.istioRemote': 'spec.clusters[].controlPlane',
  'global.remotePilotAddress': 'spec.clusters[].controlPlane',
  'global.createRemoteSvcEndpoints': 'spec.clusters[].controlPlane',
  'global.remotePilotCreateSvcEndpoint': 'spec.clusters[].controlPlane',
  'security.selfSigned': 'spec.trust',
  'gateways.istio-ingressgateway.type': 'spec.clusters[].gateway.type',
};

export interface ClusterValues {
  readonly values: Values;
  /** What has no effect. */
  readonly notices: readonly string[];
}

/**
 * @param planeAddress of a served cluster: the gateway of the cluster that serves it
 * @throws UserError with line and cure
 */
export function readClusterValues(
  mesh: Mesh,
  member: Member,
  members: readonly Member[],
  planeAddress?: string,
): ClusterValues {
  const index = mesh.spec.clusters.indexOf(member.spec);
  refuseSaidElsewhere(mesh, mesh.spec.values, 'spec.values');
  refuseSaidElsewhere(mesh, member.spec.values, `spec.clusters[${index}].values`);
  const decided = hasOwnPlane(member)
    ? ownPlane(mesh, member, members)
    : servedPlane(mesh, member, planeAddress ?? UNKNOWN_ADDRESS);
  const files = [
    // What a mesh has by default, and a user may have otherwise.
    { name: mesh.file, text: JSON.stringify({ global: { gatewayServices: 'EXPORTED' } }) },
    ...mesh.valueFiles(member.spec),
    { name: `${mesh.file} (${member.name})`, text: JSON.stringify(decided) },
  ];
  try {
    return readValues({ files, clusterName: member.name });
  } catch (error) {
    throw error instanceof ValuesError ? new UserError(error.message, 2) : error;
  }
}

function refuseSaidElsewhere(mesh: Mesh, values: Readonly<Record<string, unknown>> | undefined, field: string): void {
  if (values === undefined) return;
  for (const [path, instead] of Object.entries(SAID_ELSEWHERE)) {
    let at: unknown = values;
    for (const step of path.split('.')) at = (at as Record<string, unknown> | null | undefined)?.[step];
    if (at === undefined) continue;
    throw new UserError(
      `${mesh.placeOf(`${field}.${path}`)}: ${field}.${path}: a mesh says this by ${instead}: take it out of the values`,
      2,
    );
  }
}

function common(mesh: Mesh, member: Member): Record<string, unknown> {
  return {
    network: member.network,
    trustDomain: mesh.spec.trustDomain,
    multiCluster: { enabled: true, clusterName: member.name },
  };
}

function ingress({ spec: { gateway } }: Member): Record<string, unknown> {
  return gateway.type === undefined ? {} : { 'istio-ingressgateway': { type: gateway.type } };
}

function ownPlane(mesh: Mesh, member: Member, members: readonly Member[]): Record<string, unknown> {
  const served = servedBy(member, members);
  return {
    global: {
      ...common(mesh, member),
      meshNetworks: buildNetworks([member, ...served]),
      meshExpansion: { enabled: served.length > 0 },
    },
    security: { selfSigned: false },
    gateways: ingress(member),
  };
}

function servedPlane(mesh: Mesh, member: Member, planeAddress: string): Record<string, unknown> {
  return {
    global: {
      ...common(mesh, member),
      istioRemote: true,
      createRemoteSvcEndpoints: true,
      remotePilotAddress: planeAddress,
    },
    security: { selfSigned: false },
    gateways: { enabled: true, 'istio-egressgateway': { enabled: false }, ...ingress(member) },
    istiocoredns: { enabled: false },
  };
}

/** As `meshNetworks` has them: a control plane knows its own cluster and those that it serves. */
function buildNetworks(members: readonly Member[]): Record<string, unknown> {
  const networks: Record<string, { endpoints: unknown[]; gateways: unknown[] }> = {};
  for (const { name, network, spec } of members) {
    networks[network] ??= { endpoints: [], gateways: [] };
    const { endpoints, gateways } = networks[network];
    endpoints.push({ fromRegistry: name });
    const { address, port = GATEWAY_PORT } = spec.gateway;
    // The Service is looked up in all clusters of the network: once is enough.
    const byService = { registryServiceName: `istio-ingressgateway.${ISTIO_NAMESPACE}.svc.cluster.local`, port };
    const gateway = address === undefined ? byService : { address, port };
    if (!gateways.some((other) => JSON.stringify(other) === JSON.stringify(gateway))) gateways.push(gateway);
  }
  return networks;
}
