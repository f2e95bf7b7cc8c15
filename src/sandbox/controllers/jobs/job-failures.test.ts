// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import type { Pod } from '../objects.ts';
import { backoffMs, judgeFailure, restartsExceed } from './job-failures.ts';
import { formatIndexes, parseIndexes } from './job-indexes.ts';
import type { Job, JobSpec } from './job-objects.ts';

const NOW_MS = Date.parse('2024-01-01T01:00:00Z');
const ended = (phase: string, secondsAgo: number, exitCode = 1): Pod => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'p', namespace: 'default' },
  spec: { containers: [] },
  status: {
    phase,
    containerStatuses: [
      {
        name: 'main',
        restartCount: 2,
        state: { terminated: { exitCode, finishedAt: new Date(NOW_MS - secondsAgo * 1000).toISOString() } },
      },
    ],
  },
});
const job = (spec: Partial<JobSpec>): Job => ({
  apiVersion: 'batch/v1',
  kind: 'Job',
  metadata: {},
  spec: { template: { spec: { containers: [], restartPolicy: 'OnFailure' } }, ...spec },
});

describe('the pause after failures', () => {
  it.each([
    [[], 0],
    [[ended('Failed', 3)], 7_000],
    [[ended('Failed', 11)], 0],
    [[ended('Failed', 3), ended('Failed', 30)], 17_000],
    [[ended('Failed', 3), ended('Succeeded', 10), ended('Failed', 30)], 7_000],
    [[ended('Succeeded', 1), ended('Failed', 3)], 0],
    [Array.from({ length: 40 }, (_, index) => ended('Failed', 1 + index)), 599_000],
  ])('%#: doubles from ten seconds to ten minutes, and begins anew after a success', (pods, expected) => {
    expect(backoffMs(pods, NOW_MS)).toBe(expected);
  });
});

describe('podFailurePolicy', () => {
  const rules = [
    { action: 'Ignore', onExitCodes: { operator: 'In', values: [3], containerName: 'other' } },
    { action: 'FailJob', onExitCodes: { operator: 'NotIn', values: [1, 2] } },
  ];

  it('takes the first rule that matches', () => {
    const judged = (exitCode: number) =>
      judgeFailure(job({ podFailurePolicy: { rules } }), ended('Failed', 0, exitCode));
    expect(judged(3).action).toBe('FailJob');
    expect(judged(3).message).toBe(
      'Container main for pod default/p failed with exit code 3 matching FailJob rule at index 1',
    );
    expect(judged(1).action).toBe('Count');
    expect(judged(0).action).toBe('Count');
  });
});

it('counts restarts where pods do not fail', () => {
  const pods = [ended('Running', 0), ended('Running', 0)];
  expect(restartsExceed(job({ backoffLimit: 4 }), pods)).toBe(true);
  expect(restartsExceed(job({ backoffLimit: 5 }), pods)).toBe(false);
  expect(restartsExceed(job({ backoffLimit: 0 }), [])).toBe(false);
});

it('writes sets of indexes as ranges, and reads them', () => {
  expect(formatIndexes([7, 1, 3, 4, 5])).toBe('1,3-5,7');
  expect([...parseIndexes('1,3-5,7')]).toEqual([1, 3, 4, 5, 7]);
  expect(formatIndexes(parseIndexes(''))).toBe('');
});
