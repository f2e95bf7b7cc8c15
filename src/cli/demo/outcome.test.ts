// SPDX-License-Identifier: Apache-2.0
import { describe, expect, test } from 'vitest';
import type { Answer } from './ask.ts';
import type { ExpectedAnswer } from './document.ts';
import type { LoggedCall } from './evidence.ts';
import { renderOutcomes, type Sample, summarize } from './outcome.ts';

const GATEWAY = '172.31.0.120';
const gateways = { 'ingress of cluster2': GATEWAY, 'egress of cluster1': '10.96.0.7' };
const V1: ExpectedAnswer = { version: 'v1', share: 0.5, cluster: 'cluster1' };
const V2: ExpectedAnswer = { version: 'v2', share: 0.5, cluster: 'cluster2', via: 'ingress of cluster2' };

const answers = (count: number, version: string | undefined): Answer[] =>
  Array.from({ length: count }, () => ({ version, detail: version === undefined ? 'HTTP 503' : '' }));
const calls = (count: number, upstreamHost: string, subset = ''): LoggedCall[] =>
  Array.from({ length: count }, () => ({
    startedAt: 0,
    userAgent: 'isthmus-demo/x',
    path: '/hello',
    status: 200,
    upstreamCluster: `outbound|5000|${subset}|helloworld.sample.svc.cluster.local`,
    subset,
    host: 'helloworld.sample.svc.cluster.local',
    upstreamHost,
    tlsVersion: 'TLSv1.3',
  }));
const judge = (change: Partial<Sample>) =>
  summarize({
    who: 'sleep',
    expected: [V1, V2],
    answers: [...answers(55, 'v1'), ...answers(45, 'v2')],
    calls: [...calls(55, '10.1.0.9:5000'), ...calls(45, `${GATEWAY}:443`)],
    gateways,
    ...change,
  });

describe('answers and log', () => {
  test('that agree, with shares that chance explains, are no fault', () => {
    expect(judge({})).toEqual([
      {
        ...{ who: 'sleep', version: 'v1', cluster: 'cluster1', measured: 0.55, expected: 0.5, requests: 100 },
        ...{ gateway: undefined, tlsVersion: 'TLSv1.3', fault: undefined },
      },
      {
        ...{ who: 'sleep', version: 'v2', cluster: 'cluster2', measured: 0.45, expected: 0.5, requests: 100 },
        ...{ gateway: `${GATEWAY}:443`, tlsVersion: 'TLSv1.3', fault: undefined },
      },
    ]);
  });

  test('a share that chance does not explain is one', () => {
    const [v1] = judge({ answers: [...answers(90, 'v1'), ...answers(10, 'v2')] });
    expect(v1?.fault).toMatch(/^90 of 100; chance explains 2\d to 7\d$/);
  });

  test('so is a way that nobody expected: another gateway, none, another subset', () => {
    const home = calls(55, '10.1.0.9:5000');
    const fault = '45 answers, but the caller’s proxy logged 0 such calls by the ingress of cluster2, of 100 in all';
    expect(judge({ calls: [...home, ...calls(45, '10.96.0.7:15443')] })[1]?.fault).toBe(fault);
    expect(judge({ calls: [...home, ...calls(45, `${GATEWAY}:443`, 'v2')] })[1]?.fault).toBe(fault);
    expect(judge({ calls: calls(100, '10.1.0.9:5000') })[0]?.fault).toMatch(/logged 100 such calls to a pod at home/);
  });

  test('so are answers that were lost, and versions that should not have answered', () => {
    expect(judge({ answers: [...answers(99, 'v1'), ...answers(1, undefined)] })[0]?.fault).toBe(
      '1 of 100 requests had no good answer',
    );
    const rows = judge({ answers: [...answers(50, 'v1'), ...answers(49, 'v2'), ...answers(1, 'v9')] });
    expect(rows.at(-1)).toMatchObject({ version: 'v9', expected: 0, fault: '1 of 100; chance explains 0 to 0' });
  });
});

test('the table names columns, rows and faults', () => {
  const text = renderOutcomes(judge({ calls: calls(55, '10.1.0.9:5000') }), { who: 'caller', what: 'helloworld' });
  expect(text.split('\n').map((line) => line.trim().split(/ {2,}/))).toEqual([
    ['caller', 'helloworld', 'answered in', 'measured', 'expected', 'requests', 'by gateway', 'TLS'],
    expect.any(Array),
    ['sleep', 'v1', 'cluster1', '55.0 %', '50.0 %', '100', '(at home)', 'TLSv1.3'],
    ['sleep', 'v2', 'cluster2', '45.0 %', '50.0 %', '100', GATEWAY, 'not told'],
    [expect.stringMatching(/^wrong: sleep, v2: 45 answers/)],
  ]);
});
