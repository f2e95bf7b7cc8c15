// SPDX-License-Identifier: Apache-2.0
import type { IncomingMessage } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import type { WebSocket } from 'ws';
import type { ClientConfig } from './config.ts';
import { apiVersionOf, resourcePath } from './resources.ts';
import { mergePatchTowards } from './subset.ts';
import { type RequestOptions, Transport } from './transport.ts';
import type { KubeObject, ResourceType, Status } from './types.ts';

/** A request that the API server refused. `reason` is the machine-readable one of the Status (NotFound, Conflict...). */
export class KubeError extends Error {
  readonly code: number;
  readonly reason: string;
  readonly status?: Status;

  constructor(code: number, reason: string, message: string, status?: Status) {
    super(message);
    this.name = 'KubeError';
    this.code = code;
    this.reason = reason;
    if (status !== undefined) this.status = status;
  }
}

export interface ListOptions {
  namespace?: string | undefined;
  labelSelector?: string | undefined;
  fieldSelector?: string | undefined;
  signal?: AbortSignal | undefined;
}

export type PatchKind = 'merge' | 'json' | 'strategic' | 'apply';

export interface PatchOptions {
  /** Default: merge. */
  kind?: PatchKind;
  subresource?: string;
  fieldManager?: string;
  /** With `apply`: take fields over from other managers. */
  force?: boolean;
}

export interface DeleteOptions {
  propagation?: 'Background' | 'Foreground' | 'Orphan';
  gracePeriodSeconds?: number;
  /** Refuse with a Conflict when the object has another uid. */
  uid?: string;
}

/** A resource type together with what the server says that it can do. */
export interface DiscoveredResource extends ResourceType {
  readonly verbs: readonly string[];
  /** The version is the group's preferred one. */
  readonly preferred: boolean;
}

const PATCH_CONTENT_TYPE: Record<PatchKind, string> = {
  merge: 'application/merge-patch+json',
  json: 'application/json-patch+json',
  strategic: 'application/strategic-merge-patch+json',
  apply: 'application/apply-patch+yaml',
};
const PAGE_SIZE = 500;
const BUSY_RETRIES = 4;

/** Talks to one API server. Every method throws KubeError when the server refuses, Error when it cannot be reached. */
export class KubeClient {
  readonly #transport: Transport;

  constructor(config: ClientConfig) {
    this.#transport = new Transport(config);
  }

  /** The address of the API server, as it was configured. */
  get server(): string {
    return this.#transport.server;
  }

  /** undefined when there is no such object. */
  async get<T extends KubeObject = KubeObject>(
    type: ResourceType,
    name: string,
    namespace?: string,
  ): Promise<T | undefined> {
    try {
      return (await this.request('GET', resourcePath(type, namespace, name))) as T;
    } catch (error) {
      if (error instanceof KubeError && error.code === 404) return undefined;
      throw error;
    }
  }

  /** Reads all pages of one consistent list. Items carry apiVersion and kind even where the server leaves them out. */
  async list<T extends KubeObject = KubeObject>(
    type: ResourceType,
    options: ListOptions = {},
  ): Promise<{ items: T[]; resourceVersion: string }> {
    const pages = (limit: number | undefined) => this.#listPages<T>(type, options, limit);
    try {
      return await pages(PAGE_SIZE);
    } catch (error) {
      // The snapshot behind the continue token was compacted while we paged: read it in one piece.
      if (error instanceof KubeError && error.code === 410) return await pages(undefined);
      throw error;
    }
  }

