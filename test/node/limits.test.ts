// SPDX-License-Identifier: Apache-2.0
// What a pod may use up: its own share, with a clear message, while its neighbours live.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { PodStatus } from '../../src/sandbox/node/pod-types.ts';
import { isReady, makePod, Playground, probeModes, shell } from './playground.ts';

const endOf = ({ containerStatuses }: PodStatus) => containerStatuses?.[0]?.state.terminated;

for (const { mode, unavailable } of probeModes()) {
  describe.skipIf(unavailable !== undefined)(`limits, ${mode}${unavailable ? ` (${unavailable})` : ''}`, () => {
    let ground: Playground;
    let enforced: string[];
    beforeAll(async () => {
      ground = new Playground(mode);
      enforced = await ground.call('enforcedLimits');
      await ground.call('start', makePod('neighbour', { containers: [shell('c', 'exec sleep 600')] }));
      await ground.until('neighbour', isReady);
    });
    afterAll(async () => {
      const neighbour = await ground.status('neighbour');
      await ground.close();
      expect(neighbour.containerStatuses?.[0]).toMatchObject({ ready: true, restartCount: 0 });
    });

    it('ends what passes its memory limit, and says so', async ({ skip }) => {
      if (!enforced.includes('memory')) skip('no control group for memory here');
      const hog = 'const kept = []; for (;;) kept.push(Buffer.alloc(8e6, 1))';
      const container = {
        ...shell('c', ''),
        command: ['node', '-e', hog],
        resources: { limits: { memory: '120Mi' } },
      };
      await ground.call('start', makePod('hog', { restartPolicy: 'Never', containers: [container] }));
      expect(endOf(await ground.until('hog', ({ phase }) => phase === 'Failed', 30_000))).toMatchObject({
        exitCode: 137,
        reason: 'OOMKilled',
      });
    });

    it('counts what is run in a container against its memory limit', async ({ skip }) => {
      if (!enforced.includes('memory')) skip('no control group for memory here');
      const container = { ...shell('c', 'exec sleep 600'), resources: { limits: { memory: '120Mi' } } };
      await ground.call('start', makePod('exec', { containers: [container] }));
      await ground.until('exec', isReady);
      const hog = 'node -e "const kept = []; for (;;) kept.push(Buffer.alloc(8e6, 1))"; echo $?';
      expect((await ground.sh('exec', 'c', hog)).output).toContain('137');
      await ground.call('stop', 'exec', 0);
    });

    it.skipIf(mode === 'rootless')('ends a fork bomb at a number of processes', async ({ skip }) => {
      if (!enforced.includes('pids')) skip('no control group for processes here');
      const bomb = 'while sleep 600 & do :; done';
      await ground.call('start', makePod('bomb', { restartPolicy: 'Never', containers: [shell('c', bomb)] }));
      await ground.until('bomb', ({ phase }) => phase === 'Failed', 60_000);
      expect(await ground.call('logs', 'bomb', 'c', 0)).toContain('Cannot fork');
    });

    it('lets a program have so many descriptors and no more', async () => {
      const { output } = await ground.sh('neighbour', 'c', 'cat /proc/1/limits');
      const [, soft, hard] = /^Max open files\s+(\d+)\s+(\d+)/m.exec(output) ?? [];
      expect(Number(soft)).toBeLessThanOrEqual(65_536);
      expect(Number(hard)).toBeLessThanOrEqual(65_536);
    });

    it('offers its pods to the machine’s own out-of-memory killer first', async () => {
      expect((await ground.sh('neighbour', 'c', 'cat /proc/1/oom_score_adj')).output).toBe('1000\n');
    });

    it.each([
      ['a scratch folder', '/tmp'],
      ['shared memory', '/dev/shm'],
      ['an emptyDir in memory', '/memory'],
      ['its termination message', '/dev/termination-log'],
    ])('says that the disk is full to who fills %s', async (_, path) => {
      const name = `full-${path.replaceAll(/\W/g, '')}`;
      const container = shell('c', 'exec sleep 600', {
        volumeMounts: [{ name: 'm', mountPath: '/memory' }],
        resources: { limits: { 'ephemeral-storage': '20Mi' } },
      });
      const volumes = [{ name: 'm', emptyDir: { medium: 'Memory', sizeLimit: '10Mi' } }];
      await ground.call('start', makePod(name, { containers: [container], volumes }));
      await ground.until(name, isReady);
      const file = path === '/dev/termination-log' ? path : `${path}/x`;
      const { output } = await ground.sh(
        name,
        'c',
        `head -c 100M /dev/zero >${file}; stat -c %s ${file}; echo more >>${file}`,
      );
      expect(output).toContain('No space left on device');
      expect(Number(/^\d+$/m.exec(output)?.[0])).toBeLessThan(100e6);
      await ground.call('stop', name, 0);
      await ground.call('remove', name);
    });

    it('evicts a pod that keeps more on the disk than its volume may hold', async () => {
      const container = shell('c', 'head -c 3M /dev/zero >/w/x; exec sleep 600', {
        volumeMounts: [{ name: 'w', mountPath: '/w' }],
      });
      const volumes = [{ name: 'w', emptyDir: { sizeLimit: '2Mi' } }];
      await ground.call('start', makePod('greedy', { containers: [container], volumes }));
      const status = await ground.until('greedy', ({ phase }) => phase === 'Failed');
      expect(status).toMatchObject({
        reason: 'Evicted',
        message: 'Usage of EmptyDir volume "w" exceeds the limit "2Mi".',
      });
      expect(endOf(status)).toBeDefined();
    });

    it('leaves no control group of what a kill -9 ended', async ({ skip }) => {
      if (enforced.length === 0) skip('no control groups here');
      const other = new Playground(mode);
      try {
        await other.call('start', makePod('cut', { containers: [shell('c', 'exec sleep 600')] }));
        await other.until('cut', isReady);
        const groups = `cat ${other.stateDir}/control-groups | while read -r base || [ "$base" ]; do find $base -mindepth 1 -type d; done`;
        expect(await other.call('sh', groups)).not.toBe('');
        await other.crash();
        await expect.poll(() => other.call('sh', groups), { timeout: 30_000 }).toBe('');
      } finally {
        await other.close();
      }
    });

    it('takes its last words from where the spec says, or else from its log', async () => {
      const path = { terminationMessagePath: '/tmp/deep/last-words' };
      const policy = { terminationMessagePolicy: 'FallbackToLogsOnError' as const };
      const containers = [
        shell('file', 'echo written >/tmp/deep/last-words; exit 1', path),
        shell('log', 'echo one; echo two; exit 1', policy),
        shell('none', 'echo unheard; exit 1'),
        shell('fine', 'echo all is well', policy),
      ];
      await ground.call('start', makePod('words', { restartPolicy: 'Never', containers }));
      const { containerStatuses } = await ground.until('words', ({ phase }) => phase === 'Failed');
      expect(containerStatuses?.map(({ state }) => state.terminated?.message)).toEqual([
        'written\n',
        'one\ntwo\n',
        undefined,
        undefined,
      ]);
    });
  });
}
