// SPDX-License-Identifier: Apache-2.0
// ReplicationControllers and PodTemplates: what Deployments have replaced, and a store of templates.
import type { KubeObject } from '../../../../kube/types.ts';
import type { TypeTable } from '../../schema/parse.ts';
import { selectorFromSpec } from '../../selectors/label-selector.ts';
import type { StatusCause } from '../../status.ts';
import { AGE, column, NAME } from '../../tables/table.ts';
import { invalidValue, required } from '../../validation/causes.ts';
import type { ResourceDefinition } from '../definition.ts';
import { at, defineKind, member } from '../kind-builder.ts';
import { selectorText } from '../label-selector-text.ts';
import { defaultPodSpec, type PodTemplate } from '../pod-template.ts';
import { validatePodSpec } from '../pod-validation.ts';
import { containerImages, containerNames, templateColumns } from '../template-columns.ts';
import { warnOfIdleness } from './workload.ts';

interface ReplicationSpec {
  replicas?: number;
  selector?: Record<string, string>;
  template?: PodTemplate;
}

const specOf = (object: KubeObject): ReplicationSpec => member<ReplicationSpec>(object, 'spec') ?? {};
const count = (object: KubeObject, field: string) => Number(at(object, `status.${field}`) ?? 0);
const templateOf = (object: KubeObject) => member<PodTemplate>(object, 'template');

function defaults(object: KubeObject): void {
  const spec = specOf(object);
  object['spec'] = spec;
  const labels = spec.template?.metadata?.labels;
  if (labels && !spec.selector) spec.selector = { ...labels };
  if (labels && !object.metadata.labels) object.metadata.labels = { ...labels };
  spec.replicas ??= 1;
  if (spec.template?.spec) defaultPodSpec(spec.template.spec);
}

function validate(object: KubeObject): StatusCause[] {
  const { selector, template, replicas = 0 } = specOf(object);
  const causes: StatusCause[] = [];
  if (replicas < 0) causes.push(invalidValue('spec.replicas', replicas, 'must be greater than or equal to 0'));
  if (!selector || Object.keys(selector).length === 0) causes.push(required('spec.selector'));
  const labels = template?.metadata?.labels;
  if (!selectorFromSpec({ matchLabels: selector ?? {} }).matches(labels)) {
    causes.push(invalidValue('spec.template.metadata.labels', labels, '`selector` does not match template `labels`'));
  }
  return [...causes, ...validatePodSpec(template?.spec, 'spec.template.spec')];
}

const labelText = (labels: Record<string, string> | undefined) =>
  selectorText({ matchLabels: labels ?? {} }) || '<none>';

export function replicationControllerKinds(types: TypeTable): ResourceDefinition[] {
  return [
    defineKind(types, {
      kind: 'ReplicationController',
      resource: 'replicationcontrollers',
      versions: [{ group: '', version: 'v1', type: 'core.v1.ReplicationController', defaults }],
      shortNames: ['rc'],
      categories: ['all'],
      status: true,
      scale: {
        replicas: (object) => specOf(object).replicas ?? 0,
        setReplicas: (object, replicas) => {
          object['spec'] = { ...specOf(object), replicas };
        },
        statusReplicas: (object) => count(object, 'replicas'),
        selector: (object) => selectorText({ matchLabels: specOf(object).selector ?? {} }),
      },
      fields: { 'status.replicas': (object) => String(count(object, 'replicas')) },
      columns: [
        NAME,
        column('Desired', (object) => specOf(object).replicas ?? 0, { type: 'integer' }),
        column('Current', (object) => count(object, 'replicas'), { type: 'integer' }),
        column('Ready', (object) => count(object, 'readyReplicas'), { type: 'integer' }),
        AGE,
        ...templateColumns((object) => {
          const { selector, template } = specOf(object);
          return { selector: { matchLabels: selector ?? {} }, template };
        }),
      ],
      strategy: {
        generation: true,
        initialStatus: () => ({ replicas: 0 }),
        prepareCreate: warnOfIdleness,
        validate,
      },
    }),
    defineKind(types, {
      kind: 'PodTemplate',
      resource: 'podtemplates',
      versions: [
        {
          group: '',
          version: 'v1',
          type: 'core.v1.PodTemplate',
          defaults(object) {
            const spec = templateOf(object)?.spec;
            if (spec) defaultPodSpec(spec);
          },
        },
      ],
      deleteReturnsObject: true,
      columns: [
        NAME,
        column('Containers', (object) => containerNames(templateOf(object))),
        column('Images', (object) => containerImages(templateOf(object))),
        column('Pod Labels', (object) => labelText(templateOf(object)?.metadata?.labels)),
        AGE,
      ],
      strategy: { generation: true, validate: (object) => validatePodSpec(templateOf(object)?.spec, 'template.spec') },
    }),
  ];
}
