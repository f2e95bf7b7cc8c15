// SPDX-License-Identifier: Apache-2.0
// Is each cluster without a control plane of its own watched by one? Its proxies are refused until it is.
import type { ObjectRef } from '../../api/diagnostics.ts';
import { diagnose } from '../../api/report.ts';
import { REMOTE_SECRET_LABEL } from '../../kube/remote-kubeconfig.ts';
import { ISTIO_NAMESPACE } from '../../runtime/mesh-resources.ts';
import type { InstallationReport } from './installation.ts';
import type { Remark } from './judge.ts';
import { matchRegistry } from './remote-secrets.ts';

export interface WatchableCluster {
  readonly context: string;
  readonly server: string;
  readonly caPem: string | undefined;
  readonly installation: Pick<InstallationReport, 'role' | 'registries'>;
}

const CITADEL: ObjectRef = {
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  namespace: ISTIO_NAMESPACE,
  name: 'istio-citadel',
};

/** Nothing, unless a control plane that could watch it is among the analyzed clusters. */
export function tellUnwatched(clusters: readonly WatchableCluster[]): Remark[] {
  const planes = clusters.filter(({ installation }) => installation.role === 'primary');
  if (planes.length === 0) return [];
  const registries = planes.flatMap(({ installation }) => installation.registries);
  const watched = new Set(registries.map((registry) => matchRegistry(registry, clusters)));
  return clusters
    .filter((cluster) => cluster.installation.role === 'remote' && !watched.has(cluster))
    .map(({ context }) => {
      const who = planes.map((plane) => plane.context).join(', ');
      const message = `it has no control plane of its own, and that of ${who} does not watch it: its proxies are refused`;
      const cure = `put its kubeconfig into a Secret of ${ISTIO_NAMESPACE} there, labelled ${REMOTE_SECRET_LABEL}`;
      return diagnose({ ...CITADEL, cluster: context }, 'ISM0314', '', message, cure);
    });
}
