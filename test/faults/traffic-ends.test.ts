// SPDX-License-Identifier: Apache-2.0
// What ends in peace costs no request: docs/decisions/0013-graceful-ends.md.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { sandboxObstacle } from '../fixture/sandbox.ts';
import { until } from '../fixture/waiting.ts';
import { MeshUnderLoad } from './mesh-under-load.ts';

const obstacle = sandboxObstacle('kubectl');
const SYSTEM = 'istio-system';
const GATEWAY = 'istio-ingressgateway';

describe.skipIf(obstacle !== undefined)(`graceful ends${obstacle ? ` (skipped: ${obstacle})` : ''}`, () => {
  const mesh = new MeshUnderLoad('ends');

  beforeAll(() => mesh.up());
  afterAll(async () => {
    expect(await mesh.down()).toEqual([]);
  });

  test('a rollout of every service at once, of one replica or two, loses no request', async (context) => {
    const report = await mesh.underLoad(async () => {
      await Promise.all([
        mesh.restart('cluster1', 'helloworld'),
        mesh.restart('cluster1', 'reviews'),
        mesh.restart('cluster2', 'ratings'),
      ]);
    });
    mesh.judge(report, context, report.failed);
  });

  test('a deleted pod loses no request, one of two or the only gateway', async (context) => {
    const report = await mesh.underLoad(async () => {
      const remove = async (cluster: 'cluster1' | 'cluster2', app: string, namespace = 'default') => {
        const [pod = ''] = await mesh.pods(cluster, app, namespace);
        await mesh.kubectl(cluster, 'delete', 'pod', '-n', namespace, pod);
      };
      await Promise.all([
        remove('cluster1', 'helloworld'),
        remove('cluster2', 'ratings'),
        remove('cluster2', GATEWAY, SYSTEM),
      ]);
    });
    mesh.judge(report, context, report.failed);
  });

  test('a rollout of the gateways, of one replica in one cluster and two in the other, loses no request', async (context) => {
    await mesh.kubectl('cluster1', 'scale', '-n', SYSTEM, `deployment/${GATEWAY}`, '--replicas=2');
    await mesh.kubectl('cluster1', 'rollout', 'status', '-n', SYSTEM, `deployment/${GATEWAY}`, '--timeout=60s');
    const report = await mesh.underLoad(async () => {
      await Promise.all([mesh.restart('cluster1', GATEWAY, SYSTEM), mesh.restart('cluster2', GATEWAY, SYSTEM)]);
    });
    mesh.judge(report, context, report.failed);
  });

  test('the application calls others through its proxy from its first moment to its last, and a task ends', async () => {
    const call = 'curl -s -m 10 http://helloworld:5000/hello || echo refused';
    const script = `echo "first: $(${call})"; trap 'echo "last: $(${call})"; exit 0' TERM; while :; do sleep 0.1; done`;
    const container = (name: string, args: string[]) => ({
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name },
      spec: {
        restartPolicy: 'Never',
        containers: [{ name: 'caller', image: 'governmentpaas/curl-ssl', command: ['/bin/sh', '-c'], args }],
      },
    });
    await mesh.apply('cluster1', JSON.stringify(container('task', [`echo "only: $(${call})"`])));
    await mesh.apply('cluster1', JSON.stringify(container('caller', [script])));
    await until('the task’s end', async () =>
      (await mesh.kubectl('cluster1', 'get', 'pod', 'task', '-o', 'jsonpath={.status.phase}')).includes('Succeeded'),
    );
    expect(await mesh.kubectl('cluster1', 'logs', 'task', '-c', 'caller')).toContain('only: Hello version');
    await until('the first call', async () =>
      (await mesh.kubectl('cluster1', 'logs', 'caller', '-c', 'caller')).includes('first: '),
    );
    const follow = spawn('kubectl', ['--context', 'cluster1', 'logs', '-f', 'caller', '-c', 'caller'], {
      env: mesh.sandbox.env,
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let log = '';
    follow.stdout.setEncoding('utf8').on('data', (text: string) => {
      log += text;
    });
    const followed = once(follow, 'close');
    await mesh.kubectl('cluster1', 'delete', 'pod', 'caller', 'task');
    await followed;
    expect(log).toMatch(/^first: Hello version.*\nlast: Hello version/);
  });
});
