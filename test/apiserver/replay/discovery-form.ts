// SPDX-License-Identifier: Apache-2.0
// Discovery documents with their lists as maps: what one server serves more than the other must not shift the rest.

type Json = Record<string, unknown>;

const KINDS: ReadonlySet<unknown> = new Set(['APIGroupList', 'APIGroupDiscoveryList', 'APIResourceList']);

/** Other documents come back as they are. The order of a list is a member of its own, of what both may have. */
export function byName(document: unknown): unknown {
  if (typeof document !== 'object' || document === null) return document;
  const { kind, paths } = document as Json;
  if (Array.isArray(paths)) return { ...document, paths: Object.fromEntries(paths.map((path) => [path, true])) };
  return KINDS.has(kind) ? keyed(document) : document;
}

function keyed(value: unknown): unknown {
  if (Array.isArray(value)) {
    const entries = value.map((item) => [nameOf(item), keyed(item)] as const);
    if (entries.every(([name]) => name !== undefined)) return Object.fromEntries(entries);
    return value;
  }
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, keyed(inner)]));
}

function nameOf(item: unknown): string | undefined {
  if (typeof item !== 'object' || item === null) return undefined;
  const { name, resource, subresource, version, metadata } = item as Json;
  // The core group has no name.
  const group = metadata === undefined ? undefined : ((metadata as Json)['name'] ?? 'core');
  const found = name ?? resource ?? subresource ?? version ?? group;
  return typeof found === 'string' ? found : undefined;
}
