// SPDX-License-Identifier: Apache-2.0
// Seed 004, "traffic shifting": the page's own commands, in its order, and what it says one sees, on real traffic; and
// weights that move while 200 requests a second come in.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type PageVisit, visitPage } from '../src/cli/demo/traffic.ts';
import type { ImpactReport } from '../src/cli/impact/report.ts';
import { Load } from './faults/load-generator.ts';
import { judgeLosses } from './faults/sandbox-under-load.ts';
import { sandboxObstacle, TestSandbox } from './fixture/sandbox.ts';
import { until } from './fixture/waiting.ts';
import { findBrowser, openBrowser, starColours } from './seeds/browser.ts';
import { linesWith, SeedScenario, testStepsAreThePage } from './seeds/scenario.ts';
import { expectShare } from './seeds/share.ts';

const obstacle = sandboxObstacle('kubectl');
const browser = findBrowser();
const RATE_PER_SECOND = 200;

/** What the page shows for `kubectl get virtualservice reviews -o yaml`; it has lost its indentation. */
const SHOWN = [
  ...['apiVersion: networking.istio.io/v1alpha3', 'kind: VirtualService', 'metadata:', 'name: reviews', '...', 'spec:'],
  ...['hosts:', '- reviews', 'http:', '- route:'],
  ...['- destination:', 'host: reviews', 'subset: v1', 'weight: 50'],
  ...['- destination:', 'host: reviews', 'subset: v3', 'weight: 50'],
];

testStepsAreThePage('004', 'prompted');

