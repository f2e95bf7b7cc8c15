// SPDX-License-Identifier: Apache-2.0
import { setTimeout as sleep } from 'node:timers/promises';
import pino from 'pino';
import { expect, test } from 'vitest';
import { KubeFixture } from '../../../test/mesh/kube-fixture.ts';
import { keepWebhooksTrusting } from './webhook-registration.ts';

const COLLECTION = '/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations';
const roles = new Set(['injector', 'validator']);
const log = pino({ level: 'silent' });

test('two control planes with different CAs do not wear out the API server, and the one that stays wins', async () => {
  const kube = await KubeFixture.start();
  const client = kube.client();
  const [first, second] = [new AbortController(), new AbortController()];
  try {
    kube.put(COLLECTION, {
      apiVersion: 'admissionregistration.k8s.io/v1',
      kind: 'MutatingWebhookConfiguration',
      metadata: { name: 'istio-sidecar-injector' },
      webhooks: [{ name: 'a', clientConfig: {} }],
    });
    const planes = [
      keepWebhooksTrusting(client, 'old', roles, log, first.signal),
      keepWebhooksTrusting(client, 'new', roles, log, second.signal),
    ];
    await sleep(1_500);
    expect(kube.requests.filter((line) => line.startsWith('PATCH')).length).toBeLessThan(20);
    first.abort();
    const bundle = () => {
      const { webhooks } = kube.get(`${COLLECTION}/istio-sidecar-injector`) as unknown as {
        webhooks: { clientConfig: { caBundle?: string } }[];
      };
      return Buffer.from(webhooks[0]?.clientConfig.caBundle ?? '', 'base64').toString();
    };
    for (let i = 0; i < 300 && bundle() !== 'new'; i++) await sleep(100);
    expect(bundle()).toBe('new');
    second.abort();
    await Promise.all(planes);
  } finally {
    first.abort();
    second.abort();
    client.close();
    kube.close();
  }
});
