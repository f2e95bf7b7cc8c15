// SPDX-License-Identifier: Apache-2.0
import { setTimeout as sleep } from 'node:timers/promises';
import pino from 'pino';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { KubeFixture } from '../../../test/mesh/kube-fixture.ts';
import type { KubeClient } from '../../kube/client.ts';
import { RootCertDistributor } from './root-cert-distributor.ts';

let kube: KubeFixture;
let client: KubeClient;
let lifetime: AbortController;
let running: Promise<void>;
let roots: RootCertDistributor;

const configMap = (namespace: string) => `/api/v1/namespaces/${namespace}/configmaps/istio-ca-root-cert`;

beforeEach(async () => {
  kube = await KubeFixture.start();
  client = kube.client();
  lifetime = new AbortController();
  roots = new RootCertDistributor(client, 'roots', pino({ level: 'silent' }));
  running = roots.run(lifetime.signal);
  kube.put('/api/v1/namespaces', { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'istio-system' } });
  await kube.eventually(configMap('istio-system'));
});
afterEach(async () => {
  lifetime.abort();
  await running;
  client.close();
  kube.close();
});

test('a namespace that the watch has not brought yet gets the roots with its first pod', async () => {
  await roots.ensure('early');
  expect(kube.get(configMap('early'))).toBeDefined();
});

test('invented namespaces are tried a few at a time, once, and forgotten', async () => {
  kube.isMissing = (collection) => collection.includes('/invented-');
  const before = kube.requests.length;
  await Promise.all(Array.from({ length: 500 }, (_, i) => roots.ensure(`invented-${i}`)));
  await sleep(2_500);
  const asked = kube.requests.slice(before).filter((line) => line.includes('/invented-'));
  expect(asked.length).toBeGreaterThan(0);
  // A look and an attempt each.
  expect(asked.length).toBeLessThanOrEqual(2 * 16);
  kube.isMissing = () => false;
  await roots.ensure('invented-1');
  expect(kube.get(configMap('invented-1'))).toBeDefined();
});
