// SPDX-License-Identifier: Apache-2.0
import type { KubeObject } from '../../../../kube/types.ts';
import { CLEANUP_FINALIZER } from '../../crd/cleanup-finalizer.ts';
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
  return { conditions: null, acceptedNames: { plural: '', kind: '' }, storedVersions: storage ? [storage.name] : [] };
}

/** Its instances go first: establish.ts takes the finalizer away when they have gone. */
function markTerminating(object: KubeObject, now: string): void {
  const { status } = object as CrdObject;
  const terminating = {
    type: 'Terminating',
    status: 'True',
    lastTransitionTime: now,
    reason: 'InstanceDeletionPending',
    message: 'CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon',
  };
  const others = (status?.conditions ?? []).filter(({ type }) => type !== 'Terminating');
  object['status'] = { ...status, conditions: [...others, terminating] };
  object.metadata.finalizers = [...new Set([...(object.metadata.finalizers ?? []), CLEANUP_FINALIZER])];
}

function addStoredVersion(object: KubeObject): void {
  const { spec, status } = object as CrdObject;
  const storage = spec.versions?.find((version) => version.storage)?.name;
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
        prepareDelete: markTerminating,
        prepareUpdate: addStoredVersion,
        validate: validateCrd,
        validateUpdate: validateCrdUpdate,
      },
    }),
  ];
}
