// SPDX-License-Identifier: Apache-2.0
// The mesh API's objects, decoded once each; of a refused one only its diagnostics are kept.
import { isDeepStrictEqual } from 'node:util';
import type { Diagnostic, ObjectRef } from '../api/diagnostics.ts';
import { decodeObject, type Kind, type MeshObject } from '../api/kind.ts';
import type { Locate } from '../api/report.ts';
import { SERVICE_ENTRY, type ServiceEntry } from '../api/service-entry.ts';
import type { KubeObject } from '../kube/types.ts';
import { type ExportDefaults, saysNobody, withExportTo } from './export-defaults.ts';

interface Held {
  readonly value: MeshObject<unknown> | undefined;
  readonly diagnostics: readonly Diagnostic[];
  readonly locate: Locate | undefined;
  /** When it changed, as a number that grows with each change of any object. */
  readonly changedAt: number;
  /** The value in force before this one: what stays in force while Envoy refuses this one. */
  readonly earlier: MeshObject<unknown> | undefined;
  /** The value that Envoy refused, while `value` is the earlier one. */
  readonly refused?: MeshObject<unknown>;
}

export class RuleState {
  /** Kind -> `NAMESPACE/NAME` of the objects that have changed since the last `settle`, and what they were then. */
  readonly dirty = new Map<string, Map<string, MeshObject<unknown> | undefined>>();

  readonly #kinds = new Map<string, Map<string, Held>>();
  /** By kind and name, of those of which there is something to be said. */
  readonly #told = new Map<string, readonly Diagnostic[]>();
  #defaults: ExportDefaults = {};
  /** By kind, objects as others see them, by what was written: the very same until the kind's default is another. */
  readonly #complete = new Map<string, WeakMap<MeshObject<unknown>, MeshObject<unknown>>>();
  #changes = 0;

  upsert(kind: Kind<unknown>, object: KubeObject, cluster: string, locate: Locate | undefined): void {
    const { value, diagnostics } = decodeObject(kind, object, { cluster, locate });
    const name = objectName(object);
    const held = this.#kinds.get(kind.kind)?.get(name);
    // The source may say again what is refused already.
    if (held?.refused !== undefined && isDeepStrictEqual(held.refused, value)) return;
    const unchanged = held !== undefined && isDeepStrictEqual(held.value, value);
    const { changedAt, earlier } = unchanged ? held : { changedAt: ++this.#changes, earlier: held?.value };
    this.#set(kind.kind, name, { value, diagnostics, locate, changedAt, earlier });
  }

  /** Who sees the objects that do not say it, by kind. */
  setExportDefaults(defaults: ExportDefaults): void {
    const changed = Object.keys(defaults).filter((kind) => !isDeepStrictEqual(defaults[kind], this.#defaults[kind]));
    for (const kind of changed) {
      for (const [name, { value }] of this.#kinds.get(kind) ?? []) {
        if (value !== undefined && saysNobody(value)) this.#note(kind, name, value);
      }
    }
    this.#defaults = defaults;
    for (const kind of changed) this.#complete.delete(kind);
  }

  /** Puts the earlier value of an object into force, or none, because Envoy does not take the one it has. */
  refuse(ref: ObjectRef, diagnostic: Diagnostic): void {
    const held = this.#held(ref);
    if (held?.value === undefined || held.refused !== undefined) return;
    const { value, earlier } = held;
    const diagnostics = [...held.diagnostics, diagnostic];
    this.#set(ref.kind, `${ref.namespace}/${ref.name}`, { ...held, value: earlier, refused: value, diagnostics });
  }

  /** Takes a refusal back. */
  restore(ref: ObjectRef, diagnostic: Diagnostic): void {
    const held = this.#held(ref);
    if (held?.refused === undefined) return;
    const { refused: value, ...rest } = held;
    const diagnostics = held.diagnostics.filter((d) => d !== diagnostic);
    this.#set(ref.kind, `${ref.namespace}/${ref.name}`, { ...rest, value, diagnostics });
  }

  /** When the object changed last; 0 for one that is not here, or is refused already. */
  changedAt(ref: ObjectRef): number {
    const held = this.#held(ref);
    return held === undefined || held.refused !== undefined ? 0 : held.changedAt;
  }

  delete(kind: Kind<unknown>, object: Pick<KubeObject, 'metadata'>): void {
    this.#set(kind.kind, objectName(object), undefined);
  }

  settle(): void {
    this.dirty.clear();
  }

  /** The objects of a kind that have changed, as they were and as they are. */
  changesOf<Spec>({ kind }: Kind<Spec>): (readonly [MeshObject<Spec> | undefined, MeshObject<Spec> | undefined])[] {
    return [...(this.dirty.get(kind) ?? [])].flatMap(([name, before]) => {
      const after = this.#valueOf(kind, name);
      return before === after ? [] : [[before, after] as [MeshObject<Spec> | undefined, MeshObject<Spec> | undefined]];
    });
  }

  serviceEntry(name: string): ServiceEntry | undefined {
    return this.valueOf(SERVICE_ENTRY, name);
  }

  /** `name`: NAMESPACE/NAME. */
  valueOf<Spec>(kind: Kind<Spec>, name: string): MeshObject<Spec> | undefined {
    return this.#valueOf(kind.kind, name) as MeshObject<Spec> | undefined;
  }

  #valueOf(kind: string, name: string): MeshObject<unknown> | undefined {
    const value = this.#kinds.get(kind)?.get(name)?.value;
    return value && this.#completed(value);
  }

  #completed(value: MeshObject<unknown>): MeshObject<unknown> {
    const { kind } = value.ref;
    const known = this.#complete.get(kind)?.get(value);
    if (known !== undefined) return known;
    const complete = withExportTo(value, this.#defaults);
    if (complete !== value) this.#complete.set(kind, (this.#complete.get(kind) ?? new WeakMap()).set(value, complete));
    return complete;
  }

  diagnostics(): Diagnostic[] {
    return [...this.#told.values()].flat();
  }

  #held({ kind, namespace, name }: ObjectRef): Held | undefined {
    return this.#kinds.get(kind)?.get(`${namespace}/${name}`);
  }

  locate(kind: string, namespace: string, name: string): Locate | undefined {
    return this.#kinds.get(kind)?.get(`${namespace}/${name}`)?.locate;
  }

  #set(kind: string, name: string, next: Held | undefined): void {
    const objects = this.#kinds.get(kind) ?? new Map<string, Held>();
    const before = objects.get(name)?.value;
    // An equal object keeps its identity, so that everything compiled from it is kept too.
    const same = isDeepStrictEqual(before, next?.value);
    if (next === undefined) objects.delete(name);
    else objects.set(name, same ? { ...next, value: before } : next);
    this.#kinds.set(kind, objects);
    if (next === undefined || next.diagnostics.length === 0) this.#told.delete(`${kind} ${name}`);
    else this.#told.set(`${kind} ${name}`, next.diagnostics);
    if (!same) this.#note(kind, name, before);
  }

  /** `before`: what it was until now. */
  #note(kind: string, name: string, before: MeshObject<unknown> | undefined): void {
    const dirty = this.dirty.get(kind) ?? new Map<string, MeshObject<unknown> | undefined>();
    if (!dirty.has(name)) dirty.set(name, before && this.#completed(before));
    this.dirty.set(kind, dirty);
  }
}

function objectName(object: Pick<KubeObject, 'metadata'>): string {
  return `${object.metadata.namespace ?? ''}/${object.metadata.name ?? ''}`;
}
