// SPDX-License-Identifier: Apache-2.0
// A CustomResourceDefinition object as a resource definition that the server can serve.
import type { KubeObject } from '../../../kube/types.ts';
import { ALL_VERBS, type ResourceDefinition, type ScaleAccess, type ServedVersion } from '../resources/definition.ts';
import { METADATA_FIELDS } from '../resources/kind-builder.ts';
import type { ObjectNode } from '../schema/node.ts';
import type { SelectableFields } from '../selectors/field-selector.ts';
import type { StatusCause } from '../status.ts';
import { AGE, age, type Cell, column, NAME, type TableColumn } from '../tables/table.ts';
import { invalidValue } from '../validation/causes.ts';
import { subdomainProblem } from '../validation/names.ts';
import { compileRules } from './cel-rules.ts';
import { causesWithin } from './evaluation-limit.ts';
import { compileJsonPath } from './json-path.ts';
import type { JsonSchema } from './json-schema.ts';
import { applyDefaults } from './prune.ts';
import { customRootNode } from './schema-node.ts';
import { validateAgainst, validateListTypes } from './schema-validation.ts';

export interface CrdNames {
  plural: string;
  singular?: string;
  kind: string;
  listKind?: string;
  shortNames?: string[];
  categories?: string[];
}

export interface CrdColumn {
  name: string;
  type: string;
  format?: string;
  description?: string;
  priority?: number;
  jsonPath: string;
}

export interface CrdVersion {
  name: string;
  served: boolean;
  storage: boolean;
  deprecated?: boolean;
  deprecationWarning?: string;
  schema?: { openAPIV3Schema?: JsonSchema };
  subresources?: {
    status?: object;
    scale?: { specReplicasPath: string; statusReplicasPath: string; labelSelectorPath?: string };
  };
  additionalPrinterColumns?: CrdColumn[];
  selectableFields?: { jsonPath: string }[];
}

export interface CrdSpec {
  group: string;
  names: CrdNames;
  scope: string;
  versions: CrdVersion[];
  preserveUnknownFields?: boolean;
  conversion?: { strategy?: string };
}

export interface CrdObject extends KubeObject {
  spec: CrdSpec;
  status?: {
    conditions?: { type: string; status: string; reason?: string; message?: string; lastTransitionTime?: string }[];
    acceptedNames?: CrdNames;
    storedVersions?: string[];
  };
}

/** `metadata` is the built-in ObjectMeta. Newest stable versions come first, as discovery wants them. */
export function buildCustomDefinition(crd: CrdObject, metadata: ObjectNode): ResourceDefinition {
  const { group, names, scope, versions } = crd.spec;
  const served = versions.filter((version) => version.served).sort((a, b) => compareVersions(a.name, b.name));
  const storage = versions.find((version) => version.storage) ?? versions[0]!;
  return {
    resource: names.plural,
    singular: names.singular ?? names.kind.toLowerCase(),
    kind: names.kind,
    listKind: names.listKind ?? `${names.kind}List`,
    namespaced: scope === 'Namespaced',
    shortNames: names.shortNames ?? [],
    categories: names.categories ?? [],
    served: served.map((version) => servedVersion(crd.spec, version, metadata)),
    storageVersion: `${group}/${storage.name}`,
    storageKey: `${names.plural}.${group}`,
    verbs: ALL_VERBS,
    strategy: {
      nameRule: subdomainProblem,
      generation: true,
      initialStatus: () => undefined,
    },
    columns: [NAME, AGE],
    selectableFields: selectableFields(versions),
    status: versions.some(({ subresources }) => subresources?.status !== undefined),
    parts: {},
    deleteReturnsObject: false,
    custom: true,
  };
}

function servedVersion(spec: CrdSpec, version: CrdVersion, metadata: ObjectNode): ServedVersion {
  const schema = spec.preserveUnknownFields
    ? { ...version.schema?.openAPIV3Schema, 'x-kubernetes-preserve-unknown-fields': true }
    : version.schema?.openAPIV3Schema;
  const rules = schema ? compileRules(schema) : undefined;
  const scale = version.subresources?.scale ? scaleAccess(version.subresources.scale) : undefined;
  return {
    group: spec.group,
    version: version.name,
    node: customRootNode(schema, spec.names.kind, metadata),
    defaults(object) {
      if (schema) applyDefaults(object, schema);
    },
    validateSchema(object, old) {
      const scalePath = version.subresources?.scale?.specReplicasPath;
      return causesWithin(() => {
        const causes = schema ? validateAgainst(object, schema, '', old) : [];
        if (scalePath) causes.push(...validateReplicas(object, scalePath));
        const doubles = schema ? validateListTypes(object, schema, '') : [];
        return [...doubles, ...(rules ? rules.extend(causes, object, old) : causes)];
      });
    },
    columns: versionColumns(version),
    status: version.subresources?.status !== undefined,
    ...(scale ? { scale } : {}),
    ...(version.deprecated ? { deprecation: version.deprecationWarning ?? deprecationOf(spec, version) } : {}),
  };
}

