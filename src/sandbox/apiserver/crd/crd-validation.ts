// SPDX-License-Identifier: Apache-2.0
// Is a CustomResourceDefinition one that can be served? Wording and field paths as the real server's.
import type { KubeObject } from '../../../kube/types.ts';
import type { StatusCause } from '../status.ts';
import { duplicate, forbiddenField, IMMUTABLE, invalidValue, required, unsupported } from '../validation/causes.ts';
import { dns1035Problem, subdomainProblem } from '../validation/names.ts';
import { ruleProblem } from './cel-rules.ts';
import type { CrdObject, CrdVersion } from './definition.ts';
import { causesWithin } from './evaluation-limit.ts';
import type { JsonSchema } from './json-schema.ts';
import { compilePattern, validateAgainst } from './schema-validation.ts';

const SCOPES = ['Cluster', 'Namespaced'];
const TYPES = ['array', 'boolean', 'integer', 'number', 'object', 'string'];

/** Defaults are validated by the patterns that they have to match, hence the limit. */
export function validateCrd(object: KubeObject): StatusCause[] {
  return causesWithin(() => validateDefinition(object));
}

function validateDefinition(object: KubeObject): StatusCause[] {
  const { metadata, spec } = object as CrdObject;
  const causes: StatusCause[] = [];
  const { group = '', names, scope = '' } = spec;
  const versions = spec.versions ?? [];
  if (metadata.name !== `${names?.plural ?? ''}.${group}`) {
    causes.push(invalidValue('metadata.name', metadata.name, 'must be spec.names.plural+"."+spec.group'));
  }
  if (!group) causes.push(required('spec.group'));
  else if (subdomainProblem(group)) causes.push(invalidValue('spec.group', group, subdomainProblem(group)!));
  else if (!group.includes('.'))
    causes.push(invalidValue('spec.group', group, 'should be a domain with at least one dot'));
  if (!scope) causes.push(required('spec.scope'));
  else if (!SCOPES.includes(scope)) causes.push(unsupported('spec.scope', scope, SCOPES));
  const seen = new Set<string>();
  for (const [index, version] of versions.entries()) {
    causes.push(...validateVersion(version, `spec.versions[${index}]`, versions.length === 1));
    if (seen.has(version.name)) causes.push(duplicate(`spec.versions[${index}].name`, version.name));
    seen.add(version.name);
  }
  if (versions.filter(({ storage }) => storage).length !== 1) {
    causes.push(
      invalidValue('spec.versions', versions.map(goView), 'must have exactly one version marked as storage version'),
    );
  }
  causes.push(...validateNames(object as CrdObject));
  const strategy = spec.conversion?.strategy ?? 'None';
  if (strategy !== 'None') {
    causes.push(unsupported('spec.conversion.strategy', strategy, ['None']));
  }
  if (!(object as CrdObject).status?.storedVersions?.length) {
    causes.push(invalidValue('status.storedVersions', null, 'must have at least one stored version'));
  }
  return causes;
}

/** The versions as Go prints them in the message. */
function goView(version: CrdVersion): Record<string, unknown> {
  return {
    Name: version.name,
    Served: version.served,
    Storage: version.storage,
    Deprecated: version.deprecated ?? false,
    DeprecationWarning: version.deprecationWarning ?? null,
    Schema: null,
    Subresources: null,
    AdditionalPrinterColumns: null,
    SelectableFields: null,
  };
}

function validateNames({ spec }: CrdObject): StatusCause[] {
  const causes: StatusCause[] = [];
  const names = spec.names ?? { plural: '', kind: '' };
  for (const [field, name] of [
    ['plural', names.plural],
    ['singular', names.singular],
  ] as const) {
    if (!name) causes.push(required(`spec.names.${field}`));
    else if (dns1035Problem(name)) causes.push(invalidValue(`spec.names.${field}`, name, dns1035Problem(name)!));
  }
  for (const [field, name] of [
    ['kind', names.kind],
    ['listKind', names.listKind],
  ] as const) {
    if (!name) causes.push(required(`spec.names.${field}`));
    else if (dns1035Problem(name.toLowerCase())) {
      causes.push(
        invalidValue(
          `spec.names.${field}`,
          name,
          `may have mixed case, but should otherwise match: ${dns1035Problem(name.toLowerCase())}`,
        ),
      );
    }
  }
  if (names.kind && names.kind === names.listKind) {
    causes.push(invalidValue('spec.names.listKind', names.listKind, 'kind and listKind may not be the same'));
  }
  return causes;
}

