// SPDX-License-Identifier: Apache-2.0
// Who sees an object that does not say it: what MeshConfig says for its kind, else everybody.
import { DESTINATION_RULE } from '../api/destination-rule.ts';
import type { MeshObject } from '../api/kind.ts';
import type { MeshConfig } from '../api/mesh-config.ts';
import { SERVICE_ENTRY } from '../api/service-entry.ts';
import { VIRTUAL_SERVICE } from '../api/virtual-service.ts';

const SETTINGS = {
  Service: 'defaultServiceExportTo',
  [SERVICE_ENTRY.kind]: 'defaultServiceExportTo',
  [VIRTUAL_SERVICE.kind]: 'defaultVirtualServiceExportTo',
  [DESTINATION_RULE.kind]: 'defaultDestinationRuleExportTo',
} as const satisfies Readonly<Record<string, keyof MeshConfig>>;

/** By kind, for kinds of which each object may say who sees it. */
export type ExportDefaults = Readonly<Record<string, readonly string[]>>;

const EVERYBODY: readonly string[] = Object.freeze(['*']);

export function exportDefaults(mesh: MeshConfig): ExportDefaults {
  return Object.fromEntries(
    Object.entries(SETTINGS).map(([kind, setting]) => [kind, mesh[setting].length === 0 ? EVERYBODY : mesh[setting]]),
  );
}

export function saysNobody({ spec }: MeshObject<unknown>): boolean {
  const { exportTo } = spec as { readonly exportTo?: readonly string[] };
  return exportTo?.length === 0;
}

/** The same object where it says itself who sees it. */
export function withExportTo<Spec>(object: MeshObject<Spec>, defaults: ExportDefaults): MeshObject<Spec> {
  const exportTo = defaults[object.ref.kind];
  return exportTo === undefined || !saysNobody(object) ? object : { ...object, spec: { ...object.spec, exportTo } };
}
