// SPDX-License-Identifier: Apache-2.0
// Nothing is created beyond a ResourceQuota. What is used is counted anew each time, right before the write: there is no
// record of it that could be behind, and no two writes see the same room.
import type { KubeObject } from '../../../kube/types.ts';
import { sumQuantities } from '../schema/quantity.ts';
import type { AdmissionRequest, ClusterObjects } from '../seams.ts';
import { forbidden, type GroupResource } from '../status.ts';
import {
  countedType,
  inScope,
  nano,
  objectUsage,
  type ResourceQuota,
  type Usage,
  unstated,
  usedOf,
} from './quota-usage.ts';

export const QUOTAS: GroupResource = { group: '', resource: 'resourcequotas' };
/** Kinds whose use may grow by a change. */
const GROWING = ['persistentvolumeclaims', 'pods', 'services'];

/** Throws ApiError 403 when the write would exceed a quota of its namespace. */
export function checkQuota(request: AdmissionRequest, object: KubeObject | undefined, objects: ClusterObjects): void {
  const { operation, resource, subresource, namespace, oldObject } = request;
  const type = { group: resource.group, resource: resource.resource };
  const grows = operation === 'UPDATE' && type.group === '' && GROWING.includes(type.resource);
  if (!object || namespace === '' || subresource !== '' || (operation !== 'CREATE' && !grows)) return;
  const quotas = objects.list(QUOTAS, namespace) as readonly ResourceQuota[];
  for (const quota of quotas) {
    if (!inScope(quota, type, object)) continue;
    const hard = quota.spec?.hard ?? {};
    const { name = '' } = quota.metadata;
    if (operation === 'CREATE' && type.group === '' && type.resource === 'pods')
      requireStated(request, object, name, hard);
    const wanted = growth(objectUsage(type, object), oldObject && objectUsage(type, oldObject), hard);
    if (Object.keys(wanted).length === 0) continue;
    const used = usedOf(narrowed(quota, wanted), (one) => objects.list(one, namespace));
    const exceeded = Object.keys(wanted).filter(
      (one) => nano(used[one]) + nano(wanted[one]) > nano(hard[one]) && countedType(one),
    );
    if (exceeded.length === 0) continue;
    const text = (usage: Usage) =>
      exceeded
        .sort()
        .map((one) => `${one}=${usage[one] ?? '0'}`)
        .join(',');
    throw forbidden(
      resource,
      object.metadata.name ?? request.name,
      `exceeded quota: ${name}, requested: ${text(wanted)}, used: ${text(used)}, limited: ${text(hard)}`,
    );
  }
}

function requireStated(request: AdmissionRequest, pod: KubeObject, quota: string, hard: Usage): void {
  const missing = unstated(pod, hard);
  if (missing.size === 0) return;
  const list = [...missing].map(([name, containers]) => `${name} for: ${containers.join(',')}`).join('; ');
  throw forbidden(request.resource, pod.metadata.name ?? request.name, `failed quota: ${quota}: must specify ${list}`);
}

/** What the write adds of the limited names; what shrinks or stays is nobody's concern. */
function growth(after: Usage, before: Usage | undefined, hard: Usage): Usage {
  const names = Object.keys(after).filter((name) => name in hard && nano(after[name]) > nano(before?.[name]));
  return Object.fromEntries(
    names.map((name) => [name, before ? difference(after[name]!, before[name]) : after[name]!]),
  );
}

function difference(after: string, before: string | undefined): string {
  return before === undefined || nano(before) === 0n ? after : sumQuantities([after, `-${before}`]);
}

/** The quota with only the names in question, so that nothing else is counted. */
function narrowed(quota: ResourceQuota, names: Usage): ResourceQuota {
  return { ...quota, spec: { ...quota.spec, hard: names } };
}
