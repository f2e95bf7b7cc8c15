// SPDX-License-Identifier: Apache-2.0
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, expect, test } from 'vitest';
import { KubeClient } from '../../kube/client.ts';
import { CONFIG_MAPS } from '../../kube/resources.ts';
import {
  configMap,
  configMapList,
  type Exchange,
  sendEvents,
  sendJson,
  startScriptedServer,
} from '../../kube/testing/scripted-server.ts';
import type { KubeObject } from '../../kube/types.ts';
import { InformerSet } from './informer.ts';

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

/** An informer whose server has `a` (revision 1) and then sends what the test says. */
async function informing() {
  const watches: Exchange[] = [];
  const server = await startScriptedServer((exchange) => {
    if (exchange.url.searchParams.get('watch') !== 'true')
      return sendJson(exchange, configMapList(1, [configMap('a', 1)]));
    sendEvents(exchange, []);
    watches.push(exchange);
  });
  cleanups.push(() => server.close());
  const client = new KubeClient({ server: server.address });
  const stopping = new AbortController();
  const informers = new InformerSet();
  const informer = informers.of(CONFIG_MAPS);
  const changes: string[] = [];
  informer.onChange(
    (before, after) => void changes.push(`${before?.metadata.resourceVersion}>${after?.metadata.resourceVersion}`),
  );
  const { synced, ended } = informers.run(client, stopping.signal, () => {});
  cleanups.push(async () => {
    stopping.abort();
    await ended;
    client.close();
  });
  await synced;
  while (watches.length === 0) await sleep(2);
  const send = (type: string, object: KubeObject) => sendEvents(watches[0] as Exchange, [{ type, object }]);
  return { informers, informer, changes, send };
}

async function isPending(promise: Promise<void>): Promise<boolean> {
  return await Promise.race([promise.then(() => false), sleep(30).then(() => true)]);
}

test('holds objects by key and namespace and tells what changed', async () => {
  const { informer, changes, send } = await informing();
  expect(informer.get('a', 'ns')?.metadata.resourceVersion).toBe('1');
  send('MODIFIED', configMap('a', 2));
  send('ADDED', configMap('b', 3));
  send('DELETED', configMap('a', 4));
  await informer.echo(configMap('b', 3));
  await informer.echoDelete(configMap('a', 2));
  expect(informer.inNamespace('ns').map(({ metadata }) => metadata.name)).toEqual(['b']);
  expect(informer.byKey('ns/a')).toBeUndefined();
  expect(changes).toEqual(['undefined>1', '1>2', 'undefined>3', '4>undefined']);
});

test('echo waits until the cache has what was written, and no longer', async () => {
  const { informer, send } = await informing();
  await informer.echo(configMap('a', 1));
  const update = informer.echo(configMap('a', 12));
  // 9 is less than 12, though not as text.
  send('MODIFIED', configMap('a', 9));
  expect(await isPending(update)).toBe(true);
  send('MODIFIED', configMap('a', 12));
  await update;
  const created = informer.echo(configMap('new', 13));
  expect(await isPending(created)).toBe(true);
  send('ADDED', configMap('new', 14));
  await created;
});

test('echo ends when the object is gone or was replaced by another', async () => {
  const { informer, send } = await informing();
  const gone = informer.echo(configMap('a', 20));
  send('DELETED', configMap('a', 15));
  await gone;
  send('ADDED', configMap('a', 16, 'another uid'));
  await informer.echoDelete(configMap('a', 1));
  await informer.echo(configMap('a', 99));
});

test('there is one informer per type; one that holds only a part is not complete', () => {
  const informers = new InformerSet();
  expect(informers.of(CONFIG_MAPS, { fieldSelector: 'metadata.name=x' })).toBe(informers.of(CONFIG_MAPS));
  expect(informers.complete(CONFIG_MAPS)).toBeUndefined();
});
