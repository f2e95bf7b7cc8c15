// SPDX-License-Identifier: Apache-2.0
// JSON Patch (RFC 6902). Errors are worded as the real server's library words them, since clients are shown them.

interface JsonPatchOperation {
  readonly op: string;
  readonly path: string;
  readonly from?: string;
  readonly value?: unknown;
}

export class PatchFailure extends Error {}

/** Applies all operations to a copy and returns it. Throws PatchFailure at the first that does not apply. */
export function applyJsonPatch(document: unknown, operations: readonly unknown[]): unknown {
  // The document hangs below a root of our own, so that the path '' is an ordinary member.
  const root = { document: structuredClone(document) };
  for (const operation of operations) applyOperation(root, readOperation(operation));
  return root.document;
}

/** Reads a patch document. Throws PatchFailure unless it is a list. */
export function parseJsonPatch(text: string): unknown[] {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new PatchFailure((error as Error).message);
  }
  if (!Array.isArray(value)) throw new PatchFailure('a JSON patch must be a list of operations');
  return value;
}

function readOperation(value: unknown): JsonPatchOperation {
  const { op, path, from } = (value ?? {}) as Partial<JsonPatchOperation>;
  if (typeof op !== 'string' || typeof path !== 'string') throw new PatchFailure('an operation needs an op and a path');
  if (from !== undefined && typeof from !== 'string') throw new PatchFailure('from must be a path');
  return value as JsonPatchOperation;
}

type Root = { document: unknown };

function applyOperation(root: Root, { op, path, from, value }: JsonPatchOperation): void {
  switch (op) {
    case 'add':
      add(root, path, structuredClone(value), 'add');
      return;
    case 'remove':
      remove(root, path, 'remove');
      return;
    case 'replace':
      replace(root, path, structuredClone(value));
      return;
    case 'move': {
      const moved = remove(root, requireFrom(op, from), 'move');
      add(root, path, moved, 'move');
      return;
    }
    case 'copy':
      add(root, path, structuredClone(read(root, requireFrom(op, from), 'copy')), 'copy');
      return;
    case 'test': {
      const { container, key } = locate(root, path, 'test');
      if (!deepEqual(member(container, key), value))
        throw new PatchFailure(`testing value ${path} failed: test failed`);
      return;
    }
    default:
      throw new PatchFailure(`Unexpected kind: ${op}`);
  }
}

function requireFrom(op: string, from: string | undefined): string {
  if (from === undefined) throw new PatchFailure(`${op} operation failed to decode from: missing value`);
  return from;
}

type Container = Record<string, unknown> | unknown[];

function locate(root: Root, path: string, op: string): { container: Container; key: string } {
  if (path === '') return { container: root, key: 'document' };
  const missing = () =>
    new PatchFailure(`${op} operation does not apply: doc is missing path: "${path}": missing value`);
  if (!path.startsWith('/')) throw missing();
  const segments = path.split('/').slice(1).map(unescapeSegment);
  const key = segments.pop()!;
  let container: unknown = root.document;
  for (const segment of segments) {
    if (!isContainer(container)) throw missing();
    container = member(container, segment);
  }
  if (!isContainer(container)) throw missing();
  return { container, key };
}

function unescapeSegment(segment: string): string {
  return segment.replaceAll('~1', '/').replaceAll('~0', '~');
}

function isContainer(value: unknown): value is Container {
  return typeof value === 'object' && value !== null;
}

/** Own members only: a path must not reach a prototype. */
function member(container: Container, key: string): unknown {
  if (Array.isArray(container)) return container[toIndex(key, container.length)];
  return Object.hasOwn(container, key) ? container[key] : undefined;
}

function toIndex(key: string, length: number): number {
  if (!/^-?\d+$/.test(key)) throw new PatchFailure(`strconv.Atoi: parsing ${JSON.stringify(key)}: invalid syntax`);
  const index = Number(key);
  return index < 0 ? length + index : index;
}

function add(root: Root, path: string, value: unknown, op: string): void {
  const { container, key } = locate(root, path, op);
  if (!Array.isArray(container)) {
    setMember(container, key, value);
    return;
  }
  const index = key === '-' ? container.length : toIndex(key, container.length + 1);
  if (index < 0 || index > container.length) {
    throw new PatchFailure(
      `error in add for path: '${path}': Unable to access invalid index: ${key}: invalid index referenced`,
    );
  }
  container.splice(index, 0, value);
}

function setMember(container: Record<string, unknown>, key: string, value: unknown): void {
  // Assigning to __proto__ would change the object's kind instead of adding a member.
  Object.defineProperty(container, key, { value, writable: true, enumerable: true, configurable: true });
}

function remove(root: Root, path: string, op: string): unknown {
  const { container, key } = locate(root, path, op);
  if (Array.isArray(container)) {
    const index = toIndex(key, container.length);
    if (index < 0 || index >= container.length) {
      throw new PatchFailure(
        `error in ${op} for path: '${path}': Unable to access invalid index: ${key}: invalid index referenced`,
      );
    }
    return container.splice(index, 1)[0];
  }
  if (!Object.hasOwn(container, key)) {
    throw new PatchFailure(
      `error in ${op} for path: '${path}': Unable to remove nonexistent key: ${key}: missing value`,
    );
  }
  const value = container[key];
  delete container[key];
  return value;
}

function replace(root: Root, path: string, value: unknown): void {
  const { container, key } = locate(root, path, 'replace');
  if (!Array.isArray(container)) {
    // The real server takes a replacement of what is not there as an addition.
    setMember(container, key, value);
    return;
  }
  const index = toIndex(key, container.length);
  if (index < 0 || index >= container.length) {
    throw new PatchFailure(`replace operation does not apply: doc is missing key: ${path}: missing value`);
  }
  container[index] = value;
}

function read(root: Root, path: string, op: string): unknown {
  const { container, key } = locate(root, path, op);
  const value = member(container, key);
  if (value === undefined)
    throw new PatchFailure(`${op} operation does not apply: doc is missing key: ${path}: missing value`);
  return value;
}

function deepEqual(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (!isContainer(a) || !isContainer(b)) return (a ?? null) === (b ?? null);
  if (Array.isArray(a) || Array.isArray(b)) {
    return Array.isArray(a) && Array.isArray(b) && a.length === b.length && a.every((item, i) => deepEqual(item, b[i]));
  }
  const keys = Object.keys(a);
  return (
    keys.length === Object.keys(b).length && keys.every((key) => Object.hasOwn(b, key) && deepEqual(a[key], b[key]))
  );
}
