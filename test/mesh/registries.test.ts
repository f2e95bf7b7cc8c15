// SPDX-License-Identifier: Apache-2.0
// Another cluster joins, is replaced, is cut off, comes back and leaves: on real API servers, with the rights that the
// manifests give.
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { CLUSTER_ROLE_BINDINGS, SECRETS } from '../../src/kube/resources.ts';
import { expectSoon, until } from '../fixture/waiting.ts';
import { RegistryScene } from './registries-scene.ts';

let scene: RegistryScene;
let token: string;
const HOME = ['home 10.1.0.1'];
const BOTH = ['home 10.1.0.1', 'n2 10.2.0.1', 'n2 10.2.0.2'];
const stateFiles = () => readdirSync(join(scene.dir, 'state'));

beforeAll(async () => {
  scene = await RegistryScene.start();
  token = await scene.away.remoteToken();
  scene.startPlane();
});
afterAll(() => scene.close());

test('a labelled secret makes a cluster’s services, pods and endpoints part of the mesh, in one step', async () => {
  const { plane } = scene;
  await plane.engine.whenSynced();
  expect(plane.endpoints()).toEqual(HOME);
  await scene.putSecret('n2-secret', { n2: scene.away.kubeconfig(token) });
  await expectSoon(() => plane.endpoints()).toEqual(BOTH);
  expect(plane.history.filter((each) => each.length === 2)).toEqual([]);
  expect(plane.state('n2')).toMatchObject({ state: 'synced', secret: 'n2-secret', ageSeconds: 0, pods: 2 });
  // Each cluster's own machinery stays its own.
  const api = [...plane.engine.snapshot.index.services.values()].find(({ key }) => key.includes('kubernetes.default'));
  expect(Object.keys(api?.clusters ?? {})).toEqual(['home']);
});

test('what changes there changes here', async () => {
  await scene.away.setEndpoints(['10.2.0.1']);
  await expectSoon(() => scene.plane.endpoints()).toEqual(BOTH.slice(0, 2));
  await scene.away.setEndpoints(['10.2.0.1', '10.2.0.2']);
  await expectSoon(() => scene.plane.endpoints()).toEqual(BOTH);
});

test('what is known is on disk, for this user alone, without what the mesh does not need', async () => {
  await until('a file', () => stateFiles().includes('n2.registry.json'));
  const path = join(scene.dir, 'state', 'n2.registry.json');
  expect(statSync(path).mode & 0o777).toBe(0o600);
  const text = readFileSync(path, 'utf8');
  expect(text).toContain('10.2.0.2');
  expect(text).not.toMatch(/swordfish|managedFields/);
});

test('a rotated secret changes nothing that anybody could see', async () => {
  const { plane } = scene;
  const published = plane.history.length;
  await scene.putSecret('n2-secret', { n2: scene.away.kubeconfig(await scene.away.remoteToken()) });
  await until('the new one is in use', () => plane.log.some(({ msg }) => msg === 'the cluster is watched anew'));
  // Deleted and created again, as some do it.
  await scene.removeSecret('n2-secret');
  await scene.putSecret('n2-secret', { n2: scene.away.kubeconfig(token) });
  await until('it is back', () => plane.log.filter(({ msg }) => msg === 'the cluster is watched anew').length === 2);
  expect(plane.history.slice(published)).toEqual([]);
  expect(plane.ended).toEqual([]);
  await scene.away.setEndpoints(['10.2.0.2']);
  await expectSoon(() => plane.endpoints()).toEqual(['home 10.1.0.1', 'n2 10.2.0.2']);
  await scene.away.setEndpoints(['10.2.0.1', '10.2.0.2']);
  await expectSoon(() => plane.endpoints()).toEqual(BOTH);
});

