// SPDX-License-Identifier: Apache-2.0
// What an object would be told if it were applied now: the rules across objects, asked before the object is there.
import { DESTINATION_RULE, type DestinationRule } from '../api/destination-rule.ts';
import { type Diagnostic, isSameObject } from '../api/diagnostics.ts';
import { GATEWAY, type Gateway } from '../api/gateway.ts';
import { decodeObject, type MeshObject } from '../api/kind.ts';
import { kindOf } from '../api/kinds.ts';
import { SERVICE_ENTRY, type ServiceEntry } from '../api/service-entry.ts';
import { SIDECAR, type Sidecar } from '../api/sidecar.ts';
import { VIRTUAL_SERVICE, type VirtualService } from '../api/virtual-service.ts';
import type { KubeObject } from '../kube/types.ts';
import { PreviewChecks } from './cross-rules/preview-checks.ts';
import { exportDefaults, withExportTo } from './export-defaults.ts';
import { servicesOfEntry } from './registry.ts';
import type { MeshIndex } from './snapshot.ts';

/**
 * Diagnostics of `raw` together with what is in `index`; none for objects that are refused or not of the mesh. `checks`
 * keeps what was found of the others.
 */
export function previewObject(index: MeshIndex, raw: KubeObject, checks = new PreviewChecks()): Diagnostic[] {
  const kind = kindOf(raw);
  const written = kind && decodeObject(kind, raw).value;
  if (!kind || !written) return [];
  const decoded = withExportTo(written, exportDefaults(index.mesh));
  const next = withObject(index, kind.kind, decoded);
  return checks.diagnose(next, decoded.ref).filter(({ object }) => isSameObject(object, decoded.ref));
}

function withObject(index: MeshIndex, kind: string, object: MeshObject<unknown>): MeshIndex {
  switch (kind) {
    case VIRTUAL_SERVICE.kind:
      return { ...index, writtenRules: replaced(index.writtenRules, object as VirtualService) };
    case DESTINATION_RULE.kind:
      return { ...index, destinationRules: replaced(index.destinationRules, object as DestinationRule) };
    case GATEWAY.kind:
      return { ...index, gateways: replaced(index.gateways, object as Gateway) };
    case SIDECAR.kind:
      return { ...index, sidecars: replaced(index.sidecars, object as Sidecar) };
    case SERVICE_ENTRY.kind: {
      const others = [...index.services].filter(([, service]) => !isSameObject(service.origin, object.ref));
      const made = servicesOfEntry(object as ServiceEntry).map((service) => [service.key, service] as const);
      return { ...index, services: new Map([...others, ...made]) };
    }
    default:
      return index;
  }
}

/** In the place of its older self, or as the youngest. */
function replaced<T extends MeshObject<unknown>>(objects: readonly T[], object: T): T[] {
  const at = objects.findIndex(({ ref }) => isSameObject(ref, object.ref));
  return at < 0 ? [...objects, object] : objects.with(at, object);
}
