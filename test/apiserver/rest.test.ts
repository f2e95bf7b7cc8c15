// SPDX-License-Identifier: Apache-2.0
// Behaviour that clients build on, over HTTPS: lifecycles, conflicts, chunks, watches, refusals.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startTestServer, type TestServer } from './test-server.ts';

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer();
  await post('/api/v1/namespaces/default/serviceaccounts', {
    apiVersion: 'v1',
    kind: 'ServiceAccount',
    metadata: { name: 'default' },
  });
});
afterAll(() => server.close());

interface Body {
  metadata: {
    name: string;
    resourceVersion: string;
    uid: string;
    generation?: number;
    deletionTimestamp?: string;
    finalizers?: string[];
    continue?: string;
    remainingItemCount?: number;
    deletionGracePeriodSeconds?: number;
  };
  items: Body[];
  spec: { clusterIP: string; replicas: number; nodeName?: string };
  status: { phase?: string; replicas?: number } & string;
  data?: Record<string, string>;
  message: string;
  reason: string;
  code: number;
  details: { causes?: { field: string }[] };
}

async function send(
  method: string,
  path: string,
  body?: unknown,
  type?: string,
): Promise<{ status: number; body: Body }> {
  const answer = await server.send(method, path, body, type ? { 'Content-Type': type } : {});
  return { status: answer.status, body: answer.json as Body };
}
const post = (path: string, body: unknown) => send('POST', path, body);
const merge = (path: string, body: unknown) => send('PATCH', path, body, 'application/merge-patch+json');

async function namespace(name: string): Promise<string> {
  await post('/api/v1/namespaces', { apiVersion: 'v1', kind: 'Namespace', metadata: { name } });
  await post(`/api/v1/namespaces/${name}/serviceaccounts`, {
    apiVersion: 'v1',
    kind: 'ServiceAccount',
    metadata: { name: 'default' },
  });
  return `/api/v1/namespaces/${name}`;
}
const configMap = (name: string, rest: object = {}) => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name, ...rest },
});
const pod = (name: string) => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name },
  spec: { containers: [{ name: 'c', image: 'i:1' }] },
});

test('a stale write is refused with 409, a patch of the same object goes through', async () => {
  const place = `${await namespace('stale')}/configmaps`;
  const first = await post(place, configMap('c'));
  await merge(`${place}/c`, { data: { a: '1' } });
  const stale = await send('PUT', `${place}/c`, { ...first.body, data: { a: '2' } });
  expect(stale).toMatchObject({ status: 409, body: { reason: 'Conflict' } });
  expect((await send('PUT', `${place}/c`, configMap('c'))).status).toBe(200);
});

test('concurrent patches all arrive', async () => {
  const place = `${await namespace('many')}/configmaps`;
  await post(place, configMap('c'));
  await Promise.all(Array.from({ length: 20 }, (_, i) => merge(`${place}/c`, { data: { [`k${i}`]: '1' } })));
  expect(Object.keys((await send('GET', `${place}/c`)).body.data ?? {})).toHaveLength(20);
});

test('a change of nothing is no change', async () => {
  const place = `${await namespace('noop')}/configmaps`;
  await post(place, { ...configMap('c'), data: { a: '1' } });
  const first = await merge(`${place}/c`, { data: { a: '2' } });
  const second = await merge(`${place}/c`, { data: { a: '2' } });
  expect(second.body.metadata.resourceVersion).toBe(first.body.metadata.resourceVersion);
});

test('finalizers hold an object until the last is taken away', async () => {
  const place = `${await namespace('finalizers')}/configmaps`;
  await post(place, configMap('c', { finalizers: ['example.com/hold'] }));
  const deleted = await send('DELETE', `${place}/c`);
  expect(deleted.body.metadata.deletionTimestamp).toBeDefined();
  expect(
    (await merge(`${place}/c`, { metadata: { finalizers: ['example.com/hold', 'example.com/more'] } })).status,
  ).toBe(422);
  expect((await merge(`${place}/c`, { metadata: { finalizers: null } })).status).toBe(200);
  expect((await send('GET', `${place}/c`)).status).toBe(404);
});

