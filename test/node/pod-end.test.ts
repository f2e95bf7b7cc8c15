// SPDX-License-Identifier: Apache-2.0
// How pods end, and what hooks do at either end of a container's life.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { PodEvent } from '../../src/sandbox/node/pod/object-source.ts';
import type { Container } from '../../src/sandbox/node/pod-types.ts';
import { isReady, makePod, Playground, probeModes, shell } from './playground.ts';

const VOLUMES = [{ name: 'w', emptyDir: {} }];
const MOUNT = { volumeMounts: [{ name: 'w', mountPath: '/w' }] };
/** Writes down that it got SIGTERM, and ends. */
const polite = (name: string): string =>
  `trap 'echo ${name} term >>/w/steps; exit 0' TERM; echo set; while :; do sleep 0.05; done`;
const hook = (line: string) => ({ exec: { command: ['sh', '-c', line] } });

for (const { mode, unavailable } of probeModes()) {
  describe.skipIf(unavailable !== undefined)(`a pod's end, ${mode}${unavailable ? ` (${unavailable})` : ''}`, () => {
    let ground: Playground;
    const events = async (pod: string): Promise<PodEvent[]> =>
      (await ground.call<(PodEvent & { pod: string })[]>('events')).filter((event) => event.pod === pod);
    const steps = (pod: string) =>
      ground.call<string>('sh', `cat ${ground.stateDir}/pods/uid-${pod}-*/volumes/w/steps`);
    beforeAll(() => {
      ground = new Playground(mode);
    });
    afterAll(() => ground.close());

    it('begins with all hooks, then SIGTERM: containers first, sidecars after them, the last one first', async () => {
      const sidecar = (name: string, more: Partial<Container> = {}): Container => ({
        ...shell(name, polite(name), { ...MOUNT, ...more }),
        restartPolicy: 'Always',
      });
      const containers = [
        shell('main', polite('main'), {
          ...MOUNT,
          lifecycle: { preStop: hook('echo main hook >>/w/steps; sleep 0.5; echo main hooked >>/w/steps') },
        }),
      ];
      const preStop = hook('sleep 0.2; echo first hook >>/w/steps');
      const initContainers = [sidecar('first', { lifecycle: { preStop } }), sidecar('second')];
      await ground.call('start', makePod('order', { initContainers, containers, volumes: VOLUMES }));
      await ground.until('order', isReady);
      for (const name of ['first', 'second', 'main']) await ground.untilLog('order', name, 'set');
      const stopped = ground.call('stop', 'order', 20_000);
      const during = await ground.status('order');
      expect(isReady(during)).toBe(true);
      await stopped;
      expect((await steps('order')).trim().split('\n')).toEqual([
        'main hook',
        'first hook',
        'main hooked',
        'main term',
        'second term',
        'first term',
      ]);
      const after = await ground.status('order');
      const all = [...(after.containerStatuses ?? []), ...(after.initContainerStatuses ?? [])];
      expect(all.map(({ state }) => state.terminated?.exitCode)).toEqual([0, 0, 0]);
    });

    it('gives a hook no more than the grace period, and the program two seconds after it', async () => {
      const lifecycle = { preStop: hook('sleep 60') };
      const spec = { containers: [shell('c', polite('late'), { ...MOUNT, lifecycle })], volumes: VOLUMES };
      await ground.call('start', makePod('slow-hook', spec));
      await ground.untilLog('slow-hook', 'c', 'set');
      await ground.call('stop', 'slow-hook', 400);
      expect(await steps('slow-hook')).toBe('late term\n');
    });

    it('asks a sleep and an HTTP hook to be done before SIGTERM', async () => {
      const server = `const { appendFileSync } = require('fs');
        require('http').createServer((q, r) => { appendFileSync('/w/steps', q.url + ' ' + q.headers['x-a'] + '\\n'); r.end(); }).listen(8080, () => console.log('set'));
        process.on('SIGTERM', () => { appendFileSync('/w/steps', 'term\\n'); process.exit(0); });`;
      const httpGet = { path: '/bye', port: 8080, httpHeaders: [{ name: 'X-A', value: 'b' }] };
      const containers: Container[] = [
        {
          name: 'http',
          image: 'curlimages/curl',
          command: ['node', '-e', server],
          lifecycle: { preStop: { httpGet } },
          ...MOUNT,
        },
        shell('sleep', polite('sleep'), { lifecycle: { preStop: { sleep: { seconds: 1 } } }, ...MOUNT }),
      ];
      await ground.call('start', makePod('hooks', { containers, volumes: VOLUMES }));
      for (const name of ['http', 'sleep']) await ground.untilLog('hooks', name, 'set');
      await ground.call('stop', 'hooks', 20_000);
      expect(await steps('hooks')).toBe('/bye b\nterm\nsleep term\n');
    });

    it('holds back what follows a container until its postStart hook is done', async () => {
      const containers = [
        shell('proxy', 'exec sleep 60', {
          ...MOUNT,
          lifecycle: { postStart: hook('sleep 0.5; echo hooked >>/w/steps') },
        }),
        shell('app', 'echo app >>/w/steps; exec sleep 60', MOUNT),
      ];
      await ground.call('start', makePod('held', { containers, volumes: VOLUMES }));
      await ground.until('held', isReady);
      expect(await steps('held')).toBe('hooked\napp\n');
      await ground.call('stop', 'held', 0);
    });

    it('ends and restarts a container whose postStart hook fails', async () => {
      const containers = [shell('c', 'exec sleep 60', { lifecycle: { postStart: hook('echo no good; exit 3') } })];
      await ground.call('start', makePod('bad-hook', { containers }));
      const { containerStatuses } = await ground.until(
        'bad-hook',
        (status) => (status.containerStatuses?.[0]?.restartCount ?? 0) >= 1,
      );
      expect(containerStatuses?.[0]?.ready).toBe(false);
      const failed = (await events('bad-hook')).find(({ reason }) => reason === 'FailedPostStartHook');
      expect(failed?.message).toContain('no good');
      await ground.call('stop', 'bad-hook', 0);
    });

    it('completes a pod that must not restart when its containers have ended, its sidecars after them', async () => {
      const sidecar = { ...shell('side', polite('side'), MOUNT), restartPolicy: 'Always' as const };
      const spec = { initContainers: [sidecar], volumes: VOLUMES, restartPolicy: 'Never' as const };
      await ground.call(
        'start',
        makePod('job', { ...spec, containers: [shell('work', 'sleep 0.3; echo done >>/w/steps', MOUNT)] }),
      );
      const status = await ground.until('job', ({ phase }) => phase === 'Succeeded');
      expect(status.initContainerStatuses?.[0]?.state.terminated).toBeDefined();
      expect(await steps('job')).toBe('done\nside term\n');
    });

    it('starts a sidecar again even in a pod that must not restart', async () => {
      const line = 'echo life >>/w/steps; [ $(wc -l </w/steps) -gt 1 ] && exec sleep 60; exit 1';
      const initContainers = [{ ...shell('side', line, MOUNT), restartPolicy: 'Always' as const }];
      const containers = [shell('main', 'exec sleep 60')];
      await ground.call(
        'start',
        makePod('again', { initContainers, containers, volumes: VOLUMES, restartPolicy: 'Never' }),
      );
      await ground.until('again', ({ initContainerStatuses }) => initContainerStatuses?.[0]?.restartCount === 1);
      await ground.until('again', isReady);
      await ground.call('stop', 'again', 0);
    });

    it('ends a pod in the middle of its start, and leaves nothing', async () => {
      for (let i = 0; i < 5; i++) {
        await ground.call('start', makePod(`early-${i}`, { containers: [shell('c', `exec sleep 4${i}77`)] }));
        await new Promise((resolve) => setTimeout(resolve, i * 12));
        await ground.call('stop', `early-${i}`, 1_000);
        expect(await ground.call('sh', `pgrep -fx 'sleep 4${i}77' || :`)).toBe('');
        expect(await ground.call('sh', `ls /run/netns | grep -c early-${i} || :`)).toBe('0\n');
      }
    });

    it('fails a pod that is active past its deadline', async () => {
      const spec = { activeDeadlineSeconds: 2, containers: [shell('c', 'exec sleep 60')] };
      await ground.call('start', makePod('deadline', spec));
      const status = await ground.until('deadline', ({ phase }) => phase === 'Failed');
      expect(status).toMatchObject({ reason: 'DeadlineExceeded' });
      expect(status.containerStatuses?.[0]?.state.running).toBeUndefined();
    });
  });
}
