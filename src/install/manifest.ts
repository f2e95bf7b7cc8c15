// SPDX-License-Identifier: Apache-2.0
// All objects of an installation, in the order in which they are to be applied.
import type { KubeObject } from '../kube/types.ts';
import { buildAccess, buildPeerAccess, buildRemoteAccess } from './manifests/access.ts';
import { buildConfig, buildControlPlane, buildRemotePlane } from './manifests/control-plane.ts';
import { buildCoreDns } from './manifests/coredns.ts';
import { buildGateways } from './manifests/gateways.ts';
import { clusterScoped, MANAGED_LABELS } from './manifests/metadata.ts';
import { buildMulticlusterDefaults } from './manifests/multicluster.ts';
import { buildMeshExpansion, buildReader, buildRemotePilot } from './manifests/remote-pilot.ts';
import { buildWebhooks } from './manifests/webhooks.ts';
import { ISTIO_NAMESPACE, type Values } from './values/values.ts';

export type StageName =
  | 'namespace'
  | 'definitions'
  | 'access'
  | 'configuration'
  | 'control plane'
  | 'webhooks'
  | 'gateways'
  | 'DNS';

export interface Stage {
  readonly name: StageName;
  readonly objects: readonly KubeObject[];
}

/** @param crds the definitions of the mesh's kinds */
export function buildStages(values: Values, crds: readonly KubeObject[]): Stage[] {
  const stages = values.global.istioRemote ? buildRemoteStages(values) : buildOwnStages(values, crds);
  const gateways = buildGateways(values);
  if (gateways.length > 0) stages.push({ name: 'gateways', objects: gateways });
  if (values.istiocoredns.enabled) stages.push({ name: 'DNS', objects: buildCoreDns(values) });
  return stages;
}

const NAMESPACE: Stage = {
  name: 'namespace',
  objects: [{ apiVersion: 'v1', kind: 'Namespace', metadata: clusterScoped(ISTIO_NAMESPACE) }],
};

function buildOwnStages(values: Values, crds: readonly KubeObject[]): Stage[] {
  const rules = [
    ...buildMulticlusterDefaults(values),
    ...(values.global.meshExpansion.enabled ? buildMeshExpansion(values) : []),
  ];
  return [
    NAMESPACE,
    { name: 'definitions', objects: crds.map(withManagedLabels) },
    { name: 'access', objects: [...buildAccess(values), ...buildPeerAccess()] },
    // Before the webhooks: on a first installation nobody could answer them yet.
    { name: 'configuration', objects: [...buildConfig(values), ...rules] },
    { name: 'control plane', objects: buildControlPlane(values) },
    { name: 'webhooks', objects: buildWebhooks(values) },
  ];
}

/** No definitions: mesh objects are those of the cluster with the pilot. */
function buildRemoteStages(values: Values): Stage[] {
  return [
    NAMESPACE,
    { name: 'access', objects: [...buildRemoteAccess(values), ...buildReader()] },
    { name: 'configuration', objects: [...buildConfig(values), ...buildRemotePilot(values)] },
    { name: 'control plane', objects: buildRemotePlane(values) },
    { name: 'webhooks', objects: buildWebhooks(values) },
  ];
}

export function withManagedLabels(object: KubeObject): KubeObject {
  return { ...object, metadata: { ...object.metadata, labels: { ...object.metadata.labels, ...MANAGED_LABELS } } };
}
