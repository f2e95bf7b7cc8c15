// SPDX-License-Identifier: Apache-2.0
// Messages written straight from what describes them. The library makes a message first, with all the fields that there
// are, and then goes through all of them again to write those that are said: of a cluster's sixty, eight.
import { type DescField, type DescMessage, type MessageInitShape, ScalarType } from '@bufbuild/protobuf';
import { WireType } from '@bufbuild/protobuf/wire';
import { isWrapperDesc } from '@bufbuild/protobuf/wkt';
import { WireWriter } from './wire-writer.ts';

/** A description, or a message: what is said, by the fields' local names. */
type Members = Readonly<Record<string, unknown>>;

/** How one value is written, its tag included. */
type WriteValue = (value: unknown) => void;

interface FieldPlan {
  readonly number: number;
  /** Not written, since it is what a field means that is left out; undefined where all is written that is there. */
  readonly zero: unknown;
  readonly write: WriteValue;
}

/** Of a message, by member: a field, or a choice of them by case. */
type MessagePlan = Map<string, FieldPlan | ReadonlyMap<string, FieldPlan>>;

/**
 * The bytes of the library's `toBinary(schema, create(schema, init))`; `init` may have messages in it, or be one.
 * @throws Error if a value is none of its field's, or the schema has what Envoy's API has not: groups, proto2, rare scalars
 */
export function encode<D extends DescMessage>(schema: D, init: MessageInitShape<D>): Uint8Array {
  return encoder.encode(schema, init as Members);
}

class Encoder {
  readonly #plans = new WeakMap<DescMessage, MessagePlan>();
  readonly #out = new WireWriter();
  /** The fields of the messages under way and their values: a stack, in the order of their numbers for each message. */
  readonly #fields: FieldPlan[] = [];
  readonly #values: unknown[] = [];
  #top = 0;

  encode(schema: DescMessage, init: Members): Uint8Array {
    try {
      this.#message(this.#planOf(schema), init);
      return this.#out.take();
    } finally {
      this.#out.reset();
      this.#top = 0;
    }
  }

