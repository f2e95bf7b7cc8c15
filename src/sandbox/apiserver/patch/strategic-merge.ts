// SPDX-License-Identifier: Apache-2.0
// Strategic merge patch: lists of built-in types merge by the keys that their schema names.
// https://github.com/kubernetes/community/blob/master/contributors/devel/sig-api-machinery/strategic-merge-patch.md
import { isRecord } from '../schema/decode.ts';
import type { ObjectNode, SchemaField, SchemaNode } from '../schema/node.ts';

export class StrategicMergeError extends Error {}

const DIRECTIVE = '$patch';
const RETAIN_KEYS = '$retainKeys';
const DELETE_PREFIX = '$deleteFromPrimitiveList/';
const ORDER_PREFIX = '$setElementOrder/';

type Members = Record<string, unknown>;

/** A merged copy; `node` is the type of `original`. Throws StrategicMergeError. */
export function applyStrategicMerge(original: Members, patch: Members, node: ObjectNode): Members {
  return mergeObject(original, patch, node) ?? {};
}

/** undefined: the object is deleted. */
function mergeObject(original: Members, patch: Members, node: SchemaNode | undefined): Members | undefined {
  const directive = patch[DIRECTIVE];
  if (directive !== undefined) {
    if (directive === 'replace') return plain(patch);
    if (directive === 'delete') return {};
    if (directive !== 'merge')
      throw new StrategicMergeError(`unknown patch type: ${directive} in map: ${goMap(patch)}`);
  }
  const result: Members = { ...original };
  retainKeys(result, patch);
  applyDeletions(result, patch);
  for (const [name, value] of Object.entries(patch)) {
    if (name.startsWith('$')) continue;
    const field = fieldOf(node, name);
    if (value === null) delete result[name];
    else if (isRecord(value)) mergeMember(result, name, value, field);
    else if (Array.isArray(value)) mergeListMember(result, name, value, field);
    else result[name] = value;
  }
  applyOrders(result, original, patch, node);
  return result;
}

function fieldOf(node: SchemaNode | undefined, name: string): SchemaField | undefined {
  if (node?.kind === 'object') return node.fields.get(name);
  if (node?.kind !== 'map') return undefined;
  return { node: node.items, number: 0, required: false, presence: 'set', patchStrategies: [] };
}

function mergeMember(result: Members, name: string, value: Members, field: SchemaField | undefined): void {
  const before = result[name];
  if (value[DIRECTIVE] === 'delete') delete result[name];
  else if (!isRecord(before) || field?.patchStrategies.includes('replace'))
    result[name] = plain(mergeObject({}, value, field?.node) ?? {});
  else result[name] = mergeObject(before, value, field?.node);
}

function mergeListMember(result: Members, name: string, value: unknown[], field: SchemaField | undefined): void {
  if (!field?.patchStrategies.includes('merge')) {
    result[name] = value.filter((item) => !isRecord(item) || item[DIRECTIVE] === undefined).map(strip);
    return;
  }
  const before = Array.isArray(result[name]) ? (result[name] as unknown[]) : [];
  const itemNode = field.node.kind === 'list' ? field.node.items : undefined;
  const merged = field.mergeKey
    ? mergeByKey(before, value, field.mergeKey, itemNode)
    : [...before, ...value.filter((item) => !before.includes(item))];
  const identity = identityBy(field.mergeKey);
  result[name] = reorder(merged, value.map(identity), before.map(identity), identity);
}

