// SPDX-License-Identifier: Apache-2.0
import { DESTINATION_RULE } from '../api/destination-rule.ts';
import { EXPORTED_SERVICE } from '../api/exported-service.ts';
import { GATEWAY } from '../api/gateway.ts';
import { resourceOf } from '../api/kind.ts';
import { SERVICE_ENTRY } from '../api/service-entry.ts';
import { SERVICE_IMPORT } from '../api/service-export.ts';
import { VIRTUAL_SERVICE } from '../api/virtual-service.ts';
import {
  CLUSTER_ROLE_BINDINGS,
  CLUSTER_ROLES,
  CONFIG_MAPS,
  CRDS,
  DEPLOYMENTS,
  ENDPOINT_SLICES,
  MUTATING_WEBHOOKS,
  NAMESPACES,
  ROLE_BINDINGS,
  ROLES,
  SECRETS,
  SERVICE_ACCOUNTS,
  SERVICES,
  VALIDATING_WEBHOOKS,
} from '../kube/resources.ts';
import type { KubeObject, ResourceType } from '../kube/types.ts';

export const DESTINATION_RULES = resourceOf(DESTINATION_RULE);

/** Every resource that an installation consists of, in the order in which it is taken away. */
export const INSTALLED_TYPES: readonly ResourceType[] = [
  // First what stands in the way of others: a webhook without its server refuses everything.
  MUTATING_WEBHOOKS,
  VALIDATING_WEBHOOKS,
  DEPLOYMENTS,
  SERVICES,
  ENDPOINT_SLICES,
  CONFIG_MAPS,
  ROLE_BINDINGS,
  ROLES,
  CLUSTER_ROLE_BINDINGS,
  CLUSTER_ROLES,
  // Once nobody may write them anew.
  DESTINATION_RULES,
  ...[VIRTUAL_SERVICE, GATEWAY, SERVICE_ENTRY, SERVICE_IMPORT, EXPORTED_SERVICE].map(resourceOf),
  SECRETS,
  SERVICE_ACCOUNTS,
  CRDS,
  NAMESPACES,
];

export function resourceTypeOf(object: KubeObject): ResourceType {
  const type = INSTALLED_TYPES.find(({ kind }) => kind === object.kind);
  if (type === undefined) throw new Error(`no resource type is known for kind ${object.kind}`);
  return type;
}

/** `Deployment istio-system/istiod`, as messages name it. */
export function describeObject({ kind, metadata }: KubeObject): string {
  return `${kind} ${metadata.namespace === undefined ? '' : `${metadata.namespace}/`}${metadata.name ?? ''}`;
}