  #message(plan: MessagePlan, init: Members): void {
    const base = this.#top;
    for (const name in init) this.#note(base, plan.get(name), init[name]);
    const end = this.#top;
    for (let i = base; i < end; i++) {
      const value = this.#values[i];
      this.#values[i] = undefined;
      this.#fields[i]!.write(value);
    }
    this.#top = base;
    const unknown = init['$unknown'];
    if (unknown !== undefined) this.#unknown(unknown as UnknownFields);
  }

  #note(base: number, member: ReturnType<MessagePlan['get']>, value: unknown): void {
    if (member === undefined || value === undefined || value === null) return;
    if (!(member instanceof Map)) {
      const field = member as FieldPlan;
      if (value !== field.zero) this.#push(base, field, value);
      return;
    }
    const choice = value as { readonly case?: string; readonly value?: unknown };
    const field = choice.case === undefined ? undefined : (member as ReadonlyMap<string, FieldPlan>).get(choice.case);
    if (field !== undefined) this.#push(base, field, choice.value);
  }

  #push(base: number, field: FieldPlan, value: unknown): void {
    const fields = this.#fields;
    const values = this.#values;
    let at = this.#top++;
    for (; at > base && fields[at - 1]!.number > field.number; at--) {
      fields[at] = fields[at - 1]!;
      values[at] = values[at - 1];
    }
    fields[at] = field;
    values[at] = value;
  }

  #unknown(fields: UnknownFields): void {
    for (const { no, wireType, data } of fields) {
      this.#out.varint(tagOf(no, wireType));
      this.#out.raw(data);
    }
  }

  #planOf(schema: DescMessage): MessagePlan {
    const known = this.#plans.get(schema);
    if (known !== undefined) return known;
    const plan: MessagePlan = new Map();
    // Before its fields, for some are of the same kind.
    this.#plans.set(schema, plan);
    for (const member of schema.members) {
      const planned =
        member.kind === 'field'
          ? this.#field(member)
          : new Map(member.fields.map((field) => [field.localName, this.#field(field)]));
      plan.set(member.localName, planned);
    }
    return plan;
  }

  #field(field: DescField): FieldPlan {
    const { number } = field;
    return { number, zero: zeroOf(field), write: this.#writeField(field) };
  }

  #writeField(field: DescField): WriteValue {
    switch (field.fieldKind) {
      case 'list':
        return this.#writeList(field);
      case 'map':
        return this.#writeMap(field);
      case 'enum':
        return this.#writeScalar(field.number, ScalarType.INT32);
      case 'scalar': {
        const write = this.#writeScalar(field.number, field.scalar);
        if (field.scalar !== ScalarType.BYTES || field.presence !== IMPLICIT || field.oneof !== undefined) return write;
        return (value) => {
          if ((value as Uint8Array).length > 0) write(value);
        };
      }
      case 'message':
        return this.#writeMessage(field.number, field.message, field);
    }
  }

  #writeList(field: DescField & { fieldKind: 'list' }): WriteValue {
    if (field.listKind === 'message') return each(this.#writeMessage(field.number, field.message, field));
    const scalar = field.listKind === 'enum' ? ScalarType.INT32 : field.scalar;
    if (!field.packed) return each(this.#writeScalar(field.number, scalar));
    const [out, tag] = [this.#out, tagOf(field.number, WireType.LengthDelimited)];
    const write = each(this.#content(scalar));
    return (values) => {
      if ((values as readonly unknown[]).length === 0) return;
      out.varint(tag);
      const start = out.open();
      write(values);
      out.close(start);
    };
  }

  #writeMap(field: DescField & { fieldKind: 'map' }): WriteValue {
    if (field.mapKey !== ScalarType.STRING) throw new Error(`${field}: keys that are no text are not written here`);
    const [out, tag] = [this.#out, tagOf(field.number, WireType.LengthDelimited)];
    const writeKey = this.#writeScalar(1, ScalarType.STRING);
    const writeValue =
      field.mapKind === 'message'
        ? this.#writeMessage(2, field.message, field)
        : this.#writeScalar(2, field.mapKind === 'enum' ? ScalarType.INT32 : field.scalar);
    return (record) => {
      for (const key of Object.keys(record as Members)) {
        out.varint(tag);
        const start = out.open();
        writeKey(key);
        writeValue((record as Members)[key]);
        out.close(start);
      }
    };
  }

  #writeMessage(number: number, message: DescMessage, field: DescField): WriteValue {
    if ('delimitedEncoding' in field && field.delimitedEncoding)
      throw new Error(`${field}: groups are not written here`);
    const [out, tag] = [this.#out, tagOf(number, WireType.LengthDelimited)];
    const write = this.#membersOf(message, field);
    return (value) => {
      out.varint(tag);
      const start = out.open();
      write(value);
      out.close(start);
    };
  }

  /** What is between a message's length and its end. */
  #membersOf(message: DescMessage, field: DescField): WriteValue {
    // As the library has them: objects are Structs, and numbers and the like the messages around them.
    if (message.typeName === STRUCT && field.parent.typeName !== VALUE)
      return (value) => this.#struct(value as Members);
    const isWrapped = field.fieldKind === 'message' && field.oneof === undefined && isWrapperDesc(message);
    let plan: MessagePlan | undefined;
    return (value) => {
      plan ??= this.#planOf(message);
      this.#message(plan, isWrapped ? { value } : (value as Members));
    };
  }

  #struct(json: Members): void {
    const out = this.#out;
    for (const key of Object.keys(json)) {
      out.varint(tagOf(1, WireType.LengthDelimited));
      const start = out.open();
      out.varint(tagOf(1, WireType.LengthDelimited));
      out.text(key);
      out.varint(tagOf(2, WireType.LengthDelimited));
      this.#json(json[key]);
      out.close(start);
    }
  }

  /** A google.protobuf.Value. */
  #json(value: unknown): void {
    const out = this.#out;
    const start = out.open();
    if (typeof value === 'string') {
      out.varint(tagOf(3, WireType.LengthDelimited));
      out.text(value);
    } else if (typeof value === 'number') {
      out.varint(tagOf(2, WireType.Bit64));
      out.double(value);
    } else if (typeof value === 'boolean') {
      out.varint(tagOf(4, WireType.Varint));
      out.varint(value ? 1 : 0);
    } else if (value === null) {
      out.varint(tagOf(1, WireType.Varint));
      out.varint(0);
    } else if (Array.isArray(value)) {
      out.varint(tagOf(6, WireType.LengthDelimited));
      const list = out.open();
      for (const each of value) {
        out.varint(tagOf(1, WireType.LengthDelimited));
        this.#json(each);
      }
      out.close(list);
    } else {
      out.varint(tagOf(5, WireType.LengthDelimited));
      const struct = out.open();
      this.#struct(value as Members);
      out.close(struct);
    }
    out.close(start);
  }

  #writeScalar(number: number, scalar: ScalarType): WriteValue {
    const [out, tag, write] = [this.#out, tagOf(number, wireTypeOf(scalar)), this.#content(scalar)];
    return (value) => {
      out.varint(tag);
      write(value);
    };
  }

  #content(scalar: ScalarType): WriteValue {
    const out = this.#out;
    switch (scalar) {
      case ScalarType.STRING:
        return (value) => out.text(text(value));
      case ScalarType.BYTES:
        return (value) => {
          out.varint((value as Uint8Array).length);
          out.raw(value as Uint8Array);
        };
      case ScalarType.BOOL:
        return (value) => out.varint(value ? 1 : 0);
      case ScalarType.UINT32:
        return (value) => out.varint(whole(value, 0, 0xffff_ffff));
      case ScalarType.INT32:
        return (value) => {
          const number = whole(value, -0x8000_0000, 0x7fff_ffff);
          if (number >= 0) out.varint(number);
          else out.longVarint(BigInt(number));
        };
      case ScalarType.INT64:
      case ScalarType.UINT64:
        return (value) => out.longVarint(BigInt(value as bigint));
      case ScalarType.DOUBLE:
        return (value) => out.double(value as number);
      case ScalarType.FLOAT:
        return (value) => out.float(value as number);
      default:
        throw new Error(`protobuf's ${ScalarType[scalar]} is not written here`);
    }
  }
}

