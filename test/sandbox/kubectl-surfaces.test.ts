// SPDX-License-Identifier: Apache-2.0
// What kubectl needs a kubelet for: top, debug, proxies, streams; with every kubectl on PATH (kubectl, kubectl.1.27, ...).
import { spawn } from 'node:child_process';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { delimiter, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { run, sandboxObstacle, TestSandbox } from '../fixture/sandbox.ts';

const KUBECTLS = [
  ...new Set(
    (process.env['PATH'] ?? '')
      .split(delimiter)
      .flatMap(namesIn)
      .filter((name) => /^kubectl(\.1\.\d+)?$/.test(name)),
  ),
].sort();
const obstacle = sandboxObstacle() ?? (KUBECTLS.length > 0 ? undefined : 'kubectl is not on PATH');

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

const APP = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - {name: httpbin, image: kennethreitz/httpbin, ports: [{containerPort: 80, name: http}]}
      - {name: side, image: busybox, command: [sh, -c, "while true; do echo tick; sleep 0.2; done"]}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{name: http, port: 8000, targetPort: http}]}
`;

describe.skipIf(obstacle !== undefined)(`on a sandbox${obstacle ? ` (skipped: ${obstacle})` : ''}`, () => {
  const sandbox = new TestSandbox('surfaces');
  let pod = '';

  beforeAll(async () => {
    await sandbox.up('--clusters', '1');
    const file = join(sandbox.dir, 'app.yaml');
    writeFileSync(file, APP);
    await sandbox.kubectl('apply', '-f', file);
    await sandbox.kubectl('rollout', 'status', 'deployment/web', '--timeout=60s');
    pod = (await sandbox.kubectl('get', 'pod', '-l', 'app=web', '-o', 'jsonpath={.items[0].metadata.name}')).trim();
  });
  afterAll(async () => {
    expect(await sandbox.down()).toEqual([]);
  });

  describe.each(KUBECTLS)('%s', (kubectl) => {
    const works = async (...args: string[]): Promise<string> => {
      const { code, stdout, stderr } = await run(kubectl, args, sandbox.env, 60_000);
      expect(code, `${kubectl} ${args.join(' ')}: ${stderr}`).toBe(0);
      return stdout;
    };

    test('top: what nodes, pods and containers use', async () => {
      expect(await works('top', 'nodes')).toMatch(/^NAME.*\ncluster1-node +\d+m +\d+% +\d+Mi +\d+%/);
      expect(await works('top', 'pods')).toMatch(new RegExp(`\\n${pod} +\\d+m +[1-9]\\d*Mi`));
      const containers = await works('top', 'pods', '--containers', '--no-headers');
      expect(containers.split('\n').filter((line) => /^web-\S+ +(httpbin|side) /.test(line))).toHaveLength(2);
    });

    test('HTTP through the API server to a service, a pod and the node', async () => {
      const namespace = '/api/v1/namespaces/default';
      for (const path of [
        `services/web/proxy`,
        `services/web:http/proxy`,
        `services/http:web:8000/proxy`,
        `pods/${pod}:80/proxy`,
      ]) {
        const answer = await works('get', '--raw', `${namespace}/${path}/anything/deep?a=b%20c`);
        expect(JSON.parse(answer), path).toMatchObject({ args: { a: 'b c' }, method: 'GET' });
        expect(answer).not.toMatch(/authorization/i);
      }
      expect(await works('get', '--raw', '/api/v1/nodes/cluster1-node/proxy/healthz')).toBe('ok');
    });

    test('logs of several containers, since a moment ago', async () => {
      const lines = await works('logs', `pod/${pod}`, '--all-containers', '--prefix', '--since=30s', '--tail=2');
      expect(lines).toContain(`[pod/${pod}/side] tick`);
    });

    test('files in and out', async () => {
      const [there, back] = [join(sandbox.dir, 'there'), join(sandbox.dir, `back-${kubectl}`)];
      writeFileSync(there, 'some bytes\n');
      await works('cp', there, `${pod}:/tmp/x`, '-c', 'side');
      await works('cp', `${pod}:/tmp/x`, back, '-c', 'side');
      expect(readFileSync(back, 'utf8')).toBe('some bytes\n');
    });

    test('a port forwarded', async () => {
      const child = spawn(kubectl, ['port-forward', 'service/web', ':8000'], {
        env: sandbox.env,
        stdio: ['ignore', 'pipe', 'ignore'],
      });
      try {
        const port = await new Promise<number>((resolve) => {
          let said = '';
          child.stdout.on('data', (chunk: Buffer) => {
            said += String(chunk);
            const found = /127\.0\.0\.1:(\d+)/.exec(said)?.[1];
            if (found) resolve(Number(found));
          });
        });
        const answer = await new Promise<string>((resolve, reject) => {
          const socket = connect(port, '127.0.0.1', () => socket.write('GET /status/204 HTTP/1.0\r\n\r\n'));
          let text = '';
          socket.on('data', (chunk) => {
            text += String(chunk);
          });
          socket.on('close', () => resolve(text));
          socket.on('error', reject);
        });
        expect(answer).toMatch(/^HTTP\/1\.[01] 204/);
      } finally {
        child.kill();
      }
    });

    test('a debug container that sees the other’s processes', async ({ skip }) => {
      const { clientVersion } = JSON.parse(await works('version', '--client', '-o', 'json'));
      skip(Number.parseInt(clientVersion.minor, 10) < 23, 'kubectl debug of that age asks for an API that is gone');
      const name = `debug-${kubectl.replaceAll('.', '-')}`;
      await works(
        'debug',
        pod,
        `--image=busybox`,
        '--target=side',
        `--container=${name}`,
        '--',
        'sh',
        '-c',
        'ls /proc/*/comm && sleep 1',
      );
      const status = `jsonpath={.status.ephemeralContainerStatuses[?(@.name=="${name}")].state.terminated.exitCode}`;
      await expect.poll(() => works('get', 'pod', pod, '-o', status), { timeout: 30_000, interval: 200 }).toBe('0');
      expect((await works('logs', pod, '-c', name)).split('\n').length).toBeGreaterThan(2);
    });

    test('the mesh’s and Kubernetes’ kinds explain themselves', async () => {
      expect(await works('explain', 'pod.spec.containers.livenessProbe.httpGet.path')).toContain('The path.');
      expect(await works('explain', 'deployment.spec.strategy', '--recursive')).toContain('maxSurge');
      expect(await works('explain', 'service.spec.ports.targetPort')).toMatch(/name of the pods' port/);
    });
  });
});
