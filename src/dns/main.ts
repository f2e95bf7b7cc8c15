// SPDX-License-Identifier: Apache-2.0
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { Logger } from 'pino';
import type { KubeClient } from '../kube/client.ts';
import type { KubeObject, ResourceType } from '../kube/types.ts';
import { watchResource } from '../kube/watch.ts';
import { collectNames, type GlobalNames } from './global-names.ts';
import { describeChanges } from './name-changes.ts';
import { startDnsServer } from './server.ts';

export interface DnsOptions {
  readonly client: KubeClient;
  readonly host: string;
  readonly port: number;
  /** Port of GET /ready: 200 once the ServiceEntries have been read. */
  readonly readyPort: number;
  readonly zones: readonly string[];
  readonly log: Logger;
}

const SERVICE_ENTRIES: ResourceType = {
  group: 'networking.istio.io',
  version: 'v1',
  resource: 'serviceentries',
  kind: 'ServiceEntry',
  namespaced: true,
};

/** Answers names of ServiceEntries under the zones until `signal` aborts; while the API is away, from what it last said. */
export async function runDns(options: DnsOptions, signal: AbortSignal): Promise<void> {
  const { client, host, zones, log } = options;
  const entries = new Map<string, KubeObject>();
  let names: GlobalNames = new Map();
  let synced = false;
  const publish = (): void => {
    const before = names;
    names = collectNames(entries.values(), zones);
    for (const { level, message, serviceEntry } of describeChanges(before, names))
      log[level]({ serviceEntry }, message);
  };
  const keyOf = ({ metadata }: KubeObject): string => `${metadata.namespace}/${metadata.name}`;

  const ready = createServer((request, response) => {
    const known = request.url === '/ready';
    response.writeHead(!known ? 404 : synced ? 200 : 503).end();
  });
  ready.listen(options.readyPort, host);
  await once(ready, 'listening');
  signal.addEventListener('abort', () => ready.close(), { once: true });
  const { port } = await startDnsServer({ host, port: options.port, zones, names: () => names, signal });
  log.info({ zones, port }, 'answering names');

  await watchResource<KubeObject>(
    client,
    SERVICE_ENTRIES,
    { signal },
    {
      upsert: (object) => {
        entries.set(keyOf(object), object);
        if (synced) publish();
      },
      delete: (object) => {
        entries.delete(keyOf(object));
        if (synced) publish();
      },
      synced: () => {
        synced = true;
        publish();
      },
      error: (error) => log.warn({ err: error.message }, 'ServiceEntries cannot be read; trying again'),
    },
  );
}
