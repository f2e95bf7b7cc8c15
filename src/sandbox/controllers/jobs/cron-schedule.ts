// SPDX-License-Identifier: Apache-2.0
// When a CronJob's schedule is due. Pure. https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/#schedule-syntax

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
  const every = /^@every (.+)$/.exec(text)?.[1];
  if (every !== undefined) return parseInterval(every);
  const fields = (DESCRIPTORS[text] ?? text).trim().split(/\s+/);
  if (fields.length !== 5) throw new Error(`the schedule ${JSON.stringify(text)} has not five fields`);
  const [minutes = '', hours = '', days = '', months = '', weekdays = ''] = fields;
  const wanted = {
    minute: parseField(minutes, 0, 59),
    hour: parseField(hours, 0, 23),
    day: parseField(days, 1, 31),
    month: parseField(months, 1, 12, MONTHS),
    weekday: parseField(weekdays, 0, 6, DAYS),
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

function parseInterval(text: string): CronSchedule {
  const parts = [...text.matchAll(/(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)/g)];
  if (parts.map(([part]) => part).join('') !== text) throw new Error(`${JSON.stringify(text)} is no duration`);
  const sumMs = parts.reduce((sum, [, amount, unit = '']) => sum + Number(amount) * (UNITS_MS[unit] ?? 0), 0);
  const stepMs = Math.max(1_000, Math.floor(sumMs / 1_000) * 1_000);
  return { next: (afterMs) => Math.floor(afterMs / 1_000) * 1_000 + stepMs };
}

function isStar(field: string): boolean {
  return field.split(',').some((range) => /^[*?](\/1)?$/.test(range));
}

function parseField(field: string, min: number, max: number, names: readonly string[] = []): Set<number> {
  const numberOf = (text: string): number => {
    const named = names.indexOf(text.toLowerCase());
    const number = named >= 0 ? named + min : Number(text);
    if (!Number.isInteger(number) || number < min || number > max)
      throw new Error(`${JSON.stringify(field)} is no range`);
    return number;
  };
  const values = new Set<number>();
  for (const range of field.split(',')) {
    const [span = '', step] = range.split('/');
    const [low = '', high] = span.split('-');
    const isAll = low === '*' || low === '?';
    const first = isAll ? min : numberOf(low);
    const last = isAll || (high === undefined && step !== undefined) ? max : numberOf(high ?? low);
    const by = step === undefined ? 1 : Number(step);
    if (!(by >= 1)) throw new Error(`${JSON.stringify(field)} has no positive step`);
    for (let value = first; value <= last; value += by) values.add(value);
  }
  return values;
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
