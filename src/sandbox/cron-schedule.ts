// SPDX-License-Identifier: Apache-2.0
// CronJobs' schedules: what is wrong with one (in the words of the real server's parser), and when it is due. Pure.
// https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/#schedule-syntax

export interface CronSchedule {
  /** The first due time after `afterMs`, in milliseconds since the epoch; undefined when there is none in five years. */
  next(afterMs: number): number | undefined;
}

const DESCRIPTORS: Readonly<Record<string, string>> = {
  '@yearly': '0 0 1 1 *',
  '@annually': '0 0 1 1 *',
  '@monthly': '0 0 1 * *',
  '@weekly': '0 0 * * 0',
  '@daily': '0 0 * * *',
  '@midnight': '0 0 * * *',
  '@hourly': '0 * * * *',
};
const MONTHS = ['jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec'];
const DAYS = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'];

interface Field {
  readonly min: number;
  readonly max: number;
  readonly names: readonly string[];
}

const MINUTE: Field = { min: 0, max: 59, names: [] };
const HOUR: Field = { min: 0, max: 23, names: [] };
const DAY: Field = { min: 1, max: 31, names: [] };
const MONTH: Field = { min: 1, max: 12, names: MONTHS };
const WEEKDAY: Field = { min: 0, max: 6, names: DAYS };

const UNITS_MS: Readonly<Record<string, number>> = {
  h: 3_600_000,
  m: 60_000,
  s: 1_000,
  ms: 1,
  us: 1e-3,
  µs: 1e-3,
  ns: 1e-6,
};
const MINUTE_MS = 60_000;
const HORIZON_MS = 5 * 366 * 24 * 60 * MINUTE_MS;

/**
 * @param timeZone an IANA name; default UTC
 * @throws Error for what is no schedule, or no time zone
 */
export function parseSchedule(text: string, timeZone = 'UTC'): CronSchedule {
  if (text.trim() === '') throw new Error('empty spec string');
  const every = /^@every (.+)$/.exec(text)?.[1];
  if (every !== undefined) return parseInterval(text, every);
  const spelled = DESCRIPTORS[text] ?? text;
  if (spelled.startsWith('@')) throw new Error(`unrecognized descriptor: ${text}`);
  const fields = spelled.trim().split(/\s+/);
  const [minutes = '', hours = '', days = '', months = '', weekdays = ''] = fields;
  if (fields.length !== 5) throw new Error(`expected exactly 5 fields, found ${fields.length}: [${fields.join(' ')}]`);
  const wanted = {
    minute: parseField(minutes, MINUTE),
    hour: parseField(hours, HOUR),
    day: parseField(days, DAY),
    month: parseField(months, MONTH),
    weekday: parseField(weekdays, WEEKDAY),
  };
  const isAnyDay = isStar(days) || isStar(weekdays);
  const clock = wallClock(timeZone);
  return {
    next(afterMs) {
      let time = (Math.floor(afterMs / MINUTE_MS) + 1) * MINUTE_MS;
      while (time <= afterMs + HORIZON_MS) {
        const { minute, hour, day, month, weekday } = clock(time);
        const byDate = wanted.day.has(day);
        const byWeekday = wanted.weekday.has(weekday);
        // Where both are restricted, either is enough.
        const isDay = wanted.month.has(month) && (isAnyDay ? byDate && byWeekday : byDate || byWeekday);
        // Not straight to midnight: where clocks change, a day has an hour more or less.
        if (!isDay) time += (hour < 22 ? (22 - hour) * 60 - minute : 60 - minute) * MINUTE_MS;
        else if (!wanted.hour.has(hour)) time += (60 - minute) * MINUTE_MS;
        else if (!wanted.minute.has(minute)) time += MINUTE_MS;
        else return time;
      }
      return undefined;
    },
  };
}

