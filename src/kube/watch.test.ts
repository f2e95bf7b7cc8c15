// SPDX-License-Identifier: Apache-2.0
import { afterEach, expect, test } from 'vitest';
import { KubeClient } from './client.ts';
import { CONFIG_MAPS } from './resources.ts';
import {
  configMap,
  configMapList,
  type Exchange,
  type ScriptedServer,
  sendEvents,
  sendJson,
  sendStatus,
  startScriptedServer,
} from './testing/scripted-server.ts';
import { type WatchOptions, watchResource } from './watch.ts';

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

/** Watches ConfigMaps and writes down what the handler hears: `+a`, `-a`, `synced`, `error: ...`. */
async function watching(
  answer: (exchange: Exchange, index: number) => void,
  options: Partial<WatchOptions> = {},
): Promise<{ heard: string[]; server: ScriptedServer; stop: () => Promise<void> }> {
  const server = await startScriptedServer(answer);
  cleanups.push(() => server.close());
  const client = new KubeClient({ server: server.address });
  const stopping = new AbortController();
  const heard: string[] = [];
  const ended = watchResource(
    client,
    CONFIG_MAPS,
    { signal: stopping.signal, backoffMs: { first: 5, cap: 20 }, random: () => 0.5, ...options },
    {
      upsert: ({ metadata }) => void heard.push(`+${metadata.name}@${metadata.resourceVersion}`),
      delete: ({ metadata }) => void heard.push(`-${metadata.name}`),
      synced: () => void heard.push('synced'),
      error: (error) => void heard.push(`error: ${error.message}`),
      resumed: () => void heard.push('resumed'),
    },
  );
  const stop = async () => {
    stopping.abort();
    await ended;
    client.close();
  };
  cleanups.push(stop);
  return { heard, server, stop };
}

