// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import { parseSchedule, scheduleProblem } from './cron-schedule.ts';

const next = (schedule: string, after: string, timeZone?: string) => {
  const time = parseSchedule(schedule, timeZone).next(Date.parse(after));
  return time === undefined ? undefined : new Date(time).toISOString().replace(':00.000Z', 'Z');
};

describe('when a schedule is due', () => {
  it.each([
    ['* * * * *', '2024-01-01T00:00:30Z', '2024-01-01T00:01Z'],
    ['* * * * *', '2024-01-01T00:00:00Z', '2024-01-01T00:01Z'],
    ['*/15 * * * *', '2024-01-01T00:15:00Z', '2024-01-01T00:30Z'],
    ['7/20 * * * *', '2024-01-01T00:48:00Z', '2024-01-01T01:07Z'],
    ['0 3 * * *', '2024-02-28T04:00:00Z', '2024-02-29T03:00Z'],
    ['0 0 31 * *', '2024-01-31T00:00:00Z', '2024-03-31T00:00Z'],
    ['0 9-17/4 * * mon-fri', '2024-06-07T17:30:00Z', '2024-06-10T09:00Z'],
    ['30 8 1 JAN,jul ?', '2024-01-01T08:30:00Z', '2024-07-01T08:30Z'],
    // Both the day and the weekday are restricted: either is enough.
    ['0 0 13 * fri', '2024-09-01T00:00:00Z', '2024-09-06T00:00Z'],
    ['0 0 13 * fri', '2024-12-07T00:00:00Z', '2024-12-13T00:00Z'],
    ['@hourly', '2024-01-01T00:59:59Z', '2024-01-01T01:00Z'],
    ['@yearly', '2024-01-01T00:00:00Z', '2025-01-01T00:00Z'],
    ['@every 1h30m', '2024-01-01T00:00:00Z', '2024-01-01T01:30Z'],
    ['0 0 29 2 *', '2024-03-01T00:00:00Z', '2028-02-29T00:00Z'],
    ['0 0 30 2 *', '2024-03-01T00:00:00Z', undefined],
  ])('%s after %s: %s', (schedule, after, expected) => {
    expect(next(schedule, after)).toBe(expected);
  });

  it('is told by the clock on the wall of a time zone, also where it is changed', () => {
    expect(next('30 9 * * *', '2024-01-15T00:00:00Z', 'America/New_York')).toBe('2024-01-15T14:30Z');
    expect(next('30 9 * * *', '2024-07-15T00:00:00Z', 'America/New_York')).toBe('2024-07-15T13:30Z');
    // At two o'clock of that night it is three: half past two comes on the next day.
    expect(next('30 2 * * *', '2024-03-31T00:00:00Z', 'Europe/Berlin')).toBe('2024-04-01T00:30Z');
    expect(next('0 0 * * *', '2024-03-31T12:00:00Z', 'Europe/Berlin')).toBe('2024-03-31T22:00Z');
    expect(next('0 0 27 10 *', '2024-10-20T12:00:00Z', 'Europe/Berlin')).toBe('2024-10-26T22:00Z');
  });

  it.each([
    ['', 'empty spec string'],
    ['* * * *', 'expected exactly 5 fields, found 4: [* * * *]'],
    ['60 * * * *', 'end of range (60) above maximum (59): 60'],
    ['* * 0 * *', 'beginning of range (0) below minimum (1): 0'],
    ['5-3 * * * *', 'beginning of range (5) beyond end of range (3): 5-3'],
    ['*/0 * * * *', 'step of range should be a positive number: */0'],
    ['1/2/3 * * * *', 'too many slashes: 1/2/3'],
    ['1-2-3 * * * *', 'too many hyphens: 1-2-3'],
    ['a * * * *', 'failed to parse int from a: strconv.Atoi: parsing "a": invalid syntax'],
    ['@every x', 'failed to parse duration @every x: time: invalid duration "x"'],
    ['@never', 'unrecognized descriptor: @never'],
  ])('refuses %s: %s', (schedule, problem) => {
    expect(scheduleProblem(schedule)).toBe(problem);
    expect(() => parseSchedule(schedule)).toThrow(problem);
  });

  it('refuses a time zone that is none', () => {
    expect(() => parseSchedule('* * * * *', 'Nowhere/City')).toThrow();
  });
});
