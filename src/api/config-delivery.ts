// SPDX-License-Identifier: Apache-2.0
// How much of the mesh a sidecar is given before it needs it: a setting of the mesh (`configDelivery` in the `mesh` of
// ConfigMap istio), and of a pod (annotation `isthmus.io/config-delivery`). Ours; Istio has nothing like it.

/**
 * `FULL`: everything is pushed. `CLUSTERS_ON_DEMAND`: routes are pushed, each virtual host by itself; clusters and their
 * endpoints come with the first request that needs them. `ALL_ON_DEMAND`: virtual hosts too.
 */
export const CONFIG_DELIVERIES = ['FULL', 'CLUSTERS_ON_DEMAND', 'ALL_ON_DEMAND'] as const;
export type ConfigDelivery = (typeof CONFIG_DELIVERIES)[number];

/** Why: docs/decisions/0021-configuration-on-demand.md */
export const DEFAULT_CONFIG_DELIVERY: ConfigDelivery = 'FULL';

export const DELIVERY_ANNOTATION = 'isthmus.io/config-delivery';

/** Member of the node's metadata by which a proxy says what its bootstrap is made for. */
export const DELIVERY_METADATA = 'CONFIG_DELIVERY';

export function isConfigDelivery(text: string): text is ConfigDelivery {
  return (CONFIG_DELIVERIES as readonly string[]).includes(text);
}
