// SPDX-License-Identifier: Apache-2.0
// Reads the table of built-in types (types/*.ts). The names, wire numbers and merge rules are those of the published
// Kubernetes API; the notation is ours:
//   @core.v1                      what follows belongs to this package
//   Container                     a type ("X atomic": server-side apply replaces it as a whole)
//     name! 1 string              field, required ("!"), protobuf number, type; written even when empty
//     image? 2 string             left out when empty ("", 0, false, [], {})
//     replicas* 1 int32           left out only when unset: 0 and false are kept
//     selector~! 2 LabelSelector  null when unset
//     ports? 6 list ContainerPort patch=merge:containerPort list=map:containerPort,protocol
//     ... 1 LocalObjectReference  embedded: its fields stand in this object (JSON), but in a message of their own (wire)
import type { ListType, ObjectNode, ScalarKind, SchemaField, SchemaNode } from './node.ts';

const SCALARS: Readonly<Record<string, ScalarKind>> = {
  string: 'string',
  int32: 'integer',
  int64: 'integer',
  double: 'number',
  bool: 'boolean',
  bytes: 'bytes',
  time: 'time',
  microTime: 'microTime',
  duration: 'duration',
  quantity: 'quantity',
  intOrString: 'intOrString',
  raw: 'any',
  any: 'any',
  fields: 'any',
  strings: 'strings',
};

const GO_TYPES: Readonly<Record<string, string>> = { double: 'float64', bytes: '[]uint8', strings: '[]string' };

const PRESENCE: Readonly<Record<string, SchemaField['presence']>> = {
  '': 'always',
  '?': 'nonEmpty',
  '*': 'set',
  '~': 'nullable',
};

export type TypeTable = ReadonlyMap<string, ObjectNode>;

/** "core.v1.Pod" -> its node. Types may refer to each other across texts and in cycles. */
export function parseTypes(texts: readonly string[]): TypeTable {
  const table = new Map<string, MutableObject>();
  const fill: (() => void)[] = [];
  for (const text of texts) readText(text, table, fill);
  for (const step of fill) step();
  for (const node of table.values()) flattenEmbedded(node, new Set());
  return table;
}

interface MutableObject {
  kind: 'object';
  typeName: string;
  fields: Map<string, SchemaField>;
  embedded: { number: number; node: ObjectNode }[];
  atomic: boolean;
  preserveUnknown: boolean;
}

function readText(text: string, table: Map<string, MutableObject>, fill: (() => void)[]): void {
  let scope = '';
  let current: MutableObject | undefined;
  for (const line of text.split('\n')) {
    if (line === '') continue;
    if (line.startsWith('@')) {
      scope = line.slice(1);
    } else if (line.startsWith('  ')) {
      const owner = current;
      if (!owner) throw new Error(`schema table: field outside a type: ${line}`);
      const home = scope;
      fill.push(() => readField(line.trim(), home, owner, table));
    } else {
      const [name, flag] = line.split(' ');
      current = {
        kind: 'object',
        typeName: `${scope}.${name}`,
        fields: new Map(),
        embedded: [],
        atomic: flag === 'atomic',
        preserveUnknown: false,
      };
      table.set(current.typeName, current);
    }
  }
}

function readField(line: string, scope: string, owner: MutableObject, table: Map<string, MutableObject>): void {
  const words = line.split(' ');
  const label = words.shift()!;
  const number = Number(words.shift());
  const shape = words[0] === 'list' || words[0] === 'map' ? words.shift()! : 'single';
  const type = words.shift()!;
  const rules = new Map(words.map((word) => word.split('=') as [string, string]));
  const element = resolveType(type, scope, table);
  if (label === '...') {
    owner.embedded.push({ number, node: element as ObjectNode });
    return;
  }
  const { name, mark, bang } = /^(?<name>[^?*~!]+)(?<mark>[?*~]?)(?<bang>!?)$/.exec(label)!.groups!;
  const [strategies, mergeKey] = (rules.get('patch') ?? '').split(':');
  owner.fields.set(name!, {
    node: shapeNode(shape, element, rules),
    number,
    required: bang === '!',
    presence: PRESENCE[mark!]!,
    patchStrategies: strategies ? strategies.split('|') : [],
    ...(mergeKey ? { mergeKey } : {}),
  });
}

function resolveType(type: string, scope: string, table: Map<string, MutableObject>): SchemaNode {
  const scalar = SCALARS[type];
  if (scalar) return { kind: scalar, goType: GO_TYPES[type] ?? type };
  const found = table.get(type.includes('.') ? type : `${scope}.${type}`);
  if (!found) throw new Error(`schema table: no type ${type} (in ${scope})`);
  return found;
}

function shapeNode(shape: string, element: SchemaNode, rules: ReadonlyMap<string, string>): SchemaNode {
  if (shape === 'list') {
    const [listType = 'atomic', keys = ''] = (rules.get('list') ?? 'atomic').split(':');
    return { kind: 'list', items: element, listType: listType as ListType, listKeys: keys ? keys.split(',') : [] };
  }
  if (shape === 'map') return { kind: 'map', items: element, atomic: rules.get('map') === 'atomic' };
  if (rules.get('map') === 'atomic' || rules.get('struct') === 'atomic') {
    return element.kind === 'object' ? { ...element, atomic: true } : element;
  }
  return element;
}

function flattenEmbedded(node: MutableObject, active: Set<MutableObject>): void {
  if (active.has(node)) return;
  active.add(node);
  for (const { node: inner } of node.embedded) {
    flattenEmbedded(inner as MutableObject, active);
    for (const [name, field] of inner.fields) {
      if (!node.fields.has(name)) node.fields.set(name, { ...field, number: -1 });
    }
  }
}
