// SPDX-License-Identifier: Apache-2.0
// A pod must not write outside its own tree, whoever it runs as.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Container } from '../../src/sandbox/node/pod-types.ts';
import { isReady, makePod, Playground, probeModes, shell } from './playground.ts';

const MOUNT = { name: 'w', mountPath: '/work' };
const VOLUMES = [{ name: 'w', emptyDir: {} }];

const IDENTITIES: Record<string, Container['securityContext']> = {
  'the default uid': {},
  'uid 0': { runAsUser: 0 },
  'uid 0 with NET_ADMIN': { runAsUser: 0, capabilities: { add: ['NET_ADMIN', 'NET_RAW'] } },
  'uid 1337 with NET_ADMIN': { runAsUser: 1337, capabilities: { add: ['NET_ADMIN'] } },
};

/** Each line must fail. */
const ATTEMPTS = [
  'touch /written',
  'touch /usr/written',
  'touch /etc/written',
  'echo /tmp/x.so >/etc/ld.so.preload',
  'rm /lib64',
  'ln -sfn /tmp /bin',
  'mv /usr /usr2',
  'touch /opt/isthmus/bin/written',
  'touch /opt/isthmus/dist/written',
  'echo written >/opt/isthmus/bin/isthmus',
  'touch /sys/written',
  'mkdir /sys/fs',
  'echo 1 >/proc/sys/kernel/panic',
  'echo /tmp/handler >/proc/sys/kernel/core_pattern',
  'echo 1 >/proc/sys/net/ipv4/ip_forward',
  'echo h >/proc/sysrq-trigger',
  'chmod 600 /dev/null',
  'chown 65532 /dev/zero',
  'mknod /tmp/disk b 254 0',
  'mount -t tmpfs tmpfs /tmp',
  'mount -o remount,rw /',
  'mount -o remount,bind,rw /usr',
  'umount /proc/sys',
  'umount /dev/null',
  'hostname other',
  'unshare --mount true',
  'unshare --user --map-root-user --mount mount -o remount,bind,rw /usr',
  'unshare --user --map-root-user --mount umount /proc/sys',
  'unshare --user --map-root-user --mount --pid --fork mount -t proc proc /tmp',
  'nsenter --target 1 --mount touch /written',
  'chroot /tmp true',
  'cat /proc/kcore',
  'cat /etc/shadow',
];

