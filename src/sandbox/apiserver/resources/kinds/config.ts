// SPDX-License-Identifier: Apache-2.0
import type { KubeObject } from '../../../../kube/types.ts';
import type { TypeTable } from '../../schema/parse.ts';
import type { StatusCause } from '../../status.ts';
import { AGE, column, NAME } from '../../tables/table.ts';
import { forbiddenField, IMMUTABLE, invalidValue, required, tooLong } from '../../validation/causes.ts';
import { configKeyProblem } from '../../validation/names.ts';
import type { ResourceDefinition } from '../definition.ts';
import { defineKind, member, textAt } from '../kind-builder.ts';

/** The limit of the real server: an object must fit into one etcd value. */
const MAX_BYTES = 1024 * 1024;
const FROZEN = 'field is immutable when `immutable` is set';

type Data = Record<string, string> | undefined;

function entryCount(object: KubeObject): number {
  return (
    Object.keys(member<Data>(object, 'data') ?? {}).length +
    Object.keys(member<Data>(object, 'binaryData') ?? {}).length
  );
}

function validateKeys(data: Data, field: string): StatusCause[] {
  return Object.keys(data ?? {}).flatMap((key) => {
    const problem = configKeyProblem(key);
    return problem ? [invalidValue(`${field}[${key}]`, key, problem)] : [];
  });
}

function validateImmutable(object: KubeObject, old: KubeObject, fields: readonly string[]): StatusCause[] {
  if (old['immutable'] !== true) return [];
  const causes = object['immutable'] === true ? [] : [forbiddenField('immutable', FROZEN)];
  for (const field of fields) if (!sameData(object[field], old[field])) causes.push(forbiddenField(field, FROZEN));
  return causes;
}

function sameData(a: unknown, b: unknown): boolean {
  const sorted = (data: unknown) => JSON.stringify(Object.entries((data ?? {}) as object).sort());
  return sorted(a) === sorted(b);
}

function validateConfigMap(object: KubeObject): StatusCause[] {
  const data = member<Data>(object, 'data');
  const binary = member<Data>(object, 'binaryData');
  const causes = [...validateKeys(data, 'data'), ...validateKeys(binary, 'binaryData')];
  for (const key of Object.keys(binary ?? {})) {
    if (data && Object.hasOwn(data, key))
      causes.push(invalidValue(`data[${key}]`, key, 'duplicate of key present in binaryData'));
  }
  const bytes = [...Object.values(data ?? {}), ...Object.values(binary ?? {})].reduce(
    (sum, text) => sum + Buffer.byteLength(text),
    0,
  );
  if (bytes > MAX_BYTES) causes.push({ ...tooLong('', MAX_BYTES), field: '' });
  return causes;
}

/** Keys that a Secret of a given type must hold. */
const REQUIRED_KEYS: ReadonlyMap<string, readonly string[]> = new Map([
  ['kubernetes.io/tls', ['tls.crt', 'tls.key']],
  ['kubernetes.io/dockerconfigjson', ['.dockerconfigjson']],
  ['kubernetes.io/dockercfg', ['.dockercfg']],
  ['kubernetes.io/ssh-auth', ['ssh-privatekey']],
]);

function validateSecret(object: KubeObject): StatusCause[] {
  const data = member<Data>(object, 'data');
  const type = textAt(object, 'type');
  const causes = validateKeys(data, 'data');
  for (const key of REQUIRED_KEYS.get(type) ?? []) {
    if (!data || !Object.hasOwn(data, key)) causes.push(required(`data[${key}]`));
  }
  if (
    type === 'kubernetes.io/service-account-token' &&
    !object.metadata.annotations?.['kubernetes.io/service-account.name']
  ) {
    causes.push(required('metadata.annotations[kubernetes.io/service-account.name]'));
  }
  const bytes = Object.values(data ?? {}).reduce((sum, text) => sum + text.length * 0.75, 0);
  if (bytes > MAX_BYTES) causes.push(tooLong('data', MAX_BYTES));
  return causes;
}

function mergeStringData(object: KubeObject): void {
  const { stringData } = object as { stringData?: Record<string, string> };
  if (!stringData) return;
  const encoded = Object.entries(stringData).map(([key, text]) => [key, Buffer.from(text).toString('base64')]);
  object['data'] = { ...(object['data'] as object | undefined), ...Object.fromEntries(encoded) };
  delete object['stringData'];
}

export function configKinds(types: TypeTable): ResourceDefinition[] {
  return [
    defineKind(types, {
      kind: 'ConfigMap',
      resource: 'configmaps',
      versions: [{ group: '', version: 'v1', type: 'core.v1.ConfigMap' }],
      shortNames: ['cm'],
      columns: [NAME, column('Data', entryCount), AGE],
      strategy: {
        validate: validateConfigMap,
        validateUpdate: (object, old) => validateImmutable(object, old, ['data', 'binaryData']),
      },
    }),
    defineKind(types, {
      kind: 'Secret',
      resource: 'secrets',
      versions: [
        {
          group: '',
          version: 'v1',
          type: 'core.v1.Secret',
          defaults(object) {
            mergeStringData(object);
            object['type'] ??= 'Opaque';
          },
        },
      ],
      fields: { type: (object) => textAt(object, 'type') },
      columns: [NAME, column('Type', (object) => textAt(object, 'type')), column('Data', entryCount), AGE],
      strategy: {
        validate: validateSecret,
        validateUpdate: (object, old) => [
          ...(object['type'] === old['type'] ? [] : [invalidValue('type', object['type'], IMMUTABLE)]),
          ...validateImmutable(object, old, ['data']),
        ],
      },
    }),
  ];
}
