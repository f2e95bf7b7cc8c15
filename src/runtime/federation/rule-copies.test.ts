// SPDX-License-Identifier: Apache-2.0
import pino from 'pino';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { expectSoon } from '../../../test/fixture/waiting.ts';
import { KubeFixture } from '../../../test/mesh/kube-fixture.ts';
import { revisionOf } from '../../federation/rules/names.ts';
import { type KubeClient, KubeError } from '../../kube/client.ts';
import type { KubeObject } from '../../kube/types.ts';
import { identityKey } from '../../sources/contract.ts';
import { KubeSource } from '../../sources/kube.ts';
import { meshResources } from '../mesh-resources.ts';
import { RuleCopies } from './rule-copies.ts';

const RULES = '/apis/networking.istio.io/v1/namespaces/app/virtualservices';
const REVIEWS = `${RULES}/reviews`;
const log = pino({ level: 'silent' });

let kube: KubeFixture;
let client: KubeClient;
let end: AbortController;
let copies: RuleCopies;

beforeEach(async () => {
  kube = await KubeFixture.start();
  client = kube.client();
  end = new AbortController();
  kube.put('/api/v1/namespaces', { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'app' } });
  start();
  copies.named(['c1']);
});
afterEach(() => {
  copies.lead(false);
  end.abort();
  client.close();
  kube.close();
});

function start(): void {
  copies = new RuleCopies({ client, cluster: 'c2', log, settleMs: 5 });
  const source = new KubeSource('c2', client, meshResources());
  const listener = { events: copies.events.bind(copies), problems: () => {} };
  void source.run(listener, end.signal);
  copies.lead(true);
}

const written = (weight: number, clusters = '*'): KubeObject => ({
  apiVersion: 'networking.istio.io/v1',
  kind: 'VirtualService',
  metadata: { name: 'reviews', namespace: 'app', generation: weight, annotations: { 'isthmus.io/clusters': clusters } },
  spec: { hosts: ['reviews'], http: [{ route: [{ destination: { host: 'reviews' }, weight }] }] },
});

/** One more: that it has come says that whatever was told with it has been dealt with. */
const named = (name: string): KubeObject => {
  const rule = written(1);
  return { ...rule, metadata: { ...rule.metadata, name } };
};

function tell(cluster: string, ...objects: KubeObject[]): void {
  copies.listed(cluster, new Map(objects.map((object) => [identityKey(object), object])));
}

const told = () => kube.list('/api/v1/namespaces/app/events').map(({ reason }) => reason as string);
const spec = () => kube.get(REVIEWS)?.['spec'];

test('a copy comes, follows its source, and goes with it', async () => {
  tell('c1', written(1));
  await expectSoon(spec).toEqual(written(1)['spec']);
  expect(kube.get(REVIEWS)?.metadata).toMatchObject({
    labels: { 'isthmus.io/source-cluster': 'c1' },
    annotations: { 'isthmus.io/source-revision': revisionOf(written(1)), 'isthmus.io/source-generation': '1' },
  });
  copies.changed('c1', [{ kind: 'upsert', cluster: 'c1', object: written(2) }]);
  await expectSoon(spec).toEqual(written(2)['spec']);
  tell('c1', written(2, 'c3'));
  await expectSoon(() => kube.get(REVIEWS)).toBeUndefined();
});

test('what is edited is brought back and told; what a person makes their own stays', async () => {
  tell('c1', written(1));
  const copy = await kube.eventually(REVIEWS);
  kube.put(RULES, { ...copy, spec: { hosts: ['edited'] } });
  await expectSoon(spec).toEqual(written(1)['spec']);
  await expectSoon(told).toEqual(['RuleRestored']);
  const { 'isthmus.io/source-cluster': _, ...labels } = copy.metadata.labels!;
  kube.put(RULES, { ...copy, metadata: { ...copy.metadata, labels }, spec: { hosts: ['mine'] } });
  await expectSoon(told).toEqual(['RuleRestored', 'RuleOccupied']);
  expect(spec()).toEqual({ hosts: ['mine'] });
  tell('c1', named('ratings'));
  await kube.eventually(`${RULES}/ratings`);
  expect(spec()).toEqual({ hosts: ['mine'] });
});

test('a peer that has not been heard keeps its copies, also after a restart; one that is no peer any more does not', async () => {
  tell('c1', written(1));
  await kube.eventually(REVIEWS);
  copies.lead(false);
  start();
  await new Promise((resolve) => setTimeout(resolve, 50));
  expect(spec()).toEqual(written(1)['spec']);
  copies.named(['c1', 'c3']);
  tell('c3', named('ratings'));
  await kube.eventually(`${RULES}/ratings`);
  expect(spec()).toEqual(written(1)['spec']);
  copies.named(['c3']);
  await expectSoon(() => kube.get(REVIEWS)).toBeUndefined();
});

test('a revision that is refused is told on the copy, which keeps the one before, and comes when it is taken', async () => {
  tell('c1', written(1));
  await kube.eventually(REVIEWS);
  const { replace } = client;
  client.replace = () => Promise.reject(new KubeError(422, 'Invalid', 'spec.http is too long'));
  tell('c1', written(2));
  await expectSoon(told).toEqual(['RuleRefused']);
  expect(spec()).toEqual(written(1)['spec']);
  client.replace = replace;
  await expectSoon(spec).toEqual(written(2)['spec']);
});

test('an object that is another service’s import is no rule of a person', async () => {
  const labels = {
    'app.kubernetes.io/managed-by': 'isthmus',
    'isthmus.io/service': 'x',
    'isthmus.io/service-namespace': 'app',
  };
  tell('c1', { ...written(1), metadata: { ...written(1).metadata, labels } }, named('ratings'));
  await kube.eventually(`${RULES}/ratings`);
  expect(kube.get(REVIEWS)).toBeUndefined();
});

test('a namespace that comes later brings the rule', async () => {
  const far = { ...written(1), metadata: { ...written(1).metadata, namespace: 'later' } };
  tell('c1', far);
  kube.put('/api/v1/namespaces', { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'later' } });
  await kube.eventually('/apis/networking.istio.io/v1/namespaces/later/virtualservices/reviews');
});

test('who does not lead writes nothing', async () => {
  copies.lead(false);
  tell('c1', written(1));
  await new Promise((resolve) => setTimeout(resolve, 50));
  expect(kube.requests.filter((line) => !line.startsWith('GET '))).toEqual([]);
});
