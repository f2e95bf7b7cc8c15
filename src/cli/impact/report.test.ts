// SPDX-License-Identifier: Apache-2.0
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import type { End } from './fates.ts';
import { newCounts } from './read-logs.ts';
import { renderImpact } from './render.ts';
import type { Flow } from './replay.ts';
import { reportOf } from './report.ts';

const served = (subset: string): End => ({
  ...{ kind: 'served', service: 'reviews.app.svc.cluster.local', subset },
  ...{ cluster: 'c1', namespace: 'app', workload: `reviews-${subset}` },
});
const FAILS: End = { kind: 'failed', status: 503, text: '503: nobody is there' };
const example = { method: 'GET', authority: 'reviews', path: '/' };
const why = [{ cluster: 'c1', apiVersion: 'v1', kind: 'VirtualService', namespace: 'app', name: 'reviews' }];

function flow(host: string, sums: Partial<Flow>): Flow {
  const about = { cluster: 'c1', namespace: 'app', workload: 'web', host };
  return { ...about, requests: 40, changed: 0, failsNow: 0, failsAfter: 0, ends: new Map(), moves: new Map(), ...sums };
}

const REPORT = reportOf(
  {
    flows: [
      flow('reviews', {
        requests: 50,
        changed: 30,
        failsAfter: 10,
        ends: new Map([
          ['a', { end: served('v1'), now: 40, after: 10 }],
          ['b', { end: served('v3'), now: 0, after: 20 }],
          ['c', { end: FAILS, now: 0, after: 10 }],
        ]),
        moves: new Map([
          [
            'x',
            {
              from: served('v1'),
              to: served('v3'),
              requests: 20,
              example,
              why: [{ ...why[0]!, field: 'spec.http[0]', file: 'a.yaml', line: 7 }],
            },
          ],
          ['y', { from: served('v1'), to: FAILS, requests: 10, example, why: [{ ...why[0]!, isGone: true as const }] }],
        ]),
      }),
      flow('details', {}),
    ],
    untold: [
      {
        ...{
          caller: 'web.app of c1',
          host: 'reviews',
          headers: ['end-user'],
          why: '',
          cure: 'accessLogFormat with %REQ(END-USER)%',
        },
        ...{ may: [served('v1'), FAILS], requests: 10, example },
      },
    ],
    sinceMoved: 0,
  },
  { ...newCounts(), requests: 90 },
);

test('shares are of the requests that can be told, and failures are those that do not fail now', () => {
  expect(REPORT.totals).toEqual({ changedShare: 0.375, newFailuresShare: 0.125, untold: 10 });
  expect(REPORT.flows[0]).toMatchObject({ untold: 10, changedShare: 0.75, failsAfterShare: 0.25 });
});

test('as text', () => {
  expect(
    renderImpact(REPORT, 'text'),
  ).toBe(`web.app (c1) -> reviews: 50 requests, of which 10 cannot be told, 75% elsewhere
  DESTINATION                                          NOW    AFTER   CHANGE
  reviews.app.svc.cluster.local v1, reviews-v1 in c1   100%   25%     -75%
  reviews.app.svc.cluster.local v3, reviews-v3 in c1   0%     50%     +50%
  FAILS 503                                            0%     25%     +25%
  reviews-v1 (v1) in c1 -> reviews-v3 (v3) in c1: 50% (20 requests), e.g. GET reviews/
    by VirtualService app/reviews spec.http[0] (a.yaml:7)
  reviews-v1 (v1) in c1 -> FAILS 503: 25% (10 requests), e.g. GET reviews/
    503: nobody is there
    by VirtualService app/reviews, which would be gone

As before:
  web.app (c1) -> details: 40 requests

Cannot be told:
  web.app of c1 -> reviews: 10 requests, e.g. GET reviews/
    it depends on end-user, which the log does not hold: reviews-v1 (v1) in c1, or FAILS 503
    cure: accessLogFormat with %REQ(END-USER)%

Of 80 requests 37.5% would go elsewhere, and 12.5% more WOULD FAIL; of 10 more it cannot be told.
`);
});

test('as YAML, without references from one place to another', () => {
  const text = renderImpact(REPORT, 'yaml');
  expect(text).not.toMatch(/[&*]a\d/);
  expect(parse(text)).toEqual(JSON.parse(renderImpact(REPORT, 'json')));
});
