// SPDX-License-Identifier: Apache-2.0
// What a proxy is, by the environment of its process: one configuration, shared by many proxies, can then name the one
// that runs it.

export const PROXY_ENVIRONMENT = {
  workload: 'WORKLOAD_NAME',
  namespace: 'POD_NAMESPACE',
  service: 'CANONICAL_SERVICE',
  revision: 'CANONICAL_REVISION',
  app: 'WORKLOAD_APP',
  version: 'WORKLOAD_VERSION',
  cluster: 'WORKLOAD_CLUSTER',
} as const;

/** What there is to know of the workload at either end of a call. */
export type WorkloadFact = keyof typeof PROXY_ENVIRONMENT;
