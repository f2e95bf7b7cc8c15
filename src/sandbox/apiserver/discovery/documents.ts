// SPDX-License-Identifier: Apache-2.0
// Discovery as clients read it: one list per group version, and the aggregated form.
// https://kubernetes.io/docs/concepts/overview/kubernetes-api/#discovery-api
import type { DiscoveredGroup, DiscoveredResource, DiscoveredVersion } from './model.ts';

const groupVersion = (group: string, version: string) => (group ? `${group}/${version}` : version);

export function coreVersions(group: DiscoveredGroup | undefined, server: string): unknown {
  return {
    kind: 'APIVersions',
    versions: group?.versions.map(({ version }) => version) ?? [],
    serverAddressByClientCIDRs: [{ clientCIDR: '0.0.0.0/0', serverAddress: server }],
  };
}

export function groupList(groups: readonly DiscoveredGroup[]): unknown {
  return { kind: 'APIGroupList', apiVersion: 'v1', groups: groups.map(groupBody) };
}

export function groupDocument(group: DiscoveredGroup): unknown {
  return { kind: 'APIGroup', apiVersion: 'v1', ...groupBody(group) };
}

function groupBody({ name, versions }: DiscoveredGroup) {
  const list = versions.map(({ version }) => ({ groupVersion: groupVersion(name, version), version }));
  return { name, versions: list, preferredVersion: list[0] };
}

export function resourceList(group: string, { version, resources }: DiscoveredVersion): unknown {
  return {
    kind: 'APIResourceList',
    ...(group ? { apiVersion: 'v1' } : {}),
    groupVersion: groupVersion(group, version),
    resources: resources.flatMap(resourceEntries),
  };
}

function resourceEntries(resource: DiscoveredResource): unknown[] {
  const { name, singular, kind, namespaced, verbs, shortNames, categories, storageVersionHash } = resource;
  const main = {
    name,
    singularName: singular,
    namespaced,
    kind,
    verbs,
    ...(shortNames.length > 0 ? { shortNames } : {}),
    ...(categories.length > 0 ? { categories } : {}),
    ...(storageVersionHash ? { storageVersionHash } : {}),
  };
  const subresources = resource.subresources.map((sub) => ({
    name: `${name}/${sub.name}`,
    singularName: '',
    namespaced,
    ...(sub.kind.group ? { group: sub.kind.group, version: sub.kind.version } : {}),
    kind: sub.kind.kind,
    verbs: sub.verbs,
  }));
  return [main, ...subresources];
}

export function aggregatedList(groups: readonly DiscoveredGroup[], apiVersion: string): unknown {
  return {
    kind: 'APIGroupDiscoveryList',
    apiVersion,
    metadata: {},
    items: groups.map(({ name, versions }) => ({
      metadata: name ? { name } : {},
      versions: versions.map(({ version, resources }) => ({
        version,
        resources: resources.map((resource) => aggregatedResource(resource, name, version)),
        freshness: 'Current',
      })),
    })),
  };
}

function aggregatedResource(resource: DiscoveredResource, group: string, version: string): unknown {
  const place = resource.custom ? { group, version } : { group: '', version: '' };
  const { name, singular, kind, namespaced, verbs, shortNames, categories, subresources } = resource;
  return {
    resource: name,
    responseKind: { ...place, kind },
    scope: namespaced ? 'Namespaced' : 'Cluster',
    singularResource: singular,
    verbs,
    ...(shortNames.length > 0 ? { shortNames } : {}),
    ...(categories.length > 0 ? { categories } : {}),
    ...(subresources.length > 0
      ? {
          subresources: subresources.map((sub) => ({
            subresource: sub.name,
            responseKind: sub.kind.group === '' ? { ...place, kind: sub.kind.kind } : sub.kind,
            verbs: sub.verbs,
          })),
        }
      : {}),
  };
}
