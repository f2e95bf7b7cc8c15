// SPDX-License-Identifier: Apache-2.0
// Plays a recorded flow against our server: the same requests, and answers compared member by member.

import { builtinType, loadBuiltinTypes } from '../../src/sandbox/apiserver/schema/builtin.ts';
import type { ObjectNode } from '../../src/sandbox/apiserver/schema/node.ts';
import { decodeProtobuf, readEnvelope } from '../../src/sandbox/apiserver/schema/protobuf.ts';
import { Matching } from './matching.ts';
import type { Exchange, Flow, RecordedBody } from './recording.ts';
import type { TestServer } from './test-server.ts';

export interface ExchangeResult {
  readonly step: string;
  readonly request: string;
  /** Empty when the answer is as recorded. */
  readonly differences: readonly string[];
}

/** Our events come at once or never. */
const WATCH_MS = 500;

type Json = Record<string, unknown>;

/** Recorded without a controller manager, so without what it puts into every namespace. */
const BARE_FLOWS: ReadonlySet<string> = new Set([
  'list-limit-continue',
  'watch-from-rv',
  'watch-send-initial-events',
  'watch-bookmarks',
  'watch-too-old-410',
  'continue-after-compaction',
  'continue-expired-410',
]);
const SYSTEM_NAMESPACES = ['default', 'kube-system', 'kube-public', 'kube-node-lease'];

export async function replayFlow(flow: Flow, server: TestServer): Promise<ExchangeResult[]> {
  const matching = new Matching();
  await prepare(flow, server);
  const results: ExchangeResult[] = [];
  const background: Promise<void>[] = [];
  for (const step of flow.steps) {
    for (const exchange of step.exchanges ?? []) {
      if (!exchange.response || exchange.request.path.startsWith('/openapi/')) continue;
      const label = step.kubectl ?? step.http ?? '';
      const play = playExchange(exchange, server, matching).then((differences) => {
        results.push({ step: label, request: `${exchange.request.method} ${exchange.request.path}`, differences });
      });
      if (step.background && exchange.response.events) {
        background.push(play);
        await new Promise((resolve) => setTimeout(resolve, 100));
      } else await play;
    }
  }
  await Promise.all(background);
  return results;
}

async function playExchange(exchange: Exchange, server: TestServer, matching: Matching): Promise<string[]> {
  const { request, response } = exchange;
  const path = matching.fill(request.path);
  const headers = Object.fromEntries(
    Object.entries(request.headers)
      .filter(([name]) => !['Content-Length', 'If-None-Match', 'Host'].includes(name))
      .map(([name, value]) => [name, matching.fill(value)]),
  );
  if (response?.events) {
    const wanted = response.events;
    const { status, events } = await server.watch(path, (seen) => seen.length >= wanted.length, headers, WATCH_MS);
    if (status !== response.status) return [`status ${status}, recorded ${response.status}`];
    return matching.compare(wanted, events.slice(0, wanted.length), 'events');
  }
  const answer = await server.send(request.method, path, requestBody(request.body, matching), headers);
  const differences: string[] = [];
  // We keep no cache for clients, so 304 has nothing to compare.
  if (response!.status === 304) return [];
  if (answer.status !== response!.status) {
    differences.push(`status ${answer.status}, recorded ${response!.status}: ${answer.text.slice(0, 300)}`);
  }
  const expected = response!.body?.json ?? response!.body?.decoded;
  if (expected !== undefined && !(response!.body?.cut ?? false)) {
    differences.push(...matching.compare(expected, answer.json, ''));
  } else if (response!.body?.text !== undefined && request.method !== 'HEAD' && !/yaml/.test(headers['Accept'] ?? '')) {
    if (response!.body.text !== answer.text)
      differences.push(`text ${answer.text.slice(0, 200)}, recorded ${response!.body.text.slice(0, 200)}`);
  } else if (answer.status < 300) matching.learn(answer.json);
  return differences;
}

function requestBody(body: RecordedBody | undefined, matching: Matching): unknown {
  if (!body) return undefined;
  if (body.base64 !== undefined) return Buffer.from(body.base64, 'base64');
  if (body.text !== undefined) return matching.fill(body.text);
  return body.json === undefined ? undefined : matching.fill(JSON.stringify(body.json));
}

