// SPDX-License-Identifier: Apache-2.0
// Values under their schema: what they set, how two of them differ, how one is laid over another, and what is left
// when fields are taken away. The rules are those of sigs.k8s.io/structured-merge-diff.
import { sameJson } from '../crd/schema-validation.ts';
import { isRecord } from '../schema/decode.ts';
import type { ListNode, SchemaNode } from '../schema/node.ts';
import { FieldSet, FieldSetBuilder, type Path, pathText } from './field-set.ts';

export class TypedValueError extends Error {}

const ANY: SchemaNode = { kind: 'any', goType: 'any' };

/** Lists and objects that are one value: a change of a part is a change of the whole. */
function isLeaf(node: SchemaNode, value: unknown): boolean {
  if (node.kind === 'list') return node.listType === 'atomic' || !Array.isArray(value);
  if (node.kind === 'map') return node.atomic || !isRecord(value);
  if (node.kind === 'object') return node.atomic || !isRecord(value);
  return !(node.kind === 'any' && isRecord(value));
}

function memberNode(node: SchemaNode, name: string): SchemaNode {
  if (node.kind === 'object') return node.fields.get(name)?.node ?? node.additional ?? ANY;
  return node.kind === 'map' ? node.items : ANY;
}

function isDeclared(node: SchemaNode, name: string): boolean {
  return node.kind === 'object' && node.fields.has(name);
}

/** Keys that a list item may leave out because their value has a default. */
const KEY_DEFAULTS: Readonly<Record<string, unknown>> = { protocol: 'TCP' };

function itemElement(node: ListNode, item: unknown): string {
  if (node.listType === 'set') return `v:${JSON.stringify(item)}`;
  if (!isRecord(item)) throw new TypedValueError('associative list with keys has an element that is not an object');
  const keys = [...node.listKeys].sort().flatMap((key) => {
    const value = item[key] ?? KEY_DEFAULTS[key];
    return value === undefined ? [] : [[key, value]];
  });
  return `k:${JSON.stringify(Object.fromEntries(keys))}`;
}

/** The items of an associative list by their element, in order. Throws on items of one name. */
function itemsByElement(node: ListNode, list: unknown, path: Path): Map<string, unknown> {
  const items = new Map<string, unknown>();
  for (const item of Array.isArray(list) ? list : []) {
    const element = itemElement(node, item);
    if (items.has(element)) {
      const shown = pathText([element]);
      throw new TypedValueError(`${pathText(path)}: duplicate entries for key ${shown.replace(/^\[=(.*)\]$/, '[$1]')}`);
    }
    items.set(element, item);
  }
  return items;
}

/** Every field that `value` sets. */
export function fieldSetOf(value: unknown, node: SchemaNode): FieldSet {
  const builder = new FieldSetBuilder();
  collect(value, node, builder, []);
  return builder.build();
}

function collect(value: unknown, node: SchemaNode, into: FieldSetBuilder, path: Path): void {
  if (isRecord(value)) {
    for (const [name, member] of Object.entries(value)) {
      const element = `f:${name}`;
      const inner = memberNode(node, name);
      const empty = member === null || (isRecord(member) && Object.keys(member).length === 0);
      if (isLeaf(inner, member)) into.add(element);
      else {
        collect(member, inner, into.child(element), [...path, element]);
        if (empty || !isDeclared(node, name)) into.add(element);
      }
    }
  } else if (node.kind === 'list') {
    for (const [element, item] of itemsByElement(node, value, path)) {
      into.add(element);
      if (!isLeaf(node.items, item)) collect(item, node.items, into.child(element), [...path, element]);
    }
  }
}

export interface Comparison {
  readonly added: FieldSet;
  readonly modified: FieldSet;
  readonly removed: FieldSet;
}

export function compareValues(before: unknown, after: unknown, node: SchemaNode): Comparison {
  const sets = { added: new FieldSetBuilder(), modified: new FieldSetBuilder(), removed: new FieldSetBuilder() };
  compare(before, after, node, [], sets);
  return { added: sets.added.build(), modified: sets.modified.build(), removed: sets.removed.build() };
}

type Builders = Readonly<Record<keyof Comparison, FieldSetBuilder>>;

