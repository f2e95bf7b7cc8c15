// SPDX-License-Identifier: Apache-2.0
// One control plane for two clusters (seed 001), and the other cluster in trouble: what is local loses nothing, the rest
// comes back by itself.
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { rounds } from '../fixture/counts.ts';
import { processesOfSandbox, sandboxObstacle } from '../fixture/sandbox.ts';
import { until } from '../fixture/waiting.ts';
import { readEndpointWeights } from '../seeds/endpoint-weights.ts';
import { makeSecondToken, replaceKubeconfig } from '../seeds/remote-token.ts';
import { gatewayAddress } from '../seeds/scenario.ts';
import { OnePlaneUnderLoad } from './one-plane-under-load.ts';

const obstacle = sandboxObstacle('kubectl');
const SYSTEM = 'istio-system';
const HELLOWORLD = 'outbound|5000||helloworld.sample.svc.cluster.local';
const ENVOY = 'envoy --config-yaml';
/** In full longer than a connection without acknowledgement lives, so that one that hangs shows. */
const CUT_SECONDS = rounds(6, 60);
const AWAY_SECONDS = rounds(3, 240);

describe.skipIf(obstacle !== undefined)(
  `one control plane under load${obstacle ? ` (skipped: ${obstacle})` : ''}`,
  () => {
    const mesh = new OnePlaneUnderLoad('one-plane');

    let gateway2 = '';

    beforeAll(async () => {
      await mesh.up();
      gateway2 = await gatewayAddress(mesh.sandbox, 'cluster2');
    });
    afterAll(async () => {
      expect(await mesh.down()).toEqual([]);
    });

    /** Weight of what stands behind cluster2's gateway, as cluster1's gateway has it: the number of pods there. */
    async function weightOfCluster2(): Promise<number> {
      const place = { context: 'cluster1', namespace: SYSTEM, workload: 'deploy/istio-ingressgateway' };
      const weights = await readEndpointWeights(mesh.sandbox, place, HELLOWORLD);
      return weights[`${gateway2}:443`] ?? 0;
    }

    /** What changes in cluster2, cluster1's proxies get to know, and it answers. */
    async function followsCluster2(replicas: number): Promise<void> {
      await mesh.kubectl('cluster2', 'scale', '-n', 'sample', 'deploy/helloworld-v2', `--replicas=${replicas}`);
      await until(`${replicas} pods of v2`, async () => (await weightOfCluster2()) === replicas);
      const url = `${mesh.sandbox.gateway('cluster1').href}hello`;
      await until('an answer of v2', async () => (await (await fetch(url)).text()).includes('version: v2'));
    }

    test('the other cluster’s gateway killed: what is local goes on, the rest comes back by itself', async (context) => {
      const [pod = ''] = await mesh.pods('cluster2', 'istio-ingressgateway', SYSTEM);
      const restarts = () => {
        const count = 'jsonpath={.status.containerStatuses[0].restartCount}';
        return mesh.kubectl('cluster2', 'get', 'pod', '-n', SYSTEM, pod, '-o', count);
      };
      const report = await mesh.underLoad(async (load) => {
        mesh.kill(pod, ENVOY);
        await until('its restart', async () => (await restarts()) === '1');
        await load.wellAnswered(200, 60_000);
      });
      mesh.judge(report, context, mesh.failuresOf(report, 'local'));
      await followsCluster2(1);
    });

    test(`the other cluster cut off for ${CUT_SECONDS} s: what is local goes on, the rest comes back`, async (context) => {
      const report = await mesh.underLoad(async (load) => {
        await mesh.cable('disconnect', 'cluster2');
        await load.sentFor(CUT_SECONDS);
        await mesh.cable('connect', 'cluster2');
        load.mark('the cable is back');
        await load.wellAnswered(200, 60_000);
      });
      mesh.judge(report, context, mesh.failuresOf(report, 'local'));
      // The watch over cluster2, and the streams of its proxies, are back as well.
      await followsCluster2(2);
    });

    test(`the other cluster’s API server away for ${AWAY_SECONDS} s, the secret rotated and the control plane killed meanwhile: no request is lost`, async (context) => {
      await makeSecondToken(mesh.scenario);
      const server = apiServerOfCluster2();
      const report = await mesh.underLoad(async (load) => {
        process.kill(server, 'SIGSTOP');
        try {
          await load.sentFor(AWAY_SECONDS / 3);
          await replaceKubeconfig(mesh.scenario);
          await load.sentFor(AWAY_SECONDS / 3);
          // A control plane that starts anew has from its disk what it knew before.
          const [plane = ''] = await mesh.pods('cluster1', 'istiod', SYSTEM);
          mesh.kill(plane, 'control-plane');
          await until('the gateway at the new control plane', async () =>
            (await debug('proxies')).includes('istio-ingressgateway'),
          );
          expect(JSON.parse(await debug('registries'))).toMatchObject({
            registries: [{ cluster: 'n2-k8s-config', state: 'stale', ageSeconds: expect.any(Number) }],
          });
          // It may be some seconds old: one pod or two, but not none.
          expect(await weightOfCluster2()).toBeGreaterThan(0);
          await load.sentFor(AWAY_SECONDS / 3);
        } finally {
          process.kill(server, 'SIGCONT');
        }
      });
      mesh.judge(report, context, report.failed);
      // With the first token gone, what changes in cluster2 still arrives: the second one is in use.
      await mesh.kubectl('cluster2', 'delete', 'secret', 'istio-multi-token', '-n', SYSTEM);
      await followsCluster2(1);
    });

    /** A view of cluster1's control plane; it throws while that is away. */
    function debug(view: string): Promise<string> {
      const ask = ['curl', '-sS', `http://127.0.0.1:15014/debug/${view}`];
      return mesh.kubectl('cluster1', 'exec', '-n', SYSTEM, 'deploy/istiod', '--', ...ask);
    }

    function apiServerOfCluster2(): number {
      const [pid, ...more] = processesOfSandbox(mesh.sandbox, ' component apiserver ').filter((process) =>
        readFileSync(`/proc/${process}/cmdline`, 'utf8').includes('--cluster\u00002'),
      );
      expect([pid, more]).toEqual([expect.any(Number), []]);
      return pid!;
    }
  },
);
