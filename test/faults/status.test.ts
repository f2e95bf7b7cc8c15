// SPDX-License-Identifier: Apache-2.0
// The status of bad objects, written to a real API server by two replicas of a control plane.
import pino from 'pino';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { buildCrds } from '../../src/api/crds.ts';
import type { Diagnostic } from '../../src/api/diagnostics.ts';
import { diagnose } from '../../src/api/report.ts';
import { validateObject } from '../../src/api/validate.ts';
import { KubeClient } from '../../src/kube/client.ts';
import { loadKubeconfig } from '../../src/kube/config.ts';
import { CRDS, LEASES, NAMESPACES } from '../../src/kube/resources.ts';
import type { KubeObject } from '../../src/kube/types.ts';
import { STATUS_LEASE, StatusWriter } from '../../src/runtime/findings/status-writer.ts';
import { meshType } from '../../src/runtime/mesh-resources.ts';
import { KubeSource } from '../../src/sources/kube.ts';
import { startTestServer, type TestServer } from '../apiserver/test-server.ts';
import { expectSoon } from '../fixture/waiting.ts';

const TYPE = meshType('VirtualService')!;
const ref = (name: string) => ({
  apiVersion: 'networking.istio.io/v1',
  kind: 'VirtualService',
  namespace: 'default',
  name,
});
const ending = new AbortController();
let server: TestServer;
let client: KubeClient;
let one: Replica;
let two: Replica;

class Replica {
  readonly writer: StatusWriter;
  readonly #signal: AbortController;
  readonly ended: Promise<void>;
  readonly #objects = new Map<string, KubeObject>();
  #refusals: Diagnostic[] = [];

