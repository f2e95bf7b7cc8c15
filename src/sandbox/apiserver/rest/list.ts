// SPDX-License-Identifier: Apache-2.0
// GET on collections: selectors, chunks that stay consistent, tables.
import type { KubeObject } from '../../../kube/types.ts';
import { groupVersion, toVersion } from '../resources/definition.ts';
import { parseFieldSelector } from '../selectors/field-selector.ts';
import { parseLabelSelector } from '../selectors/label-selector.ts';
import { ApiError, badRequest, gone, invalid, type StatusCause } from '../status.ts';
import { RevisionCompacted, type StoredObject } from '../storage/store.ts';
import { forbiddenField, unsupported } from '../validation/causes.ts';
import type { ResourceRequest } from './context.ts';

export interface ListResult {
  readonly stored: readonly StoredObject[];
  readonly revision: number;
  /** '' on the last page. */
  readonly continueToken: string;
  /** Only known without selectors. */
  readonly remaining: number | undefined;
}

export type Matcher = (object: KubeObject) => boolean;

/** Both selectors of the query. Throws 400. */
export function matcherOf(request: ResourceRequest): { matches: Matcher; all: boolean } {
  const labels = parseLabelSelector(request.query.get('labelSelector') ?? '');
  const fields = parseFieldSelector(request.query.get('fieldSelector') ?? '', request.definition.selectableFields);
  const name = request.path.watchPrefix ? request.path.name : '';
  return {
    all: labels.empty && fields.empty && name === '',
    matches: (object) =>
      labels.matches(object.metadata.labels) &&
      fields.matches(object) &&
      (name === '' || object.metadata.name === name),
  };
}

/** What the query's selectors leave of the collection, now. */
export function selectStored(request: ResourceRequest): readonly StoredObject[] {
  const { matches, all } = matcherOf(request);
  const stored = request.core.store.list(request.definition.storageKey, scopeOf(request));
  return all ? stored : stored.filter(({ object }) => matches(object));
}

export function scopeOf(request: ResourceRequest): string | undefined {
  return request.definition.namespaced && request.path.namespace !== '' ? request.path.namespace : undefined;
}

export function listObjects(request: ResourceRequest): ListResult {
  const { query, core, definition } = request;
  checkListOptions(query);
  const limit = integerParameter(query, 'limit') ?? 0;
  const token = query.get('continue') ?? '';
  const position = token ? readToken(token) : undefined;
  const wanted = query.get('resourceVersion') ?? '';
  if (position && wanted !== '' && wanted !== '0') {
    throw badRequest('specifying resource version is not allowed when using continue');
  }
  const asked = wanted === '' ? undefined : parseRevision(wanted);
  if (asked !== undefined && asked > core.store.revision) throw tooLarge(asked, core.store.revision);
  const exact = query.get('resourceVersionMatch') === 'Exact' ? asked : undefined;
  const { matches, all } = matcherOf(request);
  const at = position?.revision ?? exact;
  const revision = at === undefined || at < 0 ? core.store.revision : at;
  const everything = snapshot(request, revision, position);
  const selected = all ? everything : everything.filter(({ object }) => matches(object));
  const rest = position ? selected.filter((one) => isAfter(one, position)) : selected;
  // Version 0 means "whatever you have at hand", and that is always all of it.
  const limited = limit > 0 && wanted !== '0';
  const page = limited && rest.length > limit ? rest.slice(0, limit) : rest;
  const more = rest.length - page.length;
  const last = page.at(-1);
  return {
    stored: page,
    revision,
    continueToken: more > 0 && last ? writeToken({ revision, namespace: last.key.namespace, name: last.key.name }) : '',
    remaining: more > 0 && all ? more : undefined,
  };

  function snapshot(of: ResourceRequest, when: number, from: Position | undefined): readonly StoredObject[] {
    try {
      return core.store.listAt(definition.storageKey, scopeOf(of), when);
    } catch (error) {
      if (!(error instanceof RevisionCompacted)) throw error;
      if (!from) throw gone('The resourceVersion for the provided list is too old.');
      const refusal = gone(CONTINUE_EXPIRED);
      refusal.status.metadata = { continue: writeToken({ ...from, revision: -1 }) };
      throw refusal;
    }
  }
}

const CONTINUE_EXPIRED =
  'The provided continue parameter is too old to display a consistent list result. You can start a new list without ' +
  'the continue parameter, or use the continue token in this response to retrieve the remainder of the results. ' +
  'Continuing with the provided token results in an inconsistent list - objects that were created, modified, or ' +
  'deleted between the time the first chunk was returned and now may show up in the list.';

/** A place in a list: after this object, as things were at this revision (-1: as they are now). */
interface Position {
  readonly revision: number;
  readonly namespace: string;
  readonly name: string;
}

function isAfter({ key }: StoredObject, position: Position): boolean {
  return key.namespace > position.namespace || (key.namespace === position.namespace && key.name > position.name);
}

function writeToken({ revision, namespace, name }: Position): string {
  return Buffer.from(JSON.stringify({ v: 'meta.k8s.io/v1', rv: revision, start: `${namespace}/${name}` })).toString(
    'base64url',
  );
}

