// SPDX-License-Identifier: Apache-2.0
// The store as the security modules and the server's own upkeep see it.
import { type TrackedWrite, trackCreate, trackUpdate } from './apply/managed-fields.ts';
import { groupVersion, type ResourceDefinition } from './resources/definition.ts';
import type { Registry } from './resources/registry.ts';
import { timestamp } from './rest/create.ts';
import type { ClusterObjects } from './seams.ts';
import { alreadyExists, type GroupResource, modified, noSuchResource, notFound } from './status.ts';
import type { ObjectStore, StoredObject } from './storage/store.ts';

export interface ClusterObjectsInputs {
  readonly store: ObjectStore;
  readonly registry: () => Registry;
  readonly now: () => Date;
  readonly newUid: () => string;
}

/** What managed fields call the server's own writes. */
export const OWN_MANAGER = 'kube-apiserver';

export function ownWrite(definition: ResourceDefinition, now: () => Date, subresource = ''): TrackedWrite {
  const version = definition.served.find((one) => groupVersion(one) === definition.storageVersion);
  if (!version) throw new Error(`${definition.storageKey}: the stored version is not served`);
  return { version, definition, path: { subresource }, core: { now } };
}

export function createClusterObjects({ store, registry, now, newUid }: ClusterObjectsInputs): ClusterObjects {
  const definitionOf = (type: GroupResource): ResourceDefinition => {
    const found = registry().byResource(type);
    if (!found) throw noSuchResource();
    return found;
  };
  const find = (type: GroupResource, namespace: string, name: string): StoredObject | undefined => {
    const definition = registry().byResource(type);
    return (
      definition &&
      store.get({ resource: definition.storageKey, namespace: definition.namespaced ? namespace : '', name })
    );
  };
  return {
    get: (type, namespace, name) => find(type, namespace, name)?.object,
    list: (type, namespace) => {
      const definition = registry().byResource(type);
      return definition ? store.list(definition.storageKey, namespace || undefined).map(({ object }) => object) : [];
    },
    watch: (type, listener) =>
      store.subscribe(definitionOf(type).storageKey, ({ type: kind, stored }) =>
        listener({ type: kind, object: stored.object }),
      ),
    create(type, object) {
      const definition = definitionOf(type);
      const namespace = definition.namespaced ? (object.metadata.namespace ?? '') : '';
      const name = object.metadata.name ?? '';
      const key = { resource: definition.storageKey, namespace, name };
      if (store.get(key)) throw alreadyExists(type, name);
      const metadata = {
        ...object.metadata,
        uid: newUid(),
        creationTimestamp: timestamp(now()),
        ...(definition.strategy.generation ? { generation: 1 } : {}),
      };
      return store.create(key, trackCreate({ ...object, metadata }, ownWrite(definition, now), OWN_MANAGER)).object;
    },
    update(type, object, by = { manager: OWN_MANAGER, subresource: '' }) {
      const { name = '', namespace = '', resourceVersion } = object.metadata;
      const current = find(type, namespace, name);
      if (!current) throw notFound(type, name);
      if (resourceVersion && resourceVersion !== current.object.metadata.resourceVersion) throw modified(type, name);
      const definition = definitionOf(type);
      const write = ownWrite(definition, now, by.subresource);
      const tracked = trackUpdate(object, current.object, write, by.manager);
      return store.update(current.key, tracked, current.revision).object;
    },
    resolve({ group, version, resource, kind }) {
      const found = registry()
        .definitions()
        .find(
          (one) =>
            (resource === undefined || one.resource === resource) &&
            (kind === undefined || one.kind === kind) &&
            one.served.some(
              (served) => served.group === group && (version === undefined || served.version === version),
            ),
        );
      if (!found) return undefined;
      return {
        group,
        resource: found.resource,
        kind: found.kind,
        namespaced: found.namespaced,
        versions: found.served.filter((served) => served.group === group).map((served) => served.version),
      };
    },
  };
}
