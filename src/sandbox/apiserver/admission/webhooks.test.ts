// SPDX-License-Identifier: Apache-2.0
// Webhooks over real TLS, with the texts of the recordings of a real server (webhook-*.json).
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { json } from 'node:stream/consumers';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { TestAuthority } from '#test/fixture/test-authority.ts';
import type { KubeObject } from '../../../kube/types.ts';
import { MemoryObjects } from '../memory-objects.fixture.ts';
import type { AdmissionRequest } from '../seams.ts';
import { ApiError } from '../status.ts';
import { MUTATING_CONFIGURATIONS, VALIDATING_CONFIGURATIONS, type Webhook } from './webhook-types.ts';
import { WebhookAdmission } from './webhooks.ts';

interface Review {
  request: Record<string, unknown> & { uid: string; object: KubeObject | null };
}

let objects: MemoryObjects;
let webhooks: WebhookAdmission;
let server: Server;
let seen: { path: string; host: string; review: Review }[];
let answers: Record<string, (review: Review) => unknown>;
let caBundle: string;
let warnings: string[];

const allow = (review: Review, more: object = {}) => ({
  apiVersion: 'admission.k8s.io/v1',
  kind: 'AdmissionReview',
  response: { uid: review.request.uid, allowed: true, ...more },
});
const patch = (operations: object[]) => ({
  patchType: 'JSONPatch',
  patch: Buffer.from(JSON.stringify(operations)).toString('base64'),
});

beforeEach(async () => {
  seen = [];
  answers = {};
  warnings = [];
  objects = new MemoryObjects();
  objects.create(
    { group: '', resource: 'namespaces' },
    {
      apiVersion: 'v1',
      kind: 'Namespace',
      metadata: { name: 'shop', labels: { 'istio-injection': 'enabled' } },
    },
  );
  webhooks = new WebhookAdmission(
    objects,
    () => undefined,
    () => 0,
  );
  const authority = new TestAuthority();
  const keys = authority.issue('webhook', {
    dnsNames: ['hook.shop.svc'],
    ipAddresses: ['127.0.0.1'],
    usages: ['serverAuth'],
  });
  caBundle = Buffer.from(authority.rootPem).toString('base64');
  server = createServer(keys, async (req, res) => {
    const review = (await json(req)) as Review;
    seen.push({ path: req.url ?? '', host: req.headers.host ?? '', review });
    const answer = answers[new URL(req.url ?? '/', 'https://x').pathname];
    if (!answer) return; // Never answers: a time-out.
    const body = answer(review);
    if (body === undefined) res.writeHead(500).end('it broke');
    else res.end(JSON.stringify(body));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
});
afterEach(() => {
  server.closeAllConnections();
  server.close();
});

const port = () => (server.address() as AddressInfo).port;

function hook(path: string, more: Partial<Webhook> = {}): Webhook {
  return {
    name: 'one.example.com',
    clientConfig: { url: `https://127.0.0.1:${port()}${path}`, caBundle },
    rules: [{ operations: ['CREATE', 'UPDATE'], apiGroups: [''], apiVersions: ['v1'], resources: ['configmaps'] }],
    sideEffects: 'None',
    admissionReviewVersions: ['v1'],
    timeoutSeconds: 3,
    failurePolicy: 'Fail',
    ...more,
  };
}

function configure(type: typeof MUTATING_CONFIGURATIONS, ...hooks: Webhook[]): void {
  objects.create(type, { apiVersion: 'x', kind: 'x', metadata: { name: 'config' }, webhooks: hooks });
}

function admission(more: Partial<AdmissionRequest> = {}): AdmissionRequest {
  const resource = { group: '', version: 'v1', resource: 'configmaps' };
  const kind = { group: '', version: 'v1', kind: 'ConfigMap' };
  const object = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'm', namespace: 'shop' }, data: { a: '1' } };
  return {
    operation: 'CREATE',
    kind,
    resource,
    subresource: '',
    requestKind: kind,
    requestResource: resource,
    equivalents: [],
    name: 'm',
    namespace: 'shop',
    object,
    oldObject: undefined,
    options: { kind: 'CreateOptions', apiVersion: 'meta.k8s.io/v1' },
    dryRun: false,
    user: { username: 'admin', groups: ['system:masters'] },
    warn: (message) => warnings.push(message),
    convert: (one) => one,
    normalize: (one) => one,
    signal: new AbortController().signal,
    ...more,
  };
}

const mutate = (request: AdmissionRequest) => webhooks.mutate(request, request.object);

async function refusal(promise: Promise<unknown>): Promise<ApiError> {
  const error = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!(error instanceof ApiError)) throw new Error(`expected an ApiError, got ${String(error)}`);
  return error;
}

