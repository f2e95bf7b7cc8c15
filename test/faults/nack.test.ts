// SPDX-License-Identifier: Apache-2.0
// An Envoy with a limit of its own refuses what every other Envoy takes: a regular expression. The object is named in its
// status, by an Event, in the log, by the metric and the admin port; everything else goes on; mended, nothing is left.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { SERVICES } from '../../src/kube/resources.ts';
import type { KubeObject } from '../../src/kube/types.ts';
import { meshType } from '../../src/runtime/mesh-resources.ts';
import { findEnvoy } from '../../src/runtime/toolchain.ts';
import type { EnvoyProcess } from '../xds/envoy-process.ts';
import { PlaneScene } from './plane.ts';

const RULES = meshType('VirtualService')!;

const rule = (name: string, uri: object): KubeObject => ({
  apiVersion: 'networking.istio.io/v1',
  kind: 'VirtualService',
  metadata: { name, namespace: 'default' },
  spec: {
    hosts: [name],
    http: [
      { match: [{ uri }], route: [{ destination: { host: name } }] },
      { route: [{ destination: { host: name } }] },
    ],
  },
});

describe.skipIf(findEnvoy() === undefined)('what only this Envoy refuses', () => {
  let scene: PlaneScene;
  let envoy: EnvoyProcess;
  const dump = async () => (await envoy.admin('/config_dump')).body;
  const statusOf = async (name: string) =>
    ((await scene.client.get(RULES, name, 'default'))?.['status'] ?? {}) as {
      conditions?: { type: string; reason: string; message: string }[];
    };

  beforeAll(async () => {
    scene = await PlaneScene.start();
    for (const name of ['one', 'two']) {
      const spec = { ports: [{ name: 'http', port: 8080 }] };
      await scene.client.create(SERVICES, {
        apiVersion: 'v1',
        kind: 'Service',
        metadata: { name, namespace: 'default' },
        spec,
      });
    }
    await scene.startPlane();
    const limit = { name: 'limit', static_layer: { 're2.max_program_size.error_level': 20 } };
    envoy = await scene.startProxy({ bootstrap: { layered_runtime: { layers: [limit] } } });
  });
  afterAll(() => scene.close());

  test('is told wherever one would look, and the rest of the table changes on', async () => {
    const { client } = scene;
    await client.create(RULES, rule('one', { prefix: '/first' }));
    await expect.poll(dump, { timeout: 20_000 }).toContain('/first');
    const refusals = await scene.metric('isthmus_xds_refusals_total');
    await client.create(RULES, rule('two', { regex: '/(alpha|beta|gamma|delta)+/[a-z]{9}' }));
    await expect
      .poll(async () => (await statusOf('two')).conditions, { timeout: 20_000 })
      .toMatchObject([
        {
          type: 'Programmed',
          status: 'False',
          reason: 'RefusedByEnvoy',
          message: expect.stringContaining('program size'),
        },
      ]);
    expect(await statusOf('one')).toEqual({});
    expect(await scene.metric('isthmus_xds_refusals_total')).toBeGreaterThan(Number.isNaN(refusals) ? 0 : refusals);
    expect(await scene.debug('diagnostics')).toMatchObject([{ code: 'ISM0201', object: { name: 'two' } }]);
    expect(scene.logged('Envoy refused a resource').at(-1)).toMatchObject({ objects: ['VirtualService default/two'] });
    const { items } = await client.list(
      { group: '', version: 'v1', resource: 'events', kind: 'Event', namespaced: true },
      { namespace: 'default' },
    );
    expect(items).toMatchObject([{ reason: 'RefusedByEnvoy', involvedObject: { name: 'two' } }]);
    // The table that both share is not held up.
    await client.patch(RULES, 'one', 'default', { spec: rule('one', { prefix: '/second' })['spec'] });
    await expect.poll(dump, { timeout: 20_000 }).toContain('/second');
    expect(await dump()).not.toContain('gamma');
  });

  test('leaves no trace once it is mended', async () => {
    await scene.client.patch(RULES, 'two', 'default', { spec: rule('two', { regex: '/a' })['spec'] });
    await expect.poll(() => statusOf('two'), { timeout: 20_000 }).toEqual({});
    expect(await scene.debug('diagnostics')).toEqual([]);
    await expect.poll(dump).toContain('"/a"');
  });
});