test('a kubeconfig that would run a program is refused, and the one before stays in use', async () => {
  const { plane } = scene;
  const bad = scene.away.kubeconfig(token).replace(`{token: ${token}}`, '{exec: {command: /bin/touch}}');
  await scene.putSecret('n2-secret', { n2: bad });
  await until('it is refused', () => plane.registries.refused.length === 1);
  expect(plane.registries.refused[0]).toMatchObject({
    trouble: 'RemoteSecret',
    secret: 'n2-secret',
    key: 'n2',
    message: expect.stringMatching(/users\[0\]\.user\.exec \(line 12\) would run a program on the control plane/),
  });
  await scene.away.setEndpoints(['10.2.0.1']);
  await expectSoon(() => plane.endpoints()).toEqual(BOTH.slice(0, 2));
  await scene.away.setEndpoints(['10.2.0.1', '10.2.0.2']);
  await scene.putSecret('n2-secret', { n2: scene.away.kubeconfig(token) });
  await until('it is well', () => plane.registries.refused.length === 0);
});

test('an API server that is away leaves in force what was known, and says its age', async () => {
  const { plane } = scene;
  scene.away.cut();
  await expectSoon(() => plane.state('n2')?.state).toBe('stale');
  await scene.away.setEndpoints(['10.2.0.7']);
  await until('it has an age', () => (plane.state('n2')?.ageSeconds ?? 0) > 0);
  expect(plane.endpoints()).toEqual(BOTH);
  expect(plane.troubles.at(-1)).toMatchObject({
    kind: 'RemoteCluster',
    about: 'n2',
    message: expect.stringMatching(/cluster n2 \(secret n2-secret\) cannot be watched: .* stays in force/),
    secret: { name: 'n2-secret' },
  });
  scene.away.heal();
  await expectSoon(() => plane.endpoints()).toEqual(['home 10.1.0.1', 'n2 10.2.0.7']);
  expect(plane.history.filter((each) => each.length < 2)).toEqual([]);
  await scene.away.setEndpoints(['10.2.0.1', '10.2.0.2']);
  await expectSoon(() => plane.endpoints()).toEqual(BOTH);
  await expectSoon(() => plane.state('n2')).toMatchObject({ state: 'synced', ageSeconds: 0 });
});

test('a token that is refused leaves in force what was known, and so does a rotation that does not work', async () => {
  const { plane } = scene;
  await scene.putSecret('n2-secret', { n2: scene.away.kubeconfig('nobody') });
  await until('it is said', () => plane.state('n2')?.problem !== undefined);
  expect(plane.state('n2')).toMatchObject({
    state: 'synced',
    cure: expect.stringContaining('does not know the token'),
  });
  // The connection by the earlier kubeconfig goes on until the new one has listed everything.
  await scene.away.setEndpoints(['10.2.0.2']);
  await expectSoon(() => plane.endpoints()).toEqual(['home 10.1.0.1', 'n2 10.2.0.2']);
  await scene.away.setEndpoints(['10.2.0.1', '10.2.0.2']);
  await scene.putSecret('n2-secret', { n2: scene.away.kubeconfig(token) });
  await until('it is well', () => plane.state('n2')?.problem === undefined);
  await expectSoon(() => plane.endpoints()).toEqual(BOTH);
});

test('an account that may not read is told so', async () => {
  const { plane } = scene;
  await scene.away.admin.delete(CLUSTER_ROLE_BINDINGS, 'istio-multi');
  scene.away.cut();
  scene.away.heal();
  await expectSoon(() => plane.state('n2')?.cure).toMatch('its account may not');
  expect(plane.endpoints()).toEqual(BOTH);
  await scene.away.remoteToken();
  await expectSoon(() => plane.state('n2')).toMatchObject({ state: 'synced' });
});