test('a mutating webhook is asked as recorded, and its patch and warnings count', async () => {
  answers['/mutate'] = (review) =>
    allow(review, { ...patch([{ op: 'add', path: '/data/injected', value: 'create' }]), warnings: ['a warning'] });
  configure(MUTATING_CONFIGURATIONS, hook('/mutate'));
  const result = await mutate(admission());
  expect(result?.data).toEqual({ a: '1', injected: 'create' });
  expect(warnings).toEqual(['a warning']);
  expect(seen[0]?.path).toBe('/mutate?timeout=3s');
  expect(seen[0]?.review).toMatchObject({
    apiVersion: 'admission.k8s.io/v1',
    kind: 'AdmissionReview',
    request: {
      kind: { group: '', version: 'v1', kind: 'ConfigMap' },
      name: 'm',
      namespace: 'shop',
      operation: 'CREATE',
      userInfo: { username: 'admin', groups: ['system:masters'] },
      oldObject: null,
      dryRun: false,
    },
  });
});

test('webhooks see what earlier ones did; IfNeeded sees what later ones did', async () => {
  const append = (name: string) => (review: Review) => {
    const { trail = '' } = (review.request.object?.data ?? {}) as Record<string, string>;
    return allow(review, patch([{ op: 'add', path: '/data/trail', value: trail + name }]));
  };
  answers['/a'] = append('a');
  answers['/b'] = append('b');
  const again = hook('/a', { name: 'a.example.com', reinvocationPolicy: 'IfNeeded' });
  configure(MUTATING_CONFIGURATIONS, again, hook('/b', { name: 'b.example.com' }));
  const result = await mutate(admission());
  expect(result?.data).toMatchObject({ trail: 'aba' });
});

test.each([
  [{ code: 403, message: 'no bad data please', reason: 'BadData' }, 403, 'denied the request: no bad data please'],
  [{ reason: 'BadData' }, 400, 'denied the request: BadData'],
  [{ code: 200, message: 'no' }, 400, 'denied the request: no'],
  [undefined, 400, 'denied the request without explanation'],
])('a refusal with status %j', async (status, code, text) => {
  answers['/deny'] = (review) => allow(review, { allowed: false, ...(status ? { status } : {}) });
  configure(VALIDATING_CONFIGURATIONS, hook('/deny'));
  const error = await refusal(webhooks.validate(admission(), admission().object));
  expect(error.code).toBe(code);
  expect(error.message).toBe(`admission webhook "one.example.com" ${text}`);
});

test('who cannot be reached refuses, unless failures may be ignored', async () => {
  const dead = hook('/x', { clientConfig: { url: 'https://127.0.0.1:1/x', caBundle } });
  configure(MUTATING_CONFIGURATIONS, dead);
  const error = await refusal(mutate(admission()));
  expect(error.code).toBe(500);
  expect(error.message).toBe(
    'Internal error occurred: failed calling webhook "one.example.com": failed to call webhook: ' +
      'Post "https://127.0.0.1:1/x?timeout=3s": dial tcp 127.0.0.1:1: connect: connection refused',
  );
  objects.delete(MUTATING_CONFIGURATIONS, '', 'config');
  configure(MUTATING_CONFIGURATIONS, { ...dead, failurePolicy: 'Ignore' });
  expect((await mutate(admission()))?.data).toEqual({ a: '1' });
});

test('a webhook that never answers runs into its time', async () => {
  configure(VALIDATING_CONFIGURATIONS, hook('/silent', { timeoutSeconds: 1 }));
  const error = await refusal(webhooks.validate(admission(), admission().object));
  expect(error.message).toContain('?timeout=1s": context deadline exceeded');
});

test('a patch that does not apply is an error whatever the failure policy', async () => {
  answers['/bad'] = (review) => allow(review, patch([{ op: 'remove', path: '/nosuch' }]));
  configure(MUTATING_CONFIGURATIONS, hook('/bad', { failurePolicy: 'Ignore' }));
  expect((await refusal(mutate(admission()))).message).toBe(
    "Internal error occurred: error in remove for path: '/nosuch': Unable to remove nonexistent key: nosuch: missing value",
  );
});

test.each([
  [
    'a certificate of somebody else',
    (one: Webhook) => ({ ...one, clientConfig: { url: one.clientConfig.url! } }),
    'certificate signed by unknown authority',
  ],
  [
    'an HTTP error',
    (one: Webhook) => one,
    'an error on the server ("it broke") has prevented the request from succeeding',
  ],
  [
    'v1beta1 only',
    (one: Webhook) => ({ ...one, admissionReviewVersions: ['v1beta1'] }),
    'add v1 to its admissionReviewVersions',
  ],
])('%s fails the call', async (_name, change, text) => {
  answers['/broken'] = () => undefined;
  configure(VALIDATING_CONFIGURATIONS, change(hook('/broken')));
  expect((await refusal(webhooks.validate(admission(), admission().object))).message).toContain(text);
});

test('an answer to another question fails the call', async () => {
  answers['/other'] = (review) => allow(review, { uid: 'other' });
  configure(VALIDATING_CONFIGURATIONS, hook('/other'));
  const { message } = await refusal(webhooks.validate(admission(), admission().object));
  expect(message).toContain('received invalid webhook response: expected response.uid="');
});