test('a running pod is deleted when its node says so, an unscheduled one at once', async () => {
  const place = `${await namespace('grace')}/pods`;
  await post(place, pod('idle'));
  await send('DELETE', `${place}/idle`);
  expect((await send('GET', `${place}/idle`)).status).toBe(404);
  await post(place, pod('busy'));
  const binding = {
    apiVersion: 'v1',
    kind: 'Binding',
    metadata: { name: 'busy' },
    target: { kind: 'Node', name: 'n1' },
  };
  expect((await post(`${place}/busy/binding`, binding)).status).toBe(201);
  expect((await post(`${place}/busy/binding`, binding)).status).toBe(409);
  const terminating = await send('DELETE', `${place}/busy?gracePeriodSeconds=7`);
  expect(terminating.body.metadata).toMatchObject({ deletionGracePeriodSeconds: 7 });
  expect((await send('GET', `${place}/busy`)).status).toBe(200);
  await send('DELETE', `${place}/busy`, {
    kind: 'DeleteOptions',
    apiVersion: 'v1',
    gracePeriodSeconds: 0,
    preconditions: { uid: terminating.body.metadata.uid },
  });
  expect((await send('GET', `${place}/busy`)).status).toBe(404);
});

test('a namespace that ends takes nothing new and goes with its last finalizer', async () => {
  const place = await namespace('ending');
  expect((await send('DELETE', place)).body.status).toMatchObject({ phase: 'Terminating' });
  expect(await post(`${place}/configmaps`, configMap('late'))).toMatchObject({
    status: 403,
    body: { reason: 'Forbidden' },
  });
  const current = (await send('GET', place)).body;
  expect((await send('PUT', `${place}/finalize`, { ...current, spec: { finalizers: [] } })).status).toBe(200);
  expect((await send('GET', place)).status).toBe(404);
});

test('cluster addresses and node ports are given once, also under a crowd', async () => {
  const place = `${await namespace('crowd')}/services`;
  const service = (name: string) => ({
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name },
    spec: { type: 'NodePort', ports: [{ port: 80 }] },
  });
  const made = await Promise.all(Array.from({ length: 40 }, (_, i) => post(place, service(`s${i}`))));
  expect(made.every(({ status }) => status === 201)).toBe(true);
  const specs = made.map(({ body }) => body.spec as unknown as { clusterIP: string; ports: { nodePort: number }[] });
  expect(new Set(specs.map(({ clusterIP }) => clusterIP)).size).toBe(40);
  expect(new Set(specs.map(({ ports }) => ports[0]!.nodePort)).size).toBe(40);
});

test('spec and status are two doors; generation counts the first', async () => {
  await namespace('doors');
  const place = '/apis/apps/v1/namespaces/doors/deployments';
  const labels = { app: 'x' };
  const spec = {
    selector: { matchLabels: labels },
    template: { metadata: { labels }, spec: { containers: [{ name: 'c', image: 'i:1' }] } },
  };
  await post(place, { apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name: 'd' }, spec });
  const byStatus = await merge(`${place}/d/status`, { spec: { replicas: 9 }, status: { replicas: 5 } });
  expect(byStatus.body).toMatchObject({ spec: { replicas: 1 }, status: { replicas: 5 }, metadata: { generation: 1 } });
  const bySpec = await merge(`${place}/d`, { spec: { replicas: 3 }, status: { replicas: 8 } });
  expect(bySpec.body).toMatchObject({ spec: { replicas: 3 }, status: { replicas: 5 }, metadata: { generation: 2 } });
  const scaled = await merge(`${place}/d/scale`, { spec: { replicas: 4 } });
  expect(scaled.body).toMatchObject({ spec: { replicas: 4 }, status: { replicas: 5, selector: 'app=x' } });
});

test('a list in chunks is one list, whatever is written in between', async () => {
  const place = `${await namespace('chunks')}/configmaps`;
  for (let i = 0; i < 7; i++) await post(place, configMap(`c${i}`));
  const first = await send('GET', `${place}?limit=3`);
  expect(first.body.metadata.remainingItemCount).toBe(4);
  await send('DELETE', `${place}/c5`);
  await post(place, configMap('c3a'));
  const second = await send('GET', `${place}?limit=9&continue=${first.body.metadata.continue}`);
  const names = [...first.body.items, ...second.body.items].map(({ metadata }) => metadata.name);
  expect(names).toEqual(['c0', 'c1', 'c2', 'c3', 'c4', 'c5', 'c6']);
  expect(second.body.metadata.resourceVersion).toBe(first.body.metadata.resourceVersion);
});

interface Event {
  type: string;
  object: Body;
}

test('a watch begins where the list ended, and objects that leave a selector are deleted for it', async () => {
  const place = `${await namespace('watched')}/configmaps`;
  const { body } = await send('GET', place);
  await post(place, configMap('a', { labels: { w: '1' } }));
  await post(place, configMap('other'));
  await merge(`${place}/a`, { data: { x: '1' } });
  await merge(`${place}/a`, { metadata: { labels: { w: '2' } } });
  const path = `${place}?watch=1&labelSelector=w%3D1&resourceVersion=${body.metadata.resourceVersion}`;
  const { events } = await server.watch(path, (seen) => seen.length === 3);
  expect((events as Event[]).map(({ type, object }) => `${type} ${object.metadata.name}`)).toEqual([
    'ADDED a',
    'MODIFIED a',
    'DELETED a',
  ]);
});