/** What the recording had before its first step: namespaces, and objects that it reads before it writes them. */
async function prepare(flow: Flow, server: TestServer): Promise<void> {
  const exchanges = flow.steps.flatMap((step) => step.exchanges ?? []);
  const created = new Set<string>();
  const namespaces = new Set(
    exchanges.flatMap(({ request }) => /\/namespaces\/([^/?]+)\//.exec(request.path)?.[1] ?? []),
  );
  const missing = new Set(['no-such-ns']);
  for (const namespace of namespaces) {
    if (missing.has(namespace)) continue;
    if (!SYSTEM_NAMESPACES.includes(namespace)) {
      await server.send('POST', '/api/v1/namespaces?fieldManager=kubectl-create', {
        apiVersion: 'v1',
        kind: 'Namespace',
        metadata: { name: namespace },
      });
    }
    const place = `/api/v1/namespaces/${namespace}`;
    await server.send('POST', `${place}/serviceaccounts`, {
      apiVersion: 'v1',
      kind: 'ServiceAccount',
      metadata: { name: 'default' },
    });
    if (BARE_FLOWS.has(flow.name)) continue;
    await server.send(
      'POST',
      `${place}/configmaps`,
      {
        apiVersion: 'v1',
        kind: 'ConfigMap',
        metadata: {
          name: 'kube-root-ca.crt',
          annotations: {
            'kubernetes.io/description':
              'Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the internal service IP or kubernetes.default.svc. No other usage is guaranteed across distributions of Kubernetes clusters.',
          },
        },
        data: { 'ca.crt': '<pem>\n<pem>\n' },
      },
      { 'User-Agent': 'kas/1' },
    );
  }
  if (
    !exchanges.some(({ request }) => request.method === 'POST' && request.path.includes('/customresourcedefinitions'))
  ) {
    for (const text of Object.values(flow.files ?? {})) {
      if (!text.includes('kind: CustomResourceDefinition')) continue;
      await server.send('POST', '/apis/apiextensions.k8s.io/v1/customresourcedefinitions', text, {
        'Content-Type': 'application/yaml',
      });
    }
  }
  for (const { request, response } of exchanges) {
    const path = request.path.split('?')[0]!;
    const body = response?.body?.json as Json | undefined;
    if (request.method === 'POST') {
      const name = (body?.['metadata'] as Json | undefined)?.['name'] ?? protobufName(request.body?.base64);
      created.add(name ? `${path}/${name}` : path);
      continue;
    }
    if (response?.status === 201) created.add(path);
    if (request.method === 'DELETE' && !created.has(path)) {
      created.add(path);
      if (response && response.status !== 404) await prepareUnseen(path, server);
    }
    if (request.method !== 'GET' || response?.status !== 200 || !body) continue;
    await prepareFrom(body, path, created, server);
  }
}

/** metadata.name of a protobuf object, whatever its kind: metadata comes first in all of them. */
function protobufName(base64: string | undefined): unknown {
  if (!base64) return undefined;
  const { raw } = readEnvelope(Buffer.from(base64, 'base64'));
  const { metadata } = decodeProtobuf(raw, METADATA_ONLY) as { metadata?: Json };
  return metadata?.['name'];
}

const METADATA_ONLY: ObjectNode = {
  kind: 'object',
  typeName: 'Any',
  fields: new Map([
    [
      'metadata',
      {
        node: builtinType(loadBuiltinTypes(), 'meta.v1.ObjectMeta'),
        number: 1,
        required: false,
        presence: 'set',
        patchStrategies: [],
      },
    ],
  ]),
  embedded: [],
  atomic: false,
  preserveUnknown: true,
};

/** Deleted before anything showed what it was. */
async function prepareUnseen(path: string, server: TestServer): Promise<void> {
  const match = /^(\/api\/v1\/namespaces\/[^/]+\/configmaps)\/([^/]+)$/.exec(path);
  if (!match) return;
  const object = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: match[2] }, data: { a: '1' } };
  await server.send('POST', match[1]!, object);
}

async function prepareFrom(body: Json, path: string, created: Set<string>, server: TestServer): Promise<void> {
  if (body['kind'] === 'Table' || body['kind'] === 'Status' || path.split('/').length < 5) return;
  const items = Array.isArray(body['items']) ? (body['items'] as Json[]) : [body];
  for (const item of items) {
    const metadata = item['metadata'] as Json | undefined;
    if (!metadata?.['name'] || metadata['ownerReferences']) continue;
    const collection = Array.isArray(body['items']) ? path : path.slice(0, path.lastIndexOf('/'));
    const key = `${collection}/${metadata['name']}`;
    if (created.has(key) || created.has(collection)) continue;
    created.add(key);
    const { uid: _, resourceVersion: __, creationTimestamp: ___, generation: ____, managedFields, ...rest } = metadata;
    const kind = String(body['kind'] ?? '').replace(/List$/, '');
    const object = { apiVersion: body['apiVersion'], kind, ...item, metadata: rest, status: undefined };
    const manager = ((managedFields as Json[] | undefined)?.[0]?.['manager'] as string | undefined) ?? 'kubectl-create';
    await server.send('POST', `${collection}?fieldManager=${encodeURIComponent(manager)}`, object);
    // Some were prepared in a way that left no trace of their maker.
    if (!managedFields) {
      const untraced = { metadata: { managedFields: [{}] } };
      await server.send('PATCH', key, untraced, { 'Content-Type': 'application/merge-patch+json' });
    }
  }
}
