// SPDX-License-Identifier: Apache-2.0
import type { TypeTable } from '../../schema/parse.ts';
import { AGE, column, NAME } from '../../tables/table.ts';
import { invalidValue, required } from '../../validation/causes.ts';
import { dnsLabelProblem } from '../../validation/names.ts';
import type { ResourceDefinition } from '../definition.ts';
import { defineKind, textAt } from '../kind-builder.ts';

export function runtimeClassKinds(types: TypeTable): ResourceDefinition[] {
  return [
    defineKind(types, {
      kind: 'RuntimeClass',
      resource: 'runtimeclasses',
      versions: [{ group: 'node.k8s.io', version: 'v1', type: 'node.v1.RuntimeClass' }],
      namespaced: false,
      columns: [NAME, column('Handler', (object) => textAt(object, 'handler')), AGE],
      strategy: {
        prepareCreate: (_, { warn }) => warn('the sandbox has one way to run containers: handlers change nothing'),
        validate(object) {
          const handler = textAt(object, 'handler');
          if (!handler) return [required('handler')];
          const problem = dnsLabelProblem(handler);
          return problem ? [invalidValue('handler', handler, problem)] : [];
        },
        validateUpdate: (object, old) =>
          object['handler'] === old['handler']
            ? []
            : [invalidValue('handler', object['handler'], 'field is immutable')],
      },
    }),
  ];
}
