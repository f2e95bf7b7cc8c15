// SPDX-License-Identifier: Apache-2.0
import type { KubeObject } from '../../../kube/types.ts';
import type { StatusCause } from '../status.ts';
import { forbiddenField, IMMUTABLE, invalidValue, required } from '../validation/causes.ts';
import { labelValueProblem, type NameRule, qualifiedNameProblem } from '../validation/names.ts';

const MAX_ANNOTATIONS_BYTES = 256 * 1024;

/** metadata of a new or changed object. */
export function validateMetadata(object: KubeObject, nameRule: NameRule): StatusCause[] {
  const causes: StatusCause[] = [];
  const { name, generateName, labels, annotations, ownerReferences, finalizers } = object.metadata;
  if (generateName) {
    // The suffix ends it, so a trailing dash is fine.
    const problem = nameRule(generateName.replace(/[-.]$/, 'x'));
    if (problem) causes.push(invalidValue('metadata.generateName', generateName, problem));
  }
  if (!name) causes.push(required('metadata.name', 'name or generateName is required'));
  else {
    const problem = nameRule(name);
    if (problem) causes.push(invalidValue('metadata.name', name, problem));
  }
  causes.push(...validateLabels(labels, 'metadata.labels'));
  let bytes = 0;
  for (const [key, value] of Object.entries(annotations ?? {})) {
    const problem = qualifiedNameProblem(key.toLowerCase());
    if (problem) causes.push(invalidValue('metadata.annotations', key, problem));
    bytes += key.length + Buffer.byteLength(value);
  }
  if (bytes > MAX_ANNOTATIONS_BYTES) {
    causes.push({
      reason: 'FieldValueTooLong',
      message: `Too long: may not be more than ${MAX_ANNOTATIONS_BYTES} bytes`,
      field: 'metadata.annotations',
    });
  }
  const path = 'metadata.ownerReferences';
  for (const owner of ownerReferences ?? []) {
    if (!owner.apiVersion) causes.push(invalidValue(`${path}.apiVersion`, '', 'version must not be empty'));
    if (!owner.kind) causes.push(invalidValue(`${path}.kind`, '', 'must not be empty'));
    if (!owner.name) causes.push(invalidValue(`${path}.name`, '', 'must not be empty'));
    if (!owner.uid) causes.push(invalidValue(`${path}.uid`, '', 'must not be empty'));
  }
  const controllers = (ownerReferences ?? []).filter(({ controller }) => controller);
  if (controllers.length > 1) {
    causes.push(
      invalidValue('metadata.ownerReferences', ownerReferences, 'Only one reference can have Controller set to true'),
    );
  }
  for (const finalizer of finalizers ?? []) {
    const problem = qualifiedNameProblem(finalizer);
    if (problem) causes.push(invalidValue('metadata.finalizers', finalizer, problem));
  }
  return causes;
}

export function validateLabels(labels: Readonly<Record<string, string>> | undefined, field: string): StatusCause[] {
  const causes: StatusCause[] = [];
  for (const [key, value] of Object.entries(labels ?? {})) {
    const problem = qualifiedNameProblem(key);
    if (problem) causes.push(invalidValue(field, key, problem));
    const valueProblem = labelValueProblem(value);
    if (valueProblem) causes.push(invalidValue(field, value, valueProblem));
  }
  return causes;
}

/** What an update may not touch. The server has put back what it owns itself before. */
export function validateMetadataUpdate(object: KubeObject, old: KubeObject): StatusCause[] {
  const causes: StatusCause[] = [];
  for (const field of ['name', 'namespace', 'uid'] as const) {
    if (object.metadata[field] !== old.metadata[field]) {
      causes.push(invalidValue(`metadata.${field}`, object.metadata[field] ?? '', IMMUTABLE));
    }
  }
  if (old.metadata.deletionTimestamp) {
    const known = new Set(old.metadata.finalizers);
    const added = (object.metadata.finalizers ?? []).filter((finalizer) => !known.has(finalizer));
    if (added.length > 0) {
      const list = added.map((one) => JSON.stringify(one)).join(', ');
      causes.push(
        forbiddenField(
          'metadata.finalizers',
          `no new finalizers can be added if the object is being deleted, found new finalizers []string{${list}}`,
        ),
      );
    }
  }
  return causes;
}
