// SPDX-License-Identifier: Apache-2.0
// The paths of a resource, as far as clients read them: which kind is where, and which query parameters it takes.
import type { OpenApiSchema, OpenApiVersion } from './schemas.ts';

export interface PathSubject {
  readonly group: string;
  readonly version: string;
  readonly kind: string;
  readonly resource: string;
  readonly namespaced: boolean;
  readonly custom: boolean;
}

const WRITE_PARAMETERS = ['dryRun', 'fieldManager', 'fieldValidation'];

/** kubectl computes a strategic merge patch only where it is offered. */
const STRATEGIC = 'application/strategic-merge-patch+json';
const PATCHES = [
  'application/json-patch+json',
  'application/merge-patch+json',
  STRATEGIC,
  'application/apply-patch+yaml',
];

type Operation = readonly [method: string, action: string, parameters: readonly string[]];

const COLLECTION: readonly Operation[] = [
  ['get', 'list', ['labelSelector', 'fieldSelector', 'limit', 'continue', 'watch', 'resourceVersion']],
  ['post', 'post', WRITE_PARAMETERS],
  ['delete', 'deletecollection', ['dryRun', 'labelSelector', 'fieldSelector']],
];
const ITEM: readonly Operation[] = [
  ['get', 'get', []],
  ['put', 'put', WRITE_PARAMETERS],
  ['patch', 'patch', [...WRITE_PARAMETERS, 'force']],
  ['delete', 'delete', ['dryRun', 'gracePeriodSeconds', 'propagationPolicy']],
];

export function resourcePaths(subject: PathSubject, openApi: OpenApiVersion): Record<string, unknown> {
  const { group, version, resource, namespaced } = subject;
  const root = group ? `/apis/${group}/${version}` : `/api/${version}`;
  const base = namespaced ? `${root}/namespaces/{namespace}/${resource}` : `${root}/${resource}`;
  const names = namespaced ? ['namespace'] : [];
  return {
    [base]: pathItem(subject, COLLECTION, names, openApi),
    [`${base}/{name}`]: pathItem(subject, ITEM, [...names, 'name'], openApi),
    ...(namespaced ? { [`${root}/${resource}`]: pathItem(subject, COLLECTION.slice(0, 1), [], openApi) } : {}),
  };
}

function pathItem(
  subject: PathSubject,
  operations: readonly Operation[],
  names: readonly string[],
  openApi: OpenApiVersion,
): unknown {
  const { group, version, kind } = subject;
  const item: Record<string, unknown> = Object.fromEntries(
    operations.map(([method, action, parameters]) => [
      method,
      {
        operationId: operationId(subject, action, names),
        parameters: parameters.map((name) => parameter(name, 'query', openApi)),
        ...(method === 'patch' ? patchBody(subject, openApi) : {}),
        responses: { '200': { description: 'OK' } },
        'x-kubernetes-action': action,
        'x-kubernetes-group-version-kind': { group, version, kind },
      },
    ]),
  );
  if (names.length > 0) item['parameters'] = names.map((name) => parameter(name, 'path', openApi));
  return item;
}

function patchBody({ custom }: PathSubject, openApi: OpenApiVersion): Record<string, unknown> {
  const types = PATCHES.filter((type) => !custom || type !== STRATEGIC);
  if (openApi === 2) return { consumes: types };
  return { requestBody: { required: true, content: Object.fromEntries(types.map((type) => [type, {}])) } };
}

function operationId({ group, version, kind }: PathSubject, action: string, names: readonly string[]): string {
  const camel = (text: string) =>
    text
      .split(/[.-]/)
      .map((word) => word.charAt(0).toUpperCase() + word.slice(1))
      .join('');
  const scope = names.includes('namespace') ? 'Namespaced' : '';
  return `${action}${camel(group || 'core')}${camel(version)}${scope}${kind}`;
}

function parameter(name: string, where: 'query' | 'path', openApi: OpenApiVersion): OpenApiSchema {
  const type =
    name === 'watch' || name === 'force'
      ? 'boolean'
      : name === 'limit' || name === 'gracePeriodSeconds'
        ? 'integer'
        : 'string';
  const head = { name, in: where, ...(where === 'path' ? { required: true } : {}) };
  return openApi === 2 ? { ...head, type, uniqueItems: true } : { ...head, schema: { type, uniqueItems: true } };
}
