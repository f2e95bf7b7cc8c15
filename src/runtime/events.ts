// SPDX-License-Identifier: Apache-2.0
// How the control plane writes Events, whatever they are about.
// https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/event-v1/
import { type KubeClient, KubeError } from '../kube/client.ts';
import { EVENTS } from '../kube/resources.ts';
import type { KubeObject } from '../kube/types.ts';

export const PLANE_COMPONENT = 'isthmus.dev/istiod';
/** Who tells it. */
export const EVENT_SOURCE = { source: { component: 'istiod' }, reportingComponent: PLANE_COMPONENT };

/** As Events have it: no fraction of a second. */
export function eventTime(epochMs: number): string {
  return new Date(epochMs).toISOString().replace(/\.\d+Z$/, 'Z');
}

/** Of one that has been written under its name already, `changing` alone is written. @throws KubeError */
export async function writeEvent(
  client: KubeClient,
  event: KubeObject,
  changing: Readonly<Record<string, unknown>>,
): Promise<void> {
  try {
    await client.create(EVENTS, event);
  } catch (error) {
    if (!(error instanceof KubeError && error.reason === 'AlreadyExists')) throw error;
    const { name = '', namespace } = event.metadata;
    await client.patch(EVENTS, name, namespace, changing);
  }
}

/** Makes room for one more among at most `max`: the order of insertion is that of age. */
export function forgetOldest(told: Map<string, unknown>, max: number): void {
  for (const oldest of told.keys()) {
    if (told.size < max) break;
    told.delete(oldest);
  }
}
