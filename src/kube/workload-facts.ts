// SPDX-License-Identifier: Apache-2.0
// What telemetry calls the workload behind a pod, as Istio has it:
// https://istio.io/latest/docs/concepts/observability/ and https://istio.io/latest/docs/reference/config/labels/
import type { ObjectMeta } from './types.ts';

export interface WorkloadFacts {
  /** Of the Deployment, StatefulSet, ... that made the pod; else the pod's own name. */
  readonly workload: string;
  readonly namespace: string;
  /** The service that it counts as, and the revision of that service. */
  readonly service: string;
  readonly revision: string;
  readonly app: string;
  readonly version: string;
  /** The Kubernetes cluster's name in the mesh. */
  readonly cluster: string;
}

/** What nobody has said: Istio's word. */
const UNKNOWN = 'unknown';

/** `namespace` goes before what the metadata says, which at admission is nothing. */
export function workloadFacts(metadata: ObjectMeta, cluster: string, namespace = metadata.namespace): WorkloadFacts {
  const { labels = {} } = metadata;
  const workload = workloadName(metadata);
  const { app, version } = labels;
  return {
    workload,
    namespace: namespace || UNKNOWN,
    service: labels['service.istio.io/canonical-name'] || labels['app.kubernetes.io/name'] || labels['app'] || workload,
    revision:
      labels['service.istio.io/canonical-revision'] ||
      labels['app.kubernetes.io/version'] ||
      labels['version'] ||
      'latest',
    app: app || UNKNOWN,
    version: version || UNKNOWN,
    cluster: cluster || UNKNOWN,
  };
}

function workloadName({ name, generateName, labels = {}, ownerReferences = [] }: ObjectMeta): string {
  const owner = ownerReferences.find(({ controller }) => controller === true) ?? ownerReferences[0];
  const own = name || generateName?.replace(/-$/, '') || UNKNOWN;
  if (owner === undefined) return own;
  // Deployment -> ReplicaSet DEPLOYMENT-HASH; CronJob -> Job CRONJOB-MINUTE.
  const hash = labels['pod-template-hash'];
  if (owner.kind === 'ReplicaSet' && hash !== undefined && owner.name.endsWith(`-${hash}`)) {
    return owner.name.slice(0, -hash.length - 1);
  }
  if (owner.kind === 'Job') return owner.name.replace(/-\d{8,}$/, '');
  return owner.name;
}
