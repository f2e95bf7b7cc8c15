// SPDX-License-Identifier: Apache-2.0
// What our shapes say of each field of Istio's API, at every place where the field can stand.
import { KINDS } from '../../src/api/kinds.ts';
import { meshConfig } from '../../src/api/mesh-config.ts';
import { meshNetworks } from '../../src/api/mesh-networks.ts';
import type { JsonSchema } from '../../src/api/shape.ts';
import type { Inventory, IstioField } from './inventory.ts';

/**
 * carried: decoded, and has an effect. refused: ISM0004. idle: ISM0005. unknown: our shape lacks it (ISM0003), though
 * Istio has it. unread: our shape takes anything there.
 */
export type Status = 'carried' | 'refused' | 'idle' | 'unknown' | 'unread';

export interface Place {
  /** `VirtualService.http[].retries.attempts`. */
  readonly path: string;
  /** `networking.HTTPRetry.attempts`; of an enum's value, `networking.ClientTLSSettings.mode=SIMPLE`. */
  readonly key: string;
  readonly status: Status;
  /** What a refusal advises, or why the field is idle. */
  readonly cure: string | undefined;
}

export interface OwnPlace {
  readonly path: string;
  readonly key: string;
  readonly status: 'carried' | 'refused' | 'idle';
  readonly cure: string | undefined;
}

export interface Declarations {
  readonly places: readonly Place[];
  /** Fields and values of ours that Istio does not have. */
  readonly own: readonly OwnPlace[];
  /** Kinds that have no shape. */
  readonly missingKinds: readonly string[];
}

export function readDeclarations(inventory: Inventory): Declarations {
  const places: Place[] = [];
  const own: OwnPlace[] = [];
  const missingKinds: string[] = [];
  for (const [kind, message] of inventory.roots) {
    const schema = schemaOf(kind);
    if (schema === undefined) missingKinds.push(kind);
    else walkMessage({ inventory, places, own }, message, schema, kind);
  }
  return { places, own, missingKinds };
}

function schemaOf(kind: string): JsonSchema | undefined {
  if (kind === 'MeshConfig') return meshConfig.schema;
  if (kind === 'MeshNetworks') return meshNetworks.schema;
  return KINDS.find((k) => k.kind === kind)?.spec.schema;
}

interface Walk {
  readonly inventory: Inventory;
  readonly places: Place[];
  readonly own: OwnPlace[];
}

function walkMessage(walk: Walk, message: string, schema: JsonSchema, path: string): void {
  const fields = walk.inventory.messages.get(message)!;
  const properties = (schema['properties'] ?? {}) as Readonly<Record<string, JsonSchema>>;
  for (const [name, inner] of Object.entries(properties)) {
    if (fields.has(name)) continue;
    const place = { path: `${path}.${name}`, key: `${message}.${name}` };
    walk.own.push({ ...place, status: 'carried', cure: undefined, ...absence(inner) });
  }
  for (const field of fields.values()) walkField(walk, message, field, properties[field.name], `${path}.${field.name}`);
}

function walkField(walk: Walk, message: string, field: IstioField, schema: JsonSchema | undefined, path: string): void {
  const { places, inventory } = walk;
  const key = `${message}.${field.name}`;
  if (schema === undefined) {
    places.push({ path, key, status: 'unknown', cure: undefined });
    return;
  }
  const absent = absence(schema);
  if (absent !== undefined) {
    places.push({ path, key, ...absent });
    return;
  }
  const inner = innerSchema(field, schema, inventory.messages.get(field.type)?.size === 0);
  const structured = (inventory.messages.get(field.type)?.size ?? 0) > 0;
  if (inner === undefined || (structured && inner['properties'] === undefined)) {
    places.push({ path, key, status: 'unread', cure: undefined });
    return;
  }
  places.push({ path, key, status: 'carried', cure: undefined });
  const here = path + { one: '', list: '[]', map: '{}' }[field.form];
  const values = inventory.enums.get(field.type);
  if (values !== undefined) walkValues(walk, key, values, inner, here);
  else if (structured) walkMessage(walk, field.type, inner, here);
}

/** What the shapes' `refused` and `idle` write into the schema. */
function absence(schema: JsonSchema): { status: 'refused' | 'idle'; cure: string } | undefined {
  const description = String(schema['description'] ?? '');
  const [, word, cure] = /^(Not supported|Without effect): (.*)\.$/s.exec(description) ?? [];
  return cure === undefined ? undefined : { status: word === 'Not supported' ? 'refused' : 'idle', cure };
}

/** Of the entries of a list or a map; undefined where the schema takes anything, and something could be there. */
function innerSchema(field: IstioField, schema: JsonSchema, isEmpty: boolean): JsonSchema | undefined {
  if (field.form === 'one') {
    const free = field.type === 'struct' || field.type === 'value' || isEmpty;
    return free || schema['type'] !== undefined ? schema : undefined;
  }
  return schema[field.form === 'list' ? 'items' : 'additionalProperties'] as JsonSchema | undefined;
}

function walkValues(walk: Walk, key: string, values: readonly string[], schema: JsonSchema, path: string): void {
  const ours = (schema['enum'] ?? []) as readonly string[];
  const [, refused] = /^Values not supported: (.*)\.$/.exec(String(schema['description'] ?? '')) ?? [];
  const refusals = refused?.split(', ') ?? [];
  for (const value of ours) {
    if (values.includes(value)) continue;
    walk.own.push({ path: `${path}=${value}`, key: `${key}=${value}`, status: 'carried', cure: undefined });
  }
  for (const value of values) {
    const status = refusals.includes(value) ? 'refused' : ours.includes(value) ? 'carried' : 'unknown';
    walk.places.push({ path: `${path}=${value}`, key: `${key}=${value}`, status, cure: undefined });
  }
}
