// SPDX-License-Identifier: Apache-2.0
import { expect, test } from 'vitest';
import { builtinType, loadBuiltinTypes } from './builtin.ts';
import { DecodeError, decodeObject } from './decode.ts';
import { decodeProtobuf, ProtobufError, readEnvelope } from './protobuf.ts';
import { canonicalQuantity, quantityNano } from './quantity.ts';

const types = loadBuiltinTypes();
const type = (name: string) => builtinType(types, name);

test('unknown members are dropped and named by their path', () => {
  const raw = {
    apiVersion: 'v1',
    kind: 'Pod',
    bogus: 1,
    spec: { containers: [{ name: 'c', image: 'i', foo: true }] },
  };
  const { value, unknownFields } = decodeObject(raw, type('core.v1.Pod'));
  expect(unknownFields).toEqual(['bogus', 'spec.containers[0].foo']);
  expect(value['spec']).toEqual({ containers: [{ name: 'c', image: 'i', resources: {} }] });
});

test('empty members are written as the Go types would write them', () => {
  const raw = {
    metadata: { name: 'd', labels: {} },
    spec: { replicas: 0, paused: false, template: { spec: { nodeName: '' } } },
  };
  const { value } = decodeObject(raw, type('apps.v1.Deployment'));
  expect(value).toMatchObject({
    metadata: { name: 'd' },
    status: {},
    spec: { replicas: 0, selector: null, strategy: {} },
  });
  expect(value['metadata']).not.toHaveProperty('labels');
  expect(value['spec']).not.toHaveProperty('paused');
});

test.each([
  [
    { metadata: { name: 5 } },
    'json: cannot unmarshal number into Go struct field ObjectMeta.metadata.name of type string',
  ],
  [{ data: 'x' }, 'json: cannot unmarshal string into Go struct field ConfigMap.data of type map[string]string'],
  [{ immutable: 'yes' }, 'json: cannot unmarshal string into Go struct field ConfigMap.immutable of type bool'],
])('a member of the wrong type refuses the object: %j', (raw, message) => {
  expect(() => decodeObject(raw, type('core.v1.ConfigMap'))).toThrow(new DecodeError(message));
});

test('secrets must be base64', () => {
  expect(() => decodeObject({ data: { a: 'not base64!' } }, type('core.v1.Secret'))).toThrow(
    'illegal base64 data at input byte 3',
  );
});

test('times are written in UTC and whole seconds', () => {
  const raw = { metadata: { name: 'x', creationTimestamp: '2024-05-01T12:00:00.5+02:00' } };
  expect(decodeObject(raw, type('core.v1.ConfigMap')).value['metadata']).toEqual({
    name: 'x',
    creationTimestamp: '2024-05-01T10:00:00Z',
  });
});

test('a key named __proto__ is a key like any other', () => {
  const raw = JSON.parse('{"data":{"__proto__":"x"}}') as Record<string, unknown>;
  const { value } = decodeObject(raw, type('core.v1.ConfigMap'));
  expect(Object.keys(value['data'] as object)).toEqual(['__proto__']);
});

test.each([
  ['1000m', '1'],
  ['0.5', '500m'],
  ['1024Mi', '1Gi'],
  ['1.5Gi', '1536Mi'],
  ['0', '0'],
  ['100m', '100m'],
  ['1e3', '1e3'],
  ['1k', '1k'],
  ['1000', '1k'],
])('quantity %s is %s', (given, canonical) => {
  expect(canonicalQuantity(given)).toBe(canonical);
});

test('what is no quantity is none', () => {
  for (const text of ['', 'x', '1Zi', '1..2', '--1']) expect(canonicalQuantity(text)).toBeUndefined();
  expect(quantityNano('250m')).toBe(250_000_000n);
});

const field = (number: number, bytes: Buffer) => Buffer.concat([Buffer.from([number * 8 + 2, bytes.length]), bytes]);
const text = (number: number, value: string) => field(number, Buffer.from(value));

test('a protobuf ConfigMap is read', () => {
  const meta = text(1, 'c');
  const entry = Buffer.concat([text(1, 'key'), text(2, 'value')]);
  const raw = Buffer.concat([field(1, meta), field(2, entry), Buffer.from([4 * 8, 1])]);
  const unknown = Buffer.concat([field(1, Buffer.concat([text(1, 'v1'), text(2, 'ConfigMap')])), field(2, raw)]);
  const envelope = readEnvelope(Buffer.concat([Buffer.from('k8s\0'), unknown]));
  expect(envelope).toMatchObject({ apiVersion: 'v1', kind: 'ConfigMap' });
  expect(decodeProtobuf(envelope.raw, type('core.v1.ConfigMap'))).toEqual({
    metadata: { name: 'c' },
    data: { key: 'value' },
    immutable: true,
  });
});

test('broken protobuf is refused, not misread', () => {
  expect(() => readEnvelope(Buffer.from('{}'))).toThrow(ProtobufError);
  expect(() => decodeProtobuf(Buffer.from([0x0a, 0xff, 0x01]), type('core.v1.ConfigMap'))).toThrow('unexpected EOF');
});
