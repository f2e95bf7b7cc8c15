// SPDX-License-Identifier: Apache-2.0
import { isDeepStrictEqual } from 'node:util';
import type { KubeObject } from '../../../../kube/types.ts';
import type { TypeTable } from '../../schema/parse.ts';
import type { StatusCause } from '../../status.ts';
import { shortDuration } from '../../tables/duration.ts';
import { AGE, column, NAME } from '../../tables/table.ts';
import { IMMUTABLE, invalidValue, required, unsupported } from '../../validation/causes.ts';
import type { ResourceDefinition } from '../definition.ts';
import { at, defineKind, member } from '../kind-builder.ts';
import type { SelectorSpec } from '../label-selector-text.ts';
import { defaultPodSpec, type PodTemplate } from '../pod-template.ts';
import { validatePodSpec } from '../pod-validation.ts';
import { templateColumns } from '../template-columns.ts';

export interface JobSpec {
  parallelism?: number;
  completions?: number;
  backoffLimit?: number;
  completionMode?: string;
  suspend?: boolean;
  podReplacementPolicy?: string;
  podFailurePolicy?: { rules?: { onPodConditions?: { status?: string }[] }[] };
  backoffLimitPerIndex?: number;
  maxFailedIndexes?: number;
  successPolicy?: unknown;
  manualSelector?: boolean;
  selector?: SelectorSpec;
  template?: PodTemplate;
}

const MAX_INT32 = 2_147_483_647;

const specOf = (object: KubeObject): JobSpec => member<JobSpec>(object, 'spec') ?? {};

function defaults(object: KubeObject): void {
  const spec = specOf(object);
  object['spec'] = spec;
  if (spec.template?.spec) defaultPodSpec(spec.template.spec);
  if (spec.completions === undefined && spec.parallelism === undefined) spec.completions = 1;
  spec.parallelism ??= 1;
  spec.backoffLimit ??= spec.backoffLimitPerIndex === undefined ? 6 : MAX_INT32;
  spec.completionMode ??= 'NonIndexed';
  spec.suspend ??= false;
  spec.manualSelector ??= false;
  for (const { onPodConditions = [] } of spec.podFailurePolicy?.rules ?? []) {
    for (const pattern of onPodConditions) pattern.status ||= 'True';
  }
  spec.podReplacementPolicy ??= spec.podFailurePolicy ? 'Failed' : 'TerminatingOrFailed';
  spec.manualSelector ??= false;
}

/** The pods of a job are found by labels that name its uid. */
function labelPods(object: KubeObject): void {
  const spec = specOf(object);
  if (spec.manualSelector || !spec.template) return;
  const { uid = '', name = '' } = object.metadata;
  spec.template.metadata = {
    ...spec.template.metadata,
    labels: {
      ...spec.template.metadata?.labels,
      'batch.kubernetes.io/controller-uid': uid,
      'batch.kubernetes.io/job-name': name,
      'controller-uid': uid,
      'job-name': name,
    },
  };
  spec.selector = { matchLabels: { 'batch.kubernetes.io/controller-uid': uid } };
  if (!object.metadata.labels) object.metadata.labels = { ...spec.template.metadata.labels };
}

function validate(object: KubeObject): StatusCause[] {
  return validateJobTemplate(specOf(object), 'spec');
}

/** Of a job, or of what a cron job makes jobs from. */
export function validateJobTemplate(spec: JobSpec, path: string): StatusCause[] {
  const causes: StatusCause[] = [];
  const counts = ['parallelism', 'completions', 'backoffLimit', 'backoffLimitPerIndex', 'maxFailedIndexes'] as const;
  for (const count of counts) {
    const value = spec[count];
    if (value !== undefined && value < 0) {
      causes.push(invalidValue(`${path}.${count}`, value, 'must be greater than or equal to 0'));
    }
  }
  causes.push(...validateModes(spec, path), ...validatePodSpec(spec.template?.spec, `${path}.template.spec`));
  const field = `${path}.template.spec.restartPolicy`;
  const policy = spec.template?.spec?.restartPolicy;
  if (policy === 'Always') {
    causes.push(required(field, 'valid values: "OnFailure", "Never"'));
  } else if (policy && !['OnFailure', 'Never'].includes(policy)) {
    causes.push(unsupported(field, policy, ['OnFailure', 'Never']));
  }
  return causes;
}