function compare(before: unknown, after: unknown, node: SchemaNode, path: Path, sets: Builders): void {
  if (before === undefined && after === undefined) return;
  const given = after ?? before;
  if (isLeaf(node, given) || (isBlank(before) && isBlank(after))) {
    if (before === undefined) sets.added.insert(path);
    else if (after === undefined) sets.removed.insert(path);
    else if (!sameJson(before, after)) sets.modified.insert(path);
    return;
  }
  if (node.kind === 'list') {
    const [old, now] = [itemsByElement(node, before, path), itemsByElement(node, after, path)];
    for (const element of new Set([...old.keys(), ...now.keys()])) {
      compare(old.get(element), now.get(element), node.items, [...path, element], sets);
    }
  } else {
    const [old, now] = [isRecord(before) ? before : {}, isRecord(after) ? after : {}];
    for (const name of new Set([...Object.keys(old), ...Object.keys(now)])) {
      compare(old[name], now[name], memberNode(node, name), [...path, `f:${name}`], sets);
    }
  }
  if (before === undefined) sets.added.insert(path);
  else if (after === undefined) sets.removed.insert(path);
}

/** Nothing, null, or nothing in it. */
function isBlank(value: unknown): boolean {
  if (value === undefined || value === null) return true;
  if (Array.isArray(value)) return value.length === 0;
  return isRecord(value) && Object.keys(value).length === 0;
}

/** `over` laid over `base`: lists by their keys, everything else by name. */
export function mergeValues(base: unknown, over: unknown, node: SchemaNode): unknown {
  if (over === undefined) return base;
  if (base === undefined || base === null || isLeaf(node, over)) return over;
  if (node.kind === 'list') return mergeLists(base, over, node);
  if (!isRecord(base) || !isRecord(over)) return over;
  const names = new Set([...Object.keys(base), ...Object.keys(over)]);
  return Object.fromEntries(
    [...names].map((name) => [name, mergeValues(base[name], over[name], memberNode(node, name))]),
  );
}

/** The order of `over`, with items that only `base` has kept where they stood between the shared ones. */
function mergeLists(base: unknown, over: unknown, node: ListNode): unknown[] {
  const [old, now] = [itemsByElement(node, base, []), itemsByElement(node, over, [])];
  const result: unknown[] = [];
  const left = [...old.keys()];
  const right = [...now.keys()];
  const taken = new Set<string>();
  while (left.length > 0 || right.length > 0) {
    const first = left[0];
    if (first !== undefined && !now.has(first)) {
      result.push(old.get(first));
      left.shift();
    } else if (first !== undefined && taken.has(first)) {
      left.shift();
    } else {
      const next = right.shift();
      if (next === undefined) break;
      taken.add(next);
      result.push(mergeValues(old.get(next), now.get(next), node.items));
      if (first === next) left.shift();
    }
  }
  return result;
}

/** `value` without the fields in `set`; undefined when nothing is left. */
export function removeFields(value: unknown, set: FieldSet, node: SchemaNode): unknown {
  if (set.isEmpty || isLeaf(node, value)) return value;
  if (node.kind === 'list') {
    const kept: unknown[] = [];
    for (const [element, item] of itemsByElement(node, value, [])) {
      if (set.members.has(element)) continue;
      kept.push(set.children.has(element) ? removeFields(item, set.child(element), node.items) : item);
    }
    return kept.length > 0 ? kept : undefined;
  }
  const entries: [string, unknown][] = [];
  for (const [name, member] of Object.entries(value as object)) {
    const element = `f:${name}`;
    if (set.members.has(element)) continue;
    const left = set.children.has(element) ? removeFields(member, set.child(element), memberNode(node, name)) : member;
    if (left !== undefined) entries.push([name, left]);
  }
  return entries.length > 0 ? Object.fromEntries(entries) : undefined;
}

/** Declared fields that have something below them count as members themselves. */
export function withNamedMembers(set: FieldSet, node: SchemaNode): FieldSet {
  const members = new Set(set.members);
  const children: [string, FieldSet][] = [];
  for (const [element, child] of set.children) {
    const name = element.slice(2);
    if (element.startsWith('f:') && isDeclared(node, name)) members.add(element);
    const inner = element.startsWith('f:') ? memberNode(node, name) : node.kind === 'list' ? node.items : ANY;
    children.push([element, withNamedMembers(child, inner)]);
  }
  return FieldSet.of(members, children);
}
