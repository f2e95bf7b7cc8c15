// SPDX-License-Identifier: Apache-2.0
// How wanted endpoints are spread over EndpointSlices, changing as few existing slices as possible. Pure.
import { isDeepStrictEqual } from 'node:util';
import type { Endpoint, EndpointPort, EndpointSlice } from '../objects.ts';

/** Endpoints that share address type and ports, so that one slice can hold them. */
export interface EndpointGroup {
  readonly addressType: string;
  readonly ports: readonly EndpointPort[] | null;
  readonly endpoints: readonly Endpoint[];
}

export interface SlicePlan {
  readonly create: EndpointGroup[];
  readonly update: EndpointSlice[];
  readonly remove: EndpointSlice[];
}

export interface SliceMetadata {
  readonly labels: Record<string, string>;
  readonly annotations: Record<string, string>;
}

const MAX_ENDPOINTS = 100;

/** @param groups one per distinct pair of address type and ports @param existing the slices that this controller made */
export function planSlices(
  groups: readonly EndpointGroup[],
  existing: readonly EndpointSlice[],
  metadata: SliceMetadata,
): SlicePlan {
  const plan: SlicePlan = { create: [], update: [], remove: [] };
  const unclaimed = new Set(existing);
  for (const group of groups) {
    const slices = existing.filter((slice) => unclaimed.has(slice) && isOfGroup(slice, group));
    for (const slice of slices) unclaimed.delete(slice);
    planGroup(group, slices, metadata, plan);
  }
  plan.remove.push(...unclaimed);
  return plan;
}

function planGroup(
  group: EndpointGroup,
  slices: readonly EndpointSlice[],
  metadata: SliceMetadata,
  plan: SlicePlan,
): void {
  const missing = new Map(group.endpoints.map((endpoint) => [identityOf(endpoint), endpoint]));
  const kept = slices.map((slice) => {
    const endpoints: Endpoint[] = [];
    for (const endpoint of slice.endpoints ?? []) {
      const wanted = missing.get(identityOf(endpoint));
      if (wanted === undefined) continue;
      missing.delete(identityOf(endpoint));
      endpoints.push(wanted);
    }
    return { slice, endpoints };
  });
  const left = [...missing.values()];
  for (const { endpoints } of kept) endpoints.push(...left.splice(0, MAX_ENDPOINTS - endpoints.length));
  let isPlaceholderKept = group.endpoints.length > 0;
  for (const { slice, endpoints } of kept) {
    if (endpoints.length === 0 && isPlaceholderKept) {
      plan.remove.push(slice);
      continue;
    }
    // A Service without endpoints has one empty slice, which says so.
    if (endpoints.length === 0) isPlaceholderKept = true;
    const isCurrent =
      isDeepStrictEqual(slice.endpoints ?? [], endpoints) && isDeepStrictEqual(slice.metadata.labels, metadata.labels);
    if (!isCurrent) plan.update.push(withContent(slice, endpoints, metadata));
  }
  if (!isPlaceholderKept) plan.create.push(group);
  while (left.length > 0) plan.create.push({ ...group, endpoints: left.splice(0, MAX_ENDPOINTS) });
}

function withContent(slice: EndpointSlice, endpoints: Endpoint[], metadata: SliceMetadata): EndpointSlice {
  return {
    ...slice,
    metadata: {
      ...slice.metadata,
      labels: metadata.labels,
      annotations: { ...slice.metadata.annotations, ...metadata.annotations },
    },
    endpoints,
  };
}

function isOfGroup(slice: EndpointSlice, group: EndpointGroup): boolean {
  return slice.addressType === group.addressType && portsKey(slice.ports) === portsKey(group.ports);
}

export function portsKey(ports: readonly EndpointPort[] | null): string {
  const listed = (ports ?? []).map(({ name = '', protocol = 'TCP', port, appProtocol = '' }) => [
    name,
    protocol,
    port,
    appProtocol,
  ]);
  return JSON.stringify(listed.map((each) => JSON.stringify(each)).sort());
}

/** The same pod with the same address is the same endpoint, whatever its conditions are. */
function identityOf({ addresses, targetRef }: Endpoint): string {
  return `${targetRef?.uid ?? ''} ${addresses.join(',')}`;
}