/** What makes sense only together. */
function validateModes(spec: JobSpec, path: string): StatusCause[] {
  const causes: StatusCause[] = [];
  const isIndexed = spec.completionMode === 'Indexed';
  if (spec.completionMode !== undefined && !['Indexed', 'NonIndexed'].includes(spec.completionMode)) {
    causes.push(unsupported(`${path}.completionMode`, spec.completionMode, ['Indexed', 'NonIndexed']));
  }
  if (isIndexed && spec.completions === undefined) {
    causes.push(required(`${path}.completions`, 'when completion mode is Indexed'));
  }
  if (!isIndexed && spec.backoffLimitPerIndex !== undefined) {
    causes.push(
      invalidValue(`${path}.backoffLimitPerIndex`, spec.backoffLimitPerIndex, 'requires indexed completion mode'),
    );
  }
  if (spec.backoffLimitPerIndex === undefined && spec.maxFailedIndexes !== undefined) {
    causes.push(required(`${path}.backoffLimitPerIndex`, 'when maxFailedIndexes is specified'));
  }
  if (!isIndexed && spec.successPolicy !== undefined) {
    causes.push(invalidValue(`${path}.successPolicy`, spec.successPolicy, 'requires indexed completion mode'));
  }
  if (spec.podFailurePolicy !== undefined && spec.template?.spec?.restartPolicy !== 'Never') {
    const why = 'only "Never" is supported when podFailurePolicy is specified';
    causes.push(invalidValue(`${path}.template.spec.restartPolicy`, spec.template?.spec?.restartPolicy, why));
  }
  return causes;
}

function validateUpdate(object: KubeObject, old: KubeObject): StatusCause[] {
  const [spec, before] = [specOf(object), specOf(old)];
  const causes: StatusCause[] = [];
  for (const field of ['selector', 'template', 'completionMode'] as const) {
    if (!isDeepStrictEqual(spec[field], before[field]) && !(field === 'template' && before.suspend)) {
      causes.push(invalidValue(`spec.${field}`, spec[field], IMMUTABLE));
    }
  }
  // An Indexed Job may grow and shrink while it runs, as one whose pods all run at once.
  const isElastic = spec.completionMode === 'Indexed' && spec.completions === spec.parallelism;
  if (spec.completions !== before.completions && !isElastic) {
    causes.push(invalidValue('spec.completions', spec.completions, IMMUTABLE));
  }
  return causes;
}

function jobStatus(object: KubeObject): string {
  const conditions = (at(object, 'status.conditions') ?? []) as { type: string; status: string }[];
  const holds = (type: string) => conditions.some((one) => one.type === type && one.status === 'True');
  if (holds('Complete')) return 'Complete';
  if (holds('Failed')) return 'Failed';
  if (object.metadata.deletionTimestamp) return 'Terminating';
  if (holds('Suspended')) return 'Suspended';
  if (holds('FailureTarget')) return 'FailureTarget';
  if (holds('SuccessCriteriaMet')) return 'SuccessCriteriaMet';
  return 'Running';
}

function completions(object: KubeObject): string {
  const spec = specOf(object);
  const succeeded = at(object, 'status.succeeded') ?? 0;
  if (spec.completions !== undefined) return `${succeeded}/${spec.completions}`;
  return (spec.parallelism ?? 0) > 1 ? `${succeeded}/1 of ${spec.parallelism}` : `${succeeded}/1`;
}

function duration(object: KubeObject, now: Date): string {
  const started = at(object, 'status.startTime') as string | undefined;
  if (!started) return '';
  const ended = at(object, 'status.completionTime') as string | undefined;
  return shortDuration((ended ? Date.parse(ended) : now.getTime()) - Date.parse(started));
}

export function jobKinds(types: TypeTable): ResourceDefinition[] {
  return [
    defineKind(types, {
      kind: 'Job',
      resource: 'jobs',
      versions: [{ group: 'batch', version: 'v1', type: 'batch.v1.Job', defaults }],
      categories: ['all'],
      status: true,
      fields: { 'status.successful': (object) => String(at(object, 'status.succeeded') ?? 0) },
      columns: [
        NAME,
        column('Status', jobStatus),
        column('Completions', completions),
        column('Duration', duration),
        AGE,
        ...templateColumns(specOf),
      ],
      strategy: {
        generation: true,
        initialStatus: () => ({}),
        prepareCreate: labelPods,
        validate,
        validateUpdate,
      },
    }),
  ];
}
