// SPDX-License-Identifier: Apache-2.0
import type { KubeObject } from '../../../../kube/types.ts';
import { scheduleProblem } from '../../../cron-schedule.ts';
import type { TypeTable } from '../../schema/parse.ts';
import type { StatusCause } from '../../status.ts';
import { AGE, age, column, NAME } from '../../tables/table.ts';
import { invalidValue, required, unsupported } from '../../validation/causes.ts';
import type { ResourceDefinition } from '../definition.ts';
import { at, defineKind, member } from '../kind-builder.ts';
import { defaultPodSpec } from '../pod-template.ts';
import { templateColumns } from '../template-columns.ts';
import { type JobSpec, validateJobTemplate } from './job.ts';

interface CronJobSpec {
  schedule?: string;
  timeZone?: string;
  startingDeadlineSeconds?: number;
  concurrencyPolicy?: string;
  suspend?: boolean;
  successfulJobsHistoryLimit?: number;
  failedJobsHistoryLimit?: number;
  jobTemplate?: { spec?: JobSpec };
}

const POLICIES = ['Allow', 'Forbid', 'Replace'];
/** What a job's name adds to that of its cron job leaves this much of the 63 bytes. */
const MAX_NAME = 52;

const specOf = (object: KubeObject): CronJobSpec => member<CronJobSpec>(object, 'spec') ?? {};

function defaults(object: KubeObject): void {
  const spec = specOf(object);
  object['spec'] = spec;
  if (!spec.concurrencyPolicy) spec.concurrencyPolicy = 'Allow';
  spec.suspend ??= false;
  spec.successfulJobsHistoryLimit ??= 3;
  spec.failedJobsHistoryLimit ??= 1;
  const pod = spec.jobTemplate?.spec?.template?.spec;
  if (pod) defaultPodSpec(pod);
}

function validate(object: KubeObject): StatusCause[] {
  const spec = specOf(object);
  const causes: StatusCause[] = [];
  const { name = '' } = object.metadata;
  if (name.length > MAX_NAME) {
    causes.push(invalidValue('metadata.name', name, `must be no more than ${MAX_NAME} characters`));
  }
  causes.push(...validateSchedule(spec));
  if (spec.concurrencyPolicy && !POLICIES.includes(spec.concurrencyPolicy)) {
    causes.push(unsupported('spec.concurrencyPolicy', spec.concurrencyPolicy, POLICIES));
  }
  for (const count of ['startingDeadlineSeconds', 'successfulJobsHistoryLimit', 'failedJobsHistoryLimit'] as const) {
    const value = spec[count];
    if (value !== undefined && value < 0) {
      causes.push(invalidValue(`spec.${count}`, value, 'must be greater than or equal to 0'));
    }
  }
  causes.push(...validateJobTemplate(spec.jobTemplate?.spec ?? {}, 'spec.jobTemplate.spec'));
  return causes;
}

function validateSchedule({ schedule = '', timeZone }: CronJobSpec): StatusCause[] {
  if (!schedule) return [required('spec.schedule')];
  const causes: StatusCause[] = [];
  const problem = scheduleProblem(schedule);
  if (problem) causes.push(invalidValue('spec.schedule', schedule, problem));
  if (/(^|\s)(CRON_)?TZ=/.test(schedule)) {
    causes.push(
      invalidValue('spec.schedule', schedule, 'cannot use TZ or CRON_TZ in schedule, use timeZone field instead'),
    );
  }
  if (timeZone !== undefined && !isTimeZone(timeZone)) {
    causes.push(invalidValue('spec.timeZone', timeZone, `unknown time zone ${timeZone}`));
  }
  return causes;
}

function isTimeZone(name: string): boolean {
  try {
    new Intl.DateTimeFormat('en', { timeZone: name });
    return name !== '';
  } catch {
    return false;
  }
}

export function cronJobKinds(types: TypeTable): ResourceDefinition[] {
  return [
    defineKind(types, {
      kind: 'CronJob',
      resource: 'cronjobs',
      versions: [{ group: 'batch', version: 'v1', type: 'batch.v1.CronJob', defaults }],
      shortNames: ['cj'],
      categories: ['all'],
      status: true,
      columns: [
        NAME,
        column('Schedule', (object) => specOf(object).schedule ?? ''),
        column('Timezone', (object) => specOf(object).timeZone ?? '<none>'),
        column('Suspend', (object) => (specOf(object).suspend ? 'True' : 'False'), { type: 'boolean' }),
        column('Active', (object) => ((at(object, 'status.active') ?? []) as unknown[]).length, { type: 'integer' }),
        column('Last Schedule', (object, now) => {
          const last = at(object, 'status.lastScheduleTime') as string | undefined;
          return last ? age(last, now) : '<none>';
        }),
        AGE,
        ...templateColumns((object) => specOf(object).jobTemplate?.spec),
      ],
      strategy: { generation: true, initialStatus: () => ({}), validate },
    }),
  ];
}