interface UnknownFields
  extends Iterable<{ readonly no: number; readonly wireType: WireType; readonly data: Uint8Array }> {}

const STRUCT = 'google.protobuf.Struct';
const VALUE = 'google.protobuf.Value';
/** google.protobuf.FeatureSet.FieldPresence.IMPLICIT: proto3's fields without `optional`. */
const IMPLICIT = 2;

function tagOf(number: number, wireType: WireType): number {
  return ((number << 3) | wireType) >>> 0;
}

function wireTypeOf(scalar: ScalarType): WireType {
  switch (scalar) {
    case ScalarType.STRING:
    case ScalarType.BYTES:
      return WireType.LengthDelimited;
    case ScalarType.DOUBLE:
      return WireType.Bit64;
    case ScalarType.FLOAT:
      return WireType.Bit32;
    default:
      return WireType.Varint;
  }
}

function zeroOf(field: DescField): unknown {
  if (field.presence !== IMPLICIT || field.oneof !== undefined) return undefined;
  if (field.fieldKind === 'enum') return field.enum.values[0]!.number;
  if (field.fieldKind !== 'scalar') return undefined;
  switch (field.scalar) {
    case ScalarType.STRING:
      return '';
    case ScalarType.BOOL:
      return false;
    case ScalarType.INT64:
    case ScalarType.UINT64:
      return 0n;
    case ScalarType.BYTES:
      return undefined;
    default:
      return 0;
  }
}

function each(write: WriteValue): WriteValue {
  return (values) => {
    for (const value of values as readonly unknown[]) write(value);
  };
}

function text(value: unknown): string {
  if (typeof value !== 'string') throw new Error(`${value} is no text`);
  return value;
}

function whole(value: unknown, least: number, most: number): number {
  if (!Number.isInteger(value) || (value as number) < least || (value as number) > most) {
    throw new Error(`${value} is no whole number from ${least} to ${most}`);
  }
  return value as number;
}

/** Writes one message at a time, and keeps nothing of it: its buffer, and what it knows of schemas, serve all. */
const encoder = new Encoder();
