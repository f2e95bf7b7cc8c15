// SPDX-License-Identifier: Apache-2.0
// Random objects of every kind, made from the names of Istio's API: whatever our shapes carry out may be in them. Most are
// valid; those that are not are left out by whoever uses them.
import fc from 'fast-check';
import type { KubeObject } from '../../src/kube/types.ts';
import type { Declarations } from './declared.ts';
import type { Inventory, IstioField } from './inventory.ts';
import { FIXES, GROUPS, NAMES, NAMESPACES, POOLS, SCALARS } from './value-pools.ts';

export class ObjectGenerator {
  readonly #inventory: Inventory;
  /** Places that are carried out. */
  readonly #carried: ReadonlySet<string>;
  readonly #missingKinds: readonly string[];
  readonly #places: Declarations['places'];

  constructor(inventory: Inventory, declarations: Declarations) {
    this.#inventory = inventory;
    this.#missingKinds = declarations.missingKinds;
    this.#places = declarations.places;
    this.#carried = new Set(declarations.places.filter((p) => p.status === 'carried').map((p) => p.path));
  }

  /** Kinds of which there are objects. */
  get kinds(): readonly string[] {
    return [...this.#inventory.roots.keys()].filter((kind) => kind in GROUPS && !this.#missingKinds.includes(kind));
  }

  /** Fields and values that objects of a kind may have, by key. */
  keys(kind: string): readonly string[] {
    return this.#places.filter((p) => p.status === 'carried' && p.path.startsWith(`${kind}.`)).map((p) => p.key);
  }

  object(kind: string): fc.Arbitrary<KubeObject> {
    const created = fc.nat(5).map((n) => new Date(Date.UTC(2026, 0, 1, 0, 0, n)).toISOString());
    const header = fc.record({ namespace: fc.constantFrom(...NAMESPACES), name: fc.constantFrom(...NAMES), created });
    return fc.tuple(header, this.spec(kind)).map(([{ namespace, name, created }, spec]) => ({
      apiVersion: GROUPS[kind]!,
      kind,
      metadata: { name, namespace, creationTimestamp: created },
      spec,
    }));
  }

  /** Of a kind, or the `mesh` of ConfigMap istio for `MeshConfig`. */
  spec(kind: string): fc.Arbitrary<Record<string, unknown>> {
    return this.#message(this.#inventory.roots.get(kind)!, kind);
  }

  #message(message: string, path: string): fc.Arbitrary<Record<string, unknown>> {
    const fields = [...this.#inventory.messages.get(message)!.values()].filter(
      (f) =>
        // A list of revoked certificates is a file that nobody here can write.
        f.name !== 'caCrl' && this.#carried.has(`${path}.${f.name}`),
    );
    const fix = FIXES[message];
    const musts = fields.filter((f) => f.required || fix?.needs?.includes(f.name));
    const others = fields.filter((f) => !musts.includes(f));
    return fc
      .subarray(others, { minLength: Math.min(others.length, 1), maxLength: Math.min(others.length, 4) })
      .chain((chosen) => {
        const groups = new Set<string>();
        const taken = [...musts, ...chosen].filter((field) => {
          if (field.oneof === undefined) return true;
          const isFirst = !groups.has(field.oneof);
          groups.add(field.oneof);
          return isFirst;
        });
        return fc.record(Object.fromEntries(taken.map((f) => [f.name, this.#field(message, f, `${path}.${f.name}`)])));
      })
      .map((value) => fix?.mend?.(value) ?? value);
  }

  #field(message: string, field: IstioField, path: string): fc.Arbitrary<unknown> {
    const pool = POOLS[`${message}.${field.name}`] ?? POOLS[field.name];
    if (pool !== undefined) return pool;
    if (field.form === 'list')
      return fc.array(this.#value(message, field, `${path}[]`), { minLength: 1, maxLength: 2 });
    if (field.form === 'map') {
      const keys = fc.constantFrom('version', 'app', 'x-one');
      return fc.dictionary(keys, this.#value(message, field, `${path}{}`), { minKeys: 1, maxKeys: 2 });
    }
    return this.#value(message, field, path);
  }

  #value(message: string, field: IstioField, path: string): fc.Arbitrary<unknown> {
    const { messages, enums } = this.#inventory;
    const one = POOLS[field.type];
    if (one !== undefined) return one;
    if (messages.has(field.type)) return this.#message(field.type, path);
    const values = enums.get(field.type)?.filter((value) => this.#carried.has(`${path}=${value}`));
    if (values !== undefined) return fc.constantFrom(...values);
    const scalar = SCALARS[field.type];
    if (scalar === undefined) throw new Error(`no values for ${message}.${field.name}: ${field.type}`);
    return scalar;
  }
}
