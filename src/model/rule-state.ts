// SPDX-License-Identifier: Apache-2.0
// The mesh API's objects, decoded once each; of a refused one only its diagnostics are kept.
import { isDeepStrictEqual } from 'node:util';
import { DESTINATION_RULE, type DestinationRule } from '../api/destination-rule.ts';
import type { Diagnostic, ObjectRef } from '../api/diagnostics.ts';
import { GATEWAY, type Gateway } from '../api/gateway.ts';
import { decodeObject, type Kind, type MeshObject } from '../api/kind.ts';
import type { Locate } from '../api/report.ts';
import { SERVICE_ENTRY, type ServiceEntry } from '../api/service-entry.ts';
import { VIRTUAL_SERVICE, type VirtualService } from '../api/virtual-service.ts';
import type { KubeObject } from '../kube/types.ts';

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
  /** Kinds with a changed object since the last `settle`. */
  readonly dirtyKinds = new Set<string>();
  /** `NAMESPACE/NAME` of the ServiceEntries among them. */
  readonly dirtyEntries = new Set<string>();

  readonly #kinds = new Map<string, Map<string, Held>>();
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
    this.dirtyKinds.clear();
    this.dirtyEntries.clear();
  }

  /** Oldest first, then by namespace and name. */
  virtualServices(): VirtualService[] {
    return this.#sorted(VIRTUAL_SERVICE);
  }
  destinationRules(): DestinationRule[] {
    return this.#sorted(DESTINATION_RULE);
  }
  gateways(): Gateway[] {
    return this.#sorted(GATEWAY);
  }
  serviceEntry(name: string): ServiceEntry | undefined {
    return this.#kinds.get(SERVICE_ENTRY.kind)?.get(name)?.value as ServiceEntry | undefined;
  }

  diagnostics(): Diagnostic[] {
    return [...this.#kinds.values()].flatMap((held) => [...held.values()].flatMap((h) => h.diagnostics));
  }

  #held({ kind, namespace, name }: ObjectRef): Held | undefined {
    return this.#kinds.get(kind)?.get(`${namespace}/${name}`);
  }

  locate(kind: string, namespace: string, name: string): Locate | undefined {
    return this.#kinds.get(kind)?.get(`${namespace}/${name}`)?.locate;
  }

  #sorted<Spec>(kind: Kind<Spec>): MeshObject<Spec>[] {
    const held = [...(this.#kinds.get(kind.kind)?.values() ?? [])];
    const values = held.flatMap((h) => (h.value === undefined ? [] : [h.value as MeshObject<Spec>]));
    const name = (o: MeshObject<Spec>) => `${o.ref.namespace}/${o.ref.name}`;
    return values.sort((a, b) => a.createdAtMs - b.createdAtMs || (name(a) < name(b) ? -1 : 1));
  }

  #set(kind: string, name: string, next: Held | undefined): void {
    const objects = this.#kinds.get(kind) ?? new Map<string, Held>();
    const before = objects.get(name)?.value;
    // An equal object keeps its identity, so that everything compiled from it is kept too.
    const same = isDeepStrictEqual(before, next?.value);
    if (next === undefined) objects.delete(name);
    else objects.set(name, same ? { ...next, value: before } : next);
    this.#kinds.set(kind, objects);
    if (same) return;
    this.dirtyKinds.add(kind);
    if (kind === SERVICE_ENTRY.kind) this.dirtyEntries.add(name);
  }
}

function objectName(object: Pick<KubeObject, 'metadata'>): string {
  return `${object.metadata.namespace ?? ''}/${object.metadata.name ?? ''}`;
}
