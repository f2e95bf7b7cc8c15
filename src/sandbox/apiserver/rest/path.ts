// SPDX-License-Identifier: Apache-2.0
// URL path -> what it asks for. https://kubernetes.io/docs/reference/using-api/api-concepts/#resource-uris
import type { Attributes } from '../seams.ts';

export interface ResourcePath {
  readonly group: string;
  readonly version: string;
  /** '' for cluster scope or all namespaces. */
  readonly namespace: string;
  readonly resource: string;
  /** '' for a collection. */
  readonly name: string;
  readonly subresource: string;
  /** The old /watch/ form. */
  readonly watchPrefix: boolean;
  /** Path segments beyond the subresource (proxy paths). */
  readonly rest: string;
}

/** undefined for paths that are not of a resource: discovery, /version, /openapi, ... */
export function parseResourcePath(path: string): ResourcePath | undefined {
  const segments = path
    .split('/')
    .filter((segment) => segment !== '')
    .map(decodeSegment);
  const root = segments.shift();
  if (root !== 'api' && root !== 'apis') return undefined;
  const group = root === 'api' ? '' : segments.shift();
  const version = segments.shift();
  if (group === undefined || version === undefined || segments.length === 0) return undefined;
  const watchPrefix = segments[0] === 'watch';
  if (watchPrefix) segments.shift();
  let namespace = '';
  // /namespaces/NAME and its two subresources are about the namespace itself.
  if (segments[0] === 'namespaces' && segments.length > 2 && !['status', 'finalize'].includes(segments[2]!)) {
    namespace = segments[1]!;
    segments.splice(0, 2);
  }
  const [resource = '', name = '', subresource = '', ...rest] = segments;
  if (!resource) return undefined;
  return { group, version, namespace, resource, name, subresource, watchPrefix, rest: rest.join('/') };
}

function decodeSegment(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment;
  }
}

export function isTrue(value: string | null): boolean {
  return value !== null && value !== 'false' && value !== '0';
}

/** What the authorizer is asked. */
export function attributesOf(
  method: string,
  path: string,
  query: URLSearchParams,
  target: ResourcePath | undefined,
): Attributes {
  if (!target) {
    return {
      verb: method.toLowerCase(),
      isResource: false,
      group: '',
      version: '',
      resource: '',
      subresource: '',
      namespace: '',
      name: '',
      path,
    };
  }
  const verb = resourceVerb(method, query, target);
  const selected =
    target.name === '' && ['list', 'watch', 'deletecollection'].includes(verb) ? selectedName(query) : '';
  return {
    verb,
    isResource: true,
    group: target.group,
    version: target.version,
    resource: target.resource,
    subresource: target.subresource,
    // A namespace is in itself: that is how roles of a namespace can speak of it.
    namespace: target.group === '' && target.resource === 'namespaces' ? target.name : target.namespace,
    name: target.name || selected,
    path,
  };
}

function resourceVerb(method: string, query: URLSearchParams, target: ResourcePath): string {
  switch (method) {
    case 'GET':
    case 'HEAD':
      if (target.watchPrefix) return 'watch';
      if (target.name !== '') return 'get';
      return isTrue(query.get('watch')) ? 'watch' : 'list';
    case 'POST':
      return 'create';
    case 'PUT':
      return 'update';
    case 'PATCH':
      return 'patch';
    case 'DELETE':
      return target.name === '' ? 'deletecollection' : 'delete';
    default:
      return method.toLowerCase();
  }
}

/** A list that is pinned to one name by its field selector counts as asking for that name. */
function selectedName(query: URLSearchParams): string {
  return /(?:^|,)metadata\.name==?([^,=]+)/.exec(query.get('fieldSelector') ?? '')?.[1] ?? '';
}
