// SPDX-License-Identifier: Apache-2.0
// Seed 001, "cluster-aware service routing": one control plane for two clusters on networks of their own (split-horizon
// EDS). The page's own commands, in its order, and what it says one sees, on real traffic.
import { X509Certificate } from 'node:crypto';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { sandboxObstacle, TestSandbox } from './fixture/sandbox.ts';
import { until } from './fixture/waiting.ts';
import { readEndpointWeights } from './seeds/endpoint-weights.ts';
import { makeSecondToken, replaceKubeconfig } from './seeds/remote-token.ts';
import { gatewayAddress, linesWith, SeedScenario, testStepsAreThePage, waitForPods } from './seeds/scenario.ts';
import { expectShare } from './seeds/share.ts';
import { probeTls } from './seeds/wire.ts';

const obstacle = sandboxObstacle('kubectl');
const SYSTEM = 'istio-system';
/** Requests of one `kubectl exec`: its command goes in a URL. */
const MOST_AT_ONCE = 100;
const HELLOWORLD = 'outbound|5000||helloworld.sample.svc.cluster.local';

testStepsAreThePage('001', 'prompted');

describe.skipIf(obstacle !== undefined)(`seed 001 on a sandbox${obstacle ? ` (skipped: ${obstacle})` : ''}`, () => {
  const sandbox = new TestSandbox('seed001');
  const scenario = new SeedScenario('001', sandbox);
  /** What there was before the first step. */
  const before: Record<string, string[]> = {};
  let gateway2 = '';

  const kubectl = (context: string, ...args: string[]): Promise<string> =>
    sandbox.kubectl('--context', context, ...args);
  const istioConfigMap = (): Promise<string> => kubectl('cluster1', 'get', 'cm', 'istio', '-n', SYSTEM, '-o', 'yaml');

  beforeAll(async () => {
    await sandbox.up();
    await scenario.setup();
    for (const context of ['cluster1', 'cluster2']) before[context] = await inventory(context);
  });

  afterAll(async () => {
    expect(await sandbox.down()).toEqual([]);
  });

  test('contexts cluster1 and cluster2 are listed', async () => {
    const listed = await scenario.step(1);
    expect(listed).toMatch(/^\* +cluster1 +cluster1 +\S+ +default$/m);
    expect(listed).toMatch(/^ +cluster2 +cluster2 +\S+ +default$/m);
    await scenario.step(2);
  });

  test('cluster1 runs the control plane', async () => {
    await scenario.step(3);
    await scenario.step(4);
    await waitForPods(sandbox, 'cluster1', SYSTEM);
    const pods = await scenario.step(5);
    expect(pods).toMatch(/^istiod-\S+ +1\/1 +Running/m);
    expect(pods).toMatch(/^istio-ingressgateway-\S+ +1\/1 +Running/m);
  });

  test('cluster2 runs a CA and an injector; its gateway waits for a control plane that knows the cluster', async () => {
    expect(await scenario.step(6)).toContain('cluster-aware-gateway created');
    expect((await scenario.step(7)).trim()).toBe(await gatewayAddress(sandbox, 'cluster1'));
    await scenario.step(8);
    await scenario.step(9);
    for (const name of ['istio-citadel', 'istio-sidecar-injector'])
      await kubectl('cluster2', 'rollout', 'status', '-n', SYSTEM, `deployment/${name}`, '--timeout=90s');
    const pods = await scenario.step(10);
    expect(pods).toMatch(/^istio-citadel-\S+ +1\/1 +Running/m);
    expect(pods).toMatch(/^istio-sidecar-injector-\S+ +1\/1 +Running/m);
    expect(pods).not.toContain('istio-ingressgateway');
    // It runs, asks by way of cluster1's gateway, and is told what is missing.
    await until('the reason in the gateway’s log', async () =>
      (await kubectl('cluster2', 'logs', '-n', SYSTEM, 'deploy/istio-ingressgateway')).includes('istio/multiCluster'),
    );
    expect(await gatewayPod()).toMatch(/ 0\/1 +Running/);
  });

  test('the page’s way to the ingress address, and to meshNetworks by `kubectl edit`', async () => {
    await scenario.step(11);
    await scenario.step(12);
    await scenario.step(13);
    gateway2 = await gatewayAddress(sandbox, 'cluster2');
    expect(await scenario.step(14)).toBe(`The ingress gateway of cluster2: address=${gateway2}, port=443\n`);
    expect(await istioConfigMap()).toContain('0.0.0.0');
    await scenario.step(15);
    expect(await istioConfigMap()).toContain(gateway2);
    expect(await istioConfigMap()).not.toContain('0.0.0.0');
    expect(await scenario.step(16)).toBe(gateway2);
    // The page says the same twice.
    await scenario.step(17);
  });

  test('cluster2’s gateway becomes ready once cluster1 watches cluster2', async () => {
    await scenario.step(18);
    await scenario.step(19);
    expect(await gatewayPod()).toMatch(/ 0\/1 +Running/);
    await scenario.step(20);
    await kubectl(
      'cluster2',
      ...['wait', '-n', SYSTEM, '--for=condition=Ready', 'pod', '-l', 'istio=ingressgateway', '--timeout=90s'],
    );
    expect(await scenario.step(21)).toMatch(/^istio-ingressgateway-\S+ +1\/1 +Running/m);
  });

  test('helloworld runs in both clusters, sleep in cluster1, each with its proxy', async () => {
    for (const number of [22, 23, 25, 26, 28]) await scenario.step(number);
    expect(await waitForPods(sandbox, 'cluster2', 'sample')).toEqual(['2/2']);
    expect(await waitForPods(sandbox, 'cluster1', 'sample')).toEqual(['2/2', '2/2']);
    expect(await scenario.step(24)).toMatch(/^helloworld-v2-\S+ +2\/2 +Running/m);
    expect(await scenario.step(27)).toMatch(/^helloworld-v1-\S+ +2\/2 +Running/m);
    expect(await scenario.step(29)).toMatch(/^sleep-\S+ +2\/2 +Running/m);
  });

  test('proxy-status: the cluster without a control plane is only noted, its proxies are in the other’s answer', async () => {
    const both = await sandbox.isthmus('proxy-status', '--context', 'cluster1', '--context', 'cluster2');
    expect(both).toMatchObject({
      code: 0,
      stderr: expect.stringContaining('cluster2 has no control plane of its own'),
    });
    expect(both.stdout).toMatch(/^helloworld-v2-\S+\.sample +\S+ +SYNCED/m);
    const alone = await sandbox.isthmus('proxy-status', '--context', 'cluster2');
    expect(alone).toMatchObject({ code: 1, stderr: expect.stringContaining('--context') });
  });

  test('helloworld.sample is answered by v1 and by v2', async () => {
    const versions = new Set<string>();
    await until('both versions', async () => {
      const [, version, pod] = /^Hello version: (v\d), instance: (\S+)$/m.exec(await scenario.step(30)) ?? [];
      expect(pod).toMatch(new RegExp(`^helloworld-${version}-`));
      versions.add(version!);
      return versions.size === 2;
    });
    expect([...versions].sort()).toEqual(['v1', 'v2']);
  });

  test('sleep’s proxy logs the remote gateway for v2 and the pod itself for v1', async () => {
    const own = `${await podAddress('cluster1', 'app=helloworld')}:5000`;
    const counts = await ask('share', 40);
    expect(counts).toEqual({ v1: expect.any(Number), v2: expect.any(Number) });
    const upstreams = await upstreamsOf('share', 40);
    expect(upstreams).toEqual({ [own]: counts['v1'], [`${gateway2}:443`]: counts['v2'] });
    expect(linesWith(await scenario.step(31), `"${gateway2}:443"`, HELLOWORLD).length).toBeGreaterThan(0);
  });

  test('cluster1’s gateway only passes the control plane’s TLS on', async () => {
    const gateway1 = await gatewayAddress(sandbox, 'cluster1');
    const { chain } = await probeTls(sandbox, gateway1, 15_011, 'istio-pilot.istio-system.svc', 'h2');
    const [leaf] = chain.map(({ pem }) => new X509Certificate(pem));
    expect(leaf?.subjectAltName).toContain('DNS:istio-pilot.istio-system.svc');
    expect((await probeTls(sandbox, gateway1, 15_011, 'nobody.istio-system.svc', 'h2')).chain).toEqual([]);
  });

  test('with one pod here and three there a quarter stays here', async () => {
    await kubectl('cluster2', 'scale', 'deploy/helloworld-v2', '-n', 'sample', '--replicas=3');
    expect(await waitForPods(sandbox, 'cluster2', 'sample')).toEqual(['2/2', '2/2', '2/2']);
    const own = `${await podAddress('cluster1', 'app=helloworld')}:5000`;
    await expect.poll(weights, { timeout: 30_000 }).toEqual({ [own]: 1, [`${gateway2}:443`]: 3 });
    const counts = await ask('scaled', 400);
    expectShare(counts['v1']!, { draws: 400, share: 0.25 });
    expect(counts['v1']! + counts['v2']!).toBe(400);
  });

  test('port 15443, as the page’s log has it: meshNetworks is followed, and nothing is restarted', async () => {
    const plane = await planePod();
    await editMeshNetworks({ SECURE_INGRESS_PORT: '15443' });
    await until('the new port', async () => {
      await ask('port-wait', 8);
      return linesWith(await sleepLog(), 'port-wait', `"${gateway2}:15443"`, HELLOWORLD).length > 0;
    });
    const counts = await ask('port', 40);
    const upstreams = await upstreamsOf('port', 40);
    expect(upstreams[`${gateway2}:15443`]).toBe(counts['v2']);
    expect(upstreams[`${gateway2}:443`]).toBeUndefined();
    expect(await planePod()).toBe(plane);
  });

  test('a bad edit is refused with its line, and the last good one stays in force', async () => {
    const before = await meshNetworks();
    const line = before.split('\n').findLastIndex((text) => text.includes('port:')) + 1;
    expect(line).toBeGreaterThan(0);
    await expect(editMeshNetworks({ SECURE_INGRESS_PORT: 'many' })).rejects.toThrow(
      `line ${line} of meshNetworks: "many" is not a whole number`,
    );
    expect(await meshNetworks()).toBe(before);
    await ask('bad', 20);
    expect((await upstreamsOf('bad', 20))[`${gateway2}:15443`]).toBeGreaterThan(0);
    await editMeshNetworks({ SECURE_INGRESS_PORT: '443' });
    await until('the cure', async () => {
      await ask('cure-wait', 8);
      return linesWith(await sleepLog(), 'cure-wait', `"${gateway2}:443"`).length > 0;
    });
  });

  test('the secret is rotated: no request fails meanwhile, and the new token is the one in use', async () => {
    await makeSecondToken(scenario);
    const asking = ask('rotation', 200);
    await replaceKubeconfig(scenario);
    const counts = await asking;
    expect(counts['v1']! + counts['v2']!).toBe(200);
    // With the old token gone, what changes in cluster2 still arrives.
    await kubectl('cluster2', 'delete', 'secret', 'istio-multi-token', '-n', SYSTEM);
    await kubectl('cluster2', 'scale', 'deploy/helloworld-v2', '-n', 'sample', '--replicas=2');
    await expect.poll(async () => (await weights())[`${gateway2}:443`], { timeout: 30_000 }).toBe(2);
    // The page's clean-up is for all that its manifest has.
    await kubectl('cluster2', 'apply', '-f', join(scenario.workDir, 'istio-remote-auth.yaml'));
  });

  test('the secret is removed: only cluster1 answers; it is made again: both do', async () => {
    await kubectl('cluster1', 'label', 'secret', 'n2-k8s-secret', 'istio/multiCluster-', '-n', SYSTEM);
    await until('cluster1 alone', async () => (await weights())[`${gateway2}:443`] === undefined);
    expect(await ask('alone', 20)).toEqual({ v1: 20 });
    await kubectl('cluster1', 'label', 'secret', 'n2-k8s-secret', 'istio/multiCluster=true', '-n', SYSTEM);
    await until('both again', async () => (await ask('both-wait', 20))['v2'] !== undefined);
  });

  test('the page’s clean-up leaves nothing', async () => {
    await scenario.step(32);
    await scenario.step(33);
    for (const context of ['cluster1', 'cluster2'])
      await until(`nothing in ${context}`, async () => {
        expect(await inventory(context)).toEqual(before[context]);
        return true;
      });
    for (const file of ['istio-auth.yaml', 'istio-remote-auth.yaml', 'n2-k8s-config'])
      expect(existsSync(join(scenario.workDir, file)), file).toBe(false);
  });

  /** Names of all objects, but for those that tell of something or come and go by themselves. */
  async function inventory(context: string): Promise<string[]> {
    const listed = await kubectl(context, 'api-resources', '--verbs=list', '-o', 'name');
    const types = listed.split('\n').filter((name) => name !== '' && !/^events(\.|$)|\.metrics\.k8s\.io$/.test(name));
    const objects = await kubectl(
      context,
      ...['get', types.join(','), '-A', '--ignore-not-found', '--no-headers'],
      ...['-o', 'custom-columns=KIND:.kind,NAMESPACE:.metadata.namespace,NAME:.metadata.name'],
    );
    return objects
      .trim()
      .split('\n')
      .map((line) => line.trim().split(/ +/).join(' '))
      .sort();
  }

  function gatewayPod(): Promise<string> {
    return kubectl('cluster2', 'get', 'pods', '-n', SYSTEM, '-l', 'istio=ingressgateway', '--no-headers');
  }

  /** Name and restarts of the control plane. */
  function planePod(): Promise<string> {
    return kubectl(
      'cluster1',
      ...['get', 'pods', '-n', SYSTEM, '-l', 'app=istiod', '--no-headers'],
      ...['-o', 'custom-columns=NAME:.metadata.name,RESTARTS:.status.containerStatuses[0].restartCount'],
    );
  }

  function podAddress(context: string, selector: string): Promise<string> {
    return kubectl(context, 'get', 'pod', '-n', 'sample', '-l', selector, '-o', 'jsonpath={.items[0].status.podIP}');
  }

  function sleepLog(): Promise<string> {
    return kubectl('cluster1', 'logs', '-n', 'sample', 'deploy/sleep', '-c', 'istio-proxy');
  }

  /** How often each version answered; any other answer is a version of its own. */
  async function ask(userAgent: string, count: number): Promise<Record<string, number>> {
    const inSleep = ['exec', '-n', 'sample', 'deploy/sleep', '-c', 'sleep', '--'];
    let said = '';
    for (let left = count; left > 0; left -= MOST_AT_ONCE) {
      const urls = Array<string>(Math.min(left, MOST_AT_ONCE)).fill('http://helloworld.sample:5000/hello');
      said += await kubectl('cluster1', ...inSleep, 'curl', '-sS', '-A', userAgent, ...urls);
    }
    const versions: Record<string, number> = {};
    for (const line of said.trim().split('\n')) {
      const [, version = line] = /^Hello version: (v\d), instance: \S+$/.exec(line) ?? [];
      versions[version] = (versions[version] ?? 0) + 1;
    }
    return versions;
  }

  /** Of helloworld's endpoints, in sleep's proxy. */
  function weights(): Promise<Record<string, number>> {
    return readEndpointWeights(
      sandbox,
      { context: 'cluster1', namespace: 'sample', workload: 'deploy/sleep' },
      HELLOWORLD,
    );
  }

  /** Upstream addresses of the requests with that user agent, and how often each, once the log has all of them. */
  async function upstreamsOf(userAgent: string, count: number): Promise<Record<string, number>> {
    let lines: string[] = [];
    await until('the log', async () => {
      lines = linesWith(await sleepLog(), `"${userAgent}"`, HELLOWORLD);
      return lines.length >= count;
    });
    const upstreams: Record<string, number> = {};
    for (const line of lines) {
      const [, upstream = '(none)'] = /"([\d.]+:\d+)" outbound\|/.exec(line) ?? [];
      upstreams[upstream] = (upstreams[upstream] ?? 0) + 1;
    }
    return upstreams;
  }

  function meshNetworks(): Promise<string> {
    return kubectl('cluster1', 'get', 'cm', 'istio', '-n', SYSTEM, '-o', 'jsonpath={.data.meshNetworks}');
  }

  /** As the page edits it, with other values. What kubectl keeps of a refused edit, it keeps in TMPDIR. */
  async function editMeshNetworks(values: Record<string, string>): Promise<void> {
    const assignments = Object.entries({ ...values, TMPDIR: scenario.workDir }).map(
      ([name, value]) => `${name}='${value}'`,
    );
    await scenario.bash(`${assignments.join(' ')} kubectl edit cm -n istio-system --context=$CTX_CLUSTER1 istio`);
  }
});
