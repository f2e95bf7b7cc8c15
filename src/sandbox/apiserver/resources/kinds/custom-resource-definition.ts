// SPDX-License-Identifier: Apache-2.0
import type { KubeObject } from '../../../../kube/types.ts';
import { validateCrd, validateCrdUpdate } from '../../crd/crd-validation.ts';
import type { CrdObject } from '../../crd/definition.ts';
import type { TypeTable } from '../../schema/parse.ts';
import { column, NAME } from '../../tables/table.ts';
import type { ResourceDefinition } from '../definition.ts';
import { defineKind } from '../kind-builder.ts';

function defaults(object: KubeObject): void {
  const { spec } = object as CrdObject;
  if (!spec) return;
  if (spec.names) {
    if (!spec.names.singular) spec.names.singular = spec.names.kind?.toLowerCase() ?? '';
    if (!spec.names.listKind) spec.names.listKind = spec.names.kind ? `${spec.names.kind}List` : '';
  }
  spec.conversion ??= { strategy: 'None' };
}

function initialStatus(object: KubeObject): unknown {
  const { spec } = object as CrdObject;
  const storage = spec.versions?.find((version) => version.storage);
  return { conditions: [], acceptedNames: { plural: '', kind: '' }, storedVersions: storage ? [storage.name] : [] };
}

function addStoredVersion(object: KubeObject): void {
  const { spec, status } = object as CrdObject;
  const storage = spec.versions.find((version) => version.storage)?.name;
  const stored = status?.storedVersions ?? [];
  if (storage && !stored.includes(storage)) object['status'] = { ...status, storedVersions: [...stored, storage] };
}

export function customResourceDefinitionKinds(types: TypeTable): ResourceDefinition[] {
  return [
    defineKind(types, {
      kind: 'CustomResourceDefinition',
      resource: 'customresourcedefinitions',
      versions: [
        {
          group: 'apiextensions.k8s.io',
          version: 'v1',
          type: 'apiextensions.v1.CustomResourceDefinition',
          defaults,
        },
      ],
      namespaced: false,
      shortNames: ['crd', 'crds'],
      categories: ['api-extensions'],
      status: true,
      deleteReturnsObject: true,
      columns: [
        NAME,
        column('Created At', (object) => object.metadata.creationTimestamp ?? '<unknown>', { type: 'date' }),
      ],
      strategy: {
        generation: true,
        initialStatus,
        prepareUpdate: addStoredVersion,
        validate: validateCrd,
        validateUpdate: validateCrdUpdate,
      },
    }),
  ];
}
