// SPDX-License-Identifier: Apache-2.0

/** What gateways pass on from other clusters by its server name: every service of their cluster, or those it exports. */
export const GATEWAY_SERVICES = ['ALL', 'EXPORTED'] as const;
export const DEFAULT_GATEWAY_SERVICES: (typeof GATEWAY_SERVICES)[number] = 'ALL';
