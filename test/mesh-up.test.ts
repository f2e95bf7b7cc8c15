// SPDX-License-Identifier: Apache-2.0
// `mesh up` from nothing, again, after changes, killed and continued, with a cluster that fails in the middle, and `mesh down`
// of one cluster under traffic and of all: three clusters of one sandbox, the tests in their order.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { EXPORTERS_ANNOTATION } from '../src/api/export-names.ts';
import { resourceOf } from '../src/api/kind.ts';
import { SERVICE_ENTRY } from '../src/api/service-entry.ts';
import { CONFIG_MAPS, LEASES, SECRETS } from '../src/kube/resources.ts';
import { rounds } from './fixture/counts.ts';
import { processesOfSandbox, sandboxObstacle, TestSandbox } from './fixture/sandbox.ts';
import { until } from './fixture/waiting.ts';
import { clientOf, differences, readAll, runMesh } from './mesh-up/mesh-run.ts';
import { ruleWrittenOnce } from './mesh-up/rule-written-once.ts';

const obstacle = sandboxObstacle('kubectl');
const CLUSTERS = ['cluster1', 'cluster2', 'cluster3'] as const;
const APPLICATIONS = 'sample';
const URL = 'http://helloworld.sample.global:5000/hello';

describe.skipIf(obstacle !== undefined)(`mesh up and down${obstacle ? ` (skipped: ${obstacle})` : ''}`, () => {
  const sandbox = new TestSandbox('mesh-up');
  const file = join(sandbox.dir, 'mesh.yaml');
  const before = new Map<string, Map<string, string>>();
  const up = (...flags: string[]) => runMesh(sandbox, ['up', '-f', file, ...flags]);
  const client = (name: string) => clientOf(sandbox, name);
  const all = (name: string) => readAll(client(name), APPLICATIONS);

  beforeAll(async () => {
    await sandbox.up('--clusters', '3');
    await Promise.all(
      CLUSTERS.map(async (name) => {
        await sandbox.kubectl('--context', name, 'create', 'namespace', APPLICATIONS);
        await sandbox.kubectl('--context', name, 'label', 'namespace', APPLICATIONS, 'istio-injection=enabled');
        before.set(name, await all(name));
      }),
    );
  });
  afterAll(async () => {
    expect(await sandbox.down()).toEqual([]);
  });

  test('three clusters from nothing, by the file that init writes', async () => {
    expect(await runMesh(sandbox, ['init', '-o', file])).toMatchObject({ code: 0 });
    writeFileSync(file, `${readFileSync(file, 'utf8')}  exports:\n    - {name: all, namespaces: [${APPLICATIONS}]}\n`);
    const planned = await up('--dry-run');
    expect(planned).toMatchObject({ code: 0 });
    expect(planned.stdout).toContain('+ peers         Secret istio-system/isthmus-peer-cluster2');
    for (const name of CLUSTERS) expect(differences(before.get(name)!, await all(name))).toEqual([]);

    const result = await up();
    expect(result, result.stderr).toMatchObject({ code: 0 });
    expect(result.stdout).toContain('The mesh is up: cluster1, cluster2, cluster3');
    const said = planned.stdout + result.stdout + result.stderr;
    expect(await secretsIn(said)).toEqual([]);
  });

  /** Names of Secrets of which a value is in the text, as it is or in base64. */
  async function secretsIn(text: string): Promise<string[]> {
    const lists = await Promise.all(
      CLUSTERS.map(async (name) => (await client(name).list(SECRETS, { namespace: 'istio-system' })).items),
    );
    const secrets = lists.flat();
    expect(secrets.length).toBeGreaterThan(9);
    return secrets.flatMap(({ metadata, data }) =>
      Object.entries(data as Record<string, string>).flatMap(([key, value]) => {
        const plain = Buffer.from(value, 'base64').toString('utf8').trim();
        const isThere =
          key !== 'namespace' &&
          (text.includes(value) || plain.split('\n').some((line) => line.length > 30 && text.includes(line)));
        return isThere ? [`${metadata.name}: ${key}`] : [];
      }),
    );
  }

  test('what one cluster may read in another is what it exports, and nothing else', async () => {
    const secret = await client('cluster1').get(SECRETS, 'isthmus-peer-cluster2', 'istio-system');
    const kubeconfig = join(sandbox.dir, 'peer.yaml');
    const text = Buffer.from((secret!['data'] as Record<string, string>)['cluster2']!, 'base64').toString('utf8');
    expect(text).toContain('server: https://172.31.0.12:6443');
    const proxy = /proxy-url: .*/.exec(readFileSync(sandbox.status.kubeconfig, 'utf8'))![0];
    writeFileSync(kubeconfig, text.replace('    cluster:\n', `    cluster:\n      ${proxy}\n`));
    const can = async (...what: string[]) =>
      (
        await sandbox.bash(`kubectl --kubeconfig ${kubeconfig} auth can-i ${what.join(' ')} -A 2>/dev/null`)
      ).stdout.trim();
    expect(await can('list', 'exportedservices.isthmus.io')).toBe('yes');
    expect(await can('watch', 'destinationrules.networking.istio.io')).toBe('yes');
    expect(await can('list', 'secrets')).toBe('no');
    expect(await can('list', 'services')).toBe('no');
    expect(await can('create', 'exportedservices.isthmus.io')).toBe('no');
  });

  test('again: nothing is written; a change in the file changes what it says', async () => {
    const versions = async () => (await Promise.all(CLUSTERS.map(async (name) => [...(await all(name))]))).flat();
    const was = await versions();
    const again = await up();
    expect(again, again.stderr).toMatchObject({ code: 0 });
    expect(again.stdout.match(/= nothing to change/g)).toHaveLength(3);
    expect(await versions()).toEqual(was);

    const changed = readFileSync(file, 'utf8').replace(
      '  clusters:\n',
      '  values: {pilot: {logLevel: debug}}\n  clusters:\n',
    );
    const { stdout } = await runMesh(sandbox, ['up', '-f', write('debug.yaml', changed), '--dry-run']);
    expect(stdout).toContain('~ installation  Deployment istio-system/istiod');
    expect(stdout).toContain('"info" -> "debug"');
    expect(stdout).toContain('3 changes would be made');
  });

  function write(name: string, text: string): string {
    const path = join(sandbox.dir, name);
    writeFileSync(path, text);
    return path;
  }

  test('one run at a time: the other is told who, and takes over from a run that is silent', async () => {
    const lease = (renewTime: string) => ({
      apiVersion: 'coordination.k8s.io/v1',
      kind: 'Lease',
      metadata: {
        name: 'isthmus-mesh',
        namespace: 'kube-system',
        annotations: { 'isthmus.io/command': 'mesh up', 'isthmus.io/host': 'elsewhere' },
      },
      spec: { holderIdentity: 'bob@elsewhere 1', leaseDurationSeconds: 30, acquireTime: renewTime, renewTime },
    });
    const time = (agoMs: number) => new Date(Date.now() - agoMs).toISOString().replace('Z', '000Z');
    await client('cluster2').create(LEASES, lease(time(0)));
    const refused = await up();
    expect(refused).toMatchObject({ code: 1 });
    expect(refused.stderr).toMatch(
      /cluster cluster2 is being changed by bob@elsewhere \(mesh up\), for \d+ s, last heard of \d+ s ago/,
    );
    expect(await client('cluster1').get(LEASES, 'isthmus-mesh', 'kube-system')).toBeUndefined();
    await client('cluster2').apply(lease(time(31_000)), LEASES);
    const taken = await up();
    expect(taken, taken.stderr).toMatchObject({ code: 0 });
    expect(taken.stderr).toContain('cluster2: took over from bob@elsewhere');
    for (const name of CLUSTERS) expect(await client(name).get(LEASES, 'isthmus-mesh', 'kube-system')).toBeUndefined();
  });

  test('a rule that is written in one cluster is in force in all three', async () => {
    await ruleWrittenOnce(sandbox, { written: 'cluster2', copied: ['cluster1', 'cluster3'], namespace: APPLICATIONS });
  });

  test('a cluster leaves, and no request of the others is lost', async () => {
    await Promise.all([startCaller(), startService('cluster2', 'v1'), startService('cluster3', 'v2')]);
    // Its name, and both clusters behind it.
    const seen = new Set<string>();
    await until('answers of both versions', async () => {
      const answer = await callOnce();
      for (const version of ['v1', 'v2']) if (answer.includes(version)) seen.add(version);
      return seen.size === 2;
    });
    const traffic = startTraffic();
    let behindTheName: Promise<string[]> | undefined;
    const result = await runMesh(sandbox, ['down', '-f', file, '--cluster', 'cluster3'], {
      onStderr: (text) => {
        if (text.includes('cluster3  ✓')) behindTheName ??= exportersSeenIn('cluster1');
      },
    });
    const codes = await traffic.stop();
    expect(result, result.stderr).toMatchObject({ code: 0 });
    // Nothing led there any more when its removal began.
    expect(await behindTheName).toContain('cluster2');
    expect(await behindTheName).not.toContain('cluster3');
    expect(result.stdout).toContain('- Secret istio-system/isthmus-peer-cluster3');
    expect(codes.length).toBeGreaterThan(20);
    expect(codes.filter((code) => code !== '200')).toEqual([]);
    expect(differences(before.get('cluster3')!, await all('cluster3'))).toEqual([]);
    expect(await callOnce()).toContain('v1');
  });

  /** The clusters behind the names that are imported into one. */
  async function exportersSeenIn(name: string): Promise<string[]> {
    const { items } = await client(name).list(resourceOf(SERVICE_ENTRY));
    return [
      ...new Set(items.flatMap(({ metadata }) => metadata.annotations?.[EXPORTERS_ANNOTATION]?.split(',') ?? [])),
    ];
  }

  async function startCaller(): Promise<void> {
    await inApplications('cluster1', 'apply', '-f', 'samples/sleep/sleep.yaml');
    await inApplications('cluster1', 'wait', '--for=condition=Available', 'deployment/sleep', '--timeout=60s');
  }

  async function startService(cluster: string, version: string): Promise<void> {
    await inApplications(cluster, 'apply', '-f', 'samples/helloworld/service.yaml');
    await inApplications(cluster, 'apply', '-f', 'samples/helloworld/helloworld.yaml', '-l', `version=${version}`);
    await inApplications(
      cluster,
      'wait',
      '--for=condition=Available',
      `deployment/helloworld-${version}`,
      '--timeout=60s',
    );
  }

  function inApplications(cluster: string, ...args: string[]): Promise<string> {
    return sandbox.kubectl('--context', cluster, '-n', APPLICATIONS, ...args);
  }

  function callOnce(): Promise<string> {
    return inApplications('cluster1', 'exec', 'deploy/sleep', '-c', 'sleep', '--', 'curl', '-s', '-m', '5', URL);
  }

  /** A request every 50 ms; their status codes in the end. */
  function startTraffic(): { stop(): Promise<string[]> } {
    const loop = `rm -f /tmp/stop; while [ ! -f /tmp/stop ]; do curl -s -o /dev/null -m 10 -w '%{http_code}\n' ${URL}; sleep 0.05; done`;
    const codes = inApplications('cluster1', 'exec', 'deploy/sleep', '-c', 'sleep', '--', 'sh', '-c', loop);
    return {
      stop: async () => {
        await inApplications('cluster1', 'exec', 'deploy/sleep', '-c', 'sleep', '--', 'touch', '/tmp/stop');
        return (await codes).trim().split('\n');
      },
    };
  }

  /** cluster3 comes back, ruled by cluster1 this time. */
  function serveCluster3(): void {
    const [head, tail] = readFileSync(file, 'utf8').split('- name: cluster3\n');
    writeFileSync(
      file,
      `${head}- name: cluster3\n${tail!.replace('controlPlane: own', 'controlPlane: {servedBy: cluster1}')}`,
    );
  }

  test('killed at any step, it goes on where it was; a cluster that fails is named, and the others are finished', async () => {
    serveCluster3();
    for (const step of ['cluster3  ✓ record', 'cluster3  ✓ configuration']) {
      const killed = await runMesh(sandbox, ['up', '-f', file], {
        onStderr: (text, kill) => {
          if (text.includes(step)) kill();
        },
      });
      expect(killed.code, `killed at "${step}"\n${killed.stderr}`).toBe(-1);
    }
    // Its API server ends in the middle, and its supervisor starts it again.
    let isEnded = false;
    const halved = await runMesh(sandbox, ['up', '-f', file], {
      onStderr: (text) => {
        if (isEnded || !text.includes('cluster3  ✓ control plane')) return;
        isEnded = true;
        for (const pid of processesOfSandbox(sandbox, 'component apiserver').filter(isOfCluster3))
          process.kill(pid, 'SIGKILL');
      },
    });
    expect(isEnded, halved.stderr).toBe(true);
    expect(halved.code, halved.stderr).toBe(1);
    expect(halved.stderr).toContain('cluster3 was not finished:');
    expect(halved.stderr).toMatch(/Ready: cluster1, cluster2\. Not finished: cluster3/);
    for (let round = 0; round < rounds(1, 12) - 1; round++) await killAtRandom(round);
    await until(
      'the API server of cluster3',
      async () => (await client('cluster3').get(CONFIG_MAPS, 'x', 'default')) === undefined,
    );

    const result = await up();
    expect(result, result.stderr).toMatchObject({ code: 0 });
    const again = await up('--dry-run');
    expect(again.stdout).toContain('Nothing would change');
    expect(await callOnce()).toContain('v1');
  });

  function isOfCluster3(pid: number): boolean {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').endsWith('--cluster\x003\0');
  }

  /** Down to nothing, and a run that is killed somewhere on its way up. */
  async function killAtRandom(round: number): Promise<void> {
    const delayMs = Math.round(Math.random() * 8_000);
    expect(await runMesh(sandbox, ['down', '-f', file])).toMatchObject({ code: 0 });
    const killed = await runMesh(sandbox, ['up', '-f', file], {
      onStderr: (_text, kill) => void setTimeout(kill, delayMs),
    });
    console.log(`round ${round}: killed after ${delayMs} ms: code ${killed.code}`);
    const result = await up();
    expect(result, `killed after ${delayMs} ms\n${result.stderr}`).toMatchObject({ code: 0 });
    expect((await up('--dry-run')).stdout, `killed after ${delayMs} ms`).toContain('Nothing would change');
  }

  test('a cluster is not left without its control plane; all of them leave, and nothing stays', async () => {
    const refused = await runMesh(sandbox, ['down', '-f', file, '--cluster', 'cluster1']);
    expect(refused).toMatchObject({ code: 2 });
    expect(refused.stderr).toContain('cluster3 would stay without a control plane: cluster1 serves it');
    const result = await runMesh(sandbox, ['down', '-f', file]);
    expect(result, result.stderr).toMatchObject({ code: 0 });
    for (const name of CLUSTERS) expect([name, differences(before.get(name)!, await all(name))]).toEqual([name, []]);
    for (const name of CLUSTERS) expect(await client(name).get(LEASES, 'isthmus-mesh', 'kube-system')).toBeUndefined();
  });
});
