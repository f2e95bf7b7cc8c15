// SPDX-License-Identifier: Apache-2.0
// Watches: one JSON event per line, from a resourceVersion on, without a gap and without a repeat.
// https://kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes
import type { KubeObject } from '../../../kube/types.ts';
import { groupVersion, toVersion } from '../resources/definition.ts';
import { ApiError, gone, invalid, type StatusCause } from '../status.ts';
import { RevisionCompacted, type StoredObject, type StoreEvent } from '../storage/store.ts';
import { partialMetadata } from '../tables/table.ts';
import { forbiddenField, unsupported } from '../validation/causes.ts';
import type { ResourceRequest } from './context.ts';
import { integerParameter, matcherOf, scopeOf } from './list.ts';
import { negotiate, type Representation } from './negotiation.ts';
import { isTrue } from './path.ts';
import { tableOf } from './read.ts';

/** Before a watch runs out, one more bookmark tells where to go on. */
const LAST_BOOKMARK_MS = 2_000;
const DEFAULT_TIMEOUT_SECONDS = 1800;
/** A client that does not read is cut off rather than kept in memory. */
const MAX_BACKLOG_BYTES = 32 * 1024 * 1024;
const INITIAL_EVENTS_END = 'k8s.io/initial-events-end';

type EventType = 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK' | 'ERROR';

interface Start {
  /** Events after this revision follow; undefined: the current state comes first. */
  readonly after: number | undefined;
  readonly announceEnd: boolean;
}

/** Resolves when the watch has ended. */
export async function watchObjects(request: ResourceRequest): Promise<void> {
  const { query, response, core, definition } = request;
  const form = negotiate(request.request.headers.accept, ['table', 'partial', 'partialList']);
  const timeoutSeconds = integerParameter(query, 'timeoutSeconds');
  const start = startOf(query);
  const bookmarks = isTrue(query.get('allowWatchBookmarks'));
  const selector = matcherOf(request);
  response.writeHead(200, { 'Content-Type': 'application/json', 'Cache-Control': 'no-cache, private' });
  response.flushHeaders();
  const writer = new EventWriter(request, form);
  const scope = scopeOf(request);
  const relay = (event: StoreEvent) => {
    if (scope !== undefined && event.stored.key.namespace !== scope) return;
    try {
      writer.relay(event, selector.matches);
    } catch (error) {
      // A watch that cannot show an event must not go on as if there had been none.
      response.destroy();
      throw error;
    }
  };
  if (!begin()) return void response.end();
  const unsubscribe = core.store.subscribe(definition.storageKey, relay);
  const timeoutMs = Math.max(0, timeoutSeconds || DEFAULT_TIMEOUT_SECONDS * (1 + core.random())) * 1000;
  const unserved = new AbortController();
  const unfollow = core.registry.subscribe(() => {
    if (!isServed(request)) unserved.abort();
  });
  const signal = AbortSignal.any([request.signal, unserved.signal]);
  const everyMs = bookmarks ? core.bookmarkIntervalMs : undefined;
  await untilEnded(signal, timeoutMs, everyMs, () => writer.bookmark(core.store.revision, {}));
  unfollow();
  unsubscribe();
  response.end();

  /** The backlog or the current state; false when the revision is too old. Synchronous: nothing can come in between. */
  function begin(): boolean {
    if (start.after === undefined) {
      const objects = core.store.list(definition.storageKey, scope).filter(({ object }) => selector.matches(object));
      for (const stored of objects) writer.write('ADDED', stored);
      if (start.announceEnd && bookmarks) writer.bookmark(core.store.revision, { [INITIAL_EVENTS_END]: 'true' });
      return true;
    }
    try {
      for (const event of core.store.eventsSince(definition.storageKey, start.after)) relay(event);
      return true;
    } catch (error) {
      if (!(error instanceof RevisionCompacted)) throw error;
      writer.error(gone(error.message));
      return false;
    }
  }
}

/** A custom resource may go while it is watched: its watchers are to find out. */
function isServed({ core, definition, version }: ResourceRequest): boolean {
  return core.registry.find(version.group, version.version, definition.resource) !== undefined;
}

function startOf(query: URLSearchParams): Start {
  const version = query.get('resourceVersion') ?? '';
  const initial = query.get('sendInitialEvents');
  checkOptions(query, initial);
  if (version !== '' && !/^\d+$/.test(version)) {
    const why = `strconv.ParseUint: parsing ${JSON.stringify(version)}: invalid syntax`;
    throw new ApiError(500, undefined, `resourceVersion: Invalid value: ${JSON.stringify(version)}: ${why}`);
  }
  if (initial !== null) {
    if (isTrue(initial)) return { after: undefined, announceEnd: true };
    return { after: version === '' || version === '0' ? Number.MAX_SAFE_INTEGER : Number(version), announceEnd: false };
  }
  return { after: version === '' || version === '0' ? undefined : Number(version), announceEnd: false };
}