/** What is wrong with a schedule; undefined when all is well. */
export function scheduleProblem(schedule: string): string | undefined {
  try {
    parseSchedule(schedule);
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}

function parseInterval(text: string, every: string): CronSchedule {
  const parts = [...every.matchAll(/(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)/g)];
  if (parts.map(([part]) => part).join('') !== every) {
    throw new Error(`failed to parse duration ${text}: time: invalid duration ${JSON.stringify(every)}`);
  }
  const sumMs = parts.reduce((sum, [, amount, unit = '']) => sum + Number(amount) * (UNITS_MS[unit] ?? 0), 0);
  const stepMs = Math.max(1_000, Math.floor(sumMs / 1_000) * 1_000);
  return { next: (afterMs) => Math.floor(afterMs / 1_000) * 1_000 + stepMs };
}

function isStar(field: string): boolean {
  return field.split(',').some((range) => /^[*?](\/1)?$/.test(range));
}

function parseField(text: string, field: Field): Set<number> {
  const values = new Set<number>();
  for (const range of text.split(',')) {
    const { first, last, step } = parseRange(range, field);
    for (let value = first; value <= last; value += step) values.add(value);
  }
  return values;
}

/** One of "*", "?", "n", "n-m", each with "/step" behind it if wanted; "n/step" goes to the end. */
function parseRange(range: string, field: Field): { first: number; last: number; step: number } {
  const [span = '', stepText, ...moreSteps] = range.split('/');
  if (moreSteps.length > 0) throw new Error(`too many slashes: ${range}`);
  const [low = '', high, ...moreHyphens] = span.split('-');
  if (moreHyphens.length > 0) throw new Error(`too many hyphens: ${range}`);
  const step = stepText === undefined ? 1 : parseNumber(stepText);
  if (step === 0) throw new Error(`step of range should be a positive number: ${range}`);
  if (low === '*' || low === '?') return { first: field.min, last: field.max, step };
  const first = parseNumber(low, field);
  const last = high === undefined ? first : parseNumber(high, field);
  if (first < field.min) throw new Error(`beginning of range (${first}) below minimum (${field.min}): ${range}`);
  if (last > field.max) throw new Error(`end of range (${last}) above maximum (${field.max}): ${range}`);
  if (first > last) throw new Error(`beginning of range (${first}) beyond end of range (${last}): ${range}`);
  return { first, last: high === undefined && stepText !== undefined ? field.max : last, step };
}

function parseNumber(text: string, field?: Field): number {
  const named = field?.names.indexOf(text.toLowerCase()) ?? -1;
  if (field !== undefined && named >= 0) return named + field.min;
  if (/^\d+$/.test(text)) return Number(text);
  throw new Error(`failed to parse int from ${text}: strconv.Atoi: parsing ${JSON.stringify(text)}: invalid syntax`);
}

interface WallTime {
  minute: number;
  hour: number;
  day: number;
  month: number;
  weekday: number;
}

function wallClock(timeZone: string): (ms: number) => WallTime {
  if (timeZone === 'UTC') {
    return (ms) => {
      const date = new Date(ms);
      return {
        minute: date.getUTCMinutes(),
        hour: date.getUTCHours(),
        day: date.getUTCDate(),
        month: date.getUTCMonth() + 1,
        weekday: date.getUTCDay(),
      };
    };
  }
  const format = new Intl.DateTimeFormat('en-US', {
    timeZone,
    hourCycle: 'h23',
    minute: 'numeric',
    hour: 'numeric',
    day: 'numeric',
    month: 'numeric',
    weekday: 'short',
  });
  return (ms) => {
    const parts = Object.fromEntries(format.formatToParts(ms).map(({ type, value }) => [type, value]));
    const { minute, hour, day, month, weekday = '' } = parts as Record<string, string>;
    return {
      minute: Number(minute),
      hour: Number(hour),
      day: Number(day),
      month: Number(month),
      weekday: DAYS.indexOf(weekday.toLowerCase()),
    };
  };
}
