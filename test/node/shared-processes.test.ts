// SPDX-License-Identifier: Apache-2.0
// Containers that see one another's processes: shareProcessNamespace, and ephemeral containers with a target.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { isReady, makePod, Playground, probeModes, shell } from './playground.ts';

for (const { mode, unavailable } of probeModes()) {
  describe.skipIf(unavailable !== undefined)(
    `shared processes, ${mode}${unavailable ? ` (${unavailable})` : ''}`,
    () => {
      let ground: Playground;
      beforeAll(() => {
        ground = new Playground(mode);
      });
      afterAll(() => ground.close());

      it('are seen by all containers of a pod, and end with their own', async () => {
        const containers = [
          shell('a', 'sleep 8101 & exec sleep 8101'),
          shell('b', '[ -e /w/again ] && exec sleep 8103; touch /w/again; sleep 8102 & sleep 0.5; exit 1', {
            volumeMounts: [{ name: 'w', mountPath: '/w' }],
          }),
        ];
        const volumes = [{ name: 'w', emptyDir: {} }];
        await ground.call('start', makePod('shared', { shareProcessNamespace: true, containers, volumes }));
        await ground.until('shared', ({ containerStatuses }) => containerStatuses?.[1]?.restartCount === 1);
        await ground.until('shared', isReady);
        await expect
          .poll(async () => (await ground.sh('shared', 'a', 'cat /proc/[0-9]*/cmdline')).output)
          .toContain('8103');
        const { output } = await ground.sh('shared', 'a', "cat /proc/[0-9]*/cmdline | tr '\\0' ' '");
        expect(output).toContain('sleep 8101');
        expect(output).toContain('sleep 8103');
        // What b's first life left behind is gone, though its namespace is not.
        expect(output).not.toContain('sleep 8102');
        await ground.call('stop', 'shared', 1_000);
        expect(await ground.call('sh', "pgrep -fx 'sleep 810[0-9]' || :")).toBe('');
      });

      it('are offered to an ephemeral container by its target', async () => {
        const pod = makePod('debugged', { containers: [shell('c', 'exec sleep 8201'), shell('d', 'exec sleep 8202')] });
        await ground.call('start', pod);
        await ground.until('debugged', isReady);
        const debuggers = [
          { ...shell('look', "cat /proc/[0-9]*/cmdline | tr '\\0' ' '; echo; sleep 8203"), targetContainerName: 'c' },
          { ...shell('mighty', 'true'), securityContext: { privileged: true } },
        ];
        await ground.call('update', { ...pod, spec: { ...pod.spec, ephemeralContainers: debuggers } });
        await ground.untilLog('debugged', 'look', 'sleep 8201');
        expect(await ground.call('logs', 'debugged', 'look', 0)).not.toContain('sleep 8202');
        const { ephemeralContainerStatuses } = await ground.status('debugged');
        expect(ephemeralContainerStatuses?.[0]?.state.running).toBeDefined();
        expect(ephemeralContainerStatuses?.[1]?.state.waiting?.message).toContain('privileged is not allowed');
        await ground.call('stop', 'debugged', 1_000);
        expect(await ground.call('sh', "pgrep -fx 'sleep 820[0-9]' || :")).toBe('');
      });
    },
  );
}