function checkOptions(query: URLSearchParams, initial: string | null): void {
  const match = query.get('resourceVersionMatch') ?? '';
  const causes: StatusCause[] = [];
  if (initial !== null && match !== 'NotOlderThan') {
    causes.push(
      forbiddenField('resourceVersionMatch', 'sendInitialEvents requires setting resourceVersionMatch to NotOlderThan'),
    );
    if (match !== '') causes.push(unsupported('resourceVersionMatch', match, ['NotOlderThan']));
  } else if (initial === null && match !== '') {
    causes.push(
      forbiddenField(
        'resourceVersionMatch',
        'resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided',
      ),
    );
  }
  if (causes.length > 0) throw invalid('meta.k8s.io', 'ListOptions', '', causes);
}

class EventWriter {
  readonly #request: ResourceRequest;
  readonly #form: Representation;
  #columnsSent = false;

  constructor(request: ResourceRequest, form: Representation) {
    this.#request = request;
    this.#form = form;
  }

  /** A store event as this watcher sees it: objects that enter or leave the selection are added or deleted. */
  relay(event: StoreEvent, matches: (object: KubeObject) => boolean): void {
    const now = event.type !== 'DELETED' && matches(event.stored.object);
    const before = event.previous !== undefined && matches(event.previous.object);
    if (now) this.write(before ? 'MODIFIED' : 'ADDED', event.stored);
    else if (before) this.write('DELETED', leaving(event));
  }

  write(type: EventType, stored: StoredObject): void {
    const { version, definition } = this.#request;
    const plain =
      this.#form.transform === 'none' && !version.fromStorage && groupVersion(version) === definition.storageVersion;
    this.#send(type, plain ? stored.json : JSON.stringify(this.#shape(stored.object)));
  }

  bookmark(revision: number, annotations: Record<string, string>): void {
    // The real server has none in tables either.
    if (this.#form.transform === 'table') return;
    const { version, definition } = this.#request;
    const metadata = {
      resourceVersion: String(revision),
      ...(Object.keys(annotations).length > 0 ? { annotations } : {}),
    };
    const object = { kind: definition.kind, apiVersion: groupVersion(version), metadata } as KubeObject;
    this.#send('BOOKMARK', JSON.stringify(this.#shape(object)));
  }

  error(error: ApiError): void {
    this.#send('ERROR', JSON.stringify(error.status));
  }

  #shape(object: KubeObject): unknown {
    const { version } = this.#request;
    switch (this.#form.transform) {
      case 'none':
        return toVersion(version, object);
      case 'table':
        return this.#table([object], { resourceVersion: object.metadata.resourceVersion });
      default:
        return partialMetadata(toVersion(version, object), this.#form.version);
    }
  }

  #table(objects: KubeObject[], metadata: Record<string, unknown>): unknown {
    const table = tableOf(this.#request, this.#form, objects, metadata, !this.#columnsSent);
    this.#columnsSent = true;
    return table;
  }

  #send(type: EventType, object: string): void {
    const { response } = this.#request;
    if (response.destroyed) return;
    response.write(`{"type":"${type}","object":${object}}\n`);
    if (response.writableLength > MAX_BACKLOG_BYTES) response.destroy();
  }
}

/** What a watcher sees last of an object that it loses: the last state that it knew, at the revision of the loss. */
function leaving(event: StoreEvent): StoredObject {
  if (event.type === 'DELETED') return event.stored;
  const { object } = event.previous!;
  const last = { ...object, metadata: { ...object.metadata, resourceVersion: String(event.revision) } };
  return { ...event.stored, object: last, json: JSON.stringify(last) };
}

function untilEnded(
  signal: AbortSignal,
  timeoutMs: number,
  bookmarkMs: number | undefined,
  bookmark: () => void,
): Promise<void> {
  return new Promise((resolve) => {
    const timers: NodeJS.Timeout[] = [];
    const finish = () => {
      for (const timer of timers) clearTimeout(timer);
      signal.removeEventListener('abort', finish);
      resolve();
    };
    if (signal.aborted) return resolve();
    signal.addEventListener('abort', finish, { once: true });
    timers.push(setTimeout(finish, timeoutMs));
    if (bookmarkMs === undefined) return;
    timers.push(setInterval(bookmark, bookmarkMs));
    if (timeoutMs > LAST_BOOKMARK_MS) timers.push(setTimeout(bookmark, timeoutMs - LAST_BOOKMARK_MS));
  });
}
