// SPDX-License-Identifier: Apache-2.0
import { create, type DescField, type DescMessage, fromBinary, ScalarType, toBinary } from '@bufbuild/protobuf';
import { AnySchema, isWrapperDesc, StructSchema, UInt32ValueSchema } from '@bufbuild/protobuf/wkt';
import { expect, test } from 'vitest';
import { ClusterSchema } from '#gen/envoy/config/cluster/v3/cluster_pb.ts';
import { ClusterLoadAssignmentSchema } from '#gen/envoy/config/endpoint/v3/endpoint_pb.ts';
import { ListenerSchema } from '#gen/envoy/config/listener/v3/listener_pb.ts';
import { RouteMatchSchema, VirtualHostSchema } from '#gen/envoy/config/route/v3/route_components_pb.ts';
import { HttpConnectionManagerSchema } from '#gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts';
import { UpstreamTlsContextSchema } from '#gen/envoy/extensions/transport_sockets/tls/v3/tls_pb.ts';
import { seeded } from '../../test/fixture/random.ts';
import { encode } from './encode.ts';

type Init = Record<string, unknown>;

const TEXTS = [
  '',
  'a',
  'outbound|80||reviews.default.svc.cluster.local',
  'grüße',
  'x'.repeat(99),
  'é'.repeat(99),
  'y'.repeat(300),
  '\ud800',
];
const NUMBERS = [0, 1, 127, 128, 16_384, 0x7fff_ffff];

/** Something for every kind of field, its zero among them, and more often nothing at all. */
class Inits {
  readonly #random: () => number;

  constructor(random: () => number) {
    this.#random = random;
  }

  of(schema: DescMessage, depth: number): Init {
    const init: Init = {};
    const members = this.#shuffled(schema.members);
    for (const member of members) {
      if (this.#below(4) > 0) continue;
      if (member.kind === 'field') init[member.localName] = this.#field(member, depth);
      else {
        const field = this.#pick(member.fields);
        init[member.localName] = { case: field.localName, value: this.#field(field, depth) };
      }
    }
    return init;
  }

  #field(field: DescField, depth: number): unknown {
    switch (field.fieldKind) {
      case 'list':
        return this.#some(() =>
          field.listKind === 'message' ? this.#message(field, field.message, depth) : this.#plain(field),
        );
      case 'map':
        return Object.fromEntries(
          this.#some((i) => [
            `${i} ${this.#pick(TEXTS)}`,
            field.mapKind === 'message' ? this.#message(field, field.message, depth) : this.#plain(field),
          ]),
        );
      case 'message':
        return this.#message(field, field.message, depth);
      default:
        return this.#plain(field);
    }
  }

  #message(field: DescField, message: DescMessage, depth: number): unknown {
    if (message.typeName === 'google.protobuf.Struct' && field.parent.typeName !== 'google.protobuf.Value')
      return this.#json(2);
    const isWrapped = field.fieldKind === 'message' && field.oneof === undefined && isWrapperDesc(message);
    if (isWrapped) return this.#plain(message.fields[0]!);
    const init = depth > 0 ? this.of(message, depth - 1) : {};
    return this.#below(3) === 0 ? create(message, init) : init;
  }

  #plain(field: DescField): unknown {
    if (field.enum !== undefined) return this.#pick(field.enum.values).number;
    switch (field.scalar) {
      case ScalarType.STRING:
        return this.#pick(TEXTS);
      case ScalarType.BYTES:
        return Uint8Array.from(this.#some((i) => i));
      case ScalarType.BOOL:
        return this.#below(2) === 0;
      case ScalarType.INT64:
        return BigInt(this.#pick(NUMBERS)) * -(2n ** 31n);
      case ScalarType.UINT64:
        return BigInt(this.#pick(NUMBERS)) * 2n ** 32n;
      case ScalarType.INT32:
        return -this.#pick(NUMBERS);
      case ScalarType.DOUBLE:
      case ScalarType.FLOAT:
        return this.#pick([0, 0.5, -2.25]);
      default:
        return this.#pick([...NUMBERS, 0xffff_ffff]);
    }
  }

  #json(depth: number): Record<string, unknown> {
    const value = (): unknown =>
      this.#pick([
        null,
        true,
        false,
        0,
        -1.5,
        ...TEXTS,
        ...(depth > 0 ? [this.#json(depth - 1), [this.#json(0), 1]] : []),
      ]);
    return Object.fromEntries(this.#some((i) => [`k${i}`, value()]));
  }

  #some<T>(make: (i: number) => T): T[] {
    return Array.from({ length: this.#below(3) }, (_, i) => make(i));
  }

  #below(bound: number): number {
    return Math.floor(this.#random() * bound);
  }

  #pick<T>(from: readonly T[]): T {
    return from[this.#below(from.length)]!;
  }

  #shuffled<T>(from: readonly T[]): T[] {
    const order = from.map((value) => ({ value, at: this.#below(1000) }));
    return order.sort((a, b) => a.at - b.at).map(({ value }) => value);
  }
}

const expected = (schema: DescMessage, init: Init) => Buffer.from(toBinary(schema, create(schema, init)));
const written = (schema: DescMessage, init: Init) => Buffer.from(encode(schema, init));

test.each([
  ClusterSchema,
  ClusterLoadAssignmentSchema,
  ListenerSchema,
  VirtualHostSchema,
  HttpConnectionManagerSchema,
  UpstreamTlsContextSchema,
])('%s is written as the library writes it, whatever is said of it', (schema) => {
  const inits = new Inits(seeded(1));
  let longest = 0;
  for (let i = 0; i < 60; i++) {
    const init = inits.of(schema, 5);
    const bytes = expected(schema, init);
    expect(written(schema, init)).toEqual(bytes);
    expect(written(schema, create(schema, init) as unknown as Init)).toEqual(bytes);
    longest = Math.max(longest, bytes.length);
  }
  expect(longest).toBeGreaterThan(300);
});

test('fields that the schema does not know are written behind the others', () => {
  const message = create(RouteMatchSchema, { pathSpecifier: { case: 'prefix', value: '/' } });
  message.$unknown = [{ no: 99, wireType: 2, data: Uint8Array.of(2, 7, 8) }];
  const bytes = encode(RouteMatchSchema, message);
  expect(Buffer.from(bytes)).toEqual(Buffer.from(toBinary(RouteMatchSchema, message)));
  expect(fromBinary(RouteMatchSchema, bytes).$unknown).toHaveLength(1);
});

test('a value that is none of its field is refused, and the next message is whole', () => {
  for (const value of [-1, 2 ** 32, 1.5, Number.NaN, '7']) {
    expect(() => encode(UInt32ValueSchema, { value: value as number })).toThrow(`${value} is no whole number`);
  }
  expect(() => encode(AnySchema, { typeUrl: 7 as unknown as string })).toThrow('7 is no text');
  expect(written(StructSchema, { fields: {} })).toEqual(Buffer.alloc(0));
  expect(written(UInt32ValueSchema, { value: 300 })).toEqual(expected(UInt32ValueSchema, { value: 300 }));
});

test('what was written is not touched by what is written later', () => {
  const first = encode(AnySchema, { typeUrl: 'a'.repeat(5000) });
  const copy = Buffer.from(first);
  encode(AnySchema, { typeUrl: 'b'.repeat(50_000) });
  expect(Buffer.from(first)).toEqual(copy);
});
