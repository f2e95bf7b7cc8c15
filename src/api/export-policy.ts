// SPDX-License-Identifier: Apache-2.0
// isthmus.io ExportPolicy: which services of the cluster are exported, by namespace and label.
import type { LabelSelector } from '../kube/label-selector.ts';
import type { Kind, MeshObject } from './kind.ts';
import { checked, choice, defaulted, type Infer, list, optional, required, type Shape, struct, text } from './shape.ts';
import { labels } from './values.ts';

const requirement = checked(
  struct({
    key: required(text({ pattern: /^[A-Za-z0-9]([-A-Za-z0-9_./]{0,314}[A-Za-z0-9])?$/, what: 'the name of a label' })),
    operator: required(choice(['In', 'NotIn', 'Exists', 'DoesNotExist'])),
    values: defaulted(list(text()), []),
  }),
  ({ operator, values }, at) => {
    const wants = operator === 'In' || operator === 'NotIn';
    if (wants === values.length > 0) return;
    const message = wants ? `${operator} compares with values, and there are none` : `${operator} takes no values`;
    at.report.add('ISM0006', `${at.field}.values`, message, wants ? 'add values' : 'remove values');
  },
);

const selector = struct({
  matchLabels: defaulted(labels, {}),
  matchExpressions: defaulted(list(requirement), []),
}) satisfies Shape<unknown>;

const namespaceName = text({
  pattern: /^(\*|[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)$/,
  what: 'the name of a namespace, or *',
});

const spec = struct(
  {
    /** Names; `*` is all. */
    namespaces: defaulted(list(namespaceName), []),
    namespaceSelector: optional(selector),
    /** Of the Services; absent: all of the namespaces. */
    selector: optional(selector),
  },
  'Which services of this cluster the other clusters get.',
);
export type ExportPolicySpec = Infer<typeof spec>;
export type ExportPolicy = MeshObject<ExportPolicySpec>;

export const EXPORT_POLICY: Kind<ExportPolicySpec> = {
  group: 'isthmus.io',
  kind: 'ExportPolicy',
  plural: 'exportpolicies',
  singular: 'exportpolicy',
  shortNames: ['expol'],
  scope: 'Cluster',
  versions: ['v1alpha1'],
  description: 'Which services of this cluster the other clusters get.',
  columns: [
    { name: 'Namespaces', type: 'string', jsonPath: '.spec.namespaces', description: 'Namespaces by name' },
    {
      name: 'Selector',
      type: 'string',
      jsonPath: '.spec.selector.matchLabels',
      description: 'Labels of the services that it exports',
    },
    { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp', description: 'Time since it was created' },
  ],
  spec,
  check({ namespaces, namespaceSelector, selector: services }, at) {
    if (namespaces.length > 0 || namespaceSelector !== undefined) return;
    // What is left out by mistake must not export a whole cluster.
    const message =
      services === undefined ? 'it selects nothing' : 'it says of which labels, and of which namespaces not';
    const cure = 'add spec.namespaces (["*"] for all) or spec.namespaceSelector';
    at.report.add('ISM0001', `${at.field}.namespaces`, message, cure);
  },
};

/** What a selector of ours is for kube/label-selector.ts. */
export function asLabelSelector(value: Infer<typeof selector>): LabelSelector {
  const matchExpressions = value.matchExpressions.map(({ key, operator, values }) => ({
    key,
    operator,
    values: [...values],
  }));
  return { matchLabels: value.matchLabels, matchExpressions };
}