function validateVersion(version: CrdVersion, path: string, only: boolean): StatusCause[] {
  const causes: StatusCause[] = [];
  if (!version.name) causes.push(required(`${path}.name`));
  else if (dns1035Problem(version.name))
    causes.push(invalidValue(`${path}.name`, version.name, dns1035Problem(version.name)!));
  const schema = version.schema?.openAPIV3Schema;
  // With a single version the real server reports problems at the place where older clients had the schema.
  const schemaPath = only ? 'spec.validation.openAPIV3Schema' : `${path}.schema.openAPIV3Schema`;
  if (!schema) causes.push(required(`${path}.schema.openAPIV3Schema`));
  else if (schema.type !== 'object') {
    causes.push(invalidValue(`${schemaPath}.type`, schema.type ?? '', 'must be object at the root'));
  } else {
    const found: StatusCause[] = [];
    validateStructural(schema, schemaPath, found);
    // What a type may be is the last thing that the real server looks at.
    const isType = ({ reason, field }: StatusCause) =>
      reason === 'FieldValueNotSupported' && field?.endsWith('.type') === true;
    causes.push(...found.filter((one) => !isType(one)), ...found.filter(isType));
  }
  for (const [index, column] of (version.additionalPrinterColumns ?? []).entries()) {
    const here = `${path}.additionalPrinterColumns[${index}]`;
    if (!column.name) causes.push(required(`${here}.name`));
    if (!column.jsonPath) causes.push(required(`${here}.jsonPath`));
    if (!['boolean', 'date', 'integer', 'number', 'string'].includes(column.type)) {
      causes.push(unsupported(`${here}.type`, column.type, ['boolean', 'date', 'integer', 'number', 'string']));
    }
  }
  return causes;
}

function validateStructural(schema: JsonSchema, path: string, causes: StatusCause[]): void {
  for (const [name, inner] of Object.entries(schema.properties ?? {}).sort(([a], [b]) => (a < b ? -1 : 1))) {
    if (path.endsWith('openAPIV3Schema') && name === 'metadata') continue;
    validateNode(inner, `${path}.properties[${name}]`, causes);
  }
  if (typeof schema.additionalProperties === 'object') {
    if (schema.properties)
      causes.push(
        forbiddenField(`${path}.additionalProperties`, 'additionalProperties and properties are mutual exclusive'),
      );
    validateNode(schema.additionalProperties, `${path}.additionalProperties`, causes);
  }
  if (schema.type === 'array') {
    if (!schema.items) causes.push(required(`${path}.items`, 'must be specified'));
    else validateNode(schema.items, `${path}.items`, causes);
  }
  if (schema.pattern !== undefined) {
    try {
      compilePattern(schema.pattern);
    } catch (error) {
      causes.push(
        invalidValue(
          `${path}.pattern`,
          schema.pattern,
          `must be a valid regular expression, but isn't: ${(error as Error).message}`,
        ),
      );
    }
  }
  if (schema.default !== undefined) {
    const wrong = validateAgainst(schema.default, schema, `${path}.default`)[0];
    if (wrong) causes.push(wrong);
  }
  if (schema['x-kubernetes-list-type'] === 'map' && !schema['x-kubernetes-list-map-keys']?.length) {
    causes.push(required(`${path}.x-kubernetes-list-map-keys`, 'must not be empty if x-kubernetes-list-type is map'));
  }
  for (const [index, rule] of (schema['x-kubernetes-validations'] ?? []).entries()) {
    const problem = rule.rule ? ruleProblem(rule) : 'rule is not specified';
    if (problem) {
      const why = `compilation failed: ${problem}`;
      causes.push(invalidValue(`${path}.x-kubernetes-validations[${index}].rule`, rule.rule, why));
    }
  }
}

function validateNode(schema: JsonSchema, path: string, causes: StatusCause[]): void {
  const free = schema['x-kubernetes-int-or-string'] || schema['x-kubernetes-preserve-unknown-fields'];
  validateStructural(schema, path, causes);
  if (schema.type) {
    if (!TYPES.includes(schema.type)) causes.push(unsupported(`${path}.type`, schema.type, TYPES));
  } else if (!free) causes.push(required(`${path}.type`, 'must not be empty for specified object fields'));
}

export function validateCrdUpdate(object: KubeObject, old: KubeObject): StatusCause[] {
  const [crd, before] = [object as CrdObject, old as CrdObject];
  const causes: StatusCause[] = [];
  if (crd.spec.group !== before.spec.group) causes.push(invalidValue('spec.group', crd.spec.group, IMMUTABLE));
  const established = before.status?.conditions?.some(
    ({ type, status }) => type === 'Established' && status === 'True',
  );
  if (established) {
    if (crd.spec.scope !== before.spec.scope) causes.push(invalidValue('spec.scope', crd.spec.scope, IMMUTABLE));
    if (crd.spec.names.kind !== before.spec.names.kind) {
      causes.push(invalidValue('spec.names.kind', crd.spec.names.kind, IMMUTABLE));
    }
  }
  const names = new Set((crd.spec.versions ?? []).map(({ name }) => name));
  for (const [index, version] of (before.status?.storedVersions ?? []).entries()) {
    if (!names.has(version)) {
      causes.push(
        invalidValue(
          `status.storedVersions[${index}]`,
          version,
          `missing from spec.versions; ${version} was previously a storage version, and must remain in spec.versions until a storage migration ensures no data remains persisted in ${version} and removes ${version} from status.storedVersions`,
        ),
      );
    }
  }
  return causes;
}
