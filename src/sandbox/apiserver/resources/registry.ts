// SPDX-License-Identifier: Apache-2.0
// The one table of what is served: built-in resources for good, custom resources as their definitions come and go.
import type { VirtualResource } from '../seams.ts';
import type { GroupResource } from '../status.ts';
import type { ResourceDefinition, ServedVersion } from './definition.ts';

export interface ServedResource {
  readonly definition: ResourceDefinition;
  readonly version: ServedVersion;
}

export interface GroupVersionEntry {
  readonly group: string;
  readonly version: string;
  readonly resources: readonly ServedResource[];
  readonly virtual: readonly VirtualResource[];
}

export class Registry {
  readonly #builtin: readonly ResourceDefinition[];
  readonly #virtual: readonly VirtualResource[];
  readonly #custom = new Map<string, ResourceDefinition>();
  #byPath = new Map<string, ServedResource>();
  readonly #listeners = new Set<() => void>();
  #generation = 0;

  constructor(builtin: readonly ResourceDefinition[], virtual: readonly VirtualResource[] = []) {
    this.#builtin = builtin;
    this.#virtual = virtual;
    this.#index();
  }

  /** Grows with every change; what is derived from the registry (discovery, OpenAPI) is cached by it. */
  get generation(): number {
    return this.#generation;
  }

  /** `name` is the CustomResourceDefinition's: "widgets.example.com". */
  setCustom(name: string, definition: ResourceDefinition | undefined): void {
    if (definition) this.#custom.set(name, definition);
    else this.#custom.delete(name);
    this.#index();
    for (const listener of [...this.#listeners]) listener();
  }

  /** Calls `listener` after each change. Returns the way to end it. */
  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  find(group: string, version: string, resource: string): ServedResource | undefined {
    return this.#byPath.get(`${group}/${version}/${resource}`);
  }

  hasVersion(group: string, version: string): boolean {
    return this.definitions().some(({ served }) =>
      served.some((one) => one.group === group && one.version === version),
    );
  }

  findVirtual(group: string, version: string, resource: string): VirtualResource | undefined {
    return this.#virtual.find(
      (one) => one.group === group && one.resource === resource && one.versions.includes(version),
    );
  }

  /** By the stored resource ("deployments.apps"), whatever serves it. */
  byStorageKey(key: string): ResourceDefinition | undefined {
    return this.definitions().find(({ storageKey }) => storageKey === key);
  }

  byResource(type: GroupResource): ResourceDefinition | undefined {
    return this.definitions().find(
      ({ resource, served }) => resource === type.resource && served.some(({ group }) => group === type.group),
    );
  }

  byKind(group: string, version: string, kind: string): ServedResource | undefined {
    for (const served of this.#byPath.values()) {
      const { definition, version: one } = served;
      if (definition.kind === kind && one.group === group && one.version === version) return served;
    }
    return undefined;
  }

  definitions(): ResourceDefinition[] {
    return [...this.#builtin, ...this.#custom.values()];
  }

  /** Group versions in the order of discovery: core, built-in groups, custom groups by name. */
  groupVersions(): GroupVersionEntry[] {
    const entries = new Map<
      string,
      { group: string; version: string; resources: ServedResource[]; virtual: VirtualResource[] }
    >();
    const entry = (group: string, version: string) => {
      const key = `${group}/${version}`;
      const found = entries.get(key) ?? { group, version, resources: [], virtual: [] };
      entries.set(key, found);
      return found;
    };
    const customs = [...this.#custom.entries()]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([, definition]) => definition);
    for (const definition of [...this.#builtin, ...customs]) {
      for (const version of definition.served)
        entry(version.group, version.version).resources.push({ definition, version });
    }
    for (const one of this.#virtual) for (const version of one.versions) entry(one.group, version).virtual.push(one);
    return [...entries.values()];
  }

  #index(): void {
    this.#generation++;
    this.#byPath = new Map();
    for (const definition of this.definitions()) {
      for (const version of definition.served) {
        this.#byPath.set(`${version.group}/${version.version}/${definition.resource}`, { definition, version });
      }
    }
  }
}
