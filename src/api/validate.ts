// SPDX-License-Identifier: Apache-2.0
import type { KubeObject } from '../kube/types.ts';
import type { Diagnostic } from './diagnostics.ts';
import { decodeObject, refOf } from './kind.ts';
import { groupOf, KINDS, kindOf, MESH_GROUPS } from './kinds.ts';
import { decodeMeshConfig } from './mesh-config.ts';
import { decodeMeshNetworks } from './mesh-networks.ts';
import { diagnose, type Locate } from './report.ts';

/**
 * All that can be said of one object by itself, for the validating webhook and for files. An error means that the
 * object must be refused. Objects that are not of the mesh (Services, Pods, ...) have no diagnostics.
 */
export function validateObject(raw: KubeObject, locate?: Locate): Diagnostic[] {
  const kind = kindOf(raw);
  if (kind !== undefined) return [...decodeObject(kind, raw, { locate }).diagnostics];
  if (MESH_GROUPS.has(groupOf(raw.apiVersion))) return [unknownKind(raw, locate)];
  if (raw.kind === 'ConfigMap' && raw.metadata.name === 'istio') {
    return [...decodeMeshConfig(raw, { locate }).diagnostics, ...decodeMeshNetworks(raw, { locate }).diagnostics];
  }
  return [];
}

/** Istio has the kind, or somebody made it up: either way it would be ignored, which must not happen in silence. */
export function unknownKind(
  raw: Pick<KubeObject, 'apiVersion' | 'kind' | 'metadata'>,
  locate?: Locate,
  cluster?: string,
): Diagnostic {
  const known = KINDS.map((kind) => kind.kind).join(', ');
  return diagnose(refOf(raw, cluster), 'ISM0004', 'kind', `${raw.kind} is not supported`, `use one of ${known}`, {
    locate,
  });
}