async function until(condition: () => boolean, timeoutMs = 5_000): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  while (!condition()) {
    if (performance.now() > deadline) throw new Error('timed out');
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

const isWatch = ({ url }: Exchange) => url.searchParams.get('watch') === 'true';

test('lists all pages, then watches from the list with bookmarks and a timeout', async () => {
  const { heard, server } = await watching((exchange, index) => {
    if (index === 0) sendJson(exchange, configMapList(7, [configMap('a', 1)], 'next page'));
    else if (index === 1) sendJson(exchange, configMapList(7, [configMap('b', 2)]));
    else
      sendEvents(exchange, [
        { type: 'MODIFIED', object: configMap('a', 8) },
        { type: 'DELETED', object: configMap('b', 9) },
      ]);
  });
  await until(() => heard.includes('-b'));
  expect(heard).toEqual(['+a@1', '+b@2', 'synced', '+a@8', '-b']);
  expect(server.exchanges[1]?.url.searchParams.get('continue')).toBe('next page');
  const query = server.exchanges[2]?.url.searchParams;
  expect(Object.fromEntries(query ?? [])).toEqual({
    watch: 'true',
    allowWatchBookmarks: 'true',
    resourceVersion: '7',
    timeoutSeconds: '450',
  });
});

test('resumes after a lost connection from the last event or bookmark, without a list', async () => {
  const { heard, server } = await watching((exchange, index) => {
    if (index === 0) return sendJson(exchange, configMapList(1, []));
    if (index === 1) {
      sendEvents(exchange, [
        { type: 'ADDED', object: configMap('a', 5) },
        { type: 'BOOKMARK', object: { apiVersion: 'v1', kind: 'ConfigMap', metadata: { resourceVersion: '9' } } },
      ]);
      setTimeout(() => exchange.socket.destroy(), 20);
    } else sendEvents(exchange, [{ type: 'ADDED', object: configMap('b', 10) }]);
  });
  await until(() => heard.includes('+b@10'));
  expect(server.exchanges.map(isWatch)).toEqual([false, true, true]);
  expect(server.exchanges[2]?.url.searchParams.get('resourceVersion')).toBe('9');
  expect(heard.filter((entry) => !entry.startsWith('error'))).toEqual(['synced', '+a@5', 'resumed', '+b@10']);
});

test.each(['event', 'status'])('after 410 Gone (as %s) it lists anew and emits only the difference', async (form) => {
  const { heard } = await watching((exchange, index) => {
    if (index === 0) {
      const items = [configMap('gone', 1), configMap('same', 2), configMap('changed', 3), configMap('again', 4)];
      sendJson(exchange, configMapList(4, items));
    } else if (index === 1) {
      const expired = { kind: 'Status', apiVersion: 'v1', code: 410, reason: 'Expired', message: 'too old' };
      if (form === 'status') sendStatus(exchange, 410, 'Expired', 'too old');
      else sendEvents(exchange, [{ type: 'ERROR', object: expired }]);
    } else if (index === 2) {
      const items = [
        configMap('same', 2),
        configMap('changed', 8),
        configMap('again', 9, 'another uid'),
        configMap('new', 10),
      ];
      sendJson(exchange, configMapList(10, items));
    } else sendEvents(exchange, []);
  });
  await until(() => heard.includes('+new@10'));
  expect(heard.slice(5)).toEqual(['-gone', '+changed@8', '-again', '+again@9', '+new@10']);
  expect(heard.filter((entry) => entry === 'synced')).toHaveLength(1);
});

test('a silent connection counts as dead and is replaced', async () => {
  const { heard, server } = await watching(
    (exchange, index) => {
      if (index === 0) sendJson(exchange, configMapList(1, []));
      else if (index === 1) sendEvents(exchange, []);
      else sendEvents(exchange, [{ type: 'ADDED', object: configMap('late', 2) }]);
    },
    { idleTimeoutMs: 60 },
  );
  await until(() => heard.includes('+late@2'));
  expect(server.exchanges[2]?.url.searchParams.get('resourceVersion')).toBe('1');
});

test('a connection that is cut is told of by name', async () => {
  const { heard, server } = await watching((exchange, index) => {
    if (index === 0) sendJson(exchange, configMapList(1, []));
    else {
      sendEvents(exchange, []);
      setTimeout(() => exchange.socket.destroy(), 20);
    }
  });
  await until(() => heard.some((entry) => entry.startsWith('error')));
  const where = `${server.address}/api/v1/configmaps`;
  expect(heard.find((entry) => entry.startsWith('error'))).toBe(
    `error: GET ${where}: the connection of the watch was cut`,
  );
});

test('backs off while the server refuses, says so, and then goes on', async () => {
  const { heard, server } = await watching((exchange, index) => {
    if (index < 3) sendStatus(exchange, 403, 'Forbidden', 'configmaps is forbidden');
    else if (index === 3) sendJson(exchange, configMapList(1, [configMap('a', 1)]));
    else sendEvents(exchange, []);
  });
  await until(() => heard.includes('resumed'));
  expect(heard).toEqual([...Array(3).fill('error: configmaps is forbidden'), '+a@1', 'synced', 'resumed']);
  expect(server.exchanges.length).toBeLessThanOrEqual(5);
});

test('an event split over chunks, and over the bytes of one character, arrives whole', async () => {
  const { heard } = await watching((exchange, index) => {
    if (index === 0) return sendJson(exchange, configMapList(1, []));
    sendEvents(exchange, []);
    const line = Buffer.from(`${JSON.stringify({ type: 'ADDED', object: configMap('ü', 2) })}\n`);
    const middle = line.indexOf(0xc3) + 1;
    exchange.response.write(line.subarray(0, middle));
    setTimeout(() => exchange.response.write(line.subarray(middle)), 20);
  });
  await until(() => heard.includes('+ü@2'));
});

test('what the handler throws ends the watch: it is a bug, not a network failure', async () => {
  const server = await startScriptedServer((exchange) => sendJson(exchange, configMapList(1, [configMap('a', 1)])));
  cleanups.push(() => server.close());
  const client = new KubeClient({ server: server.address });
  cleanups.push(() => client.close());
  const handler = {
    upsert: () => {
      throw new Error('handler bug');
    },
    delete: () => {},
    synced: () => {},
  };
  const watch = watchResource(client, CONFIG_MAPS, { signal: new AbortController().signal }, handler);
  await expect(watch).rejects.toThrow('handler bug');
});
