// SPDX-License-Identifier: Apache-2.0
// How an object of a cluster differs from what it should be, for people: one line for each field, and none for what others
// have put there.
import { covers } from '../../kube/subset.ts';
import type { KubeObject } from '../../kube/types.ts';

const MAX_LINES = 12;
const MAX_VALUE = 100;

/** `spec.replicas: 1 -> 2`; of a text of several lines those that come and go. Nothing of a Secret but names of its keys. */
export function describeDifference(live: KubeObject, wanted: KubeObject): string[] {
  const { status: _status, ...rest } = wanted;
  const lines = wanted.kind === 'Secret' ? secretDifference(live, rest as KubeObject) : walk(live, rest, '');
  if (lines.length <= MAX_LINES) return lines;
  return [...lines.slice(0, MAX_LINES), `... and ${lines.length - MAX_LINES} more`];
}

function secretDifference(live: KubeObject, { data, stringData, ...wanted }: KubeObject): string[] {
  const before = (live['data'] ?? {}) as Record<string, unknown>;
  const after = { ...(data as object), ...(stringData as object) } as Record<string, unknown>;
  const keys = Object.keys(after).filter((key) => before[key] !== after[key]);
  return [
    ...walk(live, wanted, ''),
    ...keys.map((key) => `data[${key}]: ${before[key] === undefined ? 'added' : 'another'} (not shown)`),
  ];
}

function walk(live: unknown, wanted: unknown, path: string): string[] {
  if (covers(live, wanted)) return [];
  if (isFields(live) && isFields(wanted)) {
    return Object.entries(wanted).flatMap(([name, value]) => walk(live[name], value, join(path, name)));
  }
  if (Array.isArray(live) && Array.isArray(wanted) && live.length === wanted.length) {
    return wanted.flatMap((value, i) => walk(live[i], value, `${path}[${i}]`));
  }
  if (Array.isArray(live) && Array.isArray(wanted)) return listDifference(live, wanted, path);
  const isLong = (value: unknown): value is string => typeof value === 'string' && value.includes('\n');
  if (isLong(wanted) && (isLong(live) || live === ''))
    return lineDifference(live, wanted).map((line) => `${path}: ${line}`);
  return [`${path}: ${showBoth(live, wanted)}`];
}

/** Elements that are in one list only; what a server adds to an element makes it no other. */
function listDifference(live: readonly unknown[], wanted: readonly unknown[], path: string): string[] {
  const gone = live.filter((old) => !wanted.some((value) => covers(old, value)));
  const come = wanted.filter((value) => !live.some((old) => covers(old, value)));
  if (gone.length + come.length === 0) return [`${path}: the order of its entries`];
  return [...gone.map((value) => `${path}: - ${show(value)}`), ...come.map((value) => `${path}: + ${show(value)}`)];
}

/** Of long texts the part where they differ. */
function showBoth(live: unknown, wanted: unknown): string {
  if (typeof live !== 'string' || typeof wanted !== 'string' || Math.max(live.length, wanted.length) <= MAX_VALUE) {
    return `${show(live)} -> ${show(wanted)}`;
  }
  let same = 0;
  while (same < live.length && live[same] === wanted[same]) same++;
  const part = (text: string) => `... ${clip(text.slice(Math.max(0, same - 30)))}`;
  return `${part(live)} -> ${part(wanted)}`;
}

/** Lines that are in one text only, in their order; moved ones are not told. */
function lineDifference(before: string, after: string): string[] {
  const [old, fresh] = [before.split('\n'), after.split('\n')];
  const gone = without(old, fresh).map((line) => `- ${clip(line)}`);
  const come = without(fresh, old).map((line) => `+ ${clip(line)}`);
  return gone.length + come.length === 0 ? ['the order of its lines'] : [...gone, ...come];
}

function without(lines: readonly string[], others: readonly string[]): string[] {
  const left = new Map<string, number>();
  for (const line of others) left.set(line, (left.get(line) ?? 0) + 1);
  return lines.filter((line) => {
    const count = left.get(line) ?? 0;
    left.set(line, count - 1);
    return count <= 0;
  });
}

function show(value: unknown): string {
  return value === undefined || value === null ? '(none)' : clip(JSON.stringify(value));
}

function clip(text: string): string {
  return text.length <= MAX_VALUE ? text : `${text.slice(0, MAX_VALUE - 4)} ...`;
}

function join(path: string, name: string): string {
  if (!/^[\w-]+$/.test(name)) return `${path}[${name}]`;
  return path === '' ? name : `${path}.${name}`;
}

function isFields(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
