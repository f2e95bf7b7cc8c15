// SPDX-License-Identifier: Apache-2.0
// Pod security standards, by the labels of namespaces. https://kubernetes.io/docs/concepts/security/pod-security-admission/
import { isDeepStrictEqual } from 'node:util';
import type { KubeObject } from '../../../kube/types.ts';
import type { AdmissionRequest, ClusterObjects } from '../seams.ts';
import { forbidden, type GroupResource, invalid } from '../status.ts';
import { invalidValue } from '../validation/causes.ts';
import { LEVELS, type Level, podProblems, type SecuredPodSpec } from './pod-security-checks.ts';

const NAMESPACES: GroupResource = { group: '', resource: 'namespaces' };
const PODS: GroupResource = { group: '', resource: 'pods' };
const PREFIX = 'pod-security.kubernetes.io/';

/** Where a workload keeps the pod that it makes. */
const TEMPLATES: Readonly<Record<string, readonly string[]>> = {
  'pods.': ['spec'],
  'podtemplates.': ['template', 'spec'],
  'replicationcontrollers.': ['spec', 'template', 'spec'],
  'deployments.apps': ['spec', 'template', 'spec'],
  'replicasets.apps': ['spec', 'template', 'spec'],
  'statefulsets.apps': ['spec', 'template', 'spec'],
  'daemonsets.apps': ['spec', 'template', 'spec'],
  'jobs.batch': ['spec', 'template', 'spec'],
  'cronjobs.batch': ['spec', 'jobTemplate', 'spec', 'template', 'spec'],
};

/** Throws ApiError 403 for a pod that its namespace does not allow; warns of workloads whose pods it would not. */
export function checkPodSecurity(
  request: AdmissionRequest,
  object: KubeObject | undefined,
  objects: ClusterObjects,
): void {
  const { operation, resource, subresource } = request;
  if (!object || (operation !== 'CREATE' && operation !== 'UPDATE')) return;
  if (resource.group === '' && resource.resource === 'namespaces' && subresource === '') {
    checkNamespace(request, object, objects);
    return;
  }
  const path = TEMPLATES[`${resource.resource}.${resource.group}`];
  if (!path || (subresource !== '' && subresource !== 'ephemeralcontainers')) return;
  const labels = objects.get(NAMESPACES, '', request.namespace)?.metadata.labels;
  const specOf = (one: KubeObject | undefined) =>
    path.reduce<unknown>((at, step) => (at as Record<string, unknown> | undefined)?.[step], one);
  const spec = specOf(object);
  // Labels and finalizers of a pod that is there already may change whatever it is.
  if (!labels || !spec || isDeepStrictEqual(spec, specOf(request.oldObject))) return;
  const isPod = path.length === 1;
  for (const mode of isPod ? (['enforce', 'warn'] as const) : (['warn'] as const)) {
    const level = levelOf(labels, mode) ?? 'privileged';
    const problems = podProblems(spec as SecuredPodSpec, level);
    if (problems.length === 0) continue;
    const version = labels[`${PREFIX}${mode}-version`] ?? 'latest';
    const text = `violate${mode === 'enforce' ? 's' : ''} PodSecurity "${level}:${version}": ${problems.join(', ')}`;
    if (mode === 'enforce') throw forbidden(resource, object.metadata.name ?? request.name, text);
    request.warn(`would ${text}`);
  }
}

function levelOf(labels: Record<string, string>, mode: string): Level | undefined {
  const value = labels[`${PREFIX}${mode}`];
  return LEVELS.find((level) => level === value);
}

/** A level that there is not is refused; pods that a new level would not let in are told of. */
function checkNamespace(request: AdmissionRequest, namespace: KubeObject, objects: ClusterObjects): void {
  const labels = namespace.metadata.labels ?? {};
  const name = namespace.metadata.name ?? '';
  const wrong = ['enforce', 'audit', 'warn'].filter(
    (mode) => labels[`${PREFIX}${mode}`] !== undefined && !levelOf(labels, mode),
  );
  if (wrong.length > 0) {
    const causes = wrong.map((mode) =>
      invalidValue(
        `metadata.labels[${PREFIX}${mode}]`,
        labels[`${PREFIX}${mode}`],
        `must be one of ${LEVELS.join(', ')}`,
      ),
    );
    throw invalid('', 'Namespace', name, causes);
  }
  const level = levelOf(labels, 'enforce');
  if (!level || level === request.oldObject?.metadata.labels?.[`${PREFIX}enforce`]) return;
  const violators = objects
    .list(PODS, name)
    .map((pod) => ({ pod, problems: podProblems((pod['spec'] ?? {}) as SecuredPodSpec, level) }))
    .filter(({ problems }) => problems.length > 0);
  if (violators.length === 0) return;
  request.warn(
    `existing pods in namespace ${JSON.stringify(name)} violate the new PodSecurity enforce level "${level}:${labels[`${PREFIX}enforce-version`] ?? 'latest'}"`,
  );
  for (const { pod, problems } of violators) {
    request.warn(`${pod.metadata.name}: ${problems.map((problem) => problem.replace(/ \(.*$/, '')).join(', ')}`);
  }
}
