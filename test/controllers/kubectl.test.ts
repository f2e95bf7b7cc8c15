// SPDX-License-Identifier: Apache-2.0
// What a user sees of the controllers through stock kubectl.
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { findProgram } from '../fixture/sandbox.ts';
import { startCluster, type TestCluster } from './cluster.ts';

const hasKubectl = findProgram('kubectl') !== undefined;

let cluster: TestCluster;
let home: string;
let stopKubelet: () => Promise<void>;
beforeAll(async () => {
  home = mkdtempSync(join(tmpdir(), 'kubectl-'));
  cluster = await startCluster();
  stopKubelet = cluster.playKubelet();
});
afterAll(async () => {
  await stopKubelet?.();
  await cluster?.close();
  rmSync(home, { recursive: true, force: true });
});

test.skipIf(!hasKubectl)(
  'rollout status, history, undo, restart, describe, delete (skipped without kubectl on PATH)',
  async () => {
    const namespace = await cluster.namespace();
    const kubectl = async (...args: string[]): Promise<string> => {
      const options = { env: { ...process.env, HOME: home, KUBECONFIG: cluster.kubeconfig }, timeout: 15_000 };
      const { stdout } = await promisify(execFile)('kubectl', ['-n', namespace, ...args], options);
      return stdout;
    };
    await kubectl('create', 'deployment', 'web', '--image=example/web:1', '--replicas=2');
    expect(await kubectl('rollout', 'status', 'deployment/web', '--timeout=10s')).toContain(
      'deployment "web" successfully rolled out',
    );
    await kubectl('set', 'image', 'deployment/web', 'web=example/web:2');
    await kubectl('rollout', 'status', 'deployment/web', '--timeout=10s');
    await kubectl('rollout', 'restart', 'deployment/web');
    await kubectl('rollout', 'status', 'deployment/web', '--timeout=10s');
    expect(await kubectl('rollout', 'history', 'deployment/web')).toMatch(
      /REVISION.*\n1 +<none>\n2 +<none>\n3 +<none>/,
    );
    await kubectl('rollout', 'undo', 'deployment/web', '--to-revision=1');
    await kubectl('rollout', 'status', 'deployment/web', '--timeout=10s');
    expect(await kubectl('get', 'deployment', 'web', '-o', 'jsonpath={.spec.template.spec.containers[0].image}')).toBe(
      'example/web:1',
    );
    expect(await kubectl('get', 'deployment', 'web', '--no-headers')).toMatch(/^web +2\/2 +2 +2 /);
    await kubectl('scale', 'deployment/web', '--replicas=1');
    await kubectl('wait', '--for=jsonpath={.status.replicas}=1', 'deployment/web', '--timeout=10s');

    const described = await kubectl('describe', 'deployment', 'web');
    expect(described).toMatch(/Replicas: +1 desired \| 1 updated \| 1 total \| 1 available \| 0 unavailable/);
    expect(described).toMatch(/Progressing +True +NewReplicaSetAvailable/);
    expect(described).toMatch(
      /Normal +ScalingReplicaSet +\S+ +deployment-controller +Scaled up replica set web-\w+ from 0 to 2/,
    );

    await kubectl('expose', 'deployment', 'web', '--port=80', '--target-port=8080');
    await kubectl('wait', '--for=jsonpath={.subsets[0].addresses[0].ip}', 'endpoints/web', '--timeout=10s');
    expect(await kubectl('describe', 'service', 'web')).toMatch(/Endpoints: +10\.1\.\d+\.\d+:8080/);

    await kubectl('delete', 'deployment', 'web', '--cascade=foreground', '--timeout=10s');
    expect(await kubectl('get', 'replicasets,pods', '-o', 'name')).toBe('');
    await kubectl('delete', 'namespace', namespace, '--timeout=10s');
  },
  90_000,
);
