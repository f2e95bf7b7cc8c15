// SPDX-License-Identifier: Apache-2.0
import type { KubeObject } from '../kube/types.ts';
import { DESTINATION_RULE } from './destination-rule.ts';
import { ENVOY_FILTER } from './envoy-filter.ts';
import { EXPORT_POLICY } from './export-policy.ts';
import { EXPORTED_SERVICE } from './exported-service.ts';
import { GATEWAY } from './gateway.ts';
import type { Kind } from './kind.ts';
import { PROXY_CONFIG } from './proxy-config.ts';
import { SERVICE_ENTRY } from './service-entry.ts';
import { SERVICE_EXPORT, SERVICE_IMPORT } from './service-export.ts';
import { SIDECAR } from './sidecar.ts';
import { TELEMETRY } from './telemetry.ts';
import { VIRTUAL_SERVICE } from './virtual-service.ts';
import { WORKLOAD_ENTRY } from './workload-entry.ts';
import { WORKLOAD_GROUP } from './workload-group.ts';

/** Every kind of the mesh API, in the order of their names. */
export const KINDS: readonly Kind<unknown>[] = [
  DESTINATION_RULE as Kind<unknown>,
  ENVOY_FILTER as Kind<unknown>,
  EXPORT_POLICY as Kind<unknown>,
  EXPORTED_SERVICE as Kind<unknown>,
  GATEWAY as Kind<unknown>,
  PROXY_CONFIG as Kind<unknown>,
  SERVICE_ENTRY as Kind<unknown>,
  SIDECAR as Kind<unknown>,
  TELEMETRY as Kind<unknown>,
  VIRTUAL_SERVICE as Kind<unknown>,
  WORKLOAD_ENTRY as Kind<unknown>,
  WORKLOAD_GROUP as Kind<unknown>,
];

/** Kinds of the Multi-Cluster Services API, which other programs may have brought to the cluster before us. */
export const MCS_KINDS: readonly Kind<unknown>[] = [SERVICE_EXPORT as Kind<unknown>, SERVICE_IMPORT as Kind<unknown>];

/** Groups whose objects are ours to judge: a kind of theirs that is not in KINDS is refused by name. */
export const MESH_GROUPS: ReadonlySet<string> = new Set([
  'networking.istio.io',
  'security.istio.io',
  'telemetry.istio.io',
  'extensions.istio.io',
  'isthmus.io',
]);

export function groupOf(apiVersion: string): string {
  return apiVersion.includes('/') ? apiVersion.slice(0, apiVersion.indexOf('/')) : '';
}

/** The kind of an object by its group and kind; its version is checked when it is decoded. */
export function kindOf(object: Pick<KubeObject, 'apiVersion' | 'kind'>): Kind<unknown> | undefined {
  const group = groupOf(object.apiVersion);
  return [...KINDS, ...MCS_KINDS].find((kind) => kind.group === group && kind.kind === object.kind);
}