function mergeByKey(before: unknown[], patch: unknown[], key: string, node: SchemaNode | undefined): unknown[] {
  const items = patch.map((item) => {
    if (!isRecord(item)) throw new StrategicMergeError(`list element is not a map: ${JSON.stringify(item)}`);
    return item;
  });
  const replace = items.some((item) => item[DIRECTIVE] === 'replace' && Object.keys(item).length === 1);
  let result: unknown[] = replace ? [] : [...before];
  for (const item of items) {
    const directive = item[DIRECTIVE];
    if (directive === 'replace' && Object.keys(item).length === 1) continue;
    if (item[key] === undefined) {
      throw new StrategicMergeError(`map: ${goMap(item)} does not contain declared merge key: ${key}`);
    }
    if (directive === 'delete') {
      result = result.filter((one) => !isRecord(one) || one[key] !== item[key]);
      continue;
    }
    if (directive !== undefined && directive !== 'replace' && directive !== 'merge') {
      throw new StrategicMergeError(`unknown patch type: ${directive} in map: ${goMap(item)}`);
    }
    const index = result.findIndex((one) => isRecord(one) && one[key] === item[key]);
    const target = index >= 0 ? (result[index] as Members) : {};
    const merged = directive === 'replace' ? plain(item) : mergeObject(target, item, node);
    if (index >= 0) result[index] = merged;
    else result.push(merged);
  }
  return result;
}

function retainKeys(result: Members, patch: Members): void {
  const keep = patch[RETAIN_KEYS];
  if (!Array.isArray(keep)) return;
  for (const name of Object.keys(result)) if (!keep.includes(name)) delete result[name];
}

function applyDeletions(result: Members, patch: Members): void {
  for (const [directive, values] of Object.entries(patch)) {
    if (!directive.startsWith(DELETE_PREFIX) || !Array.isArray(values)) continue;
    const name = directive.slice(DELETE_PREFIX.length);
    const list = result[name];
    if (Array.isArray(list)) result[name] = list.filter((item) => !values.includes(item));
  }
}

/**
 * $setElementOrder: the items that it names stand in its order; items that only the server has keep their place
 * relative to their former neighbours.
 */
function applyOrders(result: Members, original: Members, patch: Members, node: SchemaNode | undefined): void {
  for (const [directive, order] of Object.entries(patch)) {
    if (!directive.startsWith(ORDER_PREFIX) || !Array.isArray(order)) continue;
    const name = directive.slice(ORDER_PREFIX.length);
    const list = result[name];
    if (!Array.isArray(list)) continue;
    const identity = identityBy(fieldOf(node, name)?.mergeKey);
    const before = Array.isArray(original[name]) ? (original[name] as unknown[]) : [];
    result[name] = reorder(list, order.map(identity), before.map(identity), identity);
  }
}

function identityBy(key: string | undefined): (item: unknown) => string {
  return (item) => JSON.stringify(key && isRecord(item) ? item[key] : item);
}

/** Items of the patch in its order; the others, in theirs, before the first of those that stood behind them. */
function reorder(
  list: unknown[],
  order: readonly string[],
  before: readonly string[],
  identity: (item: unknown) => string,
): unknown[] {
  const rank = new Map(order.map((id, index) => [id, index]));
  const position = new Map(before.map((id, index) => [id, index]));
  const named = list
    .filter((item) => rank.has(identity(item)))
    .sort((a, b) => rank.get(identity(a))! - rank.get(identity(b))!);
  const others = list.filter((item) => !rank.has(identity(item)));
  const result: unknown[] = [];
  while (named.length > 0 || others.length > 0) {
    const [there, here] = [position.get(identity(others[0])), position.get(identity(named[0]))];
    const takeOther =
      named.length === 0 || (others.length > 0 && there !== undefined && here !== undefined && there < here);
    result.push(takeOther ? others.shift() : named.shift());
  }
  return result;
}

/** Without directives, nulls left out. */
function plain(value: Members): Members {
  const entries = Object.entries(value).filter(([name, item]) => !name.startsWith('$') && item !== null);
  return Object.fromEntries(entries.map(([name, item]) => [name, strip(item)]));
}

function strip(value: unknown): unknown {
  if (Array.isArray(value)) return value.filter((item) => !isRecord(item) || item[DIRECTIVE] === undefined).map(strip);
  return isRecord(value) ? plain(value) : value;
}

/** Go's %v of a map: keys sorted. */
export function goMap(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(goMap).join(' ')}]`;
  if (value === null) return '<nil>';
  if (!isRecord(value)) return String(value);
  const names = Object.keys(value).sort();
  return `map[${names.map((name) => `${name}:${goMap(value[name])}`).join(' ')}]`;
}