describe.skipIf(obstacle !== undefined)(`seed 004 on a sandbox${obstacle ? ` (skipped: ${obstacle})` : ''}`, () => {
  const sandbox = new TestSandbox('seed004');
  const scenario = new SeedScenario('004', sandbox);
  const visit = (count: number): Promise<PageVisit[]> =>
    visitPage(sandbox.gateway('cluster1'), { count, userAgent: 'seed-004' });
  /** The stars of so many pages: `none` is v1, `black` v2, `red` v3. */
  const stars = async (count: number) => (await visit(count)).map((v) => v.stars);
  const setWeights = (v1: number, v3: number): Promise<string> => {
    const route = (subset: string, weight: number) => ({ destination: { host: 'reviews', subset }, weight });
    const spec = { http: [{ route: [route('v1', v1), route('v3', v3)] }] };
    return sandbox.kubectl('patch', 'virtualservice', 'reviews', '--type=merge', '-p', JSON.stringify({ spec }));
  };
  /** Of `count` pages so many are red as chance allows, and the others have no stars. */
  const expectRed = async (share: number, count: number): Promise<void> => {
    const seen = await stars(count);
    expect(seen.filter((s) => s !== 'red' && s !== 'none')).toEqual([]);
    expectShare(seen.filter((s) => s === 'red').length, { draws: count, share });
  };
  /** What `isthmus impact` says of what the page’s service asks of reviews: the shares after the change. */
  const foretell = async (...args: string[]) => {
    const { code, stdout, stderr } = await sandbox.isthmus('impact', '-l', 'app=productpage', '-o', 'json', ...args);
    expect(stdout, stderr).toContain('"flows"');
    const { flows, untold } = JSON.parse(stdout) as ImpactReport;
    const flow = flows.find(({ host }) => host === 'reviews:9080');
    expect(flow?.requests).toBeGreaterThan(0);
    const after = flow!.destinations.filter(({ afterShare }) => afterShare > 0);
    const shares = Object.fromEntries(after.map(({ end, afterShare }) => [end.workload ?? end.status, afterShare]));
    return { code, shares, why: flow!.moves[0]?.why, untold };
  };
  const writeReviews = (http: readonly object[]): string => {
    const file = join(sandbox.dir, 'reviews.json');
    const [apiVersion, kind] = ['networking.istio.io/v1', 'VirtualService'];
    const spec = { hosts: ['reviews'], http };
    writeFileSync(file, JSON.stringify({ apiVersion, kind, metadata: { name: 'reviews' }, spec }));
    return file;
  };
  /** A rule takes some milliseconds to reach the proxies. */
  const untilStars = (...wanted: PageVisit['stars'][]) =>
    expect.poll(async () => new Set(await stars(8)), { timeout: 30_000 }).toEqual(new Set(wanted));

  beforeAll(async () => {
    await sandbox.up('--clusters', '1');
    await scenario.setup();
    await until('the page', async () => (await visit(1))[0]?.stars !== undefined);
  });

  afterAll(async () => {
    expect(await sandbox.down()).toEqual([]);
  });

  test('all to v1: no reload shows stars', async () => {
    expect(await scenario.step(1)).toContain('virtualservice.networking.istio.io/reviews created');
    await untilStars('none');
    expect(await stars(60)).toEqual(Array(60).fill('none'));
  });

  test('half to v3: the rule is as the page shows it, and half of the pages have red stars', async () => {
    const foretold = await foretell('-f', 'samples/bookinfo/networking/virtual-service-reviews-50-v3.yaml');
    expect(foretold.shares).toEqual({ 'reviews-v1': 0.5, 'reviews-v3': 0.5 });
    expect(foretold.why).toEqual([
      expect.stringMatching(/^VirtualService default\/reviews spec.http\[0\] .*\.yaml:11\)$/),
    ]);
    expect(await scenario.step(2)).toContain('virtualservice.networking.istio.io/reviews configured');
    const shown = (await scenario.step(3)).split('\n').map((line) => line.trim());
    // The stored version is another one than the page's time had (errata.md).
    expectInOrder(shown, ['apiVersion: networking.istio.io/v1', ...SHOWN.slice(1).filter((line) => line !== '...')]);
    await expect.poll(() => stars(8), { timeout: 30_000 }).toContain('red');
    await expectRed(foretold.shares['reviews-v3']!, 400);
  });

  test('what a rule by a header would do cannot be told from the log, and what has no pods would fail', async () => {
    const route = (subset: string) => [{ destination: { host: 'reviews', subset } }];
    const jason = { match: [{ headers: { 'end-user': { exact: 'jason' } } }], route: route('v2') };
    const { untold, shares } = await foretell('-f', writeReviews([jason, { route: route('v1') }]));
    expect(shares).toEqual({});
    expect(untold).toMatchObject([{ headers: ['end-user'], cure: expect.stringContaining('%REQ(END-USER)%') }]);
    const broken = await foretell('--fail-on-failure', '-f', writeReviews([{ route: route('v9') }]));
    expect(broken).toMatchObject({ code: 1, shares: { 503: 1 } });
  });

  test('90 % to v3, as the page suggests for more red', async () => {
    await setWeights(10, 90);
    await expect.poll(() => stars(20), { timeout: 30_000 }).toSatisfy(moreThanHalfRed);
    await expectRed(0.9, 400);
  });

  const inBrowser = browser ? '' : ' (skipped: no Chromium on PATH)';
  test.skipIf(!browser)(`in a browser the stars follow the weights${inBrowser}`, async () => {
    const chrome = await openBrowser(browser!);
    try {
      const tab = await chrome.newPage();
      const href = new URL('/productpage', sandbox.gateway('cluster1')).href;
      const reload = async (count: number): Promise<string[]> => {
        const seen: string[] = [];
        for (let i = 0; i < count; i++) {
          await tab.goto(href);
          seen.push((await starColours(tab)).join() || 'none');
        }
        return seen;
      };
      await setWeights(100, 0);
      await untilStars('none');
      expect(await reload(8)).toEqual(Array(8).fill('none'));
      await scenario.step(2);
      await expect.poll(() => stars(8), { timeout: 30_000 }).toContain('red');
      // 30 reloads of one half miss one of two with probability 2^-29.
      expect(new Set(await reload(30))).toEqual(new Set(['none', 'red']));
      await setWeights(0, 100);
      await untilStars('red');
      expect(await reload(8)).toEqual(Array(8).fill('red'));
    } finally {
      await chrome.close();
    }
  });

  test('all to v3: every reload shows red stars', async () => {
    await scenario.step(4);
    await untilStars('red');
    expect(await stars(60)).toEqual(Array(60).fill('red'));
  });

  test(`the weight moves to and fro under ${RATE_PER_SECOND} requests a second, and none fails`, async (context) => {
    const reviews = new URL('/api/v1/products/0/reviews', sandbox.gateway('cluster1')).href;
    const load = new Load({
      // v3 without its ratings answers 200 too, and says `error`.
      targets: [{ name: 'reviews', url: reviews, mustContain: '"reviewer"', mustNotContain: '"error"' }],
      ratePerSecond: RATE_PER_SECOND,
      timeoutMs: 30_000,
    });
    const since = new Date().toISOString();
    try {
      await load.sentFor(1);
      for (const v3 of [75, 50, 25, 0, 10, 50, 90, 100]) {
        load.mark(`${v3} % to v3`);
        await setWeights(100 - v3, v3);
        await load.sentFor(0.5);
      }
      // Nothing else is asked of the machine meanwhile: the load is judged first, and then what it went to.
      const report = await load.stop();
      console.log(report.text);
      judgeLosses(report, context, report.failed);
      expect(report.answered).toBeGreaterThan(RATE_PER_SECOND * 4);
    } finally {
      load.kill();
    }
    const logOfCaller = () =>
      sandbox.kubectl('logs', 'deploy/productpage-v1', '-c', 'istio-proxy', `--since-time=${since}`);
    for (const version of ['v1', 'v3']) {
      const calls = async () => linesWith(await logOfCaller(), `outbound|9080|${version}|reviews`).length;
      await expect.poll(calls, { timeout: 30_000 }).toBeGreaterThan(RATE_PER_SECOND / 2);
    }
    await untilStars('red');
  });

  test('without the rules all versions answer in turn; after the clean-up nothing is left', async () => {
    expect((await scenario.step(5)).match(/deleted/g)).toHaveLength(4);
    await expect
      .poll(async () => new Set(await stars(30)), { timeout: 30_000 })
      .toEqual(new Set(['none', 'black', 'red']));
    expect(await sandbox.kubectl('get', 'virtualservices', '-o', 'name')).toBe(
      'virtualservice.networking.istio.io/bookinfo\n',
    );
    await scenario.bash('samples/bookinfo/platform/kube/cleanup.sh');
    const kinds = 'virtualservices,destinationrules,gateways,deployments,serviceaccounts,services';
    expect((await sandbox.kubectl('get', kinds, '-o', 'name')).trim().split('\n').sort()).toEqual([
      'service/kubernetes',
      'serviceaccount/default',
    ]);
    await sandbox.kubectl('wait', '--for=delete', 'pod', '--all', '--timeout=90s');
  });
});

function moreThanHalfRed(seen: readonly PageVisit['stars'][]): boolean {
  return seen.filter((s) => s === 'red').length > seen.length / 2;
}

/** Every one of `wanted` is a line, each behind the one before. */
function expectInOrder(lines: readonly string[], wanted: readonly string[]): void {
  let at = 0;
  for (const line of wanted) {
    const found = lines.indexOf(line, at);
    expect(found, `"${line}" behind line ${at} of\n${lines.join('\n')}`).toBeGreaterThanOrEqual(0);
    at = found + 1;
  }
}
