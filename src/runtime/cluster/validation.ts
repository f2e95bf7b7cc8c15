// SPDX-License-Identifier: Apache-2.0
import { setTimeout as sleep } from 'node:timers/promises';
import { bothCodes, type Diagnostic } from '../../api/diagnostics.ts';
import { validateObject } from '../../api/validate.ts';
import type { AdmissionAnswer, AdmissionRequest } from '../../injector/webhook.ts';
import type { KubeObject } from '../../kube/types.ts';
import { PreviewChecks } from '../../model/cross-rules/preview-checks.ts';
import { previewObject } from '../../model/preview.ts';
import type { MeshIndex } from '../../model/snapshot.ts';

/** Answers the validating webhook: errors refuse the object, all of them at once; the rest are warnings. */
export function admitMeshObject(request: AdmissionRequest): AdmissionAnswer {
  const { object, operation } = request;
  if (object === null || (operation !== 'CREATE' && operation !== 'UPDATE')) return { allowed: true };
  // An object on its way out only loses its finalizers: refusing that would keep it for ever.
  if (object.metadata.deletionTimestamp !== undefined) return { allowed: true };
  const diagnostics = validateObject(object);
  const errors = diagnostics.filter(({ severity }) => severity === 'error');
  const warnings = diagnostics.filter(({ severity }) => severity === 'warning').map(describe);
  if (errors.length === 0) return { allowed: true, warnings };
  const name = `${object.kind} ${object.metadata.namespace ?? request.namespace ?? ''}/${object.metadata.name ?? ''}`;
  return { allowed: false, message: `${name}: ${errors.map(describe).join('; ')}`, warnings };
}

/** How long an object that seems to hang in the air waits for its neighbours of the same `kubectl apply` to be seen. */
const NEIGHBOURS_MS = 300;

/**
 * Warnings for an admitted object about what it refers to: a host, a subset, a gateway that nobody defines. They are
 * looked at again a moment later, since one file often holds both ends of a reference.
 */
export async function warnOfDangling(
  index: () => MeshIndex,
  object: KubeObject,
  checks = new PreviewChecks(),
): Promise<string[]> {
  if (previewObject(index(), object, checks).length === 0) return [];
  await sleep(NEIGHBOURS_MS);
  return previewObject(index(), object, checks).map(describe);
}

/** `spec.http[0].route[1].weight: weights add up to 90: make it 100 (IST0106, ISM0008)` */
export function describe(found: Diagnostic): string {
  return `${found.field}: ${found.message}: ${found.cure} (${bothCodes(found)})`;
}
