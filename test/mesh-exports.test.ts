// SPDX-License-Identifier: Apache-2.0
// docs/exports.md on two clusters that `mesh up` joined: a service is exported, and requests of the other cluster reach it by
// the names that nobody wrote, through real Envoys.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { sandboxObstacle, TestSandbox } from './fixture/sandbox.ts';

const obstacle = sandboxObstacle('kubectl');
const POLL = { timeout: 30_000, interval: 100 };
const COULD_NOT_RESOLVE = 6;
/** A sidecar has one connection to the gateway, and so one pod behind it, for a while. */
const ONE_OF_THEM = expect.toSatisfy((found: Set<string>) => found.size === 1);

const MESH = `apiVersion: isthmus.io/v1alpha1
kind: Mesh
metadata: {name: exports}
spec:
  trust: {ca: made, directory: DIRECTORY}
  clusters:
    - {name: cluster1, context: cluster1, network: cluster1, controlPlane: own}
    - {name: cluster2, context: cluster2, network: cluster2, controlPlane: own}
`;
const FOR_JASON = `apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: hello-for-jason, namespace: hello}
spec:
  hosts: [helloworld.hello.global]
  http:
    - match: [{headers: {end-user: {exact: jason}}}]
      route: [{destination: {host: helloworld.hello.global, subset: v2}}]
    - route: [{destination: {host: helloworld.hello.global, subset: v1}}]
`;
const SERVICE_EXPORT = `apiVersion: multicluster.x-k8s.io/v1alpha1
kind: ServiceExport
metadata: {name: helloworld, namespace: hello}
`;

