// SPDX-License-Identifier: Apache-2.0
// One model of "what an object may hold" for built-in types and custom resources alike. Decoding, pruning, strategic
// merge, server-side apply, protobuf and OpenAPI all walk it.

export type ScalarKind =
  | 'string'
  | 'integer'
  | 'number'
  | 'boolean'
  | 'bytes'
  | 'time'
  | 'microTime'
  | 'duration'
  | 'quantity'
  | 'intOrString'
  /** A list of strings that the wire wraps in a message of its own (ExtraValue). */
  | 'strings'
  | 'any';

export type ListType = 'atomic' | 'set' | 'map';

export interface ScalarNode {
  readonly kind: ScalarKind;
  /** As decoding errors name it: string, int32, int64, bool, float64. */
  readonly goType: string;
}

export interface ListNode {
  readonly kind: 'list';
  readonly items: SchemaNode;
  readonly listType: ListType;
  /** For listType map. */
  readonly listKeys: readonly string[];
}

export interface MapNode {
  readonly kind: 'map';
  readonly items: SchemaNode;
  readonly atomic: boolean;
}

export interface SchemaField {
  readonly node: SchemaNode;
  /** Protobuf number; -1 when the wire has the field inside an embedded message, 0 when there is no wire form. */
  readonly number: number;
  readonly required: boolean;
  /** When the field is written: always (even empty), always (null when unset), when not empty, or when set at all. */
  readonly presence: 'always' | 'nullable' | 'nonEmpty' | 'set';
  /** Strategic merge: 'merge', 'replace', 'retainKeys'. Empty: replace for lists, merge for objects. */
  readonly patchStrategies: readonly string[];
  readonly mergeKey?: string;
}

export interface ObjectNode {
  readonly kind: 'object';
  /** "core.v1.Pod"; for custom resources the kind. */
  readonly typeName: string;
  readonly fields: ReadonlyMap<string, SchemaField>;
  readonly embedded: readonly { readonly number: number; readonly node: ObjectNode }[];
  readonly atomic: boolean;
  /** Unknown members are kept (x-kubernetes-preserve-unknown-fields). */
  readonly preserveUnknown: boolean;
  /** Members beyond `fields` follow this (additionalProperties). */
  readonly additional?: SchemaNode;
}

export type SchemaNode = ScalarNode | ListNode | MapNode | ObjectNode;

/** "core.v1.ObjectMeta" -> "ObjectMeta", as Go names the struct in its messages. */
export function structName(node: ObjectNode): string {
  return node.typeName.slice(node.typeName.lastIndexOf('.') + 1);
}
