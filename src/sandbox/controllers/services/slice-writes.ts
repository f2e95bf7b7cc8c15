// SPDX-License-Identifier: Apache-2.0
// Carries a plan for EndpointSlices out through the API.
import { ENDPOINT_SLICES } from '../../../kube/resources.ts';
import type { KubeObject, ResourceType } from '../../../kube/types.ts';
import { type ControllerContext, isNamespaceTerminating, timestamp } from '../controller.ts';
import type { Informer } from '../informer.ts';
import type { EndpointSlice } from '../objects.ts';
import { ownerReferenceTo } from '../ownership.ts';
import { LAST_CHANGE_ANNOTATION } from './endpoint-ports.ts';
import type { SlicePlan } from './slice-plan.ts';

export const MANAGED_BY_LABEL = 'endpointslice.kubernetes.io/managed-by';
export const SERVICE_NAME_LABEL = 'kubernetes.io/service-name';

export interface SliceOwner {
  readonly owner: KubeObject;
  readonly ownerType: ResourceType;
  readonly labels: Record<string, string>;
}

/** The slices that `manager` made for the Service of this name. */
export function slicesManagedBy(
  slices: Informer<EndpointSlice>,
  service: KubeObject,
  manager: string,
): EndpointSlice[] {
  return slices
    .inNamespace(service.metadata.namespace)
    .filter(
      ({ metadata }) =>
        metadata.deletionTimestamp === undefined &&
        metadata.labels?.[MANAGED_BY_LABEL] === manager &&
        metadata.labels[SERVICE_NAME_LABEL] === service.metadata.name,
    );
}

/** The key of the Service that a slice belongs to. */
export function sliceKeyOf(slice: EndpointSlice): string {
  return `${slice.metadata.namespace}/${slice.metadata.labels?.[SERVICE_NAME_LABEL] ?? ''}`;
}

/** Creates and updates before it removes, so that an endpoint that moves is never in no slice. */
export async function writeSlices(
  context: ControllerContext,
  slices: Informer<EndpointSlice>,
  { owner, ownerType, labels }: SliceOwner,
  plan: SlicePlan,
): Promise<void> {
  const create = plan.create.map(
    (group): EndpointSlice => ({
      apiVersion: 'discovery.k8s.io/v1',
      kind: 'EndpointSlice',
      metadata: {
        generateName: `${owner.metadata.name}-`,
        namespace: owner.metadata.namespace ?? '',
        labels,
        annotations: { [LAST_CHANGE_ANNOTATION]: timestamp(context.nowMs()) },
        ownerReferences: [ownerReferenceTo(ownerType, owner)],
      },
      addressType: group.addressType,
      // None at all is null, as a nil list of Go's.
      endpoints: group.endpoints.length > 0 ? [...group.endpoints] : null,
      ports: group.ports === null ? null : [...group.ports],
    }),
  );
  try {
    const written = await Promise.all([
      ...create.map((slice) => context.client.create(ENDPOINT_SLICES, slice)),
      ...plan.update.map((slice) => context.client.replace(ENDPOINT_SLICES, slice)),
    ]);
    await Promise.all(written.map((slice) => slices.echo(slice)));
  } catch (error) {
    if (isNamespaceTerminating(error)) return;
    throw error;
  }
  await Promise.all(
    plan.remove.map(async (slice) => {
      const { name = '', namespace, uid } = slice.metadata;
      await context.client.delete(ENDPOINT_SLICES, name, namespace, uid ? { uid } : {});
      await slices.echoDelete(slice);
    }),
  );
}