describe.skipIf(obstacle !== undefined)(`exports on a sandbox${obstacle ? ` (skipped: ${obstacle})` : ''}`, () => {
  const sandbox = new TestSandbox('exports');
  const apply = async (cluster: string, text: string): Promise<void> => {
    const file = join(sandbox.dir, 'applied.yaml');
    writeFileSync(file, text);
    await sandbox.kubectl('--context', cluster, 'apply', '-f', file);
  };
  const kubectl = (cluster: string, line: string): Promise<string> =>
    sandbox.kubectl('--context', cluster, '-n', 'hello', ...line.split(' '));
  const curl = (url: string, ...flags: string[]) =>
    sandbox.bash(
      `kubectl --context cluster1 -n hello exec deploy/sleep -c sleep -- curl -sS -m 10 ${flags.join(' ')} ${url}`,
    );
  /** The versions that answered `count` calls. */
  const versions = async (url: string, count = 1, ...flags: string[]): Promise<Set<string>> => {
    const { stdout } = await curl(Array(count).fill(url).join(' '), ...flags);
    return new Set([...stdout.matchAll(/Hello version: (v\d)/g)].map(([, version]) => version!));
  };
  const derived = (): Promise<string> => kubectl('cluster1', 'get serviceentry,destinationrule,serviceimport -o name');

  beforeAll(async () => {
    await sandbox.up();
    const file = join(sandbox.dir, 'mesh.yaml');
    writeFileSync(file, MESH.replace('DIRECTORY', join(sandbox.dir, 'ca')));
    await sandbox.must('mesh', 'up', '-y', '-f', file);
    for (const cluster of ['cluster1', 'cluster2']) {
      await sandbox.kubectl('--context', cluster, 'create', 'namespace', 'hello');
      await sandbox.kubectl('--context', cluster, 'label', 'namespace', 'hello', 'istio-injection=enabled');
    }
    await kubectl('cluster1', 'apply -f samples/sleep/sleep.yaml');
    for (const label of ['app=helloworld', 'version=v1', 'version=v2']) {
      await kubectl('cluster2', `apply -f samples/helloworld/helloworld.yaml -l ${label}`);
    }
    for (const cluster of ['cluster1', 'cluster2']) {
      await kubectl(cluster, 'wait --for=condition=Ready pod --all --timeout=90s');
    }
  });

  afterAll(async () => {
    expect(await sandbox.down()).toEqual([]);
  });

  test('one annotation, and both names answer in the other cluster, through the gateway', async () => {
    expect(await curl('helloworld.hello.global:5000/hello')).toMatchObject({ code: COULD_NOT_RESOLVE });
    await kubectl('cluster2', 'annotate service helloworld isthmus.io/export=true');
    for (const host of ['helloworld.hello.global', 'helloworld.hello.svc.clusterset.local']) {
      await expect.poll(() => versions(`${host}:5000/hello`), POLL).toEqual(ONE_OF_THEM);
    }
    const log = () =>
      sandbox.kubectl('--context', 'cluster2', '-n', 'istio-system', 'logs', 'deploy/istio-ingressgateway');
    await expect.poll(log, POLL).toContain('outbound_.5000_._.helloworld.hello.global');
  });

  test('the versions that run there are subsets, without a DestinationRule', async () => {
    await apply('cluster1', FOR_JASON);
    const url = 'helloworld.hello.global:5000/hello';
    await expect.poll(() => versions(url, 10, '-H', 'end-user:jason'), POLL).toEqual(new Set(['v2']));
    await expect.poll(() => versions(url, 10), POLL).toEqual(new Set(['v1']));
    await kubectl('cluster1', 'delete virtualservice hello-for-jason');
  });

  test('kubectl get tells what matters of each kind', async () => {
    await apply('cluster2', SERVICE_EXPORT);
    const table = async (cluster: string, kind: string): Promise<string[][]> => {
      const text = await kubectl(cluster, `get ${kind}`);
      return text
        .trim()
        .split('\n')
        .map((line) =>
          line
            .trim()
            .split(/\s{2,}/)
            .slice(0, -1),
        );
    };
    await expect
      .poll(() => table('cluster2', 'svcex'), POLL)
      .toEqual([
        ['NAME', 'VALID', 'READY', 'CONFLICT'],
        ['helloworld', 'True', 'True', 'NoConflicts'],
      ]);
    const gateway = await sandbox.kubectl(
      ...['--context', 'cluster2', '-n', 'istio-system', 'get', 'service', 'istio-ingressgateway'],
      ...['-o', 'jsonpath={.status.loadBalancer.ingress[0].ip}'],
    );
    expect(await table('cluster2', 'exportedservice')).toEqual([
      ['NAME', 'CLUSTER', 'READY', 'GATEWAY', 'CONFLICT'],
      ['helloworld', 'cluster2', '2', gateway, 'NoConflicts'],
    ]);
    expect(await table('cluster1', 'svcim')).toEqual([
      ['NAME', 'TYPE', 'IP', 'CLUSTERS'],
      ['helloworld', 'ClusterSetIP', expect.stringMatching(/^24[4-7](\.\d+){3}$/), 'cluster2'],
    ]);
    await kubectl('cluster2', 'annotate service helloworld isthmus.io/export-');
  });

  test('a control plane that starts anew leaves address and objects as they are', async () => {
    const state = () =>
      kubectl('cluster1', 'get serviceentry helloworld.hello.global -o jsonpath={.metadata.uid}{.spec.addresses}');
    const before = await state();
    const pod = await sandbox.kubectl(
      '--context',
      'cluster1',
      '-n',
      'istio-system',
      'get',
      'pod',
      '-l',
      'app=istiod',
      '-o',
      'name',
    );
    await sandbox.kubectl('--context', 'cluster1', '-n', 'istio-system', 'delete', pod.trim());
    const leads = async (): Promise<string> =>
      (await sandbox.kubectl('--context', 'cluster1', '-n', 'istio-system', 'logs', 'deploy/istiod')).includes(
        'what the peer exports is known',
      )
        ? 'yes'
        : 'no';
    await expect.poll(leads, POLL).toBe('yes');
    expect(await state()).toBe(before);
    expect(await versions('helloworld.hello.global:5000/hello')).toEqual(ONE_OF_THEM);
  });

  test('without the export nothing is left', async () => {
    await kubectl('cluster2', 'delete serviceexport helloworld');
    await expect.poll(derived, POLL).toBe('');
    await expect
      .poll(async () => (await curl('helloworld.hello.global:5000/hello')).code, POLL)
      .toBe(COULD_NOT_RESOLVE);
    expect(await kubectl('cluster2', 'get exportedservice -o name')).toBe('');
  });
});