  constructor(holder: string) {
    this.#signal = new AbortController();
    this.writer = new StatusWriter({
      client,
      holder,
      log: pino({ level: 'silent' }),
      settleMs: 20,
      sweepMs: 300,
      lease: { durationMs: 600, intervalMs: 100 },
    });
    const source = new KubeSource('c', client, [{ type: TYPE }]);
    const signal = AbortSignal.any([ending.signal, this.#signal.signal]);
    void source.run(
      {
        events: (batch) => {
          this.writer.events(batch);
          for (const event of batch) {
            if (event.kind === 'upsert') this.#objects.set(event.object.metadata.name ?? '', event.object);
            if (event.kind === 'delete') this.#objects.delete(event.object.metadata.name ?? '');
          }
          this.#tell();
        },
        problems: () => {},
      },
      signal,
    );
    this.ended = this.writer.run(signal);
  }

  refuse(...diagnostics: Diagnostic[]): void {
    this.#refusals = diagnostics;
    this.#tell();
  }

  async stop(): Promise<void> {
    this.#signal.abort();
    await this.ended;
  }

  #tell(): void {
    this.writer.take([...[...this.#objects.values()].flatMap((object) => validateObject(object)), ...this.#refusals]);
  }
}

const virtualService = (name: string, weight = 'weight'): KubeObject => ({
  apiVersion: 'networking.istio.io/v1',
  kind: 'VirtualService',
  metadata: { name, namespace: 'default' },
  // The schema knows weights; that they add up it cannot know.
  spec: {
    hosts: [name],
    http: [
      {
        route: [
          { destination: { host: name }, ...(weight === 'zero' ? { weight: 0 } : {}) },
          { destination: { host: name }, ...(weight === 'zero' ? { weight: 0 } : { weight: 100 }) },
        ],
      },
    ],
  },
});

interface Shown {
  conditions?: { type: string; status: string; message: string; observedGeneration: number }[];
  validationMessages?: unknown[];
}
const get = (name: string) => client.get(TYPE, name, 'default');
const statusOf = async (name: string) => ((await get(name))?.['status'] ?? {}) as Shown;
const types = async (name: string) => ((await statusOf(name)).conditions ?? []).map(({ type }) => type).sort();

/** A new definition is served a moment later. */
async function served(): Promise<void> {
  for (let i = 0; i < 500; i++) {
    const isServed = await client.list(TYPE).then(
      () => true,
      () => false,
    );
    if (isServed) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

beforeAll(async () => {
  server = await startTestServer();
  client = new KubeClient(loadKubeconfig(server.kubeconfig, undefined));
  await client.create(NAMESPACES, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'istio-system' } });
  for (const crd of buildCrds()) await client.create(CRDS, crd);
  await served();
  one = new Replica('one');
  two = new Replica('two');
});

afterAll(async () => {
  ending.abort();
  await Promise.all([one.ended, two.ended]);
  client.close();
  await server.close();
});

test('a bad object says why, once; a good one costs no write; mended, it says nothing', async () => {
  const good = await client.create(TYPE, virtualService('good'));
  await client.create(TYPE, virtualService('bad', 'zero'));
  await expectSoon(() => types('bad')).toEqual(['Reconciled']);
  const { conditions = [], validationMessages } = await statusOf('bad');
  expect(conditions[0]).toMatchObject({ status: 'False', reason: 'Invalid', observedGeneration: 1 });
  expect(conditions[0]?.message).toContain('ISM0008');
  expect(validationMessages).toHaveLength(1);
  const version = (await get('bad'))?.metadata.resourceVersion;
  await new Promise((resolve) => setTimeout(resolve, 500));
  expect((await get('bad'))?.metadata.resourceVersion).toBe(version);
  expect((await get('good'))?.metadata.resourceVersion).toBe(good.metadata.resourceVersion);
  await client.patch(TYPE, 'bad', 'default', { spec: virtualService('bad').spec });
  await expectSoon(() => statusOf('bad')).toEqual({});
});

test('what proxies of the second replica refuse stands there beside, and goes when they take it', async () => {
  await client.create(TYPE, virtualService('refused'));
  two.refuse(diagnose(ref('refused'), 'ISM0201', 'spec', 'Envoy refuses it: no', 'mend it'));
  await expectSoon(() => types('refused')).toEqual(['Programmed']);
  // Neither takes the other's words away.
  await client.patch(TYPE, 'refused', 'default', { spec: virtualService('refused', 'zero').spec });
  await expectSoon(() => types('refused')).toEqual(['Programmed', 'Reconciled']);
  await expectSoon(async () => (await statusOf('refused')).conditions?.map((c) => c.observedGeneration)).toEqual([
    2, 2,
  ]);
  const version = (await get('refused'))?.metadata.resourceVersion;
  await new Promise((resolve) => setTimeout(resolve, 500));
  expect((await get('refused'))?.metadata.resourceVersion).toBe(version);
  two.refuse();
  await expectSoon(() => types('refused')).toEqual(['Reconciled']);
});

test('when the writing replica ends, the other one goes on, and removes what nobody says any more', async () => {
  const holder = async (): Promise<string> => {
    const lease = await client.get(LEASES, STATUS_LEASE, 'istio-system');
    return (lease?.['spec'] as { holderIdentity: string } | undefined)?.holderIdentity ?? '';
  };
  const first = await holder();
  const [ends, stays] = first === 'one' ? [one, two] : [two, one];
  await client.create(TYPE, virtualService('orphan'));
  ends.refuse(diagnose(ref('orphan'), 'ISM0201', 'spec', 'Envoy refuses it: no', 'mend it'));
  await expectSoon(() => types('orphan')).toEqual(['Programmed']);
  await ends.stop();
  await expectSoon(holder).not.toBe(first);
  await client.create(TYPE, virtualService('later', 'zero'));
  await expectSoon(() => types('later')).toEqual(['Reconciled']);
  await expectSoon(() => types('orphan')).toEqual([]);
  stays.refuse();
});

test('somebody who takes the status away is not fought with', async () => {
  await client.create(TYPE, virtualService('fought', 'zero'));
  await expectSoon(() => types('fought')).not.toEqual([]);
  await client.patch(TYPE, 'fought', 'default', { status: null }, { subresource: 'status' });
  for (const end = Date.now() + 1_500; Date.now() < end; ) {
    expect(await types('fought')).toEqual([]);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
});
