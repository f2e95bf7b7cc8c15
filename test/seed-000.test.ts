// SPDX-License-Identifier: Apache-2.0
// Seed 000, "version routing in a multicluster service mesh": the page's own commands, in its order, and what it says one
// sees, on real traffic.
import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type PageVisit, visitPage } from '../src/cli/demo/traffic.ts';
import type { Ending } from '../src/explain/path.ts';
import { root, sandboxObstacle, TestSandbox } from './fixture/sandbox.ts';
import { findBrowser, openBrowser, reloadUntilBothColours, starColours } from './seeds/browser.ts';
import { gatewayAddress, linesWith, SeedScenario, testStepsAreThePage, waitForPods } from './seeds/scenario.ts';
import { expectShare } from './seeds/share.ts';
import { captureWhile, probePlaintext, probeTls } from './seeds/wire.ts';

const obstacle = sandboxObstacle('kubectl');

/** What is read of `isthmus explain -o json`. */
interface Explained {
  readonly before?: { readonly endings: readonly Ending[] };
  readonly after?: { readonly endings: readonly Ending[] };
  readonly held?: { readonly same: number; readonly deviations: readonly unknown[]; readonly notes: readonly string[] };
}

testStepsAreThePage('000', 'prompted');

describe.skipIf(obstacle !== undefined)(`seed 000 on a sandbox${obstacle ? ` (skipped: ${obstacle})` : ''}`, () => {
  const sandbox = new TestSandbox('seed000');
  const scenario = new SeedScenario('000', sandbox);
  const visit = (count: number, userAgent: string, user?: string): Promise<PageVisit[]> =>
    visitPage(sandbox.gateway('cluster1'), { count, userAgent, ...(user ? { user } : {}) });
  const sidecarLog = (context: string, app: string, version = 'v1'): Promise<string> =>
    sandbox.kubectl('--context', context, 'logs', `deploy/${app}-${version}`, '-c', 'istio-proxy');

  /** What `isthmus explain` says of the reviews that the page asks for. */
  const explain = async (user: string | undefined, ...more: string[]): Promise<Explained> => {
    const header = user === undefined ? [] : ['-H', `end-user: ${user}`];
    const words = ['GET', 'http://reviews:9080/reviews/0', ...header, ...more, '-o', 'json'];
    const { stdout } = await sandbox.must('explain', '--from', 'productpage-v1', '--cluster', 'cluster1', ...words);
    return JSON.parse(stdout) as Explained;
  };
  let foretold: Explained | undefined;

  beforeAll(async () => {
    await sandbox.up();
    sandbox.env['CERTS'] = join(sandbox.dir, 'certs');
    await sandbox.must('certs', '--out', sandbox.env['CERTS'], '--clusters', 'cluster1,cluster2');
    await scenario.setup();
  });

  afterAll(async () => {
    expect(await sandbox.down()).toEqual([]);
  });

  test('contexts cluster1 and cluster2 are listed', async () => {
    const listed = await scenario.step(1);
    expect(listed).toMatch(/^CURRENT +NAME +CLUSTER +AUTHINFO +NAMESPACE/);
    expect(listed).toMatch(/^\* +cluster1 +cluster1 +\S+ +default$/m);
    expect(listed).toMatch(/^ +cluster2 +cluster2 +\S+ +default$/m);
    await scenario.step(2);
  });

  test('Bookinfo runs, each pod with its proxy', async () => {
    expect(await scenario.step(3)).toContain('deployment.extensions/productpage-v1 created');
    expect(await scenario.step(4)).toContain('deployment.extensions/reviews-v3 created');
    for (const context of ['cluster1', 'cluster2'])
      expect(await waitForPods(sandbox, context)).toEqual(Array(3).fill('2/2'));
  });

  test('before the rules nobody sees ratings', async () => {
    await scenario.step(5);
    await expect
      .poll(async () => (await visit(1, 'before-wait').catch(() => []))[0]?.stars, { timeout: 30_000 })
      .toBe('none');
    const visits = [...(await visit(20, 'before', 'jason')), ...(await visit(20, 'before'))];
    expect(visits.map((v) => v.stars)).toEqual(Array(40).fill('none'));
  });

  test('cluster1 learns of the remote reviews, both clusters of the versions', async () => {
    await scenario.step(6);
    await scenario.step(7);
    await scenario.step(8);
    await scenario.step(9);
    foretold = await explain('jason', '-f', join(root, 'samples/bookinfo/multicluster/reviews-route.yaml'), '--diff');
    await scenario.step(10);
    await expect
      .poll(async () => (await visit(1, 'rules-wait', 'jason'))[0]?.stars, { timeout: 30_000 })
      .toMatch(/^(black|red)$/);
  });

  test('jason gets v2 and v3 half and half from cluster2, everybody else v1 from cluster1', async () => {
    const jason = await visit(400, 'count-jason', 'jason');
    const others = await visit(100, 'count-others');
    expect(jason.filter((v) => v.stars !== 'black' && v.stars !== 'red')).toEqual([]);
    expectShare(jason.filter((v) => v.stars === 'black').length, { draws: 400, share: 0.5 });
    expect(others.map((v) => v.stars)).toEqual(Array(100).fill('none'));
  });

  test('the proxies’ logs say the same: cluster names, the gateway, TLS 1.3, SPIFFE identities of both ends', async () => {
    const remote = await gatewayAddress(sandbox, 'cluster2');
    await expect
      .poll(async () => linesWith(await sidecarLog('cluster1', 'productpage'), 'count-jason', '/reviews/0').length, {
        timeout: 30_000,
      })
      .toBe(400);
    const caller = (await sidecarLog('cluster1', 'productpage')).split('\n').filter((l) => l.includes('/reviews/0'));
    for (const line of caller.filter((l) => l.includes('count-jason'))) {
      expect(line).toMatch(/outbound\|9080\|v[23]\|reviews\.default\.global/);
      expect(line).toContain(`"${remote}:15443"`);
      expect(line).toContain('TLSv1.3');
      expect(line).toContain('spiffe://cluster.local/ns/default/sa/default');
    }
    for (const line of caller.filter((l) => l.includes('count-others'))) {
      expect(line).toMatch(/outbound\|9080\|v1\|reviews\.default\.svc\.cluster\.local/);
      expect(line).not.toContain(remote);
    }
    const callee = (await sidecarLog('cluster2', 'reviews', 'v2'))
      .split('\n')
      .filter((l) => l.includes('count-jason') && l.includes('/reviews/0'));
    expect(callee.length).toBeGreaterThan(0);
    expect(callee[0]).toContain('TLSv1.3');
    expect(callee[0]).toContain('spiffe://cluster.local/ns/default/sa/default');
    const gatewayLog = (): Promise<string> =>
      sandbox.kubectl('--context', 'cluster2', '-n', 'istio-system', 'logs', 'deploy/istio-ingressgateway');
    for (const version of ['v2', 'v3']) {
      await expect.poll(gatewayLog).toContain(`outbound_.9080_.${version}_.reviews.default.global`);
    }
  });

  test('explain told so before the rule was there, tells so now, and of what the proxies have acknowledged', async () => {
    const remote = await gatewayAddress(sandbox, 'cluster2');
    const calls = linesWith(await sidecarLog('cluster1', 'productpage'), 'count-jason', '/reviews/0');
    const now = await explain('jason');
    expect(foretold?.before?.endings.map(({ at }) => `${at?.cluster} ${at?.workload}`)).toEqual([
      'cluster1 reviews-v1',
    ]);
    expect(now.held).toMatchObject({ deviations: [], notes: [] });
    expect(now.held!.same).toBeGreaterThan(10);
    for (const { endings } of [foretold!.after!, now.before!]) {
      expect(endings.map(({ at }) => `${at?.cluster} ${at?.workload}`)).toEqual([
        'cluster2 reviews-v2',
        'cluster2 reviews-v3',
      ]);
      for (const { probability, chosen, via } of endings) {
        expect(via).toEqual([`${remote}:15443`]);
        const gone = calls.filter((line) => line.includes(chosen!.cluster) && line.includes(via[0]!));
        expectShare(gone.length, { draws: calls.length, share: probability });
      }
    }
    const others = await explain(undefined);
    expect(others.before!.endings).toMatchObject([
      { probability: 1, at: { cluster: 'cluster1', workload: 'reviews-v1' } },
    ]);
    expect(others.before!.endings[0]!.rule).toMatchObject({ kind: 'VirtualService', field: 'spec.http[1]' });
  });

  test('between the clusters nothing is readable', async () => {
    const [router1, gateway2] = ['172.31.0.11', await gatewayAddress(sandbox, 'cluster2')];
    const captured = await captureWhile(sandbox, [router1, gateway2], async () => {
      await visit(20, 'marker-in-the-clear', 'jason');
    });
    expect(captured.length).toBeGreaterThan(10_000);
    for (const marker of ['marker-in-the-clear', 'end-user', 'jason', 'GET /', 'Reviewer1', 'twins']) {
      expect(captured.includes(marker), marker).toBe(false);
    }
  });

  test('15443 refuses plaintext, an unknown name and a client without a certificate', async () => {
    const gateway = await gatewayAddress(sandbox, 'cluster2');
    expect(await probePlaintext(sandbox, gateway, 15443)).toBe('');
    const unknown = await probeTls(sandbox, gateway, 15443, 'outbound_.9080_._.nobody.default.global');
    expect(unknown.chain).toEqual([]);
    const anonymous = await probeTls(sandbox, gateway, 15443, 'outbound_.9080_.v2_.reviews.default.global');
    expect(anonymous.chain.length).toBeGreaterThan(0);
    expect(anonymous.end).toMatch(/^(refused|closed)/);
  });

  test('each cluster has an intermediate of its own, below one root', async () => {
    const chains = await Promise.all(
      [
        ['cluster1', 'details'],
        ['cluster2', 'ratings'],
      ].map(
        async ([context, app]) =>
          (
            await probeTls(
              sandbox,
              await gatewayAddress(sandbox, context!),
              15443,
              `outbound_.9080_._.${app}.default.global`,
            )
          ).chain,
      ),
    );
    const root = new X509Certificate(readFileSync(join(sandbox.env['CERTS']!, 'root-cert.pem')));
    const intermediates = chains.map((chain) => {
      const [leaf, intermediate] = chain.map((certificate) => new X509Certificate(certificate.pem));
      expect(chain[0]!.uris).toContain('spiffe://cluster.local/ns/default/sa/default');
      expect(leaf!.verify(intermediate!.publicKey)).toBe(true);
      expect(intermediate!.verify(root.publicKey)).toBe(true);
      return intermediate!.fingerprint256;
    });
    expect(new Set(intermediates).size).toBe(2);
  });

  test('a pod cannot reach the other cluster’s pods', async () => {
    await sandbox.kubectl('--context', 'cluster1', 'create', 'namespace', 'plain');
    await sandbox.kubectl('--context', 'cluster1', '-n', 'plain', 'apply', '-f', 'samples/sleep/sleep.yaml');
    await sandbox.kubectl(
      '--context',
      'cluster1',
      '-n',
      'plain',
      'wait',
      '--for=condition=Available',
      'deploy/sleep',
      '--timeout=60s',
    );
    const address = (context: string, app: string): Promise<string> =>
      sandbox.kubectl(
        '--context',
        context,
        'get',
        'pod',
        '-l',
        `app=${app}`,
        '-o',
        'jsonpath={.items[0].status.podIP}',
      );
    const dial = async (ip: string) =>
      (
        await sandbox.bash(
          `kubectl --context cluster1 -n plain exec deploy/sleep -c sleep -- curl -sS -m 4 http://${ip}:15021/healthz/ready`,
        )
      ).code;
    expect(await dial(await address('cluster1', 'details'))).toBe(0);
    expect(await dial(await address('cluster2', 'ratings'))).not.toBe(0);
  });

  const browser = findBrowser();
  test.skipIf(!browser)(
    `in a browser jason sees both colours, and none after signing out${browser ? '' : ' (skipped: no Chromium on PATH)'}`,
    async () => {
      const chrome = await openBrowser(browser!);
      try {
        const tab = await chrome.newPage();
        await tab.goto(new URL('/productpage', sandbox.gateway('cluster1')).href);
        expect(await starColours(tab)).toEqual([]);
        await tab.fill('input[name=username]', 'jason');
        await tab.click('#sign-in');
        await tab.waitForSelector('#user');
        // 40 reloads miss a colour with probability 2^-39.
        expect([...(await reloadUntilBothColours(tab, 40))].sort()).toEqual(['black', 'red']);
        await tab.click('#sign-out');
        await tab.waitForSelector('#sign-in');
        expect(await starColours(tab)).toEqual([]);
      } finally {
        await chrome.close();
      }
    },
  );
});
