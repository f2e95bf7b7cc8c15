// SPDX-License-Identifier: Apache-2.0
// Kinds whose objects are worked out when somebody asks, and are stored nowhere: metrics, API services, component
// statuses. What answers for each is in Core.computed, by storage key.
import type { KubeObject } from '../../../../kube/types.ts';
import type { TypeTable } from '../../schema/parse.ts';
import { AGE, column, NAME, type TableColumn } from '../../tables/table.ts';
import type { ResourceDefinition } from '../definition.ts';
import { at, defineKind, type KindSpec, textAt } from '../kind-builder.ts';

const READ_ONLY = ['get', 'list'];

interface Condition {
  type: string;
  status: string;
  reason?: string;
  message?: string;
  error?: string;
}

function conditionOf(object: KubeObject, path: string, type: string): Condition | undefined {
  return ((at(object, path) ?? []) as Condition[]).find((one) => one.type === type);
}

function available(object: KubeObject): string {
  const condition = conditionOf(object, 'status.conditions', 'Available');
  if (!condition) return 'Unknown';
  return condition.status === 'True' ? 'True' : `${condition.status} (${condition.reason})`;
}

const health = (object: KubeObject) => conditionOf(object, 'conditions', 'Healthy');
const HEALTH_WORDS: Readonly<Record<string, string>> = { True: 'Healthy', False: 'Unhealthy' };

const METRICS_COLUMNS: readonly TableColumn[] = [
  NAME,
  column('Cpu', (object) => textAt(object, 'usage.cpu')),
  column('Memory', (object) => textAt(object, 'usage.memory')),
  column('Window', (object) => textAt(object, 'window')),
];

export function computedKinds(types: TypeTable): ResourceDefinition[] {
  const metrics = (kind: string) => [{ group: 'metrics.k8s.io', version: 'v1beta1', type: `metrics.v1beta1.${kind}` }];
  const specs: KindSpec[] = [
    {
      kind: 'NodeMetrics',
      resource: 'nodes',
      versions: metrics('NodeMetrics'),
      namespaced: false,
      columns: METRICS_COLUMNS,
    },
    {
      kind: 'PodMetrics',
      resource: 'pods',
      versions: metrics('PodMetrics'),
      columns: [NAME, column('Window', (object) => textAt(object, 'window'))],
    },
    {
      kind: 'APIService',
      resource: 'apiservices',
      versions: [{ group: 'apiregistration.k8s.io', version: 'v1', type: 'apiregistration.v1.APIService' }],
      namespaced: false,
      categories: ['api-extensions'],
      columns: [NAME, column('Service', () => 'Local'), column('Available', available), AGE],
    },
    {
      kind: 'ComponentStatus',
      resource: 'componentstatuses',
      versions: [
        {
          group: '',
          version: 'v1',
          type: 'core.v1.ComponentStatus',
          deprecation: 'v1 ComponentStatus is deprecated in v1.19+',
        },
      ],
      namespaced: false,
      shortNames: ['cs'],
      columns: [
        NAME,
        column('Status', (object) => HEALTH_WORDS[health(object)?.status ?? ''] ?? 'Unknown'),
        column('Message', (object) => health(object)?.message ?? ''),
        column('Error', (object) => health(object)?.error ?? ''),
      ],
    },
  ];
  return specs.map((spec) => ({ ...defineKind(types, spec), verbs: READ_ONLY, computed: true }));
}
