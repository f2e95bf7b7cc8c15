// SPDX-License-Identifier: Apache-2.0
// Our list and watch beside those of @kubernetes/client-node, on the same server at the same time.
import { CoreV1Api, KubeConfig, Watch } from '@kubernetes/client-node';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { CONFIG_MAPS } from '../../src/kube/resources.ts';
import type { KubeObject } from '../../src/kube/types.ts';
import { watchResource } from '../../src/kube/watch.ts';
import { eventually } from '../fixture/waiting.ts';
import { startCluster, type TestCluster } from './cluster.ts';

let cluster: TestCluster;
beforeAll(async () => {
  cluster = await startCluster();
});
afterAll(() => cluster?.close());

const COUNT = 1_200;

test('the same list over several pages, and the same events in the same order', async () => {
  const namespace = await cluster.namespace();
  const create = (name: string) =>
    cluster.client.create(CONFIG_MAPS, {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name, namespace },
      data: { a: '1' },
    });
  for (let start = 0; start < COUNT; start += 100) {
    await Promise.all(Array.from({ length: 100 }, (_, index) => create(`c${start + index}`)));
  }
  await eventually(() => cluster.client.get(CONFIG_MAPS, 'kube-root-ca.crt', namespace));

  const config = new KubeConfig();
  config.loadFromFile(cluster.kubeconfig);
  const core = config.makeApiClient(CoreV1Api);
  const reference = await core.listNamespacedConfigMap({ namespace });
  const ours = await cluster.client.list(CONFIG_MAPS, { namespace });
  const identify = ({ metadata }: { metadata?: { name?: string; uid?: string; resourceVersion?: string } }) =>
    `${metadata?.name} ${metadata?.uid} ${metadata?.resourceVersion}`;
  expect(ours.items.map(identify)).toEqual(reference.items.map(identify));
  expect(ours.items).toHaveLength(COUNT + 1);

  const stopping = new AbortController();
  const heard = { ours: [] as string[], theirs: [] as string[] };
  let synced = 0;
  const ended = watchResource(
    cluster.client,
    CONFIG_MAPS,
    { namespace, signal: stopping.signal },
    {
      upsert: (object: KubeObject) => void (synced === 0 || heard.ours.push(`upsert ${identify(object)}`)),
      delete: (object: KubeObject) => void heard.ours.push(`delete ${identify(object)}`),
      synced: () => void synced++,
    },
  );
  const watch = new Watch(config);
  const request = await watch.watch(
    `/api/v1/namespaces/${namespace}/configmaps`,
    { resourceVersion: ours.resourceVersion },
    (phase, object: KubeObject) =>
      void heard.theirs.push(`${phase === 'DELETED' ? 'delete' : 'upsert'} ${identify(object)}`),
    () => {},
  );
  await eventually(() => synced === 1);
  await create('new');
  await cluster.client.patch(CONFIG_MAPS, 'new', namespace, { data: { a: '2' } });
  await cluster.client.delete(CONFIG_MAPS, 'c7', namespace);
  await cluster.client.delete(CONFIG_MAPS, 'new', namespace);
  await create('new');
  await eventually(() => heard.ours.length >= 5 && heard.theirs.length >= 5);
  request.abort();
  stopping.abort();
  await ended;
  expect(heard.ours).toEqual(heard.theirs);
  expect(heard.ours.map((entry) => entry.split(' ').slice(0, 2).join(' '))).toEqual([
    'upsert new',
    'upsert new',
    'delete c7',
    'delete new',
    'upsert new',
  ]);
});
