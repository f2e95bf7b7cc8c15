// SPDX-License-Identifier: Apache-2.0
// A kind is declared once, as a shape; its TypeScript type, its decoder, its defaults and its CRD schema follow from
// it, so that they cannot disagree. A field of the Istio API that we do not carry out is declared too, as `refused` or
// `idle`: nothing is ever ignored in silence.
import { closestName } from './closest-name.ts';
import type { Report } from './report.ts';

/** OpenAPI v3 as a structural CRD schema has it. */
export interface JsonSchema {
  readonly [member: string]: unknown;
}

export interface At {
  readonly field: string;
  readonly report: Report;
}

/** Decodes to undefined when it has reported an error. */
export interface Shape<T> {
  readonly schema: JsonSchema;
  decode(raw: unknown, at: At): T | undefined;
}

type Presence = 'required' | 'optional' | 'defaulted' | 'refused' | 'idle';
export interface Field<T, P extends Presence> {
  readonly presence: P;
  readonly shape: Shape<T>;
  readonly fallback?: T;
  readonly cure?: string;
}
type Fields = Readonly<Record<string, Field<unknown, Presence>>>;

type Absent<F> = F extends Field<unknown, 'refused'> | Field<unknown, 'idle'> ? true : false;
export type Decoded<F extends Fields> = {
  readonly [K in keyof F as Absent<F[K]> extends true ? never : K]: F[K] extends Field<infer T, infer P>
    ? P extends 'optional'
      ? T | undefined
      : T
    : never;
};
/** The type that a shape decodes to. */
export type Infer<S> = S extends Shape<infer T> ? T : never;

export const required = <T>(shape: Shape<T>): Field<T, 'required'> => ({ presence: 'required', shape });
export const optional = <T>(shape: Shape<T>): Field<T, 'optional'> => ({ presence: 'optional', shape });
export const defaulted = <T>(shape: Shape<T>, fallback: NoInfer<T>): Field<T, 'defaulted'> => ({
  presence: 'defaulted',
  shape,
  fallback,
});
/** A field of the API that would change what happens, and that we do not carry out: the object is refused. */
export const refused = (cure: string): Field<unknown, 'refused'> => ({ presence: 'refused', shape: anything, cure });
/** A field of the API that we do not carry out and that an object may have without harm: a warning says so. */
export const idle = (why: string): Field<unknown, 'idle'> => ({ presence: 'idle', shape: anything, cure: why });

export const anything: Shape<unknown> = {
  schema: { 'x-kubernetes-preserve-unknown-fields': true },
  decode: (raw) => raw,
};

/** An object with exactly these members. */
export function struct<F extends Fields>(fields: F, description?: string): Shape<Decoded<F>> {
  const names = Object.keys(fields);
  return {
    schema: structSchema(fields, description),
    decode(raw, at) {
      if (!isRecord(raw)) return wrongType(raw, 'an object', at);
      const given = byName(raw, fields, at);
      const value: Record<string, unknown> = {};
      let whole = true;
      for (const name of names) {
        const field = fields[name]!;
        const result = decodeField(field, name, given[name], at);
        if (field.presence === 'refused' || field.presence === 'idle') continue;
        if (result.failed) whole = false;
        value[name] = result.value;
      }
      return whole ? (value as Decoded<F>) : undefined;
    },
  };
}