test('one cluster has one name: twice by name, by API server, or the own one', async () => {
  const { plane } = scene;
  const secret = { n2: scene.away.kubeconfig(token), again: scene.away.kubeconfig(token, scene.away.server.url) };
  await scene.putSecret('z-secret', { ...secret, home: scene.away.kubeconfig(token) });
  await scene.putSecret('z-own', { mine: scene.home.kubeconfig(await scene.home.remoteToken()) });
  await expectSoon(() => plane.registries.refused.map(({ message }) => message)).toEqual([
    expect.stringContaining('secret z-secret, key home: two clusters with one name: home is the name of the control'),
    expect.stringContaining('secret z-secret, key n2: two clusters with one name: n2 is the name in secret n2-secret'),
  ]);
  await expectSoon(() => plane.state('again')).toMatchObject({ state: 'duplicate', duplicateOf: 'n2' });
  await expectSoon(() => plane.state('mine')).toMatchObject({ state: 'duplicate', duplicateOf: 'home' });
  expect(plane.troubles.map(({ message }) => message)).toContainEqual(
    expect.stringContaining('cluster mine (secret z-own) is the same cluster as home'),
  );
  expect(plane.endpoints()).toEqual(BOTH);
  await scene.removeSecret('z-own');
  await scene.removeSecret('z-secret');
  await until('they are gone', () => plane.registries.status().length === 1);
  expect(plane.endpoints()).toEqual(BOTH);
});

test('a cluster that gets another name is under the new one in the same step', async () => {
  const { plane } = scene;
  const published = plane.history.length;
  await scene.putSecret('n2-secret', { renamed: scene.away.kubeconfig(token) });
  await expectSoon(() => plane.state('renamed')?.state).toBe('synced');
  expect(plane.history.slice(published)).toEqual([['home 10.1.0.1', 'renamed 10.2.0.1', 'renamed 10.2.0.2']]);
  expect(plane.ended).toEqual(['n2']);
  // The earlier name has not left yet, and does not come back for a change elsewhere.
  await scene.putSecret('z-secret', { other: 'nothing' });
  await until('that is seen', () => plane.registries.refused.length === 1);
  expect(plane.history.length).toBe(published + 1);
  await scene.removeSecret('z-secret');
  await scene.putSecret('n2-secret', { n2: scene.away.kubeconfig(token) });
  await expectSoon(() => plane.endpoints()).toEqual(BOTH);
  await until('the other name is gone', () => plane.registries.status().length === 1);
});

test('a control plane that starts without the cluster begins with what is on disk', async () => {
  await scene.stopPlane();
  scene.away.cut();
  const plane = scene.startPlane();
  await plane.engine.whenSynced();
  expect(plane.endpoints()).toEqual(BOTH);
  expect(plane.state('n2')).toMatchObject({ state: 'stale', problem: expect.any(String) });
  scene.away.heal();
  await expectSoon(() => plane.state('n2')?.state).toBe('synced');
  expect(plane.history.filter((each) => each.length < 3)).toEqual([]);
});

test('a control plane that knows nothing of the cluster waits for it, but not for ever', async () => {
  await scene.stopPlane();
  scene.away.cut();
  const { rmSync } = await import('node:fs');
  rmSync(join(scene.dir, 'state'), { recursive: true });
  const plane = scene.startPlane({ startMs: 1_500 });
  const startedAt = performance.now();
  await plane.engine.whenSynced();
  expect(performance.now() - startedAt).toBeGreaterThan(1_000);
  expect(plane.log).toContainEqual(
    expect.objectContaining({ cluster: 'n2', level: 50, msg: expect.stringContaining('starts without it') }),
  );
  scene.away.heal();
  await expectSoon(() => plane.endpoints()).toEqual(BOTH);
});

test('a secret that is removed takes its cluster with it, in one step, after a moment’s grace', async () => {
  const { plane } = scene;
  const published = plane.history.length;
  await until('a file', () => stateFiles().length === 1);
  await scene.home.admin.patch(SECRETS, 'n2-secret', 'istio-system', {
    metadata: { labels: { 'istio/multiCluster': null } },
  });
  await expectSoon(() => plane.endpoints()).toEqual(HOME);
  expect(plane.history.slice(published)).toEqual([HOME]);
  expect(plane.ended).toEqual(['n2']);
  expect(plane.registries.status()).toEqual([]);
  expect([...plane.engine.snapshot.workloads.keys()].filter((key) => key.startsWith('n2/'))).toEqual([]);
  await until('no file', () => stateFiles().length === 0);
});
