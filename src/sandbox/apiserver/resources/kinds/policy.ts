// SPDX-License-Identifier: Apache-2.0
// Leases, disruption budgets, priority classes.
import type { KubeObject } from '../../../../kube/types.ts';
import type { TypeTable } from '../../schema/parse.ts';
import type { StatusCause } from '../../status.ts';
import { AGE, column, NAME } from '../../tables/table.ts';
import { forbiddenField, invalidValue } from '../../validation/causes.ts';
import type { ResourceDefinition } from '../definition.ts';
import { at, defineKind, textAt } from '../kind-builder.ts';

function validateLease(object: KubeObject): StatusCause[] {
  const causes: StatusCause[] = [];
  const duration = at(object, 'spec.leaseDurationSeconds') as number | undefined;
  if (duration !== undefined && duration <= 0) {
    causes.push(invalidValue('spec.leaseDurationSeconds', duration, 'must be greater than 0'));
  }
  const transitions = at(object, 'spec.leaseTransitions') as number | undefined;
  if (transitions !== undefined && transitions < 0) {
    causes.push(invalidValue('spec.leaseTransitions', transitions, 'must be greater than or equal to 0'));
  }
  return causes;
}

function validateBudget(object: KubeObject): StatusCause[] {
  if (at(object, 'spec.minAvailable') !== undefined && at(object, 'spec.maxUnavailable') !== undefined) {
    return [invalidValue('spec', object['spec'], 'minAvailable and maxUnavailable cannot be both set')];
  }
  return [];
}

function priorityUnchanged(object: KubeObject, old: KubeObject): StatusCause[] {
  return object['value'] === old['value'] ? [] : [forbiddenField('value', 'may not be changed in an update.')];
}

const orNone = (value: unknown) => (value === undefined ? 'N/A' : String(value));

export function policyKinds(types: TypeTable): ResourceDefinition[] {
  return [
    defineKind(types, {
      kind: 'Lease',
      resource: 'leases',
      versions: [{ group: 'coordination.k8s.io', version: 'v1', type: 'coordination.v1.Lease' }],
      columns: [NAME, column('Holder', (object) => textAt(object, 'spec.holderIdentity')), AGE],
      strategy: { validate: validateLease },
    }),
    defineKind(types, {
      kind: 'PodDisruptionBudget',
      resource: 'poddisruptionbudgets',
      versions: [{ group: 'policy', version: 'v1', type: 'policy.v1.PodDisruptionBudget' }],
      shortNames: ['pdb'],
      status: true,
      columns: [
        NAME,
        column('Min Available', (object) => orNone(at(object, 'spec.minAvailable'))),
        column('Max Unavailable', (object) => orNone(at(object, 'spec.maxUnavailable'))),
        column('Allowed Disruptions', (object) => Number(at(object, 'status.disruptionsAllowed') ?? 0)),
        AGE,
      ],
      strategy: {
        generation: true,
        initialStatus: () => ({ disruptionsAllowed: 0, currentHealthy: 0, desiredHealthy: 0, expectedPods: 0 }),
        validate: validateBudget,
      },
    }),
    defineKind(types, {
      kind: 'PriorityClass',
      resource: 'priorityclasses',
      versions: [
        {
          group: 'scheduling.k8s.io',
          version: 'v1',
          type: 'scheduling.v1.PriorityClass',
          defaults(object) {
            object['preemptionPolicy'] ??= 'PreemptLowerPriority';
          },
        },
      ],
      namespaced: false,
      shortNames: ['pc'],
      columns: [
        NAME,
        column('Value', (object) => Number(object['value'] ?? 0)),
        column('Global-Default', (object) => object['globalDefault'] === true),
        AGE,
      ],
      strategy: { generation: true, validateUpdate: priorityUnchanged },
    }),
  ];
}
