// SPDX-License-Identifier: Apache-2.0
// pods/ephemeralcontainers: what `kubectl debug` adds to a running pod. They are added and never changed or removed.
// https://kubernetes.io/docs/concepts/workloads/pods/ephemeral-containers/
import type { KubeObject } from '../../../kube/types.ts';
import { sameJson } from '../crd/schema-validation.ts';
import type { StatusCause } from '../status.ts';
import { absentReference, duplicate, forbiddenField, invalidValue, required } from '../validation/causes.ts';
import { dnsLabelProblem } from '../validation/names.ts';
import type { PartialUpdate } from './definition.ts';
import type { Container, PodSpec } from './pod-template.ts';

interface EphemeralContainer extends Container {
  targetContainerName?: string;
}

/** Members that make no sense for a container that comes late, is never restarted and has no resources of its own. */
const NOT_ALLOWED = ['ports', 'livenessProbe', 'readinessProbe', 'startupProbe', 'lifecycle'] as const;

const specOf = (pod: KubeObject): PodSpec => (pod['spec'] ?? {}) as PodSpec;
const listOf = (pod: KubeObject) => (specOf(pod).ephemeralContainers ?? []) as EphemeralContainer[];

export const EPHEMERAL_CONTAINERS: PartialUpdate = {
  keep(pod, old) {
    const list = specOf(pod).ephemeralContainers;
    const { ephemeralContainers: _, ...spec } = specOf(old);
    return { ...old, spec: list?.length ? { ...spec, ephemeralContainers: list } : spec };
  },
  validate(pod, old) {
    const causes = listOf(pod).flatMap((container, index) => validateContainer(container, index, pod));
    const after = new Map(listOf(pod).map((container) => [container.name, container]));
    for (const container of listOf(old)) {
      const now = after.get(container.name);
      const field = 'spec.ephemeralContainers';
      if (!now)
        causes.push(
          forbiddenField(field, `existing ephemeral containers ${JSON.stringify(container.name)} may not be removed`),
        );
      else if (!sameJson(now, container)) {
        causes.push(
          forbiddenField(field, `existing ephemeral containers ${JSON.stringify(container.name)} may not be changed`),
        );
      }
    }
    return causes;
  },
};

function validateContainer(container: EphemeralContainer, index: number, pod: KubeObject): StatusCause[] {
  const here = `spec.ephemeralContainers[${index}]`;
  const { containers = [], initContainers = [] } = specOf(pod);
  const others = [...containers, ...initContainers, ...listOf(pod).slice(0, index)].map(({ name }) => name);
  const causes: StatusCause[] = [];
  if (!container.name) causes.push(required(`${here}.name`));
  else if (dnsLabelProblem(container.name)) {
    causes.push(invalidValue(`${here}.name`, container.name, dnsLabelProblem(container.name)!));
  } else if (others.includes(container.name)) causes.push(duplicate(`${here}.name`, container.name));
  if (!container.image) causes.push(required(`${here}.image`));
  const target = container.targetContainerName;
  if (target && !containers.some(({ name }) => name === target)) {
    causes.push(absentReference(`${here}.targetContainerName`, target));
  }
  for (const member of NOT_ALLOWED) {
    if (container[member] !== undefined) {
      causes.push(forbiddenField(`${here}.${member}`, 'cannot be set for an Ephemeral Container'));
    }
  }
  const { limits, requests } = container.resources ?? {};
  if (limits || requests) causes.push(forbiddenField(`${here}.resources`, 'cannot be set for an Ephemeral Container'));
  return causes;
}
