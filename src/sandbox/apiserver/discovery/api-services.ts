// SPDX-License-Identifier: Apache-2.0
// apiregistration.k8s.io: one APIService per group version that is served. All are served by this server itself.
import { createHash } from 'node:crypto';
import type { KubeObject } from '../../../kube/types.ts';
import type { Registry } from '../resources/registry.ts';
import type { ComputedSource } from '../seams.ts';

/** Groups with a higher number come first where a name alone is given. */
const GROUP_PRIORITY: Readonly<Record<string, number>> = {
  '': 18_000,
  apps: 17_800,
  'events.k8s.io': 17_750,
  'authentication.k8s.io': 17_700,
  'authorization.k8s.io': 17_600,
  autoscaling: 17_500,
  batch: 17_400,
  'networking.k8s.io': 17_200,
  extensions: 17_150,
  policy: 17_100,
  'rbac.authorization.k8s.io': 17_000,
  'storage.k8s.io': 16_800,
  'admissionregistration.k8s.io': 16_700,
  'apiextensions.k8s.io': 16_700,
  'scheduling.k8s.io': 16_600,
  'coordination.k8s.io': 16_500,
  'node.k8s.io': 16_300,
  'discovery.k8s.io': 16_200,
  'apiregistration.k8s.io': 18_500,
};
const OTHER_GROUPS = 1_000;
const STABLE_VERSION = 15;

/** @param startedAt RFC 3339: they have been there since the server is. */
export function apiServices(registry: () => Registry, startedAt: string): ComputedSource {
  return async ({ name }) =>
    registry()
      .groupVersions()
      .filter((one) => name === '' || name === `${one.version}.${one.group}`)
      .map(({ group, version, resources }) => {
        const custom = resources.some(({ definition }) => definition.custom);
        return apiService(group, version, custom, startedAt);
      })
      .sort((a, b) => ((a.metadata.name ?? '') < (b.metadata.name ?? '') ? -1 : 1));
}

function apiService(group: string, version: string, custom: boolean, startedAt: string): KubeObject {
  const name = `${version}.${group}`;
  const uid = createHash('sha256').update(`APIService ${name}`).digest('hex');
  return {
    kind: 'APIService',
    apiVersion: 'apiregistration.k8s.io/v1',
    metadata: {
      name,
      uid: uid.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12}).*$/, '$1-$2-$3-$4-$5'),
      resourceVersion: '1',
      creationTimestamp: startedAt,
      labels: { 'kube-aggregator.kubernetes.io/automanaged': custom ? 'true' : 'onstart' },
    },
    spec: {
      ...(group ? { group } : {}),
      version,
      groupPriorityMinimum: GROUP_PRIORITY[group] ?? OTHER_GROUPS,
      versionPriority: group === '' ? 1 : custom ? 100 : STABLE_VERSION,
    },
    status: {
      conditions: [
        {
          type: 'Available',
          status: 'True',
          lastTransitionTime: startedAt,
          reason: 'Local',
          message: 'Local APIServices are always available',
        },
      ],
    },
  };
}

/** The one component that this server can answer for is its storage: it has answered, so it is well. */
export function componentStatuses(): ComputedSource {
  const status: KubeObject = {
    kind: 'ComponentStatus',
    apiVersion: 'v1',
    metadata: { name: 'etcd-0' },
    conditions: [{ type: 'Healthy', status: 'True', message: 'ok' }],
  };
  return async ({ name }) => (name === '' || name === 'etcd-0' ? [status] : []);
}