/** Names the newest version that is served and not deprecated itself, if it is newer. */
function deprecationOf({ group, names, versions }: CrdSpec, { name }: CrdVersion): string {
  const [better] = versions
    .filter(({ served, deprecated }) => served && !deprecated)
    .sort((a, b) => compareVersions(a.name, b.name));
  const use = better && compareVersions(better.name, name) < 0 ? `; use ${group}/${better.name} ${names.kind}` : '';
  return `${group}/${name} ${names.kind} is deprecated${use}`;
}

/** What the scale subresource is going to read must be a count. */
function validateReplicas(object: KubeObject, path: string): StatusCause[] {
  const value = compileJsonPath(path)?.(object)[0];
  if (value === undefined) return [];
  if (typeof value === 'number')
    return value < 0 ? [invalidValue(path, value, 'should be a non-negative integer')] : [];
  return [
    invalidValue(
      path,
      0,
      `${path} accessor error: ${JSON.stringify(value).replaceAll('"', '')} is of the type ${typeof value}, expected int64`,
    ),
  ];
}

/** v2 > v1 > v1beta2 > v1beta1 > v1alpha1 > anything else by name. https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definition-versioning/#version-priority */
export function compareVersions(a: string, b: string): number {
  const [rankA, rankB] = [versionRank(a), versionRank(b)];
  for (const [index, value] of rankA.entries()) if (value !== rankB[index]) return rankB[index]! - value;
  return a < b ? -1 : a > b ? 1 : 0;
}

function versionRank(version: string): [number, number, number] {
  const match = /^v(\d+)(?:(alpha|beta)(\d+))?$/.exec(version);
  if (!match) return [0, 0, 0];
  const stage = match[2] === 'alpha' ? 1 : match[2] === 'beta' ? 2 : 3;
  return [stage, Number(match[1]), Number(match[3] ?? 0)];
}

function versionColumns(version: CrdVersion): readonly TableColumn[] {
  if (!version.additionalPrinterColumns?.length) return [NAME, { ...AGE, type: 'date' }];
  return [NAME, ...version.additionalPrinterColumns.map(printerColumn)];
}

function printerColumn(spec: CrdColumn): TableColumn {
  const read = compileJsonPath(spec.jsonPath);
  return {
    ...column(spec.name, (object, now) => cellOf(read?.(object) ?? [], spec.type, now)),
    type: spec.type as TableColumn['type'],
    format: spec.format ?? '',
    description: spec.description || `Custom resource definition column (in JSONPath format): ${spec.jsonPath}`,
    priority: spec.priority ?? 0,
  };
}

function cellOf(values: unknown[], type: string, now: Date): Cell {
  const value = values[0];
  if (value === undefined) return null;
  switch (type) {
    case 'date':
      return typeof value === 'string' && !Number.isNaN(Date.parse(value)) ? age(value, now) : '<invalid>';
    case 'integer':
    case 'number':
      return typeof value === 'number' ? value : null;
    case 'boolean':
      return typeof value === 'boolean' ? value : null;
    default: {
      const list = values.length > 1 || Array.isArray(value) ? (Array.isArray(value) ? value : values) : undefined;
      if (list)
        return list.length === 1 || values.length === 1 ? JSON.stringify(value) : values.map(scalarText).join(',');
      return scalarText(value);
    }
  }
}

/** An object's own toString, if somebody gave it one, is not for us to call. */
function scalarText(value: unknown): string {
  return typeof value === 'object' ? JSON.stringify(value) : String(value);
}

function selectableFields(versions: readonly CrdVersion[]): SelectableFields {
  const fields: Record<string, (object: KubeObject) => string> = { ...METADATA_FIELDS };
  for (const { jsonPath } of versions.flatMap((version) => version.selectableFields ?? [])) {
    const read = compileJsonPath(jsonPath);
    fields[jsonPath.replace(/^\./, '')] = (object) => scalarText(read?.(object)[0] ?? '');
  }
  return { fields, terse: true };
}

function scaleAccess(paths: NonNullable<NonNullable<CrdVersion['subresources']>['scale']>): ScaleAccess {
  const read = (path: string | undefined) => (object: KubeObject) =>
    path ? compileJsonPath(path)?.(object)[0] : undefined;
  return {
    replicas: (object) => Number(read(paths.specReplicasPath)(object) ?? 0),
    setReplicas: (object, replicas) => {
      const steps = paths.specReplicasPath.replace(/^\./, '').split('.');
      const last = steps.pop()!;
      let at = object as Record<string, unknown>;
      for (const step of steps) {
        at[step] = { ...(at[step] as object | undefined) };
        at = at[step] as Record<string, unknown>;
      }
      at[last] = replicas;
    },
    statusReplicas: (object) => Number(read(paths.statusReplicasPath)(object) ?? 0),
    selector: (object) => scalarText(read(paths.labelSelectorPath)(object) ?? ''),
  };
}
