// SPDX-License-Identifier: Apache-2.0
// What breaks costs as little as it can: the request that was in the hands of what was killed, and nothing besides.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { rounds } from '../fixture/counts.ts';
import { sandboxObstacle } from '../fixture/sandbox.ts';
import { until } from '../fixture/waiting.ts';
import type { FailedRequest } from './load-generator.ts';
import { MeshUnderLoad } from './mesh-under-load.ts';
import type { Cluster } from './sandbox-under-load.ts';

const obstacle = sandboxObstacle('kubectl');
const SYSTEM = 'istio-system';
const ENVOY = 'envoy --config-yaml';
/** A process that is killed still has to be taken apart by the kernel before its connections break. */
const DYING_MS = 250;
/** Longer than a connection without acknowledgement lives, so that one that hangs shows. */
const CUT_SECONDS = rounds(12, 30);

describe.skipIf(obstacle !== undefined)(`faults under load${obstacle ? ` (skipped: ${obstacle})` : ''}`, () => {
  const mesh = new MeshUnderLoad('kills');

  beforeAll(() => mesh.up());
  afterAll(async () => {
    expect(await mesh.down()).toEqual([]);
  });

  /** Counters of the control plane's own, by name and first label. */
  async function metrics(cluster: Cluster): Promise<Map<string, number>> {
    const app = cluster === 'cluster1' ? 'helloworld' : 'ratings';
    const ask = "fetch('http://istio-pilot.istio-system:15014/metrics').then((r) => r.text()).then(console.log)";
    const text = await mesh.kubectl(cluster, 'exec', `deploy/${app}`, '-c', app, '--', 'node', '-e', ask);
    const line = /^(isthmus_xds_\w+)\{\w+="(\w+)"[^}]*\} (\d+)$/gm;
    return new Map([...text.matchAll(line)].map(([, name, label, value]) => [`${name} ${label}`, Number(value)]));
  }

  /** Every push has been acknowledged: what a proxy has not taken yet it is rightly sent again. */
  async function settled(cluster: Cluster): Promise<boolean> {
    const now = [...(await metrics(cluster))];
    const sum = (prefix: string) => now.reduce((total, [name, n]) => total + (name.startsWith(prefix) ? n : 0), 0);
    return sum('isthmus_xds_pushes_total ') === sum('isthmus_xds_acknowledged_seconds_count ');
  }

  test('both control planes killed: no request fails, proxies come back, and nothing that did not change is pushed', async (context) => {
    const clusters = ['cluster1', 'cluster2'] as const;
    for (const cluster of clusters) await until(`${cluster} at rest`, () => settled(cluster));
    const before = await Promise.all(clusters.map(metrics));
    const report = await mesh.underLoad(async () => {
      for (const cluster of clusters) {
        const [pod = ''] = await mesh.pods(cluster, 'istiod', SYSTEM);
        mesh.kill(pod, 'control-plane');
      }
      for (const [i, cluster] of clusters.entries()) {
        const streams = (from: Map<string, number> | undefined) =>
          [from?.get('isthmus_xds_streams ads'), from?.get('isthmus_xds_streams sds')].join();
        await until(`the proxies of ${cluster}`, async () => {
          const now = await metrics(cluster);
          return streams(now) === streams(before[i]) && (await settled(cluster));
        });
      }
    });
    mesh.judge(report, context, report.failed);
    for (const cluster of clusters) {
      const after = await metrics(cluster);
      const pushed = [...after].filter(([name]) => name.startsWith('isthmus_xds_pushed_resources_total '));
      // Keys live in the control plane's memory alone: a new one makes new ones.
      const unchanged = pushed.filter(([name]) => !name.endsWith(' Secret'));
      expect(unchanged.filter(([, count]) => count > 0)).toEqual([]);
      expect(pushed.map(([name]) => name)).toContain('isthmus_xds_pushed_resources_total Secret');
    }
    // They listen again: what changes now reaches them.
    const value = { match: [{ uri: { exact: '/resynced' } }], directResponse: { status: 418 } };
    const patch = JSON.stringify([{ op: 'add', path: '/spec/http/0', value }]);
    await mesh.kubectl('cluster1', 'patch', 'virtualservice', 'edge', '--type=json', '-p', patch);
    const url = `${mesh.sandbox.gateway('cluster1').href}resynced`;
    await until('a new rule', async () => (await fetch(url)).status === 418);
  });

  test.for([
    ['an application', 'cluster1', 'helloworld', 'images/helloworld'],
    ['an application of the other cluster', 'cluster2', 'ratings', 'images/ratings'],
    ['an Envoy', 'cluster1', 'helloworld', ENVOY],
    ['an Envoy of the other cluster', 'cluster2', 'ratings', ENVOY],
  ] as const)(
    '%s killed: only what it had in hand is lost, and it comes back',
    async ([, cluster, app, command], context) => {
      const [pod = ''] = await mesh.pods(cluster, app);
      const container = command === ENVOY ? 'initContainerStatuses' : 'containerStatuses';
      const name = command === ENVOY ? 'istio-proxy' : app;
      const restarts = async () =>
        mesh.kubectl(
          cluster,
          ...['get', 'pod', pod, '-o', `jsonpath={.status.${container}[?(@.name=="${name}")].restartCount}`],
        );
      let killed = { before: 0, after: 0 };
      const report = await mesh.underLoad(async () => {
        killed = mesh.kill(pod, command);
        await until('its restart', async () => (await restarts()) === '1');
        await mesh.kubectl(cluster, 'wait', '--for=condition=Ready', `pod/${pod}`, '--timeout=60s');
      });
      const inHand = ({ sentAt, tookMs }: FailedRequest) =>
        sentAt <= killed.after + DYING_MS && sentAt + tookMs >= killed.before;
      const others = report.failed.filter((failure) => !inHand(failure));
      mesh.judge(report, context, others);
    },
  );

  test('the other cluster’s gateway killed: what is local goes on, the rest comes back by itself', async (context) => {
    const [pod = ''] = await mesh.pods('cluster2', 'istio-ingressgateway', SYSTEM);
    const report = await mesh.underLoad(async (load) => {
      mesh.kill(pod, ENVOY);
      await load.wellAnswered(200, 60_000);
    });
    mesh.judge(report, context, mesh.failuresOf(report, 'local'));
    expect(report.statuses['200']).toBeGreaterThan(0);
  });

  test('of two gateways one never answers: requests wait for it at first, then go to the other, and none fails', async (context) => {
    const nobody = { address: '172.31.0.250', ports: { http1: 15443 } };
    const change = async (op: object) => {
      await mesh.kubectl('cluster1', 'patch', 'serviceentry', 'ratings', '--type=json', '-p', JSON.stringify([op]));
    };
    const ejected = async () => {
      const [gateway = ''] = await mesh.pods('cluster1', 'istio-ingressgateway', SYSTEM);
      const ask = "http.get({ socketPath: '/tmp/envoy-admin.sock', path: '/clusters' }, (r) => r.pipe(process.stdout))";
      const inGateway = ['exec', '-n', SYSTEM, gateway, '--', 'node', '-e', ask];
      return (await mesh.kubectl('cluster1', ...inGateway)).includes(
        '172.31.0.250:15443::health_flags::/failed_outlier_check',
      );
    };
    const report = await mesh.underLoad(async () => {
      await change({ op: 'add', path: '/spec/endpoints/-', value: nobody });
      await until('the lost gateway left alone', ejected);
    });
    await change({ op: 'remove', path: '/spec/endpoints/1' });
    mesh.judge(report, context, report.failed);
  });

  test(`the other cluster cut off for ${CUT_SECONDS} s: what is local goes on, no request hangs, the rest comes back`, async (context) => {
    const report = await mesh.underLoad(async (load) => {
      await mesh.cable('disconnect', 'cluster2');
      await load.sentFor(CUT_SECONDS);
      await mesh.cable('connect', 'cluster2');
      load.mark('the cable is back');
      await load.wellAnswered(400, 60_000);
    });
    mesh.judge(report, context, mesh.failuresOf(report, 'local'));
    expect(mesh.failuresOf(report, 'remote').length, 'the cut was one').toBeGreaterThan(0);
    const hung = report.failed.filter(({ outcome }) => outcome.startsWith('no answer'));
    mesh.judge(report, context, hung);
  });
});
