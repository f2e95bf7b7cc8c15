// SPDX-License-Identifier: Apache-2.0
// The little of the Kubernetes API that the control plane calls, in memory, with service-account tokens that a test can
// make as it needs them: wrong audiences, deleted pods, near ends. The whole path runs on a real sandbox elsewhere.
import { createHmac, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { KINDS, MCS_KINDS } from '../../src/api/kinds.ts';
import { KubeClient } from '../../src/kube/client.ts';
import type { KubeObject } from '../../src/kube/types.ts';

export interface TokenOptions {
  readonly namespace: string;
  readonly serviceAccount: string;
  readonly pod?: { name: string; uid: string };
  readonly audience?: string;
  readonly lifetimeMs?: number;
  /** `kid` of the header. */
  readonly keyId?: string;
}

interface Watcher {
  readonly prefix: string;
  readonly selector: string;
  readonly response: ServerResponse;
}

const PLURALS = new Set([
  ...['pods', 'services', 'namespaces', 'configmaps', 'secrets', 'endpointslices', 'nodes', 'events', 'deployments'],
  ...[...KINDS, ...MCS_KINDS].map(({ plural }) => plural),
  ...['serviceaccounts', 'roles', 'rolebindings', 'clusterroles', 'clusterrolebindings'],
  ...['mutatingwebhookconfigurations', 'validatingwebhookconfigurations', 'customresourcedefinitions'],
]);

export class KubeFixture {
  readonly #server: Server;
  /** Full path -> object. */
  readonly #objects = new Map<string, KubeObject>();
  /** What is gone, with the revision of its end: a watch may begin before that. */
  readonly #removed: (readonly [full: string, object: KubeObject])[] = [];
  readonly #watchers = new Set<Watcher>();
  readonly #key = randomUUID();
  readonly reviewed: string[] = [];
  /** Requests, `METHOD path`, in order. */
  readonly requests: string[] = [];
  /** What controllers would do to a new object. */
  onCreate: (object: KubeObject) => KubeObject = (object) => object;
  /** Collections in which nothing can be made, as in a namespace that does not exist. */
  isMissing: (collection: string) => boolean = () => false;
  version = { major: '1', minor: '32' };
  #revision = 1;

  private constructor() {
    this.#server = createServer((request, response) => void this.#serve(request, response));
  }

  static async start(): Promise<KubeFixture> {
    const fixture = new KubeFixture();
    fixture.#server.listen(0, '127.0.0.1');
    await once(fixture.#server, 'listening');
    return fixture;
  }

  client(): KubeClient {
    return new KubeClient({ server: `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}` });
  }

  close(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }

  /** `path` of the collection: `/api/v1/namespaces/default/pods`. */
  put(path: string, object: KubeObject): KubeObject {
    const full = `${path}/${object.metadata.name}`;
    const before = this.#objects.get(full);
    const uid = before?.metadata.uid ?? object.metadata.uid ?? randomUUID();
    const stored = { ...object, metadata: { ...object.metadata, uid, resourceVersion: String(++this.#revision) } };
    this.#objects.set(full, stored);
    this.#tell(full, before === undefined ? 'ADDED' : 'MODIFIED', stored);
    return stored;
  }

  remove(full: string): void {
    const before = this.#objects.get(full);
    if (before === undefined || !this.#objects.delete(full)) return;
    const last = { ...before, metadata: { ...before.metadata, resourceVersion: String(++this.#revision) } };
    this.#removed.push([full, last]);
    this.#tell(full, 'DELETED', last);
  }

  get(full: string): KubeObject | undefined {
    return this.#objects.get(full);
  }

  list(collection: string): KubeObject[] {
    return [...this.#objects].filter(([full]) => covers(collection, full)).map(([, object]) => object);
  }

  async eventually(full: string): Promise<KubeObject> {
    for (let i = 0; i < 500; i++) {
      const found = this.#objects.get(full);
      if (found !== undefined) return found;
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    throw new Error(`${full} did not come`);
  }

  token(options: TokenOptions): string {
    const { namespace, serviceAccount, pod, audience = 'istio-ca', lifetimeMs = 3_600_000, keyId } = options;
    const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
    const claims = {
      aud: [audience],
      exp: (Date.now() + lifetimeMs) / 1000,
      'kubernetes.io': { namespace, serviceaccount: { name: serviceAccount }, pod },
    };
    const text = `${part({ alg: 'HS256', kid: keyId })}.${part(claims)}`;
    return `${text}.${this.#sign(text)}`;
  }

  #sign(text: string): string {
    return createHmac('sha256', this.#key).update(text).digest('base64url');
  }

  #tell(full: string, type: string, object: KubeObject): void {
    for (const { prefix, selector, response } of this.#watchers) {
      if (covers(prefix, full) && isSelected(selector, object)) response.write(`${JSON.stringify({ type, object })}\n`);
    }
  }

  #changesSince(collection: string, revision: number): { type: string; object: KubeObject }[] {
    const changes = (type: string, entries: Iterable<readonly [string, KubeObject]>) =>
      [...entries].filter(([full]) => covers(collection, full)).map(([, object]) => ({ type, object }));
    const revisionOf = ({ object }: { object: KubeObject }): number => Number(object.metadata.resourceVersion);
    return [...changes('MODIFIED', this.#objects), ...changes('DELETED', this.#removed)]
      .filter((change) => revisionOf(change) > revision)
      .sort((a, b) => revisionOf(a) - revisionOf(b));
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', 'http://x');
    const path = url.pathname;
    this.requests.push(`${request.method} ${path}`);
    const body = await readJson(request);
    const send = (code: number, value: unknown): void => {
      response.writeHead(code, { 'content-type': 'application/json' }).end(JSON.stringify(value));
    };
    const missing = (): void =>
      send(404, { kind: 'Status', status: 'Failure', reason: 'NotFound', code: 404, message: `${path} not found` });
    if (path === '/version') return send(200, this.version);
    if (path.endsWith('/tokenreviews')) return send(201, { ...body, status: this.#review(body) });
    if (request.method === 'DELETE') {
      if (!this.#objects.has(path)) return missing();
      this.remove(path);
      return send(200, { kind: 'Status', status: 'Success' });
    }
    if (request.method === 'POST') {
      if (this.isMissing(path)) return missing();
      if (this.#objects.has(`${path}/${body.metadata.name}`)) {
        return send(409, { kind: 'Status', status: 'Failure', reason: 'AlreadyExists', code: 409, message: 'exists' });
      }
      if (url.searchParams.get('dryRun') === 'All') return send(201, body);
      return send(201, this.put(path, this.onCreate(body)));
    }
    const slash = path.lastIndexOf('/');
    const found = this.#objects.get(path);
    if (request.method === 'PUT') {
      if (found === undefined) return missing();
      if (body.metadata.resourceVersion !== found.metadata.resourceVersion) {
        return send(409, { kind: 'Status', status: 'Failure', reason: 'Conflict', code: 409, message: 'changed' });
      }
      return send(200, this.put(path.slice(0, slash), { ...body, status: found['status'] }));
    }
    if (request.method === 'PATCH' && path.endsWith('/status')) {
      const full = path.slice(0, slash);
      const whole = this.#objects.get(full);
      if (whole === undefined) return missing();
      const next = { ...whole, status: mergePatch(whole['status'] ?? {}, (body as KubeObject)['status']) };
      return send(200, this.put(full.slice(0, full.lastIndexOf('/')), next as KubeObject));
    }
    if (request.method === 'PATCH') {
      if (found === undefined) return missing();
      const patched = Array.isArray(body) ? applyJsonPatch(found, body) : mergePatch(found, body);
      return send(200, this.put(path.slice(0, slash), patched as KubeObject));
    }
    if (request.method === 'PUT') {
      if (found === undefined) return missing();
      const { resourceVersion } = body.metadata;
      if (resourceVersion !== undefined && resourceVersion !== found.metadata.resourceVersion)
        return send(409, {
          kind: 'Status',
          status: 'Failure',
          reason: 'Conflict',
          code: 409,
          message: 'it has changed',
        });
      return send(200, this.put(path.slice(0, slash), body));
    }
    if (url.searchParams.get('watch') === 'true') {
      response.writeHead(200, { 'content-type': 'application/json' });
      response.flushHeaders();
      const from = Number(url.searchParams.get('resourceVersion'));
      const selector = url.searchParams.get('labelSelector') ?? '';
      const watcher = { prefix: path, selector, response };
      for (const { type, object } of this.#changesSince(path, from)) {
        if (isSelected(selector, object)) response.write(`${JSON.stringify({ type, object })}\n`);
      }
      this.#watchers.add(watcher);
      response.on('close', () => this.#watchers.delete(watcher));
      return;
    }
    if (found !== undefined) return send(200, found);
    if (isCollection(path)) {
      const metadata = { resourceVersion: String(this.#revision) };
      const selector = url.searchParams.get('labelSelector') ?? '';
      const items = this.list(path).filter((object) => isSelected(selector, object));
      return send(200, { kind: 'List', apiVersion: 'v1', metadata, items });
    }
    missing();
  }

  #review(body: KubeObject): Record<string, unknown> {
    const { token, audiences } = body['spec'] as { token: string; audiences: string[] };
    this.reviewed.push(token);
    const [header, payload = '', signature] = token.split('.');
    const claims = JSON.parse(Buffer.from(payload, 'base64url').toString()) as {
      aud: string[];
      'kubernetes.io': { namespace: string; serviceaccount: { name: string }; pod?: { name: string; uid: string } };
    };
    if (this.#sign(`${header}.${payload}`) !== signature)
      return { authenticated: false, error: 'invalid bearer token' };
    const { namespace, serviceaccount, pod } = claims['kubernetes.io'];
    const stored = pod && this.get(`/api/v1/namespaces/${namespace}/pods/${pod.name}`);
    if (pod !== undefined && stored?.metadata.uid !== pod.uid) return { authenticated: false, error: 'pod is gone' };
    const extra = pod && {
      'authentication.kubernetes.io/pod-name': [pod.name],
      'authentication.kubernetes.io/pod-uid': [pod.uid],
    };
    return {
      authenticated: true,
      audiences: audiences.filter((audience) => claims.aud.includes(audience)),
      user: { username: `system:serviceaccount:${namespace}:${serviceaccount.name}`, extra },
    };
  }
}

/** `name=value`, or '' for all. */
function isSelected(selector: string, { metadata: { labels } }: KubeObject): boolean {
  const [label, value] = selector.split('=');
  return !label || labels?.[label] === value;
}

/** A collection, in one namespace or over all of them. */
function covers(collection: string, full: string): boolean {
  const parent = full.slice(0, full.lastIndexOf('/'));
  return parent === collection || parent.replace(/\/namespaces\/[^/]+(?=\/)/, '') === collection;
}

function isCollection(path: string): boolean {
  return PLURALS.has(path.slice(path.lastIndexOf('/') + 1));
}

async function readJson(request: IncomingMessage) {
  const chunks: Buffer[] = [];
  for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
  const text = Buffer.concat(chunks).toString();
  return text === '' ? undefined : JSON.parse(text);
}

function mergePatch(target: unknown, patch: unknown): unknown {
  if (typeof patch !== 'object' || patch === null || Array.isArray(patch)) return patch;
  const result: Record<string, unknown> = { ...(target as Record<string, unknown>) };
  for (const [name, value] of Object.entries(patch)) {
    if (value === null) delete result[name];
    else result[name] = mergePatch(result[name], value);
  }
  return result;
}

function applyJsonPatch(object: KubeObject, operations: { op: string; path: string; value: unknown }[]): unknown {
  const result = structuredClone(object) as Record<string, unknown>;
  for (const { op, path, value } of operations) {
    const steps = path.slice(1).split('/');
    const last = steps.pop() ?? '';
    const parent = steps.reduce<Record<string, unknown>>((at, step) => at[step] as Record<string, unknown>, result);
    if (op === 'test' && parent[last] !== value) throw new Error(`test failed at ${path}`);
    if (op === 'add') parent[last] = value;
  }
  return result;
}
