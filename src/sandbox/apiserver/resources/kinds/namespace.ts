// SPDX-License-Identifier: Apache-2.0
import type { KubeObject } from '../../../../kube/types.ts';
import type { TypeTable } from '../../schema/parse.ts';
import { AGE, column, NAME } from '../../tables/table.ts';
import { dnsLabelProblem } from '../../validation/names.ts';
import type { ResourceDefinition } from '../definition.ts';
import { defineKind, textAt } from '../kind-builder.ts';

const NAME_LABEL = 'kubernetes.io/metadata.name';

function prepareCreate(object: KubeObject): void {
  const spec = (object['spec'] ?? {}) as { finalizers?: string[] };
  object['spec'] = spec;
  const finalizers = spec.finalizers ?? [];
  if (!finalizers.includes('kubernetes')) spec.finalizers = [...finalizers, 'kubernetes'];
}

function labelName(object: KubeObject): void {
  if (!object.metadata.name) return;
  object.metadata.labels = { ...object.metadata.labels, [NAME_LABEL]: object.metadata.name };
}

export function namespaceKinds(types: TypeTable): ResourceDefinition[] {
  return [
    defineKind(types, {
      kind: 'Namespace',
      resource: 'namespaces',
      versions: [{ group: '', version: 'v1', type: 'core.v1.Namespace', defaults: labelName }],
      namespaced: false,
      shortNames: ['ns'],
      status: true,
      deleteReturnsObject: true,
      fields: { 'status.phase': (object) => textAt(object, 'status.phase') },
      columns: [NAME, column('Status', (object) => textAt(object, 'status.phase')), AGE],
      strategy: {
        nameRule: dnsLabelProblem,
        initialStatus: () => ({ phase: 'Active' }),
        prepareCreate,
        prepareUpdate(object, old) {
          // Only the finalize subresource takes finalizers away.
          object['spec'] = old['spec'];
        },
      },
    }),
  ];
}