test('a watch can begin with what is there and say so', async () => {
  const place = `${await namespace('initial')}/configmaps`;
  await post(place, configMap('a'));
  const path = `${place}?watch=1&sendInitialEvents=true&allowWatchBookmarks=true&resourceVersionMatch=NotOlderThan`;
  const { events } = await server.watch(path, (seen) => seen.length === 2);
  expect((events as Event[]).map(({ type }) => type)).toEqual(['ADDED', 'BOOKMARK']);
  expect(JSON.stringify(events[1])).toContain('initial-events-end');
});

test('a watch of a past that is forgotten is one ERROR event with a 410', async () => {
  const forgetful = await startTestServer({ keepEvents: 10 });
  try {
    for (let i = 0; i < 25; i++)
      await forgetful.send('POST', '/api/v1/namespaces/default/configmaps', configMap(`c${i}`));
    const path = '/api/v1/namespaces/default/configmaps?watch=1&resourceVersion=2';
    const { status, events } = await forgetful.watch(path, () => false);
    expect(status).toBe(200);
    expect(events).toHaveLength(1);
    expect(events[0]).toMatchObject({ type: 'ERROR', object: { kind: 'Status', code: 410, reason: 'Expired' } });
    const list = await forgetful.send(
      'GET',
      '/api/v1/namespaces/default/configmaps?resourceVersion=2&resourceVersionMatch=Exact',
    );
    expect(list.json).toMatchObject({ code: 410, reason: 'Expired' });
  } finally {
    await forgetful.close();
  }
});

test.each([
  ['GET', '/api/v1/nosuch', undefined, undefined, 404],
  ['GET', '/apis/no.such/v1/things', undefined, undefined, 404],
  ['GET', '/api/v1/namespaces/default/pods/p/nosuch', undefined, undefined, 404],
  ['PUT', '/api/v1/namespaces/default/configmaps', configMap('x'), undefined, 405],
  ['POST', '/api/v1/namespaces/default/configmaps/x', configMap('x'), undefined, 405],
  ['POST', '/api/v1/configmaps', configMap('x'), undefined, 405],
  ['POST', '/api/v1/namespaces/default/configmaps', '{', undefined, 400],
  ['POST', '/api/v1/namespaces/default/configmaps', 'a: b: c', 'application/yaml', 400],
  ['POST', '/api/v1/namespaces/default/configmaps', '<x/>', 'application/xml', 415],
  [
    'POST',
    '/api/v1/namespaces/default/configmaps',
    Buffer.from('nonsense'),
    'application/vnd.kubernetes.protobuf',
    400,
  ],
  ['PATCH', '/api/v1/namespaces/default/configmaps/x', '{}', 'application/json', 415],
  ['POST', '/api/v1/namespaces/default/configmaps', configMap('Bad_Name'), undefined, 422],
  ['GET', '/api/v1/pods?fieldSelector=spec.bogus%3Dx', undefined, undefined, 400],
  ['GET', '/api/v1/pods?labelSelector=a%3D%3D%3Db', undefined, undefined, 400],
  ['GET', '/api/v1/pods?limit=x', undefined, undefined, 400],
  ['GET', '/api/v1/pods?resourceVersion=99999999', undefined, undefined, 504],
  ['DELETE', '/version', undefined, undefined, 405],
  ['GET', '/api/v1/namespaces/default?resourceVersion=x', undefined, undefined, 400],
  ['GET', '/api/v1/namespaces/default?resourceVersion=99999999', undefined, undefined, 504],
  ['GET', '/api/v1/pods?timeout=soon', undefined, undefined, 400],
  ['DELETE', '/api/v1/namespaces', undefined, undefined, 405],
  ['DELETE', '/api/v1/namespaces/default/configmaps?limit=x', undefined, undefined, 400],
  ['DELETE', '/api/v1/namespaces/default/configmaps/x', { kind: 'Pod', apiVersion: 'v1' }, undefined, 400],
] as const)('%s %s with %j (%s) is refused with %i and a Status', async (method, path, body, type, code) => {
  const answer = await server.send(method, path, body, type ? { 'Content-Type': type } : {});
  expect(answer.status).toBe(code);
  if (answer.json !== undefined) expect(answer.json).toMatchObject({ kind: 'Status', status: 'Failure', code });
});

test('a body beyond 3 MiB is refused with 413', async () => {
  const huge = { ...configMap('huge'), data: { a: 'x'.repeat(4 * 1024 * 1024) } };
  const answer = await server
    .send('POST', '/api/v1/namespaces/default/configmaps', huge)
    .catch((error: Error) => error);
  // The server may close before all of it was sent.
  if (!(answer instanceof Error)) expect(answer.status).toBe(413);
  expect((await send('GET', '/api/v1/namespaces/default/configmaps/huge')).status).toBe(404);
});

