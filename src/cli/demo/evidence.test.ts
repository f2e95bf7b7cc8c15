// SPDX-License-Identifier: Apache-2.0
import { expect, test } from 'vitest';
import { parseAccessLogLine } from './evidence.ts';

const LINE =
  '[2026-01-02T03:04:05.678Z] "GET /reviews/0 HTTP/1.1" 200 - via_upstream - "-" 0 377 5 4 "-" "isthmus-demo/jason" ' +
  '"6f93c9cc-d32a-4878-b56a-086a740045d2" "reviews:9080" "172.31.0.120:15443" outbound|9080|v2|reviews.default.global ' +
  '10.1.0.7:46210 10.96.3.4:9080 10.1.0.7:35122 - - - - TLSv1.3 spiffe://cluster.local/ns/default/sa/default';

test('an outbound call: who asked, which subset, through which address, over which TLS', () => {
  expect(parseAccessLogLine(LINE)).toEqual({
    startedAt: Date.UTC(2026, 0, 2, 3, 4, 5, 678),
    path: '/reviews/0',
    status: 200,
    userAgent: 'isthmus-demo/jason',
    upstreamHost: '172.31.0.120:15443',
    upstreamCluster: 'outbound|9080|v2|reviews.default.global',
    subset: 'v2',
    host: 'reviews.default.global',
    tlsVersion: 'TLSv1.3',
  });
});

test('what is no outbound call is none', () => {
  expect(parseAccessLogLine(LINE.replace('outbound|9080|v2|reviews.default.global', 'inbound|9080||'))).toBeUndefined();
  expect(parseAccessLogLine('[2026-01-02 03:04:05.678][1][info][main] starting')).toBeUndefined();
  expect(parseAccessLogLine('')).toBeUndefined();
});
