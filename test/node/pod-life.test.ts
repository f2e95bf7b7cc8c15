// SPDX-License-Identifier: Apache-2.0
import { spawnSync } from 'node:child_process';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { PodEvent } from '../../src/sandbox/node/pod/object-source.ts';
import type { PodStatus } from '../../src/sandbox/node/pod-types.ts';
import { isReady, makePod, Playground, probeModes, shell } from './playground.ts';

const hasOpenssl = spawnSync('openssl', ['version'], { stdio: 'ignore' }).status === 0;

for (const { mode, unavailable } of probeModes()) {
  describe.skipIf(unavailable !== undefined)(`a pod's life, ${mode}${unavailable ? ` (${unavailable})` : ''}`, () => {
    let ground: Playground;
    beforeAll(() => {
      ground = new Playground(mode);
    });
    afterAll(() => ground.close());

    it('runs init containers in order, then the containers together', async () => {
      await ground.call(
        'start',
        makePod('order', {
          initContainers: [
            shell('first', 'echo one >>/work/steps', { volumeMounts: [{ name: 'w', mountPath: '/work' }] }),
            shell('second', 'sleep 0.2; echo two >>/work/steps', { volumeMounts: [{ name: 'w', mountPath: '/work' }] }),
          ],
          containers: [
            shell('a', 'cat /work/steps; exec sleep 60', { volumeMounts: [{ name: 'w', mountPath: '/work' }] }),
            shell('b', 'exec sleep 60'),
          ],
          volumes: [{ name: 'w', emptyDir: {} }],
        }),
      );
      const status = await ground.until('order', isReady);
      expect(status.phase).toBe('Running');
      expect(status.podIP).toMatch(/^10\.1\./);
      expect(status.initContainerStatuses?.map(({ state }) => state.terminated?.reason)).toEqual([
        'Completed',
        'Completed',
      ]);
      await ground.untilLog('order', 'a', 'one\ntwo\n');
      // By itself, long before it would be killed.
      expect(await ground.call<number>('stop', 'order', 600_000)).toBeLessThan(300_000);
    });

    it('restarts what crashes, at once first and then with a back-off', async () => {
      await ground.call('start', makePod('crash', { containers: [shell('c', 'echo life; exit 3')] }));
      const status = await ground.until('crash', ({ containerStatuses }) => {
        return containerStatuses?.[0]?.state.waiting?.reason === 'CrashLoopBackOff';
      });
      expect(status.containerStatuses?.[0]?.lastState.terminated?.exitCode).toBe(3);
      expect(status.containerStatuses?.[0]?.restartCount).toBe(1);
      await ground.until('crash', ({ containerStatuses }) => (containerStatuses?.[0]?.restartCount ?? 0) >= 2);
      await ground.call('stop', 'crash', 0);
    });

    it('leaves a pod that must not restart in its final phase', async () => {
      await ground.call('start', makePod('done', { restartPolicy: 'Never', containers: [shell('c', 'exit 0')] }));
      await ground.call('start', makePod('failed', { restartPolicy: 'Never', containers: [shell('c', 'exit 7')] }));
      await ground.until('done', ({ phase }) => phase === 'Succeeded');
      const failed = await ground.until('failed', ({ phase }) => phase === 'Failed');
      expect(failed.containerStatuses?.[0]?.state.terminated).toMatchObject({ exitCode: 7, reason: 'Error' });
    });

    it('names the catalogue and the closest images for one that is not in it', async () => {
      const spec = { containers: [{ name: 'c', image: 'istio/examples-bookinfo-reviews-v9:1.10.0' }] };
      await ground.call('start', makePod('unknown', spec));
      const status = await ground.until('unknown', ({ containerStatuses }) => {
        return containerStatuses?.[0]?.state.waiting?.reason === 'ImagePullBackOff';
      });
      expect(status.phase).toBe('Pending');
      const message = status.containerStatuses?.[0]?.state.waiting?.message;
      expect(message).toContain('isthmus sandbox images');
      expect(message).toContain('istio/examples-bookinfo-reviews-v1');
      const fixed = makePod('unknown', { containers: [shell('c', 'exec sleep 60')] });
      await ground.call('update', fixed);
      await ground.until('unknown', isReady);
      await ground.call('stop', 'unknown', 0);
    });

    it('is ready when the probe says so, and not while it does not', async () => {
      const probe = { httpGet: { path: '/', port: 'web' }, periodSeconds: 600 };
      const server = `require('http').createServer((q, r) => { r.statusCode = require('fs').existsSync('/tmp/up') ? 200 : 503; r.end(); }).listen(8080)`;
      await ground.call(
        'start',
        makePod('probed', {
          containers: [
            {
              name: 'c',
              image: 'governmentpaas/curl-ssl',
              command: ['node', '-e', server],
              ports: [{ name: 'web', containerPort: 8080 }],
              readinessProbe: probe,
            },
          ],
        }),
      );
      const before = await ground.until('probed', ({ containerStatuses }) => !!containerStatuses?.[0]?.state.running);
      expect(isReady(before)).toBe(false);
      await ground.sh('probed', 'c', 'touch /tmp/up');
      // Looked at again at once while it is not ready, not after the period.
      await ground.until('probed', isReady);
      await ground.call('stop', 'probed', 0);
    });

    it('kills and restarts a container whose liveness probe fails', async () => {
      const liveness = { exec: { command: ['test', '-e', '/tmp/alive'] }, periodSeconds: 1, failureThreshold: 1 };
      const containers = [shell('c', 'touch /tmp/alive; exec sleep 60', { livenessProbe: liveness })];
      await ground.call('start', makePod('live', { containers }));
      await ground.until('live', isReady);
      await ground.sh('live', 'c', 'rm /tmp/alive');
      await ground.until('live', ({ containerStatuses }) => containerStatuses?.[0]?.restartCount === 1);
      await ground.call('stop', 'live', 0);
    });

    it.skipIf(!hasOpenssl)('asks by TCP, TLS and gRPC, whatever the certificate', async () => {
      const server = `
        const http2 = require('http2').createServer();
        http2.on('stream', (stream, headers) => {
          let body = Buffer.alloc(0);
          stream.on('data', (chunk) => { body = Buffer.concat([body, chunk]); });
          stream.on('end', () => {
            const serves = headers[':path'] === '/grpc.health.v1.Health/Check' && body.includes('shop');
            stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
            stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
            stream.end(Buffer.of(0, 0, 0, 0, 2, 8, serves ? 1 : 2));
          });
        });
        http2.listen(9000);
        require('net').createServer().listen(9001);
        const { execFileSync } = require('child_process');
        execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes',
          '-subj', '/CN=x', '-keyout', '/tmp/key', '-out', '/tmp/cert'], { stdio: 'ignore' });
        const read = require('fs').readFileSync;
        require('https').createServer({ key: read('/tmp/key'), cert: read('/tmp/cert') }, (q, r) => {
          r.statusCode = q.url === '/ok?a=b' && q.headers.host === 'shop.example' ? 200 : 404;
          r.end();
        }).listen(9002);`;
      const probes = {
        grpc: { grpc: { port: 9000, service: 'shop' } },
        wrong: { grpc: { port: 9000, service: 'other' } },
        tcp: { tcpSocket: { port: 9001 } },
        closed: { tcpSocket: { port: 9009 } },
        https: {
          httpGet: {
            scheme: 'HTTPS',
            port: 9002,
            path: '/ok?a=b',
            httpHeaders: [{ name: 'Host', value: 'shop.example' }],
          },
        },
      };
      const containers = Object.entries(probes).map(([name, readinessProbe]) =>
        shell(name, 'exec sleep 60', { readinessProbe: { ...readinessProbe, periodSeconds: 1 } }),
      );
      const main = { ...shell('main', ''), command: ['node', '-e', server] };
      await ground.call('start', makePod('asked', { containers: [main, ...containers] }));
      const isReadyNow = (status: PodStatus, name: string) =>
        status.containerStatuses?.find((container) => container.name === name)?.ready;
      const status = await ground.until('asked', (now) =>
        ['grpc', 'tcp', 'https'].every((name) => isReadyNow(now, name)),
      );
      expect(['wrong', 'closed'].map((name) => isReadyNow(status, name))).toEqual([false, false]);
      await expect
        .poll(async () => (await ground.call<PodEvent[]>('events')).map(({ message }) => message), { timeout: 30_000 })
        .toEqual(
          expect.arrayContaining([
            'Readiness probe failed: service unhealthy (responded with "NOT_SERVING")',
            expect.stringMatching(/^Readiness probe failed: dial tcp 10\.1\.[\d.]+:9009: connect: connection refused$/),
          ]),
        );
      await ground.call('stop', 'asked', 0);
    });

    it('gives a condemned container the grace of its probe, and its hook', async () => {
      const lifecycle = { preStop: { exec: { command: ['sh', '-c', 'echo hooked >/proc/1/fd/1'] } } };
      const livenessProbe = {
        exec: { command: ['false'] },
        periodSeconds: 60,
        failureThreshold: 1,
        terminationGracePeriodSeconds: 1,
      };
      const containers = [shell('c', "trap '' TERM; while :; do sleep 0.05; done", { lifecycle, livenessProbe })];
      await ground.call('start', makePod('condemned', { containers, terminationGracePeriodSeconds: 600 }));
      const status = await ground.until(
        'condemned',
        ({ containerStatuses }) => containerStatuses?.[0]?.restartCount === 1,
        20_000,
      );
      expect(status.containerStatuses?.[0]?.lastState.terminated).toMatchObject({ exitCode: 137, reason: 'Error' });
      expect(await ground.call('logs', 'condemned', 'c', 0)).toContain('hooked');
      await ground.call('stop', 'condemned', 0);
    });

    it('begins with readiness and liveness only when the startup probe has passed', async () => {
      const containers = [
        shell('c', 'sleep 0.4; touch /tmp/started; exec sleep 60', {
          startupProbe: { exec: { command: ['test', '-e', '/tmp/started'] }, periodSeconds: 1, failureThreshold: 30 },
          livenessProbe: { exec: { command: ['test', '-e', '/tmp/started'] }, periodSeconds: 1, failureThreshold: 1 },
        }),
      ];
      await ground.call('start', makePod('startup', { containers }));
      const before = await ground.until('startup', ({ containerStatuses }) => !!containerStatuses?.[0]?.state.running);
      expect(before.containerStatuses?.[0]).toMatchObject({ started: false, ready: false });
      const after = await ground.until('startup', isReady);
      expect(after.containerStatuses?.[0]).toMatchObject({ started: true, ready: true, restartCount: 0 });
      await ground.call('stop', 'startup', 0);
    });

    it('runs sidecars beside the containers, from before the first to after the last', async () => {
      const mount = { volumeMounts: [{ name: 'w', mountPath: '/w' }] };
      const server = "require('net').createServer().listen(7000, () => console.log('listening'))";
      const initContainers = [
        {
          ...shell('sidecar', `trap 'echo sidecar >>/w/ended; exit 0' TERM; node -e "${server}" & wait`, mount),
          restartPolicy: 'Always' as const,
          startupProbe: { tcpSocket: { port: 7000 } },
        },
        shell('init', "node -e \"require('net').connect(7000).on('connect', () => process.exit(0))\""),
      ];
      const main = "trap 'sleep 0.2; echo main >>/w/ended; exit 0' TERM; echo set; while :; do sleep 0.05; done";
      const volumes = [{ name: 'w', emptyDir: {} }];
      await ground.call(
        'start',
        makePod('side', { initContainers, containers: [shell('main', main, mount)], volumes }),
      );
      const status = await ground.until('side', isReady);
      expect(status.initContainerStatuses?.map(({ state }) => Object.keys(state)[0])).toEqual([
        'running',
        'terminated',
      ]);
      await ground.untilLog('side', 'main', 'set');
      const file = `cat ${ground.stateDir}/pods/*side*/volumes/w/ended`;
      await ground.call('stop', 'side', 5_000);
      expect(await ground.call('sh', file)).toBe('main\nsidecar\n');
    });

    it('keeps a root that must be read-only so, scratch folders too', async () => {
      const securityContext = { readOnlyRootFilesystem: true };
      await ground.call('start', makePod('ro', { containers: [shell('c', 'exec sleep 60', { securityContext })] }));
      await ground.until('ro', isReady);
      const { output } = await ground.sh(
        'ro',
        'c',
        'for d in / /tmp /run /var/tmp /home; do touch $d/x && echo $d; done',
      );
      expect(output.match(/Read-only file system/g)).toHaveLength(5);
      await ground.call('stop', 'ro', 0);
    });

    it('ends by SIGTERM, by SIGKILL after the grace period, and runs preStop before', async () => {
      const programs = {
        polite: shell('c', "trap 'echo bye; exit 0' TERM; echo set; while :; do sleep 0.05; done", {
          lifecycle: { preStop: { exec: { command: ['sh', '-c', 'echo hook >/proc/1/fd/1'] } } },
        }),
        stubborn: shell('c', "trap '' TERM; echo set; while :; do sleep 0.05; done"),
      };
      for (const [name, container] of Object.entries(programs)) {
        await ground.call('start', makePod(name, { containers: [container], restartPolicy: 'Never' }));
        await ground.untilLog(name, 'c', 'set');
      }
      expect(await ground.call<number>('stop', 'polite', 600_000)).toBeLessThan(300_000);
      expect(await ground.call<number>('stop', 'stubborn', 700)).toBeGreaterThan(600);
      const exitCode = async (name: string) =>
        (await ground.status(name)).containerStatuses?.map(({ state }) => state.terminated?.exitCode);
      expect([await exitCode('polite'), await exitCode('stubborn')]).toEqual([[0], [137]]);
      expect(await ground.call('logs', 'polite', 'c', 0)).toMatch(/hook\nbye/);
    });

    it('leaves no process of its pods alive after kill -9', async () => {
      await ground.call('start', makePod('orphan', { containers: [shell('c', 'sleep 4242 & sleep 4242')] }));
      await ground.until('orphan', isReady);
      expect(Number(await ground.call('sh', 'pgrep -fc "[s]leep 4242"'))).toBeGreaterThan(0);
      await ground.crash();
      const count = await ground.call<string>('sh', 'pgrep -fc "[s]leep 4242" || :');
      expect(count.trim()).toBe('0');
    });
  });
}
