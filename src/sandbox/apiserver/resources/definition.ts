// SPDX-License-Identifier: Apache-2.0
// What one resource is: the registry holds a definition per resource, and the REST layer knows nothing else about kinds.
import type { KubeObject } from '../../../kube/types.ts';
import type { ObjectNode } from '../schema/node.ts';
import type { SelectableFields } from '../selectors/field-selector.ts';
import type { GroupResource, StatusCause } from '../status.ts';
import type { ObjectStore } from '../storage/store.ts';
import type { TableColumn } from '../tables/table.ts';
import type { NameRule } from '../validation/names.ts';

/** What strategies may ask the server for. */
export interface StrategyContext {
  readonly store: ObjectStore;
  readonly now: () => Date;
  readonly random: () => number;
  readonly serviceCidr: string;
  readonly nodePortRange: { readonly from: number; readonly to: number };
  readonly dryRun: boolean;
  warn(message: string): void;
}

/** Rules of a kind. Objects are in the storage version; the `prepare` steps change them in place. */
export interface Strategy {
  readonly nameRule: NameRule;
  /** metadata.generation counts changes of anything but metadata and status. */
  readonly generation: boolean;
  /** Before validation of a new object: clear what the server owns, fill in what it allocates. */
  prepareCreate?(object: KubeObject, context: StrategyContext): void;
  /** `old` is frozen. Status has been restored from it already when the kind has a status subresource. */
  prepareUpdate?(object: KubeObject, old: KubeObject, context: StrategyContext): void;
  validate?(object: KubeObject, context: StrategyContext): StatusCause[];
  /**
   * Right before the object is stored, after admission has had its time: false when something that was allocated has
   * been taken meanwhile. The request then starts over.
   */
  confirm?(object: KubeObject, context: StrategyContext): boolean;
  /** Changes that may never be: the only refusals then, for what the rest means depends on what was changed. */
  immutable?(object: KubeObject, old: KubeObject): StatusCause[];
  /** Beyond validate(). */
  validateUpdate?(object: KubeObject, old: KubeObject, context: StrategyContext): StatusCause[];
  validateStatus?(object: KubeObject, old: KubeObject): StatusCause[];
  /** When deletion begins, on a copy with its deletionTimestamp. */
  prepareDelete?(object: KubeObject, now: string): void;
  /** Status of a new object; default: dropped. */
  initialStatus?(object: KubeObject): unknown;
}

/** A subresource through which a part of the object is changed: PUT and PATCH on the object's own kind. */
export interface PartialUpdate {
  /** `old` with that part of `object` alone. Changes neither. */
  keep(object: KubeObject, old: KubeObject): KubeObject;
  validate(object: KubeObject, old: KubeObject): StatusCause[];
}

/** One group and version that a resource is served in. */
export interface ServedVersion {
  readonly group: string;
  readonly version: string;
  readonly node: ObjectNode;
  /** Fills in defaults, in place, in this version. */
  defaults?(object: KubeObject): void;
  /** From this version to the storage version (a new or the same object) and back. Default: apiVersion alone changes. */
  toStorage?(object: KubeObject): KubeObject;
  fromStorage?(object: KubeObject): KubeObject;
  /** Sent as a Warning header with every answer. */
  readonly deprecation?: string;
  /** Overrides the definition's columns. */
  readonly columns?: readonly TableColumn[];
  /** Custom resources: validation beyond decoding, on the object in this version. */
  validateSchema?(object: KubeObject, old: KubeObject | undefined): StatusCause[];
  readonly scale?: ScaleAccess;
  /** Whether there is a status subresource in this version; default: as the definition says. */
  readonly status?: boolean;
}

/** How the scale subresource reads and writes its object. */
export interface ScaleAccess {
  replicas(object: KubeObject): number;
  setReplicas(object: KubeObject, replicas: number): void;
  statusReplicas(object: KubeObject): number;
  /** The selector as text, '' if there is none. */
  selector(object: KubeObject): string;
}

export interface ResourceDefinition {
  readonly resource: string;
  readonly singular: string;
  readonly kind: string;
  readonly listKind: string;
  readonly namespaced: boolean;
  readonly shortNames: readonly string[];
  readonly categories: readonly string[];
  /** The first is preferred; the one that matches storageGroupVersion is how objects are kept. */
  readonly served: readonly ServedVersion[];
  /** "apps/v1", "v1". For a custom resource it may name a version that is not served. */
  readonly storageVersion: string;
  /** Key of the stored objects: "deployments.apps". */
  readonly storageKey: string;
  readonly verbs: readonly string[];
  readonly strategy: Strategy;
  readonly columns: readonly TableColumn[];
  readonly selectableFields: SelectableFields;
  readonly status: boolean;
  readonly scale?: ScaleAccess;
  /** Further subresources of the object's own kind, by name: ephemeralcontainers. */
  readonly parts: Readonly<Record<string, PartialUpdate>>;
  /** DELETE answers the deleted object rather than a Status. */
  readonly deleteReturnsObject: boolean;
  readonly custom: boolean;
  /** Worked out at each question by Core.computed; nothing of it is stored. */
  readonly computed?: boolean;
}

export const ALL_VERBS = ['create', 'delete', 'deletecollection', 'get', 'list', 'patch', 'update', 'watch'] as const;

/** The resource as `version` names it in messages and details. */
export function groupResource(definition: ResourceDefinition, version: ServedVersion): GroupResource {
  return { group: version.group, resource: definition.resource };
}

/** The group that refusals of its objects name: that of the stored form. */
export function homeGroup({ storageVersion }: ResourceDefinition): string {
  return storageVersion.includes('/') ? storageVersion.split('/')[0]! : '';
}

export function groupVersion(version: { readonly group: string; readonly version: string }): string {
  return version.group ? `${version.group}/${version.version}` : version.version;
}

/** `object` (storage version) as `version` shows it. Never changes its argument. */
export function toVersion(version: ServedVersion, object: KubeObject): KubeObject {
  if (version.fromStorage) return version.fromStorage(object);
  const apiVersion = groupVersion(version);
  return object.apiVersion === apiVersion ? object : { ...object, apiVersion };
}

export function toStorage(definition: ResourceDefinition, version: ServedVersion, object: KubeObject): KubeObject {
  if (version.toStorage) return version.toStorage(object);
  return object.apiVersion === definition.storageVersion
    ? object
    : { ...object, apiVersion: definition.storageVersion };
}
