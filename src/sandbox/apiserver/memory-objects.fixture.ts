// SPDX-License-Identifier: Apache-2.0
// ClusterObjects in memory, for the tests of the security modules.
import { randomUUID } from 'node:crypto';
import type { KubeObject } from '../../kube/types.ts';
import type { ClusterObjects, ObjectEvent } from './seams.ts';
import { alreadyExists, type GroupResource, notFound } from './status.ts';

const key = (type: GroupResource, namespace: string, name: string) =>
  `${type.group}/${type.resource}/${namespace}/${name}`;

export class MemoryObjects implements ClusterObjects {
  private readonly stored = new Map<string, KubeObject>();
  private readonly listeners = new Map<string, Set<(event: ObjectEvent) => void>>();

  get(type: GroupResource, namespace: string, name: string): KubeObject | undefined {
    return this.stored.get(key(type, namespace, name));
  }

  list(type: GroupResource, namespace?: string): readonly KubeObject[] {
    const prefix = namespace === undefined ? `${type.group}/${type.resource}/` : key(type, namespace, '');
    return [...this.stored].filter(([one]) => one.startsWith(prefix)).map(([, object]) => object);
  }

  watch(type: GroupResource, listener: (event: ObjectEvent) => void): () => void {
    const name = `${type.group}/${type.resource}`;
    const listeners = this.listeners.get(name) ?? new Set();
    this.listeners.set(name, listeners.add(listener));
    return () => listeners.delete(listener);
  }

  create(type: GroupResource, object: KubeObject): KubeObject {
    const { name = '', namespace = '' } = object.metadata;
    if (this.get(type, namespace, name)) throw alreadyExists(type, name);
    return this.store(type, { ...object, metadata: { uid: randomUUID(), ...object.metadata } }, 'ADDED');
  }

  update(type: GroupResource, object: KubeObject): KubeObject {
    const { name = '', namespace = '' } = object.metadata;
    if (!this.get(type, namespace, name)) throw notFound(type, name);
    return this.store(type, object, 'MODIFIED');
  }

  delete(type: GroupResource, namespace: string, name: string): void {
    this.stored.delete(key(type, namespace, name));
  }

  resolve(wanted: Parameters<ClusterObjects['resolve']>[0]): ReturnType<ClusterObjects['resolve']> {
    if (!wanted.resource) return undefined;
    return { group: wanted.group, resource: wanted.resource, kind: '', namespaced: true, versions: ['v1'] };
  }

  private store(type: GroupResource, object: KubeObject, event: ObjectEvent['type']): KubeObject {
    const frozen = Object.freeze(structuredClone(object));
    this.stored.set(key(type, object.metadata.namespace ?? '', object.metadata.name ?? ''), frozen);
    for (const listener of this.listeners.get(`${type.group}/${type.resource}`) ?? [])
      listener({ type: event, object: frozen });
    return frozen;
  }
}