  async #listPages<T extends KubeObject>(type: ResourceType, options: ListOptions, limit: number | undefined) {
    const items: T[] = [];
    let next: string | undefined;
    for (;;) {
      const query = queryOf({
        labelSelector: options.labelSelector,
        fieldSelector: options.fieldSelector,
        limit: limit?.toString(),
        continue: next,
      });
      const path = resourcePath(type, options.namespace) + query;
      const page = (await this.request('GET', path, { signal: options.signal })) as ListBody<T>;
      for (const item of page.items ?? []) {
        items.push(item.kind ? item : { ...item, apiVersion: apiVersionOf(type), kind: type.kind });
      }
      next = page.metadata?.continue;
      if (!next) return { items, resourceVersion: page.metadata?.resourceVersion ?? '' };
    }
  }

  async create<T extends KubeObject = KubeObject>(type: ResourceType, object: T): Promise<T> {
    return (await this.request('POST', resourcePath(type, object.metadata.namespace), { body: object })) as T;
  }

  async replace<T extends KubeObject = KubeObject>(type: ResourceType, object: T): Promise<T> {
    const { name, namespace } = object.metadata;
    return (await this.request('PUT', resourcePath(type, namespace, name), { body: object })) as T;
  }

  async replaceStatus<T extends KubeObject = KubeObject>(type: ResourceType, object: T): Promise<T> {
    const { name, namespace } = object.metadata;
    return (await this.request('PUT', resourcePath(type, namespace, name, 'status'), { body: object })) as T;
  }

  async patch<T extends KubeObject = KubeObject>(
    type: ResourceType,
    name: string,
    namespace: string | undefined,
    patch: unknown,
    options: PatchOptions = {},
  ): Promise<T> {
    const query = queryOf({ fieldManager: options.fieldManager, force: options.force ? 'true' : undefined });
    return (await this.request('PATCH', resourcePath(type, namespace, name, options.subresource) + query, {
      body: patch,
      contentType: PATCH_CONTENT_TYPE[options.kind ?? 'merge'],
    })) as T;
  }

  /**
   * Makes the object exist with at least the fields given: creates it, or merges in what differs. Fields that the
   * server or others added stay; lists are replaced as a whole when an element differs. Needs no server-side apply.
   * Status is not touched.
   */
  async apply<T extends KubeObject = KubeObject>(
    object: T,
    type: ResourceType,
    options: { fieldManager?: string } = {},
  ): Promise<T> {
    const { name, namespace } = object.metadata;
    if (name === undefined) throw new Error(`apply: a ${type.kind} without metadata.name`);
    const existing = await this.get<T>(type, name, namespace);
    if (existing === undefined) {
      try {
        const query = queryOf({ fieldManager: options.fieldManager });
        return (await this.request('POST', resourcePath(type, namespace) + query, { body: object })) as T;
      } catch (error) {
        if (!(error instanceof KubeError && error.reason === 'AlreadyExists')) throw error;
        return await this.apply(object, type, options);
      }
    }
    const { status: _status, ...wanted } = object as Record<string, unknown>;
    const patch = mergePatchTowards(existing, wanted);
    if (patch === undefined) return existing;
    return await this.patch<T>(type, name, namespace, patch, options);
  }

  /** An object that is not there counts as deleted. */
  async delete(type: ResourceType, name: string, namespace?: string, options: DeleteOptions = {}): Promise<void> {
    const body = {
      apiVersion: 'v1',
      kind: 'DeleteOptions',
      ...(options.propagation ? { propagationPolicy: options.propagation } : {}),
      ...(options.gracePeriodSeconds !== undefined ? { gracePeriodSeconds: options.gracePeriodSeconds } : {}),
      ...(options.uid ? { preconditions: { uid: options.uid } } : {}),
    };
    try {
      await this.request('DELETE', resourcePath(type, namespace, name), { body });
    } catch (error) {
      if (!(error instanceof KubeError && error.code === 404)) throw error;
    }
  }

  /**
   * Any request; `path` starts with /api or /apis and has its query. A JSON answer is parsed, another is text.
   * A server that is busy (429, or 503 with Retry-After) is asked again a few times.
   */
  async request(method: string, path: string, options: RequestOptions = {}): Promise<unknown> {
    for (let attempt = 0; ; attempt++) {
      const response = await this.#transport.open(method, path, options);
      const text = await readText(response).catch((cause: Error) => {
        options.signal?.throwIfAborted();
        throw new Error(`${method} ${this.server}${path}: the answer broke off: ${cause.message}`, { cause });
      });
      const code = response.statusCode ?? 0;
      if (code >= 200 && code < 300) return parseBody(response, text);
      const retryAfterSeconds = Number(response.headers['retry-after']);
      if ((code === 429 || code === 503) && retryAfterSeconds >= 0 && attempt < BUSY_RETRIES) {
        await sleep(Math.min(retryAfterSeconds, 10) * 1000, undefined, { signal: options.signal });
        continue;
      }
      throw refusal(`${method} ${this.server}${path}`, code, text);
    }
  }

  /** A request whose answer is read as a stream (watch, logs). Throws KubeError unless the answer is 200. */
  async stream(method: string, path: string, options: RequestOptions = {}): Promise<IncomingMessage> {
    const response = await this.#transport.open(method, path, { ...options, isLasting: true });
    if (response.statusCode === 200) return response;
    throw refusal(`${method} ${this.server}${path}`, response.statusCode ?? 0, await readText(response));
  }

  /** For what upgrades: exec, attach, port-forward. It may fail before it opens. */
  openWebSocket(path: string, protocols: readonly string[]): Promise<WebSocket> {
    return this.#transport.openWebSocket(path, protocols);
  }

  /** The API server's time, in milliseconds since the epoch, known to half a second; undefined when it does not tell. */
  async clock(): Promise<number | undefined> {
    const response = await this.#transport.open('GET', '/version');
    await readText(response);
    const atMs = Date.parse(response.headers.date ?? '');
    // The header has whole seconds, rounded down.
    return Number.isNaN(atMs) ? undefined : atMs + 500;
  }

  /**
   * Every resource (no subresources) that the server serves, all versions, a group's preferred version first.
   * A group that fails is given to `onGroupError`, or, without it, fails the whole call.
   */
  async discover(onGroupError?: (groupVersion: string, error: Error) => void): Promise<DiscoveredResource[]> {
    const groups = ((await this.request('GET', '/apis')) as ApiGroupList).groups ?? [];
    const paths = [{ group: '', version: 'v1', preferred: true }];
    for (const group of groups) {
      const preferred = group.preferredVersion?.version ?? group.versions[0]?.version;
      const versions = group.versions.map(({ version }) => ({
        group: group.name,
        version,
        preferred: version === preferred,
      }));
      paths.push(...versions.sort((a, b) => Number(b.preferred) - Number(a.preferred)));
    }
    const found = await Promise.all(
      paths.map(async ({ group, version, preferred }) => {
        const path = group === '' ? `/api/${version}` : `/apis/${group}/${version}`;
        try {
          const body = (await this.request('GET', path)) as ApiResourceList;
          return (body.resources ?? [])
            .filter((entry) => !entry.name.includes('/'))
            .map(({ name, kind, namespaced, verbs }) => ({
              group,
              version,
              resource: name,
              kind,
              namespaced,
              verbs: verbs ?? [],
              preferred,
            }));
        } catch (error) {
          // Gone between the two requests: its CRD was deleted.
          if (error instanceof KubeError && error.code === 404) return [];
          if (onGroupError === undefined) throw error;
          onGroupError(path, error as Error);
          return [];
        }
      }),
    );
    return found.flat();
  }

  /** Ends the idle connections. Requests under way fail. */
  close(): void {
    this.#transport.close();
  }
}

