// SPDX-License-Identifier: Apache-2.0
// Is a text a schedule that CronJobs may have? https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/#schedule-syntax

const DESCRIPTORS = ['@yearly', '@annually', '@monthly', '@weekly', '@daily', '@midnight', '@hourly'];
const MONTHS = ['jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec'];
const DAYS = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'];

interface Field {
  readonly min: number;
  readonly max: number;
  readonly names: readonly string[];
}

const FIELDS: readonly Field[] = [
  { min: 0, max: 59, names: [] },
  { min: 0, max: 23, names: [] },
  { min: 1, max: 31, names: [] },
  { min: 1, max: 12, names: MONTHS },
  { min: 0, max: 6, names: DAYS },
];

/** What is wrong with a schedule, in the words of the real server's parser; undefined when all is well. */
export function scheduleProblem(schedule: string): string | undefined {
  if (schedule.trim() === '') return 'empty spec string';
  if (schedule.startsWith('@')) return descriptorProblem(schedule);
  const fields = schedule.trim().split(/\s+/);
  if (fields.length !== FIELDS.length) {
    return `expected exactly 5 fields, found ${fields.length}: [${fields.join(' ')}]`;
  }
  for (const [index, text] of fields.entries()) {
    for (const range of text.split(',')) {
      const problem = rangeProblem(range, FIELDS[index]!);
      if (problem) return problem;
    }
  }
  return undefined;
}

function descriptorProblem(text: string): string | undefined {
  if (DESCRIPTORS.includes(text)) return undefined;
  const every = /^@every (.+)$/.exec(text)?.[1];
  if (every === undefined) return `unrecognized descriptor: ${text}`;
  if (/^(\d+(\.\d+)?(ns|us|µs|ms|s|m|h))+$/.test(every)) return undefined;
  return `failed to parse duration ${text}: time: invalid duration ${JSON.stringify(every)}`;
}

/** One of "*", "?", "n", "n-m", each with "/step" behind it if wanted. */
function rangeProblem(range: string, field: Field): string | undefined {
  const [span = '', step, ...moreSteps] = range.split('/');
  if (moreSteps.length > 0) return `too many slashes: ${range}`;
  const [low = '', high, ...moreHyphens] = span.split('-');
  if (moreHyphens.length > 0) return `too many hyphens: ${range}`;
  if (step !== undefined && numberOf(step, []) === undefined) return unparsable(step);
  if (step !== undefined && Number(step) === 0) return `step of range should be a positive number: ${range}`;
  if (low === '*' || low === '?') return undefined;
  const start = numberOf(low, field.names, field.min);
  if (start === undefined) return unparsable(low);
  const end = high === undefined ? start : numberOf(high, field.names, field.min);
  if (end === undefined) return unparsable(high!);
  if (start < field.min) return `beginning of range (${start}) below minimum (${field.min}): ${range}`;
  if (end > field.max) return `end of range (${end}) above maximum (${field.max}): ${range}`;
  if (start > end) return `beginning of range (${start}) beyond end of range (${end}): ${range}`;
  return undefined;
}

function numberOf(text: string, names: readonly string[], first = 0): number | undefined {
  const named = names.indexOf(text.toLowerCase());
  if (named >= 0) return named + first;
  return /^\d+$/.test(text) ? Number(text) : undefined;
}

function unparsable(text: string): string {
  return `failed to parse int from ${text}: strconv.Atoi: parsing ${JSON.stringify(text)}: invalid syntax`;
}
