// SPDX-License-Identifier: Apache-2.0
import { expect, test } from 'vitest';
import { type LoggedRequest, readerOf } from './log-format.ts';

// As real proxies wrote them.
const LINE =
  '[2026-01-02T03:04:05.678Z] "GET /reviews/0 HTTP/1.1" 200 - via_upstream - "-" 0 377 5 4 "-" "isthmus-demo/jason" ' +
  '"6f93c9cc-d32a-4878-b56a-086a740045d2" "reviews:9080" "172.31.0.120:15443" outbound|9080|v2|reviews.default.global ' +
  '10.1.0.7:46210 10.96.3.4:9080 10.1.0.7:35122 - - - - TLSv1.3 spiffe://cluster.local/ns/default/sa/default "-"';
const CONNECTION =
  '[2026-01-02T03:04:05.678Z] "- - -" 0 - - - "-" 12 34 1003 - "-" "-" "-" "-" "10.1.0.9:3306" ' +
  'outbound|3306||mysqldb.default.svc.cluster.local 10.1.0.7:46210 10.96.3.9:3306 10.1.0.7:35122 - - - - - - "-"';

test('the usual line: the request, where it went, and what it holds of headers', () => {
  const reader = readerOf(undefined);
  expect(reader.read(LINE)).toEqual({
    method: 'GET',
    path: '/reviews/0',
    authority: 'reviews:9080',
    headers: new Map([
      ['x-forwarded-for', undefined],
      ['user-agent', 'isthmus-demo/jason'],
      ['x-request-id', '6f93c9cc-d32a-4878-b56a-086a740045d2'],
    ]),
    upstreamCluster: 'outbound|9080|v2|reviews.default.global',
    localAddress: '10.96.3.4:9080',
    remoteAddress: '10.1.0.7:35122',
    serverName: undefined,
    protocol: 'HTTP/1.1',
    status: 200,
    startedAtMs: Date.UTC(2026, 0, 2, 3, 4, 5, 678),
  });
  expect([...reader.headers]).toEqual(['x-forwarded-for', 'user-agent', 'x-request-id']);
  expect(reader.missing).toEqual([]);
  expect(reader.read(CONNECTION)).toBe('connection');
  for (const other of ['', '[2026-01-02 03:04:05.678][1][info][main] starting', LINE.slice(0, 80), `${LINE} more`])
    expect(reader.read(other), other).toBeUndefined();
});

test('what has spaces stands in quotes', () => {
  const agent = 'Mozilla/5.0 (X11; Linux x86_64) rv:1 [x]';
  const read = readerOf(undefined).read(LINE.replace('isthmus-demo/jason', agent));
  expect(read).toMatchObject({ headers: expect.objectContaining({}), authority: 'reviews:9080' });
  expect((read as LoggedRequest).headers.get('user-agent')).toBe(agent);
});

test('a text format of one’s own, with the header that rules match on', () => {
  const reader = readerOf({
    kind: 'text',
    text: '%START_TIME(%s.%3f)% %REQ(:METHOD)% %REQ(:AUTHORITY)%%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% 100%% user=%REQ(END-USER)%|%UPSTREAM_CLUSTER%\n',
  });
  expect(
    reader.read('1767.5 GET reviews:9080/reviews/0 100% user=jason|outbound|9080|v1|reviews.default.global'),
  ).toMatchObject({
    method: 'GET',
    headers: new Map([['end-user', 'jason']]),
    upstreamCluster: 'outbound|9080|v1|reviews.default.global',
    localAddress: undefined,
  });
  const none = reader.read('1767.5 GET reviews:9080/reviews/0 100% user=-|-');
  expect(none).toMatchObject({ headers: new Map([['end-user', undefined]]), upstreamCluster: '' });
});

test('JSON, with members in members, numbers, and values that are not there', () => {
  const reader = readerOf({
    kind: 'json',
    members: {
      request: { method: '%REQ(:METHOD)%', path: '%REQUEST_HEADER(:PATH)%', to: '%REQ(:AUTHORITY)%' },
      code: '%RESPONSE_CODE%',
      user: '%REQ(End-User)%',
      line: 'to %UPSTREAM_CLUSTER_RAW% from %DOWNSTREAM_REMOTE_ADDRESS%',
      fixed: 'text',
    },
  });
  const line = {
    request: { method: 'POST', path: '/a?b=c', to: 'shop' },
    code: 503,
    user: null,
    line: 'to outbound|80||shop.default.svc.cluster.local from 10.1.0.7:1',
    fixed: 'text',
  };
  expect(reader.read(JSON.stringify(line))).toMatchObject({
    method: 'POST',
    path: '/a?b=c',
    authority: 'shop',
    headers: new Map([['end-user', undefined]]),
    status: 503,
    upstreamCluster: 'outbound|80||shop.default.svc.cluster.local',
    remoteAddress: '10.1.0.7:1',
  });
  expect(reader.read(LINE)).toBeUndefined();
  expect(reader.read('{"request":')).toBeUndefined();
});

test('a format that does not hold what a request is made of says what it lacks', () => {
  const reader = readerOf({ kind: 'json', members: { path: '%REQ(:PATH)%', code: '%RESPONSE_CODE%' } });
  expect(reader.missing).toEqual(['%REQ(:METHOD)%', '%REQ(:AUTHORITY)%']);
  const cut = readerOf({ kind: 'text', text: '%REQ(:METHOD)% %REQ(:PATH):64% %REQ(:AUTHORITY)%' });
  expect(cut.missing).toEqual(['%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%']);
});