interface ListBody<T> {
  metadata?: { resourceVersion?: string; continue?: string };
  items?: T[];
}
interface ApiGroupList {
  groups?: { name: string; versions: { version: string }[]; preferredVersion?: { version: string } }[];
}
interface ApiResourceList {
  resources?: { name: string; kind: string; namespaced: boolean; verbs?: string[] }[];
}

/** `?a=1&b=2` of the members that are set; '' when there are none. */
export function queryOf(parameters: Record<string, string | undefined>): string {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters))
    if (value !== undefined && value !== '') query.set(name, value);
  const text = query.toString();
  return text === '' ? '' : `?${text}`;
}

async function readText(response: IncomingMessage): Promise<string> {
  response.setEncoding('utf8');
  const parts: string[] = [];
  for await (const part of response) parts.push(part as string);
  return parts.join('');
}

function parseBody(response: IncomingMessage, text: string): unknown {
  return response.headers['content-type']?.includes('json') ? JSON.parse(text) : text;
}

function refusal(request: string, code: number, text: string): KubeError {
  let status: Status | undefined;
  try {
    const body = JSON.parse(text) as Status;
    if (body.kind === 'Status') status = body;
  } catch {
    // A proxy on the way, or a server that is not Kubernetes, answers with something else.
  }
  if (status)
    return new KubeError(status.code ?? code, status.reason ?? '', status.message ?? `${request}: ${code}`, status);
  return new KubeError(code, '', `${request}: HTTP ${code}: ${text.slice(0, 300).trim()}`);
}
