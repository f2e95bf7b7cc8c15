// SPDX-License-Identifier: Apache-2.0
// RFC 6902, with two habits of the real server's library: replace may add a member, and a wrong test refuses the patch.
import { sameJson } from '../crd/schema-validation.ts';

export class PatchFailure extends Error {}

interface Operation {
  readonly op: string;
  readonly path: string;
  readonly from?: string;
  readonly value?: unknown;
}

/** A changed copy of `document`. Throws PatchFailure. */
export function applyJsonPatch(document: unknown, operations: readonly unknown[]): unknown {
  let current = structuredClone(document);
  for (const operation of operations) current = applyOne(current, operation as Operation);
  return current;
}

function applyOne(document: unknown, operation: Operation): unknown {
  if (typeof operation !== 'object' || operation === null || typeof operation.path !== 'string') {
    throw new PatchFailure('an operation needs a path');
  }
  switch (operation.op) {
    case 'add':
      return set(document, operation.path, structuredClone(operation.value), 'add');
    case 'replace':
      return set(document, operation.path, structuredClone(operation.value), 'replace');
    case 'remove':
      return remove(document, operation.path);
    case 'test':
      if (!sameJson(find(document, operation.path) ?? null, operation.value ?? null)) {
        throw new PatchFailure(`testing value ${operation.path} failed`);
      }
      return document;
    case 'copy':
      return set(document, operation.path, structuredClone(existing(document, operation.from)), 'add');
    case 'move': {
      const value = existing(document, operation.from);
      return set(remove(document, operation.from!), operation.path, value, 'add');
    }
    default:
      throw new PatchFailure(`Unexpected kind: ${operation.op}`);
  }
}

function steps(pointer: string): string[] {
  if (pointer === '') return [];
  if (!pointer.startsWith('/')) throw new PatchFailure(`not a pointer: ${pointer}`);
  return pointer
    .slice(1)
    .split('/')
    .map((step) => step.replaceAll('~1', '/').replaceAll('~0', '~'));
}

function find(document: unknown, pointer: string): unknown {
  return steps(pointer).reduce<unknown>((at, step) => child(at, step), document);
}

function child(parent: unknown, step: string): unknown {
  if (Array.isArray(parent)) return /^\d+$/.test(step) ? parent[Number(step)] : undefined;
  if (typeof parent !== 'object' || parent === null || !Object.hasOwn(parent, step)) return undefined;
  return (parent as Record<string, unknown>)[step];
}

function existing(document: unknown, pointer: string | undefined): unknown {
  if (typeof pointer !== 'string') throw new PatchFailure('an operation needs a from');
  const value = find(document, pointer);
  if (value === undefined) throw new PatchFailure(`nothing at ${pointer}`);
  return value;
}

function parentOf(document: unknown, pointer: string): { parent: object; step: string } {
  const path = steps(pointer);
  const step = path.pop();
  const parent = path.reduce<unknown>((at, one) => child(at, one), document);
  if (step === undefined || typeof parent !== 'object' || parent === null) {
    throw new PatchFailure(`missing path: ${pointer}`);
  }
  return { parent, step };
}

function set(document: unknown, pointer: string, value: unknown, how: 'add' | 'replace'): unknown {
  if (pointer === '') return value;
  const { parent, step } = parentOf(document, pointer);
  if (!Array.isArray(parent)) {
    Object.defineProperty(parent, step, { value, enumerable: true, configurable: true, writable: true });
    return document;
  }
  const index = step === '-' && how === 'add' ? parent.length : Number(step);
  const limit = how === 'add' ? parent.length : parent.length - 1;
  if (!Number.isInteger(index) || index < 0 || index > limit) throw new PatchFailure(`index ${step} is out of bounds`);
  parent.splice(index, how === 'add' ? 0 : 1, value);
  return document;
}

function remove(document: unknown, pointer: string): unknown {
  const { parent, step } = parentOf(document, pointer);
  if (child(parent, step) === undefined) throw new PatchFailure(`nothing to remove at ${pointer}`);
  if (Array.isArray(parent)) parent.splice(Number(step), 1);
  else delete (parent as Record<string, unknown>)[step];
  return document;
}
