// SPDX-License-Identifier: Apache-2.0
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { isReady, makePod, Playground, probeModes, shell } from './playground.ts';

const usable = probeModes().filter(({ unavailable }) => unavailable === undefined);

describe.skipIf(usable.length === 0)('volumes and environment', () => {
  let ground: Playground;
  beforeAll(() => {
    ground = new Playground(usable[0]?.mode ?? 'root');
  });
  afterAll(() => ground.close());

  const configMap = (name: string, data: Record<string, string>) => ({
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name, namespace: 'ns' },
    data,
  });
  const set = (object: { kind: string; metadata: { name: string } }) =>
    ground.call('set', `${object.kind}/ns/${object.metadata.name}`, object);
  const read = async (pod: string, line: string) => (await ground.sh(pod, 'c', line)).output;

  it('waits for a ConfigMap that is missing, says so, and goes on when it comes', async () => {
    const volumes = [{ name: 'v', configMap: { name: 'late' } }];
    const containers = [shell('c', 'exec sleep 60', { volumeMounts: [{ name: 'v', mountPath: '/v' }] })];
    await ground.call('start', makePod('late', { containers, volumes }));
    await expect
      .poll(() => ground.call<{ reason: string; message: string }[]>('events'), { timeout: 30_000 })
      .toContainEqual(expect.objectContaining({ reason: 'FailedMount', pod: 'late' }));
    const status = await ground.status('late');
    expect(status.containerStatuses?.[0]?.state.waiting?.reason).toBe('ContainerCreating');
    await set(configMap('late', { key: 'value' }));
    await ground.until('late', isReady);
    expect(await read('late', 'cat /v/key')).toBe('value');
    await ground.call('stop', 'late', 0);
  });

  it('brings changes of ConfigMaps, Secrets and labels to running containers, all files at once', async () => {
    await set(configMap('live', { a: '1', b: '1' }));
    const secret = (text: string) => ({
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: 'live', namespace: 'ns' },
      data: { s: Buffer.from(text).toString('base64') },
    });
    await set(secret('old'));
    const volumes = [
      { name: 'cm', configMap: { name: 'live' } },
      { name: 'sec', secret: { secretName: 'live', defaultMode: 0o444 } },
      { name: 'down', downwardAPI: { items: [{ path: 'labels', fieldRef: { fieldPath: 'metadata.labels' } }] } },
    ];
    const volumeMounts = volumes.map(({ name }) => ({ name, mountPath: `/v/${name}` }));
    const containers = [shell('c', 'exec sleep 60', { volumeMounts })];
    const pod = makePod('live', { containers, volumes }, { labels: { app: 'x' } });
    await ground.call('start', pod);
    await ground.until('live', isReady);
    expect(await read('live', 'cat /v/cm/a /v/cm/b /v/sec/s /v/down/labels')).toBe('11oldapp="x"');
    expect(await read('live', 'stat -L -c %a /v/sec/s /v/cm/a')).toBe('444\n644\n');
    expect((await ground.sh('live', 'c', 'touch /v/cm/new')).exitCode).not.toBe(0);
    await set(configMap('live', { a: '2', c: '2' }));
    await set(secret('new'));
    await ground.call('update', { ...pod, metadata: { ...pod.metadata, labels: { app: 'y' } } });
    await expect
      .poll(() => read('live', 'cd /v/cm; echo *; cat a c; cat /v/sec/s /v/down/labels'))
      .toBe('a c\n22newapp="y"');
    await ground.call('stop', 'live', 0);
  });

  it('mounts the directory of a claim: it outlives its pods, and a read-only use of it writes nothing', async () => {
    const mount = [{ name: 'd', mountPath: '/data' }];
    const claim = (more = {}) => [{ name: 'd', persistentVolumeClaim: { claimName: 'kept', ...more } }];
    const containers = [shell('c', 'exec sleep 60', { volumeMounts: mount })];
    await ground.call('start', makePod('writer', { containers, volumes: claim() }));
    await ground.until('writer', isReady);
    await read('writer', 'echo hello > /data/file; ln -s /etc /data/link');
    await ground.call('stop', 'writer', 0);
    expect(existsSync(join(ground.stateDir, 'disk/kept/file'))).toBe(true);
    await ground.call('start', makePod('reader', { containers, volumes: claim({ readOnly: true }) }));
    await ground.until('reader', isReady);
    expect(await read('reader', 'cat /data/file')).toBe('hello\n');
    expect((await ground.sh('reader', 'c', 'echo x > /data/new')).exitCode).not.toBe(0);
    await ground.call('stop', 'reader', 0);
  });

  it('renews a service account token before it ends, by an atomic change of the link', async () => {
    await ground.call('setTokenSeconds', 1);
    const sources = [{ serviceAccountToken: { path: 'token', audience: 'istio-ca', expirationSeconds: 600 } }];
    const volumes = [{ name: 't', projected: { sources } }];
    const containers = [
      shell('c', 'exec sleep 60', { volumeMounts: [{ name: 't', mountPath: '/var/run/secrets/tokens' }] }),
    ];
    await ground.call('start', makePod('token', { containers, volumes }));
    await ground.until('token', isReady);
    const first = await read('token', 'cat /var/run/secrets/tokens/token');
    expect(first).toMatch(/^token-\d+-istio-ca$/);
    await expect.poll(() => read('token', 'cat /var/run/secrets/tokens/token'), { timeout: 30_000 }).not.toBe(first);
    expect(await read('token', 'readlink /var/run/secrets/tokens/token')).toBe('..data/token\n');
    await ground.call('setTokenSeconds', 3600);
    await ground.call('stop', 'token', 0);
  });

  it('mounts one file of a volume, items under their own paths, and what an optional source has', async () => {
    await set(configMap('files', { 'app.conf': 'conf', other: 'x' }));
    const volumes = [
      { name: 'cm', configMap: { name: 'files', items: [{ key: 'app.conf', path: 'sub/renamed.conf' }] } },
      { name: 'whole', configMap: { name: 'files' } },
      { name: 'none', configMap: { name: 'nowhere', optional: true } },
      { name: 'ram', emptyDir: { medium: 'Memory' } },
    ];
    const volumeMounts = [
      { name: 'cm', mountPath: '/items' },
      { name: 'ram', mountPath: '/etc-like' },
      { name: 'whole', mountPath: '/etc-like/app.conf', subPath: 'app.conf' },
      { name: 'none', mountPath: '/none' },
      { name: 'ram', mountPath: '/shared/$(POD)', subPathExpr: 'dir-$(POD)' },
      { name: 'ram', mountPath: '/read-only', readOnly: true },
    ];
    const env = [{ name: 'POD', valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } }];
    const containers = [shell('c', 'exec sleep 60', { volumeMounts, env })];
    await ground.call('start', makePod('files', { containers, volumes }));
    await ground.until('files', isReady);
    expect(await read('files', 'cat /items/sub/renamed.conf /etc-like/app.conf; ls /none | wc -l')).toBe('confconf0\n');
    expect(await read('files', 'echo hi >"/shared/\\$(POD)/f"; cat /etc-like/dir-files/f')).toBe('hi\n');
    expect((await ground.sh('files', 'c', 'touch /read-only/x')).exitCode).not.toBe(0);
    await ground.call('stop', 'files', 0);
  });

  it('gives the environment that the spec, objects, services and the pod make', async () => {
    await set(configMap('env', { FROM_MAP: 'map', 'dotted.name': 'dots' }));
    await set({
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: 'env', namespace: 'ns' },
      data: { password: Buffer.from('p$w"\' d').toString('base64') },
    } as never);
    const fieldRef = (fieldPath: string) => ({ valueFrom: { fieldRef: { fieldPath } } });
    const env = [
      { name: 'PLAIN', value: 'plain' },
      { name: 'EXPANDED', value: '$(PLAIN)-$$(PLAIN)-$(MISSING)' },
      { name: 'IP', ...fieldRef('status.podIP') },
      { name: 'NODE', ...fieldRef('spec.nodeName') },
      { name: 'ACCOUNT', ...fieldRef('spec.serviceAccountName') },
      { name: 'LABEL', ...fieldRef("metadata.labels['a/b']") },
      { name: 'CPU', valueFrom: { resourceFieldRef: { resource: 'limits.cpu' } } },
      { name: 'MEMORY', valueFrom: { resourceFieldRef: { resource: 'limits.memory', divisor: '1Mi' } } },
      { name: 'SECRET', valueFrom: { secretKeyRef: { name: 'env', key: 'password' } } },
      { name: 'OPTIONAL', valueFrom: { configMapKeyRef: { name: 'no', key: 'no', optional: true } } },
    ];
    const container = shell('c', 'echo "arg: $0 $1"; exec sleep 60', {
      env,
      envFrom: [{ configMapRef: { name: 'env' }, prefix: 'X_' }],
      resources: { limits: { cpu: '1500m', memory: '64Mi' } },
      args: ['$(PLAIN)', '$(IP)'],
      workingDir: '/tmp',
    });
    await ground.call('start', makePod('env', { containers: [container] }, { labels: { 'a/b': 'label' } }));
    const { podIP } = await ground.until('env', isReady);
    const output = await read('env', `tr '\\0' '\\n' </proc/$$/environ; pwd`);
    for (const line of [
      'PLAIN=plain',
      'EXPANDED=plain-$(PLAIN)-$(MISSING)',
      `IP=${podIP}`,
      'NODE=n1',
      'ACCOUNT=sa',
      'LABEL=label',
      'CPU=2',
      'MEMORY=64',
      'SECRET=p$w"\' d',
      'X_FROM_MAP=map',
      'X_dotted.name=dots',
      'KUBERNETES_SERVICE_HOST=10.96.0.1',
      'KUBERNETES_SERVICE_PORT=443',
      'HOSTNAME=env',
      '/tmp',
    ]) {
      expect(output.split('\n')).toContain(line);
    }
    expect(output).not.toContain('OPTIONAL');
    await ground.untilLog('env', 'c', `arg: plain ${podIP}`);
    await ground.call('stop', 'env', 0);
  });

  it('says which ConfigMap or key a variable lacks, and starts when it is there', async () => {
    const env = [{ name: 'A', valueFrom: { configMapKeyRef: { name: 'later', key: 'k' } } }];
    await ground.call('start', makePod('lacks', { containers: [shell('c', 'exec sleep 60', { env })] }));
    const status = await ground.until('lacks', ({ containerStatuses }) => {
      return containerStatuses?.[0]?.state.waiting?.reason === 'CreateContainerConfigError';
    });
    expect(status.containerStatuses?.[0]?.state.waiting?.message).toBe('configmap "later" not found');
    await set(configMap('later', { k: 'v' }));
    await ground.until('lacks', isReady);
    await ground.call('stop', 'lacks', 0);
  });

  it('gives DNS settings by plain files', async () => {
    const dnsConfig = {
      nameservers: ['10.0.0.9'],
      searches: ['global', 'ns.global'],
      options: [{ name: 'ndots', value: '2' }, { name: 'edns0' }],
    };
    const containers = [shell('c', 'exec sleep 60')];
    await ground.call(
      'start',
      makePod('dns', { containers, dnsConfig, hostAliases: [{ ip: '1.2.3.4', hostnames: ['a.b'] }] }),
    );
    await ground.until('dns', isReady);
    expect(await read('dns', 'cat /etc/resolv.conf')).toBe(
      'search ns.svc.cluster.local svc.cluster.local cluster.local global ns.global\nnameserver 10.96.0.10\nnameserver 10.0.0.9\noptions ndots:2 edns0\n',
    );
    expect(await read('dns', 'hostname; cat /etc/hosts')).toMatch(/^dns\n[\s\S]*1\.2\.3\.4\ta\.b\n/);
    expect(await read('dns', 'getent passwd $(id -u) | cut -d: -f3')).toBe(await read('dns', 'id -u'));
    await ground.call('stop', 'dns', 0);
  });
});