test('dry runs change nothing', async () => {
  const place = `${await namespace('dry')}/configmaps`;
  expect((await post(`${place}?dryRun=All`, configMap('c'))).status).toBe(201);
  expect((await send('GET', `${place}/c`)).status).toBe(404);
  await post(place, configMap('c'));
  expect((await send('DELETE', `${place}/c?dryRun=All`)).status).toBe(200);
  expect((await send('GET', `${place}/c`)).status).toBe(200);
});

test('nobody without credentials gets anything but health', async () => {
  const { status } = await server.send('GET', '/api/v1/namespaces', undefined, { 'X-Anonymous': 'yes' });
  expect([401, 403]).toContain(status);
  expect((await server.send('GET', '/api/v1/namespaces', undefined, { Authorization: 'Bearer nonsense' })).status).toBe(
    401,
  );
});

const crd = (plural: string, kind: string) => ({
  apiVersion: 'apiextensions.k8s.io/v1',
  kind: 'CustomResourceDefinition',
  metadata: { name: `${plural}.g.example.com` },
  spec: {
    group: 'g.example.com',
    scope: 'Namespaced',
    names: { plural, kind },
    versions: [
      {
        name: 'v1',
        served: true,
        storage: true,
        schema: {
          openAPIV3Schema: {
            type: 'object',
            properties: {
              spec: {
                type: 'object',
                properties: {
                  size: { type: 'integer', default: 3, maximum: 9 },
                  free: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true },
                },
                'x-kubernetes-validations': [{ rule: 'self.size != 7', message: 'seven is taken' }],
              },
            },
          },
        },
      },
    ],
  },
});
const CRDS = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';

test('custom resources are pruned, defaulted, validated, and go with their definition, watchers included', async () => {
  await namespace('custom');
  const place = '/apis/g.example.com/v1/namespaces/custom/sizes';
  const size = (name: string, spec: object) => ({
    apiVersion: 'g.example.com/v1',
    kind: 'Size',
    metadata: { name },
    spec,
  });
  expect((await send('GET', place)).status).toBe(404);
  expect((await post(CRDS, crd('sizes', 'Size'))).status).toBe(201);
  const made = await post(place, size('a', { unknown: 1, free: { kept: true } }));
  expect(made).toMatchObject({ status: 201, body: { spec: { size: 3, free: { kept: true } } } });
  expect(made.body.spec).not.toHaveProperty('unknown');
  expect((await post(place, size('b', { size: 10 }))).status).toBe(422);
  expect((await post(place, size('b', { size: 7 }))).body.message).toContain('seven is taken');
  expect((await post(place, size('b', { size: 'x' }))).status).toBe(422);
  const watching = server.watch(`${place}?watch=1`, () => false, {}, 10_000);
  await merge(`${place}/a`, { metadata: { finalizers: ['example.com/hold'] } });
  await send('DELETE', `${CRDS}/sizes.g.example.com`);
  expect((await send('GET', `${place}/a`)).body.metadata.deletionTimestamp).toBeDefined();
  await merge(`${place}/a`, { metadata: { finalizers: null } });
  const { events } = await watching;
  expect((events as Event[]).at(-1)?.type).toBe('DELETED');
  expect((await send('GET', place)).status).toBe(404);
  expect((await send('GET', `${CRDS}/sizes.g.example.com`)).status).toBe(404);
});

test('who applied a label alone and leaves it out the next time keeps the object with its name', async () => {
  const place = `${await namespace('last-label')}/configmaps/c`;
  const apply = (metadata: object) =>
    send(
      'PATCH',
      `${place}?fieldManager=labeller&force=true`,
      { ...configMap('c', metadata), data: { a: '1' } },
      'application/apply-patch+yaml',
    );
  expect((await apply({ labels: { team: 'x' } })).status).toBe(201);
  const again = await apply({});
  expect(again).toMatchObject({ status: 200, body: { metadata: { name: 'c' }, data: { a: '1' } } });
  expect(again.body.metadata).not.toHaveProperty('labels');
});

test('two definitions cannot share a kind', async () => {
  await post(CRDS, crd('firsts', 'Same'));
  await post(CRDS, crd('seconds', 'Same'));
  const second = (await send('GET', `${CRDS}/seconds.g.example.com`)).body as unknown as {
    status: { conditions: { type: string; status: string }[] };
  };
  expect(second.status.conditions).toContainEqual(expect.objectContaining({ type: 'NamesAccepted', status: 'False' }));
  expect((await send('GET', '/apis/g.example.com/v1/seconds')).status).toBe(404);
});