test('a service is dialled at its ready endpoints, by the name of the service', async () => {
  answers['/hook'] = (review) => allow(review);
  const config = { service: { namespace: 'shop', name: 'hook', path: '/hook' }, caBundle };
  configure(VALIDATING_CONFIGURATIONS, hook('/hook', { clientConfig: config }));
  const attempt = () => webhooks.validate(admission(), admission().object);
  const post = 'Post "https://hook.shop.svc:443/hook?timeout=3s"';
  expect((await refusal(attempt())).message).toContain(`${post}: service "hook" not found`);
  objects.create(
    { group: '', resource: 'services' },
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: 'hook', namespace: 'shop' },
      spec: { ports: [{ name: 'https', port: 443, targetPort: 15017 }] },
    },
  );
  expect((await refusal(attempt())).message).toContain(`${post}: no endpoints available for service "hook"`);
  const slice = (name: string, address: string, slicePort: number, ready: boolean) =>
    objects.create(
      { group: 'discovery.k8s.io', resource: 'endpointslices' },
      {
        apiVersion: 'discovery.k8s.io/v1',
        kind: 'EndpointSlice',
        metadata: { name, namespace: 'shop', labels: { 'kubernetes.io/service-name': 'hook' } },
        addressType: 'IPv4',
        endpoints: [{ addresses: [address], conditions: { ready } }],
        ports: [{ name: 'https', port: slicePort }],
      },
    );
  slice('a', '127.0.0.1', 1, false);
  expect((await refusal(attempt())).message).toContain('no endpoints available');
  // The first ready one is dead, so that the second has to be tried.
  slice('b', '127.0.0.1', 1, true);
  slice('c', '127.0.0.1', port(), true);
  await attempt();
  expect(seen).toMatchObject([{ path: '/hook?timeout=3s', host: 'hook.shop.svc:443' }]);
});

test.each<[string, Partial<Webhook>, Partial<AdmissionRequest>, boolean]>([
  ['namespace selected', { namespaceSelector: { matchLabels: { 'istio-injection': 'enabled' } } }, {}, true],
  ['namespace not selected', { namespaceSelector: { matchLabels: { 'istio-injection': 'disabled' } } }, {}, false],
  ['object not selected', { objectSelector: { matchLabels: { a: 'b' } } }, {}, false],
  ['other operation', {}, { operation: 'DELETE' }, false],
  ['subresource', {}, { subresource: 'status' }, false],
  [
    'cluster scope only',
    { rules: [{ operations: ['*'], apiGroups: ['*'], apiVersions: ['*'], resources: ['*'], scope: 'Cluster' }] },
    {},
    false,
  ],
  ['condition holds', { matchConditions: [{ name: 'a', expression: "request.name != 'skip'" }] }, {}, true],
  ['condition fails', { matchConditions: [{ name: 'a', expression: "request.name != 'm'" }] }, {}, false],
  ['condition on the object', { matchConditions: [{ name: 'a', expression: "object.data.a == '1'" }] }, {}, true],
])('%s', async (_name, webhook, request, called) => {
  answers['/hook'] = (review) => allow(review);
  configure(VALIDATING_CONFIGURATIONS, hook('/hook', webhook));
  await webhooks.validate(admission(request), admission().object);
  expect(seen.length).toBe(called ? 1 : 0);
});

test('an equivalent resource matches and is shown converted, unless Exact is asked for', async () => {
  answers['/hook'] = (review) => allow(review);
  const rules = [{ operations: ['CREATE'], apiGroups: ['apps'], apiVersions: ['v1'], resources: ['deployments'] }];
  const old = { group: 'extensions', version: 'v1beta1', resource: 'deployments' };
  const kind = { group: 'extensions', version: 'v1beta1', kind: 'Deployment' };
  const current = { group: 'apps', version: 'v1', resource: 'deployments' };
  const object = { apiVersion: 'extensions/v1beta1', kind: 'Deployment', metadata: { name: 'd', namespace: 'shop' } };
  const request = admission({
    kind,
    resource: old,
    requestKind: kind,
    requestResource: old,
    equivalents: [old, current],
    object,
    convert: (one, to) => ({ ...one, apiVersion: `${to.group}/${to.version}` }),
  });
  configure(VALIDATING_CONFIGURATIONS, hook('/hook', { rules, matchPolicy: 'Equivalent' }));
  await webhooks.validate(request, object);
  expect(seen[0]?.review.request).toMatchObject({
    resource: current,
    requestResource: old,
    object: { apiVersion: 'apps/v1' },
  });
  objects.delete(VALIDATING_CONFIGURATIONS, '', 'config');
  configure(VALIDATING_CONFIGURATIONS, hook('/hook', { rules, matchPolicy: 'Exact' }));
  await webhooks.validate(request, object);
  expect(seen.length).toBe(1);
});

test('a dry run does not call what has side effects', async () => {
  configure(VALIDATING_CONFIGURATIONS, hook('/hook', { sideEffects: 'Some' }));
  const error = await refusal(webhooks.validate(admission({ dryRun: true }), admission().object));
  expect(error.message).toBe('admission webhook "one.example.com" does not support dry run');
  expect(seen).toEqual([]);
});
