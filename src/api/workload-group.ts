// SPDX-License-Identifier: Apache-2.0
// networking.istio.io WorkloadGroup: https://istio.io/latest/docs/reference/config/networking/workload-group/
import type { Kind, MeshObject } from './kind.ts';
import { defaulted, type Infer, idle, optional, required, struct, text } from './shape.ts';
import { labels } from './values.ts';
import { checkLabels, workload } from './workload-entry.ts';

const spec = struct(
  {
    metadata: optional(
      struct({
        labels: defaulted(labels, {}),
        annotations: idle('write them on the WorkloadEntries: nothing here reads them'),
      }),
    ),
    template: required(struct({ address: optional(text()), ...workload })),
    probe: idle(
      'no agent runs beside the workload: write its condition `Healthy` into the status of its WorkloadEntry',
    ),
  },
  'What workloads that are no pods have in common: WorkloadEntries that name it take from it what they do not say.',
);
export type WorkloadGroupSpec = Infer<typeof spec>;
export type WorkloadGroup = MeshObject<WorkloadGroupSpec>;

export const WORKLOAD_GROUP: Kind<WorkloadGroupSpec> = {
  group: 'networking.istio.io',
  kind: 'WorkloadGroup',
  plural: 'workloadgroups',
  singular: 'workloadgroup',
  shortNames: ['wg'],
  versions: ['v1alpha3', 'v1beta1', 'v1'],
  description:
    'What workloads that are no pods have in common: WorkloadEntries that name it take from it what they do not say.',
  columns: [
    { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp', description: 'Time since it was created' },
  ],
  spec,
  check(value, at, { ref }) {
    checkLabels(value.template, { ...at, field: `${at.field}.template` });
    if (value.metadata !== undefined) checkLabels(value.metadata, { ...at, field: `${at.field}.metadata` });
    if (value.template.address !== undefined) {
      const message = 'workloads of a group do not share an address';
      at.report.add('ISM0005', `${at.field}.template.address`, message, 'write it into each WorkloadEntry');
    }
    const message = 'no proxy registers itself as a workload of this group';
    const cure = `write a WorkloadEntry for each, with the annotation istio.io/autoRegistrationGroup: ${ref.name}`;
    at.report.add('ISM0005', at.field, message, cure, 'info');
  },
};
