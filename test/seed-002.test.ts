// SPDX-License-Identifier: Apache-2.0
// Seed 002, "managing a multicluster deployment": the page's own commands, in its order, and what it says one sees, on real
// traffic; then its DNS set-up taken away and put back, each kind alone.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { sandboxObstacle, TestSandbox } from './fixture/sandbox.ts';
import { gatewayAddress, linesWith, SeedScenario, testStepsAreThePage, waitForPods } from './seeds/scenario.ts';
import { expectShare } from './seeds/share.ts';

const obstacle = sandboxObstacle('kubectl');
const COULD_NOT_RESOLVE = 6;

testStepsAreThePage('002', 'joined');

describe.skipIf(obstacle !== undefined)(`seed 002 on a sandbox${obstacle ? ` (skipped: ${obstacle})` : ''}`, () => {
  const sandbox = new TestSandbox('seed002');
  const scenario = new SeedScenario('002', sandbox);
  const curlFrom = (namespace: string, args: string) =>
    sandbox.bash(`kubectl --context cluster1 -n ${namespace} exec deploy/sleep -c sleep -- curl -sS -m 10 ${args}`);
  const callHttpbin = () => curlFrom('app1', 'httpbin.app2.global:8000/headers');
  const proxyLog = (context: string, namespace: string, deployment: string): Promise<string> =>
    sandbox.kubectl('--context', context, '-n', namespace, 'logs', `deploy/${deployment}`, '-c', 'istio-proxy');
  /** The versions that answered `count` calls from cluster1's sleep, by one connection. */
  const hello = async (count: number, headers = ''): Promise<string[]> => {
    const urls = 'helloworld.hello:5000/hello '.repeat(count);
    const { stdout } = await curlFrom('hello', `${headers} -A count-${headers === '' ? 'others' : 'jason'} ${urls}`);
    return [...stdout.matchAll(/Hello version: (v\d), instance/g)].map((match) => match[1]!);
  };

  beforeAll(async () => {
    await sandbox.up();
    await scenario.setup();
  });

  afterAll(async () => {
    expect(await sandbox.down()).toEqual([]);
  });

  test('both clusters get a CA below one root, and the control plane, generated once', async () => {
    expect(await scenario.step(1)).toContain('secret/cacerts created');
    expect(await scenario.step(2)).toMatch(
      /customresourcedefinition\S+\/serviceentries\.networking\.istio\.io created/,
    );
    await scenario.step(3);
    for (const context of ['cluster1', 'cluster2'])
      expect(new Set(await waitForPods(sandbox, context, 'istio-system'))).toEqual(new Set(['1/1']));
  });

  test('.global goes to istiocoredns', async () => {
    expect(await scenario.step(4)).toContain('configmap/kube-dns created');
    expect(await scenario.step(5)).toMatch(/configmap\/coredns (created|configured)/);
  });

  test('sleep runs in cluster1 and httpbin in cluster2, each with its proxy', async () => {
    await scenario.step(6);
    await scenario.step(7);
    expect(await waitForPods(sandbox, 'cluster1', 'app1')).toEqual(['2/2']);
    expect(await waitForPods(sandbox, 'cluster2', 'app2')).toEqual(['2/2']);
  });

  test('istiocoredns has loaded the name of the ServiceEntry', async () => {
    await scenario.step(8);
    expect(await scenario.step(9)).toContain('serviceentry.networking.istio.io/httpbin-app2 created');
    await expect.poll(() => scenario.step(10), { timeout: 20_000 }).toContain('httpbin.app2.global is 127.255.0.2');
    expect((await scenario.step(10)).trim().split('\n')).toHaveLength(2);
  });

  test('sleep reaches httpbin through cluster2’s gateway, by mutual TLS', async () => {
    await expect.poll(async () => (await callHttpbin()).stdout, { timeout: 30_000 }).toContain('"headers"');
    const { headers } = JSON.parse(await scenario.step(11)) as { headers: Record<string, string> };
    expect(headers['Host']).toBe('httpbin.app2.global:8000');
    expect(headers['X-Forwarded-Client-Cert']).toContain('URI=spiffe://cluster.local/ns/app1/sa/sleep');
    const remote = await gatewayAddress(sandbox, 'cluster2');
    const words = ['outbound|8000||httpbin.app2.global', `"${remote}:15443"`, 'TLSv1.3', '127.255.0.2:8000'];
    await expect
      .poll(async () => linesWith(await proxyLog('cluster1', 'app1', 'sleep'), ...words).length, { timeout: 20_000 })
      .toBeGreaterThan(0);
    const gatewayLog = (): Promise<string> =>
      sandbox.kubectl('--context', 'cluster2', '-n', 'istio-system', 'logs', 'deploy/istio-ingressgateway');
    await expect.poll(gatewayLog, { timeout: 20_000 }).toContain('outbound_.8000_._.httpbin.app2.global');
  });

  test('each of the two ConfigMaps makes the name resolve; without both it does not, and analysis says why', async () => {
    const remove = (name: string): Promise<string> =>
      sandbox.kubectl('--context', 'cluster1', '-n', 'kube-system', 'delete', 'configmap', name);
    const answer = async (): Promise<string | number> => {
      const { code, stdout } = await callHttpbin();
      return stdout.includes('"headers"') ? 'answered' : code;
    };
    await remove('coredns');
    expect(await answer()).toBe('answered');
    await remove('kube-dns');
    await expect.poll(answer, { timeout: 20_000 }).toBe(COULD_NOT_RESOLVE);
    const { stdout } = await sandbox.isthmus('analyze', '--context', 'cluster1', '--all-namespaces');
    expect(stdout).toMatch(/ISM0313.*istiocoredns: httpbin\.app2\.global does not resolve/);
    await scenario.step(5);
    await expect.poll(answer, { timeout: 20_000 }).toBe('answered');
    await remove('coredns');
    await expect.poll(answer, { timeout: 20_000 }).toBe(COULD_NOT_RESOLVE);
    await scenario.step(4);
    await expect.poll(answer, { timeout: 20_000 }).toBe('answered');
  });

  test('a port that the ServiceEntry does not declare leads nowhere', async () => {
    const { code, stderr } = await curlFrom('app1', 'httpbin.app2.global:8001/headers');
    expect(code, stderr).not.toBe(0);
    await expect
      .poll(async () => linesWith(await proxyLog('cluster1', 'app1', 'sleep'), '127.255.0.2:8001').length)
      .toBeGreaterThan(0);
    const [line] = linesWith(await proxyLog('cluster1', 'app1', 'sleep'), '127.255.0.2:8001');
    expect(line).toContain('PassthroughCluster');
    expect(line).not.toContain(':15443');
  });

  test('helloworld: v1 in cluster1, v2 and v3 in cluster2, and the rules for them', async () => {
    await scenario.step(12);
    await scenario.step(13);
    expect(await waitForPods(sandbox, 'cluster1', 'hello')).toEqual(['2/2', '2/2']);
    expect(await waitForPods(sandbox, 'cluster2', 'hello')).toEqual(['2/2', '2/2']);
    for (const step of [14, 15, 16, 17]) await scenario.step(step);
    await expect
      .poll(async () => new Set(await hello(20, '-H end-user:jason')), { timeout: 30_000 })
      .toEqual(new Set(['v2', 'v3']));
  });

  test('jason gets v2 for 70 % and v3 for 30 %, everybody else v1 at home', async () => {
    const jason = (await Promise.all([1, 2, 3, 4].map(() => hello(100, '-H end-user:jason')))).flat();
    const others = await hello(100);
    expect(jason.filter((version) => version !== 'v2' && version !== 'v3')).toEqual([]);
    expect(jason).toHaveLength(400);
    expectShare(jason.filter((version) => version === 'v2').length, { draws: 400, share: 0.7 });
    expect(others).toEqual(Array(100).fill('v1'));
  });

  test('analysis of both clusters has nothing to remark', async () => {
    const contexts = ['--context', 'cluster1', '--context', 'cluster2'];
    const { code, stdout } = await sandbox.isthmus('analyze', ...contexts, '--all-namespaces');
    expect([code, stdout]).toEqual([0, expect.stringMatching(/^✔ Nothing to remark/)]);
  });

  test('the proxy’s log says the same: whose versions, over which way', async () => {
    const remote = await gatewayAddress(sandbox, 'cluster2');
    const log = (): Promise<string> => proxyLog('cluster1', 'hello', 'sleep');
    await expect
      .poll(async () => linesWith(await log(), 'count-others').length, { timeout: 30_000 })
      .toBeGreaterThanOrEqual(100);
    const lines = await log();
    for (const line of linesWith(lines, 'count-jason', ' 200 ').slice(-400)) {
      expect(line).toMatch(/outbound\|5000\|v[23]\|helloworld\.hello\.global/);
      expect(line).toContain(`"${remote}:15443"`);
    }
    for (const line of linesWith(lines, 'count-others')) {
      expect(line).toContain('outbound|5000|v1|helloworld.hello.svc.cluster.local');
      expect(line).not.toContain(remote);
    }
  });
});