for (const { mode, unavailable } of probeModes()) {
  describe.skipIf(unavailable !== undefined)(`confinement, ${mode}${unavailable ? ` (${unavailable})` : ''}`, () => {
    let ground: Playground;
    beforeAll(() => {
      ground = new Playground(mode);
    });
    afterAll(() => ground.close());

    for (const [who, securityContext] of Object.entries(IDENTITIES)) {
      it(`holds ${who}`, async () => {
        const name = `held-${Object.keys(IDENTITIES).indexOf(who)}`;
        await ground.call('start', makePod(name, { containers: [shell('c', 'exec sleep 600', { securityContext })] }));
        await ground.until(name, isReady);
        const script = ATTEMPTS.map((line, i) => `(${line}) >/dev/null 2>&1 && echo "succeeded: ${i}"`).join('\n');
        const { output } = await ground.sh(name, 'c', `${script}\necho end`);
        const succeeded = [...output.matchAll(/succeeded: (\d+)/g)].map(([, i]) => ATTEMPTS[Number(i)]);
        expect(succeeded).toEqual([]);
        expect(output).toContain('end');
        await ground.call('stop', name, 0);
      });
    }

    it('leaves no capability but the granted ones, and no way to new privileges', async () => {
      const capabilities = { add: ['CAP_NET_ADMIN'] };
      const containers = [
        shell('plain', 'exec sleep 600', { securityContext: { runAsUser: 0 } }),
        shell('net', 'exec sleep 600', { securityContext: { runAsUser: 0, capabilities } }),
      ];
      await ground.call('start', makePod('caps', { containers }));
      await ground.until('caps', isReady);
      const read = 'grep -E "^(Cap(Prm|Eff|Bnd)|NoNewPrivs)" /proc/1/status /proc/self/status | cut -d: -f2- | sort -u';
      const plain = await ground.sh('caps', 'plain', read);
      expect(plain.output.split('\n').filter(Boolean).map(squeeze)).toEqual([
        'CapBnd: 0000000000000000',
        'CapEff: 0000000000000000',
        'CapPrm: 0000000000000000',
        'NoNewPrivs: 1',
      ]);
      const net = await ground.sh('caps', 'net', read);
      expect(net.output).toContain('CapBnd:\t0000000000001000');
      expect(net.output).toContain('CapEff:\t0000000000001000');
      expect((await ground.sh('caps', 'net', 'ip link set lo mtu 1400')).exitCode).toBe(0);
      expect((await ground.sh('caps', 'plain', 'ip link set lo mtu 1500')).exitCode).not.toBe(0);
      await ground.call('stop', 'caps', 0);
    });

    it.skipIf(mode === 'rootless')('runs as the user that the spec, the pod or the image names', async () => {
      const containers = [
        shell('own', 'exec sleep 600', { securityContext: { runAsUser: 1337, runAsGroup: 1338 } }),
        shell('pod', 'exec sleep 600'),
      ];
      const securityContext = { runAsUser: 4000, fsGroup: 5000 };
      const volumes = [{ name: 'w', emptyDir: {} }];
      for (const container of containers) container.volumeMounts = [MOUNT];
      await ground.call('start', makePod('users', { containers, securityContext, volumes }));
      await ground.until('users', isReady);
      expect((await ground.sh('users', 'own', 'id -u; id -g; id -G')).output).toBe('1337\n1338\n1338 5000\n');
      expect((await ground.sh('users', 'pod', 'id -u; touch /work/x; stat -c %g /work/x')).output).toBe('4000\n5000\n');
      await ground.call('start', makePod('image-user', { containers: [shell('c', 'exec sleep 600')] }));
      await ground.until('image-user', isReady);
      expect((await ground.sh('image-user', 'c', 'id -u')).output).toBe('65532\n');
      for (const name of ['users', 'image-user']) await ground.call('stop', name, 0);
    });

    it('does not see the processes of other pods, nor of other containers', async () => {
      await ground.call(
        'start',
        makePod('alone', { containers: [shell('a', 'exec sleep 7771'), shell('b', 'exec sleep 7772')] }),
      );
      await ground.call('start', makePod('other', { containers: [shell('c', 'exec sleep 7773')] }));
      await ground.until('alone', isReady);
      await ground.until('other', isReady);
      const { output } = await ground.sh('alone', 'a', "cat /proc/[0-9]*/cmdline | tr '\\0' ' '");
      expect(output).toContain('7771');
      expect(output).not.toContain('7772');
      expect(output).not.toContain('7773');
      for (const name of ['alone', 'other']) await ground.call('stop', name, 0);
    });

    it('is not led out by links that a pod makes in its volumes', async () => {
      const evil = `/tmp/isthmus-escape-${process.pid}`;
      const plant = shell('plant', `ln -s / /work/root; ln -s ${evil} /work/out; ln -s ../../../../../etc /work/up`, {
        volumeMounts: [MOUNT],
      });
      const victim = shell('victim', 'exec sleep 600', {
        volumeMounts: [
          MOUNT,
          { name: 'w', mountPath: '/sub', subPath: 'up' },
          { name: 'v', mountPath: `/work/root${evil}` },
        ],
      });
      const volumes = [...VOLUMES, { name: 'v', emptyDir: {} }];
      await ground.call('start', makePod('links', { initContainers: [plant], containers: [victim], volumes }));
      await ground.until('links', isReady);
      // The link leads to the container's own /etc.
      expect((await ground.sh('links', 'victim', 'cat /sub/hostname')).output).toBe('links\n');
      const planted = [shell('plant', `ln -s ${evil} /work/out`, { volumeMounts: [MOUNT] })];
      const maker = shell('maker', 'exec sleep 600', {
        volumeMounts: [{ name: 'w', mountPath: '/made', subPath: 'out/deeper' }],
      });
      const spec = { initContainers: planted, containers: [maker], volumes: VOLUMES };
      await ground.call('start', makePod('maker', spec));
      await ground.until('maker', ({ containerStatuses }) => {
        return containerStatuses?.[0]?.state.waiting?.reason === 'RunContainerError';
      });
      expect(await ground.call('sh', `ls -d ${evil} 2>&1 || :`)).toContain('No such file');
      for (const name of ['links', 'maker']) await ground.call('stop', name, 0);
    });

    it.each([
      ['hostPath', { volumes: [{ name: 'h', hostPath: { path: '/' } }] }],
      ['hostNetwork', { hostNetwork: true }],
      ['hostPID', { hostPID: true }],
    ])('refuses %s with a reason and an event', async (field, spec) => {
      const name = `refused-${field.toLowerCase()}`;
      await ground.call('start', makePod(name, { ...spec, containers: [shell('c', 'exec sleep 600')] }));
      const status = await ground.until(name, ({ containerStatuses }) => {
        return containerStatuses?.[0]?.state.waiting?.reason === 'CreateContainerConfigError';
      });
      expect(status.containerStatuses?.[0]?.state.waiting?.message).toContain(field);
      const events = await ground.call<{ pod: string; type: string; message: string }[]>('events');
      expect(events.find(({ pod }) => pod === name)).toMatchObject({ type: 'Warning' });
    });

    it('refuses privileged containers and capabilities that reach further', async () => {
      const containers = [
        shell('a', 'true', { securityContext: { privileged: true } }),
        shell('b', 'true', { securityContext: { capabilities: { add: ['SYS_ADMIN'] } } }),
      ];
      await ground.call('start', makePod('privileged', { containers }));
      const status = await ground.until(
        'privileged',
        ({ containerStatuses }) => !!containerStatuses?.[0]?.state.waiting,
      );
      const message = status.containerStatuses?.[0]?.state.waiting?.message;
      expect(message).toContain('privileged');
      expect(message).toContain('SYS_ADMIN');
    });

    it('lets programs without capabilities listen on port 80 and open their standard streams', async () => {
      const server = "require('http').createServer((q, r) => r.end()).listen(80)";
      const container: Container = {
        name: 'c',
        image: 'governmentpaas/curl-ssl',
        command: ['sh', '-c', `echo out >/dev/stdout; echo err >/dev/stderr; exec node -e "${server}"`],
        readinessProbe: { httpGet: { port: 80 } },
      };
      await ground.call('start', makePod('port80', { containers: [container] }));
      await ground.until('port80', isReady);
      await ground.untilLog('port80', 'c', 'out\nerr\n');
      expect((await ground.sh('port80', 'c', 'echo x >/dev/stderr')).output).toBe('x\n');
      await ground.call('stop', 'port80', 0);
    });
  });
}

function squeeze(line: string): string {
  return line.replace(/\s+/g, ' ').trim();
}