/** A member may have its name in Protobuf, too (`resource_detectors`), as Istio's own documents write some. */
function byName(raw: Record<string, unknown>, fields: Fields, at: At): Record<string, unknown> {
  const unknown = Object.keys(raw).filter((name) => !(name in fields));
  if (unknown.length === 0) return raw;
  const given = { ...raw };
  for (const name of unknown) {
    const own = name.replace(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
    if (own in fields && given[own] === undefined) given[own] = raw[name];
    else reportUnknown(name, Object.keys(fields), at);
  }
  return given;
}

function decodeField(
  field: Field<unknown, Presence>,
  name: string,
  raw: unknown,
  at: At,
): { value?: unknown; failed?: boolean } {
  const here = { field: member(at.field, name), report: at.report };
  const absent = raw === undefined || raw === null;
  switch (field.presence) {
    case 'refused':
      if (!absent) at.report.add('ISM0004', here.field, `\`${name}\` is not supported`, field.cure!);
      return {};
    case 'idle':
      if (!absent) at.report.add('ISM0005', here.field, `\`${name}\` has no effect here`, field.cure!);
      return {};
    case 'required':
      if (absent) {
        at.report.add('ISM0001', here.field, `\`${name}\` is required`, `add ${here.field}`);
        return { failed: true };
      }
      break;
    case 'optional':
    case 'defaulted':
      if (absent) return { value: field.fallback };
  }
  const value = field.shape.decode(raw, here);
  return { value, failed: value === undefined };
}

const ABSENT: Partial<Readonly<Record<Presence, string>>> = { refused: 'Not supported: ', idle: 'Without effect: ' };

function structSchema(fields: Fields, description: string | undefined): JsonSchema {
  const properties: Record<string, JsonSchema> = {};
  const needed: string[] = [];
  for (const [name, field] of Object.entries(fields)) {
    properties[name] =
      field.presence === 'defaulted' || field.cure === undefined
        ? field.shape.schema
        : { ...field.shape.schema, description: `${ABSENT[field.presence] ?? ''}${field.cure}.` };
    if (field.presence === 'required') needed.push(name);
  }
  return {
    type: 'object',
    ...(description === undefined ? {} : { description }),
    ...(needed.length === 0 ? {} : { required: needed }),
    properties,
    // A misspelt field must reach the webhook, which names it: a pruned one would be ignored in silence.
    'x-kubernetes-preserve-unknown-fields': true,
  };
}

export function list<T>(item: Shape<T>, options: { min?: number } = {}): Shape<readonly T[]> {
  const min = options.min ?? 0;
  return {
    schema: { type: 'array', items: item.schema, ...(min > 0 ? { minItems: min } : {}) },
    decode(raw, at) {
      if (!Array.isArray(raw)) return wrongType(raw, 'a list', at);
      if (raw.length < min) {
        at.report.add('ISM0001', at.field, 'the list is empty', `give ${at.field} at least ${min} entry`);
        return undefined;
      }
      const values = raw.map((entry: unknown, i) =>
        item.decode(entry, { field: `${at.field}[${i}]`, report: at.report }),
      );
      return values.some((v) => v === undefined) ? undefined : (values as T[]);
    },
  };
}

export function mapOf<T>(item: Shape<T>, keys: Shape<string> = text()): Shape<Readonly<Record<string, T>>> {
  return {
    schema: { type: 'object', additionalProperties: item.schema },
    decode(raw, at) {
      if (!isRecord(raw)) return wrongType(raw, 'an object', at);
      const entries = Object.keys(raw)
        .sort()
        .map((key) => {
          const here = { field: member(at.field, key), report: at.report };
          return [key, keys.decode(key, here) === undefined ? undefined : item.decode(raw[key], here)] as const;
        });
      return entries.some(([, v]) => v === undefined) ? undefined : (Object.fromEntries(entries) as Record<string, T>);
    },
  };
}

/** `max` characters at most; `what` says in words what `pattern` asks for. */
export function text(options: { pattern?: RegExp; what?: string; max?: number } = {}): Shape<string> {
  return {
    schema: { type: 'string' },
    decode(raw, at) {
      if (typeof raw !== 'string') return wrongType(raw, 'a string', at);
      if (raw.length > (options.max ?? Number.POSITIVE_INFINITY)) {
        at.report.add('ISM0006', at.field, `it has ${raw.length} characters`, `use at most ${options.max}`);
        return undefined;
      }
      if (options.pattern === undefined || options.pattern.test(raw)) return raw;
      at.report.add('ISM0006', at.field, `${JSON.stringify(raw)} is not ${options.what}`, `write ${options.what}`);
      return undefined;
    },
  };
}

export function choice<const V extends readonly string[]>(values: V): Shape<V[number]> {
  return {
    schema: { type: 'string', enum: values },
    decode(raw, at) {
      if (typeof raw !== 'string') return wrongType(raw, 'a string', at);
      if (values.includes(raw)) return raw;
      at.report.add('ISM0006', at.field, `${JSON.stringify(raw)} is not allowed`, `use one of ${values.join(', ')}`);
      return undefined;
    },
  };
}

/** Values that Istio has and we do not carry out are refused by name, apart from values that do not exist. */
export function supportedChoice<const V extends readonly string[]>(
  values: V,
  unsupported: Readonly<Record<string, string>>,
): Shape<V[number]> {
  const known = choice(values);
  return {
    schema: {
      type: 'string',
      enum: [...values, ...Object.keys(unsupported)],
      ...(Object.keys(unsupported).length > 0 && {
        description: `Values not supported: ${Object.keys(unsupported).join(', ')}.`,
      }),
    },
    decode(raw, at) {
      const cure = typeof raw === 'string' && Object.hasOwn(unsupported, raw) ? unsupported[raw] : undefined;
      if (cure === undefined) return known.decode(raw, at);
      at.report.add('ISM0004', at.field, `the value ${raw} is not supported`, cure);
      return undefined;
    },
  };
}

export function integer(options: { min?: number; max?: number } = {}): Shape<number> {
  const { min = 0, max = 0xffff_ffff } = options;
  return {
    schema: { type: 'integer' },
    decode(raw, at) {
      if (typeof raw !== 'number' || !Number.isInteger(raw)) return wrongType(raw, 'a whole number', at);
      return inRange(raw, min, max, at);
    },
  };
}

export function decimal(options: { min: number; max: number }): Shape<number> {
  return {
    schema: { type: 'number' },
    decode(raw, at) {
      if (typeof raw !== 'number') return wrongType(raw, 'a number', at);
      return inRange(raw, options.min, options.max, at);
    },
  };
}

export const bool: Shape<boolean> = {
  schema: { type: 'boolean' },
  decode: (raw, at) => (typeof raw === 'boolean' ? raw : wrongType(raw, 'true or false', at)),
};

/** Runs `check` on what was decoded; it reports what is wrong with the whole. */
export function checked<T>(shape: Shape<T>, check: (value: T, at: At) => void): Shape<T> {
  return {
    schema: shape.schema,
    decode(raw, at) {
      const value = shape.decode(raw, at);
      if (value === undefined) return undefined;
      const before = at.report.errors;
      check(value, at);
      return at.report.errors > before ? undefined : value;
    },
  };
}

/** Turns what was decoded into another form; undefined means that `turn` has reported an error. */
export function turned<T, U>(shape: Shape<T>, turn: (value: T, at: At) => U | undefined): Shape<U> {
  return {
    schema: shape.schema,
    decode(raw, at) {
      const value = shape.decode(raw, at);
      return value === undefined ? undefined : turn(value, at);
    },
  };
}

/** `spec.http` + `match` -> `spec.http.match`; a name with dots or slashes is quoted, as kubectl's paths do. */
export function member(path: string, name: string): string {
  if (!/^[\w-]+$/.test(name)) return `${path}[${JSON.stringify(name)}]`;
  return path === '' ? name : `${path}.${name}`;
}

export function isRecord(raw: unknown): raw is Readonly<Record<string, unknown>> {
  return typeof raw === 'object' && raw !== null && !Array.isArray(raw);
}

function inRange(value: number, min: number, max: number, at: At): number | undefined {
  if (value >= min && value <= max) return value;
  at.report.add('ISM0006', at.field, `${value} is out of range`, `use a number from ${min} to ${max}`);
  return undefined;
}

function wrongType(raw: unknown, wanted: string, at: At): undefined {
  const shown =
    raw === null ? 'null' : Array.isArray(raw) ? 'a list' : typeof raw === 'object' ? 'an object' : JSON.stringify(raw);
  at.report.add('ISM0002', at.field, `${shown} is not ${wanted}`, `make ${at.field} ${wanted}`);
  return undefined;
}

function reportUnknown(name: string, known: readonly string[], at: At): void {
  const close = closestName(name, known);
  const cure = close === undefined ? `known here: ${known.join(', ')}` : `did you mean \`${close}\`?`;
  at.report.add('ISM0003', member(at.field, name), `there is no field \`${name}\` here`, cure);
}
