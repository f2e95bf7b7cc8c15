// SPDX-License-Identifier: Apache-2.0
// What discovery says, before it is written as legacy lists, as aggregated lists, or as OpenAPI.
import { createHash } from 'node:crypto';
import { compareVersions } from '../crd/definition.ts';
import type { ResourceDefinition, ServedVersion } from '../resources/definition.ts';
import type { GroupVersionEntry, Registry } from '../resources/registry.ts';
import type { GroupVersionKind, SubresourceHandler } from '../seams.ts';

export interface DiscoveredSubresource {
  readonly name: string;
  /** group and version are '' when they are those of the resource. */
  readonly kind: GroupVersionKind;
  readonly verbs: readonly string[];
}

export interface DiscoveredResource {
  readonly name: string;
  readonly singular: string;
  readonly kind: string;
  /** Aggregated discovery names group and version of custom kinds only. */
  readonly custom: boolean;
  readonly namespaced: boolean;
  readonly verbs: readonly string[];
  readonly shortNames: readonly string[];
  readonly categories: readonly string[];
  readonly subresources: readonly DiscoveredSubresource[];
  /** Changes with the version that objects are stored in; '' when nothing is stored. */
  readonly storageVersionHash: string;
}

export interface DiscoveredVersion {
  readonly version: string;
  readonly resources: readonly DiscoveredResource[];
}

export interface DiscoveredGroup {
  /** '' for the core group. */
  readonly name: string;
  /** The first is preferred. */
  readonly versions: readonly DiscoveredVersion[];
}

/** The order of groups decides what a bare name such as "deployments" means to kubectl. */
const GROUP_ORDER: readonly string[] = [
  '',
  'apiregistration.k8s.io',
  'apps',
  'events.k8s.io',
  'authentication.k8s.io',
  'authorization.k8s.io',
  'autoscaling',
  'batch',
  'networking.k8s.io',
  'policy',
  'rbac.authorization.k8s.io',
  'admissionregistration.k8s.io',
  'storage.k8s.io',
  'apiextensions.k8s.io',
  'scheduling.k8s.io',
  'coordination.k8s.io',
  'node.k8s.io',
  'discovery.k8s.io',
  'extensions',
];

/** In the order in which the real server tells them. */
const CUSTOM_VERBS = ['delete', 'deletecollection', 'get', 'list', 'patch', 'create', 'update', 'watch'];
const READ_WRITE = ['get', 'patch', 'update'];
const HTTP_VERBS: Readonly<Record<string, string>> = {
  GET: 'get',
  POST: 'create',
  PUT: 'update',
  PATCH: 'patch',
  DELETE: 'delete',
};

export function discoveredGroups(
  registry: Registry,
  handlers: ReadonlyMap<string, SubresourceHandler>,
): DiscoveredGroup[] {
  const groups = new Map<string, GroupVersionEntry[]>();
  for (const entry of registry.groupVersions()) groups.set(entry.group, [...(groups.get(entry.group) ?? []), entry]);
  const rank = (name: string) => (GROUP_ORDER.includes(name) ? GROUP_ORDER.indexOf(name) : GROUP_ORDER.length);
  return [...groups]
    .sort(([a], [b]) => rank(a) - rank(b) || (a < b ? -1 : 1))
    .map(([name, entries]) => ({
      name,
      versions: entries
        .sort((a, b) => compareVersions(a.version, b.version))
        .map((entry) => ({ version: entry.version, resources: resourcesOf(entry, handlers) })),
    }));
}

function resourcesOf(
  entry: GroupVersionEntry,
  handlers: ReadonlyMap<string, SubresourceHandler>,
): DiscoveredResource[] {
  const stored = entry.resources.map(({ definition, version }) => ({
    name: definition.resource,
    singular: definition.singular,
    kind: definition.kind,
    custom: definition.custom,
    namespaced: definition.namespaced,
    // Namespaces are deleted one at a time.
    verbs: verbsOf(definition),
    // Only the storage group answers to short names and categories: "all" must not show a Deployment twice.
    shortNames: isPrimary(definition, version) ? definition.shortNames : [],
    categories: isPrimary(definition, version) ? definition.categories : [],
    subresources: subresourcesOf(definition, version, handlers),
    storageVersionHash: definition.computed ? '' : storageVersionHash(definition),
  }));
  const virtual = entry.virtual.map(({ resource, kind, namespaced }) => ({
    name: resource,
    singular: kind.toLowerCase(),
    kind,
    custom: false,
    namespaced,
    verbs: ['create'],
    shortNames: [],
    categories: [],
    subresources: [],
    storageVersionHash: '',
  }));
  return [...stored, ...virtual].sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** As every API server makes it, so that clients see the same storage as the same. */
function storageVersionHash({ storageVersion, kind }: ResourceDefinition): string {
  const name = `${storageVersion.includes('/') ? '' : '/'}${storageVersion}/${kind}`;
  return createHash('sha256').update(name).digest().subarray(0, 8).toString('base64');
}

function verbsOf({ kind, custom, verbs }: ResourceDefinition): readonly string[] {
  if (kind === 'Namespace' && !custom) return verbs.filter((verb) => verb !== 'deletecollection');
  return custom ? CUSTOM_VERBS : verbs;
}

function isPrimary(definition: ResourceDefinition, version: ServedVersion): boolean {
  return version.group === definition.served[0]?.group || version.group !== 'extensions';
}

function subresourcesOf(
  definition: ResourceDefinition,
  version: ServedVersion,
  handlers: ReadonlyMap<string, SubresourceHandler>,
): DiscoveredSubresource[] {
  const own = { group: '', version: '', kind: definition.kind };
  const list: DiscoveredSubresource[] = [];
  if (version.status ?? definition.status) list.push({ name: 'status', kind: own, verbs: READ_WRITE });
  if (version.scale ?? definition.scale) {
    list.push({ name: 'scale', kind: { group: 'autoscaling', version: 'v1', kind: 'Scale' }, verbs: READ_WRITE });
  }
  for (const name of Object.keys(definition.parts)) list.push({ name, kind: own, verbs: READ_WRITE });
  if (version.group !== '') return list.sort(byName);
  if (definition.resource === 'namespaces') list.push({ name: 'finalize', kind: own, verbs: ['update'] });
  if (definition.resource === 'pods') {
    list.push({ name: 'binding', kind: { ...own, kind: 'Binding' }, verbs: ['create'] });
    list.push({ name: 'eviction', kind: { group: 'policy', version: 'v1', kind: 'Eviction' }, verbs: ['create'] });
  }
  for (const [path, handler] of handlers) {
    const [resource, name = ''] = path.split('/');
    if (resource !== definition.resource) continue;
    const { group, kind } = handler.kind;
    const verbs = Object.keys(handler.methods).map((method) => HTTP_VERBS[method] ?? method.toLowerCase());
    list.push({ name, kind: group === '' ? { ...own, kind } : handler.kind, verbs: verbs.sort() });
  }
  return list.sort(byName);
}

function byName(a: { name: string }, b: { name: string }): number {
  return a.name < b.name ? -1 : 1;
}
