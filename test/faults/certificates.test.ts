// SPDX-License-Identifier: Apache-2.0
// Clocks that are off, CAs that end, are renewed or replaced: a real API server, a control plane, real Envoys.
import { spawnSync } from 'node:child_process';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { inspectInstallation } from '../../src/cli/analyze/installation.ts';
import { makeIntermediate, makeRoot } from '../../src/identity/ca-material.ts';
import { systemClock } from '../../src/identity/renewal.ts';
import { findEnvoy } from '../../src/runtime/toolchain.ts';
import type { EnvoyProcess } from '../xds/envoy-process.ts';
import { PlaneScene } from './plane.ts';
import { shiftedClock } from './shifted-clock.ts';

const DAY_S = 24 * 3_600;
const hasCompiler = spawnSync('cc', ['--version']).status === 0;
const ca = (commonName: string, days: number) => ({ organization: 'test', commonName, days, nowMs: Date.now() });
const root = makeRoot(ca('root', 3_650));
const eventually = <T>(read: () => T | Promise<T>) => expect.poll(read, { timeout: 45_000, interval: 100 });

interface Certs {
  certificates?: { cert_chain?: { serial_number: string; subject_alt_names: { uri?: string }[] }[] }[];
}

describe.skipIf(findEnvoy() === undefined)('clocks and CAs', () => {
  let scene: PlaneScene;
  let proxy: EnvoyProcess;
  const said = async () =>
    (await inspectInstallation(scene.client)).remarks
      .filter(({ code }) => code !== 'ISM0302') // there is no Deployment here
      .map(({ code, message, object }) => `${code} ${object.name}: ${message}`);
  const serial = async (envoy: EnvoyProcess): Promise<string | undefined> => {
    const { certificates = [] } = JSON.parse((await envoy.admin('/certs')).body || '{}') as Certs;
    const chains = certificates.flatMap(({ cert_chain = [] }) => cert_chain);
    return chains.find((each) => each.subject_alt_names.some(({ uri }) => uri?.includes('/sa/shop')))?.serial_number;
  };
  const connections = () => scene.logged('proxy connected').length;

  beforeAll(async () => {
    scene = await PlaneScene.start();
    await scene.giveCa(makeIntermediate(root, ca('first', 10)));
    await scene.startPlane();
    proxy = await scene.startProxy();
  });
  afterAll(() => scene.close());

  test('a CA that ends soon is told of with its days, in the log, the metric and by analyze', async () => {
    await eventually(() => serial(proxy)).toBeDefined();
    const [line] = scene.logged('ends soon');
    expect(line).toMatchObject({ certificate: expect.stringContaining('first'), daysLeft: 9 });
    expect(await scene.metric('isthmus_ca_days_left')).toBe(9);
    expect(await said()).toEqual([expect.stringMatching(/^ISM0303 cacerts: O=test, CN=first ends in 9 days/)]);
  });

  test('a renewed intermediate comes into use at once, and no stream ends for it', async () => {
    const [before, streams] = [await serial(proxy), connections()];
    await scene.giveCa(makeIntermediate(root, ca('second', 365)));
    await eventually(() => serial(proxy)).not.toBe(before);
    expect(await serial(proxy)).toBeDefined();
    expect(connections()).toBe(streams);
    expect(await said()).toEqual([]);
    expect(await scene.metric('isthmus_ca_days_left')).toBe(364);
    // Whoever comes new is shown a certificate of it, which its root still proves.
    const late = await scene.startProxy();
    await eventually(() => serial(late)).toBeDefined();
    await late.stop();
  });

  test.skipIf(!hasCompiler)('a pod whose clock is two days ahead is named, with what may be wrong', async () => {
    const ahead = await scene.startProxy({ env: shiftedClock(scene.dir, 2 * DAY_S) ?? {} });
    await eventually(() => scene.logged('does not take the control plane').length).toBe(1);
    expect(scene.logged('does not take the control plane')).toMatchObject([
      { level: 40, address: '127.0.0.1', pod: 'pod default/shop', msg: expect.stringContaining('its clock is off') },
    ]);
    expect(await scene.metric('isthmus_tls_handshake_failures_total')).toBeGreaterThanOrEqual(5);
    await eventually(said).toEqual([expect.stringMatching(/^ISM0306 istiod-0: the proxy of pod default\/shop/)]);
    await ahead.stop();
  });

  test('another root is told of before the restart, and the proxies that do not trust it after', async () => {
    await scene.giveCa(makeIntermediate(makeRoot(ca('other root', 365)), ca('third', 365)));
    await eventually(() => scene.logged('other roots').length).toBe(1);
    expect(await said()).toContainEqual(expect.stringMatching(/^ISM0308 cacerts: its roots are not those in use/));
    await scene.stopPlane();
    await scene.startPlane({ replica: 'istiod-1' });
    const told = 'it has the root of before';
    await eventually(() => scene.logged(told).length).toBe(2);
    expect(scene.logged(told).at(-1)).toMatchObject({ pod: 'pod default/shop' });
    await eventually(said).toContainEqual(expect.stringMatching(/^ISM0306 istiod-1: .*rollout restart/));
    // The cure that it names.
    await proxy.stop();
    proxy = await scene.startProxy();
    await eventually(() => serial(proxy)).toBeDefined();
  });

  test.each([
    ['ahead of', 3_600_000],
    ['behind', -3_600_000],
  ])('a control plane whose clock is an hour %s the API server’s says so, and by how much', async (what, offMs) => {
    await scene.stopPlane();
    // The CA must be valid by that clock too.
    const earlier = { ...ca('old enough', 365), nowMs: Date.now() - 2 * 3_600_000 };
    await scene.giveCa(makeIntermediate(makeRoot(earlier), earlier));
    await scene.startPlane({ clock: { ...systemClock, nowMs: () => Date.now() + offMs }, replica: `istiod-${offMs}` });
    await eventually(() => scene.logged(`s ${what} the API server`).length).toBe(1);
    const { skewSeconds } = scene.logged(`s ${what} the API server`)[0] as unknown as { skewSeconds: number };
    expect(Math.abs(skewSeconds - offMs / 1000)).toBeLessThan(60);
    expect(Math.abs((await scene.metric('isthmus_clock_skew_seconds')) - offMs / 1000)).toBeLessThan(60);
    await eventually(said).toContainEqual(
      expect.stringContaining(`ISM0305 istiod-${offMs}: the control plane’s clock`),
    );
  });

  test('a CA that has ended issues nothing and says so; the next one is taken without a restart', async () => {
    await scene.stopPlane();
    await proxy.stop();
    const again = makeRoot(ca('last root', 365));
    await scene.giveCa(makeIntermediate(again, ca('brief', 12 / DAY_S)));
    await scene.startPlane({ replica: 'istiod-2' });
    await scene.takeRoot();
    await eventually(() => scene.logged('nothing is issued').length).toBe(1);
    expect(await said()).toContainEqual(expect.stringMatching(/^ISM0304 cacerts: .*expired on/));
    const late = await scene.startProxy();
    await eventually(() => scene.logged('own certificate has expired').length).toBeGreaterThan(0);
    expect(await serial(late)).toBeUndefined();
    await scene.giveCa(makeIntermediate(again, ca('next', 365)));
    await eventually(() => serial(late)).toBeDefined();
  });
});