function readToken(token: string): Position {
  const bytes = Buffer.from(token, 'base64url');
  const text = bytes.toString();
  try {
    const { rv, start } = JSON.parse(text) as { rv: unknown; start: unknown };
    if (typeof rv === 'number' && typeof start === 'string') {
      const slash = start.indexOf('/');
      return { revision: rv, namespace: start.slice(0, slash), name: start.slice(slash + 1) };
    }
  } catch {
    // Refused below, like every other thing that is no token.
  }
  const first = bytes[0] ?? 0;
  const shown = first > 31 && first < 127 ? String.fromCodePoint(first) : `\\u${first.toString(16).padStart(4, '0')}`;
  throw badRequest(
    `invalid continue token: continue key is not valid: invalid character '${shown}' looking for beginning of value`,
  );
}

export function integerParameter(query: URLSearchParams, name: string): number | undefined {
  const text = query.get(name);
  if (text === null || text === '') return undefined;
  if (!/^[+-]?\d+$/.test(text)) throw badRequest(`strconv.ParseInt: parsing ${JSON.stringify(text)}: invalid syntax`);
  return Number(text);
}

function parseRevision(text: string): number {
  if (/^\d+$/.test(text)) return Number(text);
  const why = `strconv.ParseUint: parsing ${JSON.stringify(text)}: invalid syntax`;
  throw badRequest(`invalid resource version: resourceVersion: Invalid value: ${JSON.stringify(text)}: ${why}`);
}

/** What a list may not be asked; all of it, for requests that select objects without listing them. Throws 400, 422. */
export function checkListOptions(query: URLSearchParams): void {
  integerParameter(query, 'limit');
  integerParameter(query, 'timeoutSeconds');
  checkMatch(query);
}

/** The resourceVersion of a read of one object: at least so new it must be. Throws 400, 504. */
export function checkRevision(request: ResourceRequest): void {
  const wanted = request.query.get('resourceVersion') ?? '';
  const { revision } = request.core.store;
  if (wanted !== '' && parseRevision(wanted) > revision) throw tooLarge(parseRevision(wanted), revision);
}

function checkMatch(query: URLSearchParams): void {
  const match = query.get('resourceVersionMatch') ?? '';
  const causes: StatusCause[] = [];
  if (match !== '') {
    if (!query.get('resourceVersion')) {
      causes.push(
        forbiddenField('resourceVersionMatch', 'resourceVersionMatch is forbidden unless resourceVersion is provided'),
      );
    }
    if (query.get('continue')) {
      causes.push(
        forbiddenField('resourceVersionMatch', 'resourceVersionMatch is forbidden when continue is provided'),
      );
    }
    if (match !== 'Exact' && match !== 'NotOlderThan') {
      causes.push(unsupported('resourceVersionMatch', match, ['Exact', 'NotOlderThan', '']));
    } else if (match === 'Exact' && query.get('resourceVersion') === '0') {
      causes.push(
        forbiddenField('resourceVersionMatch', 'resourceVersionMatch "exact" is forbidden for resourceVersion "0"'),
      );
    }
  }
  if (query.get('sendInitialEvents') !== null) {
    causes.push(forbiddenField('sendInitialEvents', 'sendInitialEvents is forbidden for list'));
  }
  if (causes.length > 0) throw invalid('meta.k8s.io', 'ListOptions', '', causes);
}

function tooLarge(asked: number, current: number): ApiError {
  return new ApiError(
    504,
    'Timeout',
    `Timeout: Too large resource version: ${asked}, current: ${current}`,
    {
      causes: [{ reason: 'ResourceVersionTooLarge', message: 'Too large resource version' }],
      retryAfterSeconds: 1,
    },
    { 'Retry-After': '1' },
  );
}

/** Lists of custom resources say `continue: ""` where built-in ones say nothing. */
export function listMetadata(result: ListResult, custom = false): Record<string, unknown> {
  return {
    resourceVersion: String(result.revision),
    ...(result.continueToken || custom ? { continue: result.continueToken } : {}),
    ...(result.remaining !== undefined ? { remainingItemCount: result.remaining } : {}),
  };
}

/** The list as JSON text, put together from the texts of its objects. */
export function listText(request: ResourceRequest, result: ListResult): string {
  const { definition, version } = request;
  const items = result.stored.map((stored) => itemText(stored, request));
  const apiVersion = groupVersion(version);
  const head = JSON.stringify({
    kind: definition.listKind,
    apiVersion,
    metadata: listMetadata(result, definition.custom),
  });
  return `${head.slice(0, -1)},"items":[${items.join(',')}]}`;
}

/** Items of built-in lists carry no kind and apiVersion, those of custom resources do. */
function itemText(stored: StoredObject, request: ResourceRequest): string {
  const { definition, version } = request;
  if (definition.custom) {
    return groupVersion(version) === definition.storageVersion
      ? stored.json
      : JSON.stringify(toVersion(version, stored.object));
  }
  const head = `{"kind":${JSON.stringify(definition.kind)},"apiVersion":${JSON.stringify(groupVersion(version))},`;
  if (!version.fromStorage && stored.json.startsWith(head)) return `{${stored.json.slice(head.length)}`;
  const { kind: _, apiVersion: __, ...rest } = toVersion(version, stored.object);
  return JSON.stringify(rest);
}
