// SPDX-License-Identifier: Apache-2.0
import pino from 'pino';
import { expect, test } from 'vitest';
import { KubeFixture } from '../../../test/mesh/kube-fixture.ts';
import { RefusalEvents } from './refusal-events.ts';

test('a proxy that always has another reason gets so many Events a minute, and no more', async () => {
  const kube = await KubeFixture.start();
  const client = kube.client();
  try {
    kube.put('/apis/networking.istio.io/v1/namespaces/default/virtualservices', {
      apiVersion: 'networking.istio.io/v1',
      kind: 'VirtualService',
      metadata: { name: 'reviews', namespace: 'default' },
    });
    let nowMs = 0;
    const events = new RefusalEvents(client, pino({ level: 'silent' }), () => nowMs);
    const object = {
      apiVersion: 'networking.istio.io/v1',
      kind: 'VirtualService',
      namespace: 'default',
      name: 'reviews',
    };
    const tell = (message: string) =>
      events.tell({
        client: 'pod',
        proxy: 'p',
        typeUrl: 't',
        resource: '9080',
        version: 'v',
        message,
        blamed: [object],
      });
    const written = () => kube.list('/api/v1/namespaces/default/events').length;
    for (let i = 0; i < 200; i++) await tell(`reason ${i}`);
    expect(written()).toBe(60);
    nowMs = 60_000;
    await tell('reason of the next minute');
    expect(written()).toBe(61);
  } finally {
    client.close();
    kube.close();
  }
});
