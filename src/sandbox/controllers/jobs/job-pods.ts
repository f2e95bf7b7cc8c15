// SPDX-License-Identifier: Apache-2.0
import { JOBS } from '../../../kube/resources.ts';
import type { Container, Pod, PodSpec } from '../objects.ts';
import { buildPod } from '../pod-writes.ts';
import { INDEX_FAILURES_KEY, INDEX_KEY, type Job, TRACKING_FINALIZER } from './job-objects.ts';

/** @param index of an Indexed Job @param failures of this index so far, where the Job counts them */
export function buildJobPod(job: Job, index: number | undefined, failures = 0): Pod {
  const { template } = job.spec;
  const finalizers = [TRACKING_FINALIZER];
  if (index === undefined) {
    return buildPod(JOBS, job, template, { generateName: `${job.metadata.name}-` }, { finalizers });
  }
  const labels = { [INDEX_KEY]: String(index) };
  const annotations = {
    ...labels,
    ...(job.spec.backoffLimitPerIndex === undefined ? {} : { [INDEX_FAILURES_KEY]: String(failures) }),
  };
  const spec = { ...withIndex(template.spec), hostname: `${job.metadata.name}-${index}` };
  const name = { generateName: `${job.metadata.name}-${index}-` };
  return buildPod(JOBS, job, { ...template, spec }, name, { labels, annotations, finalizers });
}

/** Every container learns its index from the environment. */
function withIndex(spec: PodSpec): PodSpec {
  const variable = {
    name: 'JOB_COMPLETION_INDEX',
    valueFrom: { fieldRef: { apiVersion: 'v1', fieldPath: `metadata.annotations['${INDEX_KEY}']` } },
  };
  const told = (container: Container): Container =>
    container.env?.some(({ name }) => name === variable.name)
      ? container
      : { ...container, env: [...(container.env ?? []), variable] };
  return {
    ...spec,
    containers: spec.containers.map(told),
    ...(spec.initContainers ? { initContainers: spec.initContainers.map(told) } : {}),
  };
}
