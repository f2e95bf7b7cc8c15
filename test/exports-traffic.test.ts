// SPDX-License-Identifier: Apache-2.0
// What exports do to traffic, on three clusters that `mesh up` made: the shares of seeds 000 and 002 without a ServiceEntry or
// a DestinationRule for `.global` that anybody wrote; and the share of a cluster that loses its pods, its gateway, or its
// cable moves to the others, and comes back.
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type PageVisit, visitPage } from '../src/cli/demo/traffic.ts';
import { countBy, TrafficWatch } from './exports/traffic-watch.ts';
import { rounds } from './fixture/counts.ts';
import { sandboxObstacle, TestSandbox } from './fixture/sandbox.ts';
import { until } from './fixture/waiting.ts';
import { SeedScenario, waitForPods } from './seeds/scenario.ts';
import { expectShare } from './seeds/share.ts';

const obstacle = sandboxObstacle('kubectl');
const CLUSTERS = ['cluster1', 'cluster2', 'cluster3'] as const;
const DRAWS = rounds(200, 1_000);
type Cluster = (typeof CLUSTERS)[number];

describe.skipIf(obstacle !== undefined)(`traffic of exports${obstacle ? ` (skipped: ${obstacle})` : ''}`, () => {
  const sandbox = new TestSandbox('exports');
  const [bookinfo, multicluster] = [new SeedScenario('000', sandbox), new SeedScenario('002', sandbox)];
  const at = (cluster: Cluster, ...args: string[]) => sandbox.kubectl('--context', cluster, ...args);
  const apply = (cluster: Cluster, file: string) =>
    sandbox.bash(`sed s/CLUSTER/${cluster}/g test/exports/${file} | kubectl --context ${cluster} apply -f -`);
  const exportIt = (cluster: Cluster, namespace: string, service: string) =>
    at(cluster, '-n', namespace, 'annotate', 'service', service, 'isthmus.io/export=true');
  const traffic = (cluster: Cluster, said: string) =>
    at(cluster, 'annotate', '--overwrite', 'service', 'hello', `isthmus.io/traffic=${said}`);
  const visit = (count: number, user?: string): Promise<PageVisit[]> =>
    visitPage(sandbox.gateway('cluster1'), { count, userAgent: 'visit', ...(user ? { user } : {}) });
  const curl = (namespace: string, args: string) =>
    sandbox.bash(`kubectl --context cluster1 -n ${namespace} exec deploy/sleep -c sleep -- curl -sS -m 10 ${args}`);

  beforeAll(async () => {
    await sandbox.up('--clusters', String(CLUSTERS.length));
    const mesh = join(sandbox.dir, 'mesh.yaml');
    await sandbox.must('mesh', 'init', '-o', mesh);
    await sandbox.must('mesh', 'up', '-f', mesh, '--yes');
    await bookinfo.step(2);
    for (const step of [3, 4, 5]) await bookinfo.step(step);
    for (const step of [6, 7, 12, 13]) await multicluster.step(step);
    await at('cluster3', 'label', 'namespace', 'default', 'istio-injection=enabled');
    for (const cluster of CLUSTERS) await apply(cluster, 'hello.yaml');
    await apply('cluster1', 'hello-route.yaml');
    await Promise.all(
      [
        ['cluster1', 'default'],
        ['cluster2', 'default'],
        ['cluster3', 'default'],
        ['cluster1', 'hello'],
        ['cluster2', 'hello'],
        ['cluster2', 'app2'],
      ].map(([cluster, namespace]) => waitForPods(sandbox, cluster!, namespace)),
    );
  });

  afterAll(async () => {
    expect(await sandbox.down()).toEqual([]);
  });

  test('seed 000: jason gets v2 and v3 half and half from cluster2, everybody else v1 from cluster1', async () => {
    await exportIt('cluster2', 'default', 'reviews');
    await bookinfo.step(8);
    await bookinfo.step(10);
    await expect.poll(async () => (await visit(1, 'jason'))[0]?.stars, { timeout: 30_000 }).toMatch(/^(black|red)$/);
    const [jason, others] = [await visit(DRAWS, 'jason'), await visit(50)];
    expect(jason.filter(({ stars }) => stars !== 'black' && stars !== 'red')).toEqual([]);
    expectShare(jason.filter(({ stars }) => stars === 'black').length, { draws: DRAWS, share: 0.5 });
    expect(others.map(({ stars }) => stars)).toEqual(Array(50).fill('none'));
  });

  test('seed 002: httpbin by its name, in a namespace that only the other cluster has', async () => {
    const called = async () => {
      await multicluster.bash('kubectl config use-context cluster1');
      return multicluster.step(11);
    };
    await exportIt('cluster2', 'app2', 'httpbin');
    await expect
      .poll(async () => (await curl('app1', 'httpbin.app2.global:8000/headers')).stdout, { timeout: 30_000 })
      .toContain('"headers"');
    const { headers } = JSON.parse(await called()) as { headers: Record<string, string> };
    expect(headers['Host']).toBe('httpbin.app2.global:8000');
    expect(headers['X-Forwarded-Client-Cert']).toContain('URI=spiffe://cluster.local/ns/app1/sa/sleep');
    const { stdout } = await curl('app1', 'httpbin.app2.svc.clusterset.local:8000/headers');
    expect(stdout).toContain('"Host": "httpbin.app2.svc.clusterset.local:8000"');
  });

  test('seed 002: jason gets v2 for 70 % and v3 for 30 %, everybody else v1 at home', async () => {
    const hello = async (count: number, headers = '') => {
      const { stdout } = await curl('hello', `${headers} ${'helloworld.hello:5000/hello '.repeat(count)}`);
      return [...stdout.matchAll(/Hello version: (v\d), instance/g)].map((match) => match[1]!);
    };
    await exportIt('cluster2', 'hello', 'helloworld');
    await multicluster.bash('kubectl config use-context cluster1');
    await multicluster.step(15);
    await multicluster.step(17);
    await expect
      .poll(async () => new Set(await hello(20, '-H end-user:jason')), { timeout: 30_000 })
      .toEqual(new Set(['v2', 'v3']));
    const jason = (await Promise.all([1, 2].map(() => hello(DRAWS / 2, '-H end-user:jason')))).flat();
    expect(jason).toHaveLength(DRAWS);
    expect(jason.filter((version) => version !== 'v2' && version !== 'v3')).toEqual([]);
    expectShare(jason.filter((version) => version === 'v2').length, { draws: DRAWS, share: 0.7 });
    expect(await hello(50)).toEqual(Array(50).fill('v1'));
  });

  test('nobody wrote a ServiceEntry, nor a rule for .global', async () => {
    for (const cluster of CLUSTERS) {
      const written = await at(cluster, 'get', 'serviceentries', '-A', '-l', 'app.kubernetes.io/managed-by!=isthmus');
      expect(written.trim()).toBe('');
    }
    const hosts = await at('cluster1', 'get', 'destinationrules', '-A', '-o', 'jsonpath={.items[*].spec.host}');
    expect(hosts.split(' ').sort()).toEqual([
      '*.global',
      'helloworld.hello.global',
      'helloworld.hello.svc.cluster.local',
      'httpbin.app2.global',
      'reviews.default.global',
      'reviews.default.svc.cluster.local',
    ]);
  });

  describe('a share moves and comes back', () => {
    const halves = { cluster1: 20, cluster2: 20 };
    let watch: TrafficWatch;
    beforeAll(async () => {
      const watching = () => new TrafficWatch(`${sandbox.gateway('cluster1').href}hello`, /cluster\d/);
      watch = watching();
      await watch.settled('half and half', (last) => {
        const { cluster1 = 0, cluster2 = 0 } = countBy(last);
        return cluster1 === halves.cluster1 && cluster2 === halves.cluster2;
      });
    });
    afterAll(() => watch.stop());

    const allOf = (cluster: Cluster) => (last: readonly { from: string | undefined }[]) =>
      last.every(({ from }) => from === cluster);
    const bothAgain = () =>
      watch.settled('half and half again', (last) => {
        const { cluster1 = 0, cluster2 = 0 } = countBy(last);
        return cluster1 === halves.cluster1 && cluster2 === halves.cluster2;
      });

    /** Does what breaks and what mends, and says how long the share took to move each time, and what was lost. */
    async function through(what: string, breakIt: () => Promise<unknown>, mendIt: () => Promise<unknown>) {
      const began = Date.now();
      await breakIt();
      await watch.settled('everything at cluster1', allOf('cluster1'));
      const movedAt = Date.now();
      const lastThere = Math.max(...watch.since(began).map((a) => (a.from === 'cluster2' ? a.sentAt : 0)), began);
      const mended = Date.now();
      await mendIt();
      await bothAgain();
      await watch.ended();
      const backAt = watch.since(mended).find(({ from }) => from === 'cluster2')!.sentAt;
      const all = watch.since(began);
      const lost = all.filter(({ from }) => from === undefined);
      const slowest = Math.max(...all.map(({ tookMs }) => tookMs));
      console.log(
        `${what}: moved after ${lastThere - began} ms, back ${backAt - mended} ms after it was mended;`,
        `${lost.length} of ${all.length} requests lost, the slowest took ${slowest} ms`,
        lost.map(({ said, tookMs }) => `${said} after ${tookMs} ms`).join('; '),
      );
      return { all, lost, movedAt };
    }

    test('all pods of a cluster are gone', async () => {
      const scale = (replicas: number) =>
        at('cluster2', 'scale', 'deployment/hello-cluster2', `--replicas=${replicas}`);
      const { lost, all } = await through(
        'its pods',
        () => scale(0),
        () => scale(1),
      );
      expect(lost).toEqual([]);
      expect(Object.keys(countBy(all)).sort()).toEqual(['cluster1', 'cluster2']);
    });

    test('its gateway is gone', async () => {
      const scale = (replicas: number) =>
        at('cluster2', '-n', 'istio-system', 'scale', 'deployment/istio-ingressgateway', `--replicas=${replicas}`);
      const { lost } = await through(
        'its gateway',
        () => scale(0),
        () => scale(1),
      );
      expect(lost).toEqual([]);
    });

    test('the whole cluster is cut off', async () => {
      const cable = (verb: string) => sandbox.must('sandbox', 'network', verb, 'cluster2', '--name', sandbox.name);
      const { lost, all, movedAt } = await through(
        'its cable',
        () => cable('disconnect'),
        () => cable('connect'),
      );
      // One for each connection that was open when the cable was pulled, and nothing once the share has moved.
      expect(lost.filter(({ sentAt }) => sentAt > movedAt)).toEqual([]);
      expect(lost.length, JSON.stringify(lost)).toBeLessThan(all.length / 10);
      expect(countBy(all)).not.toHaveProperty('cluster3');
    });

    test('both that have shares are gone: the third, which has none, stands in', async () => {
      const scale = (cluster: Cluster, replicas: number) =>
        at(cluster, 'scale', `deployment/hello-${cluster}`, `--replicas=${replicas}`);
      const began = Date.now();
      await Promise.all([scale('cluster1', 0), scale('cluster2', 0)]);
      await watch.settled('everything at cluster3', allOf('cluster3'));
      // So it is by the short name, whose own Service has no pod.
      const byShortName = async () => (await curl('app1', 'hello.default:5000/hello')).stdout;
      await expect.poll(byShortName, { timeout: 30_000 }).toContain('hello-cluster3');
      await at('cluster1', 'annotate', 'service', 'hello', 'isthmus.io/fallback=false');
      await expect.poll(byShortName, { timeout: 30_000 }).toContain('no healthy upstream');
      await Promise.all([scale('cluster1', 1), scale('cluster2', 1)]);
      await bothAgain();
      expect(watch.since(began).filter(({ from }) => from === undefined)).toEqual([]);
      expect(await byShortName()).toContain('hello-cluster1');
    });

    test('said otherwise: local first, and what is said wrongly changes nothing', async () => {
      await traffic('cluster1', 'local-first');
      await watch.settled('everything at home', allOf('cluster1'));
      await traffic('cluster1', 'cluster1=70,cluster2=20');
      await until('it is told', async () => {
        const said = await at('cluster1', 'get', 'exportedservice', 'hello', '-o', 'jsonpath={.status.conditions}');
        return said.includes('the shares add up to 90') && said.includes('make them add up to 100');
      });
    });
  });
});
