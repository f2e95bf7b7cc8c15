// SPDX-License-Identifier: Apache-2.0
// Deployments (also as extensions/v1beta1), ReplicaSets, StatefulSets, DaemonSets.
import { isDeepStrictEqual } from 'node:util';
import type { KubeObject } from '../../../../kube/types.ts';
import type { TypeTable } from '../../schema/parse.ts';
import { selectorFromSpec } from '../../selectors/label-selector.ts';
import type { StatusCause } from '../../status.ts';
import { AGE, column, NAME, type TableColumn } from '../../tables/table.ts';
import { forbiddenField, IMMUTABLE, invalidValue, required, unsupported } from '../../validation/causes.ts';
import type { ResourceDefinition, ScaleAccess, StrategyContext } from '../definition.ts';
import { at, defineKind, member, textAt } from '../kind-builder.ts';
import { type SelectorSpec, selectorText, validateSelector } from '../label-selector-text.ts';
import { validateLabels } from '../metadata-validation.ts';
import { defaultPodSpec, type PodTemplate } from '../pod-template.ts';
import { validatePodSpec } from '../pod-validation.ts';
import { containerColumns, templateColumns } from '../template-columns.ts';

interface WorkloadSpec {
  replicas?: number;
  selector?: SelectorSpec;
  template?: PodTemplate;
  strategy?: UpdateStrategy;
  updateStrategy?: UpdateStrategy;
  revisionHistoryLimit?: number;
  progressDeadlineSeconds?: number;
  podManagementPolicy?: string;
  persistentVolumeClaimRetentionPolicy?: { whenDeleted?: string; whenScaled?: string };
  serviceName?: string;
  minReadySeconds?: number;
  volumeClaimTemplates?: KubeObject[];
  rollbackTo?: unknown;
  [member: string]: unknown;
}

interface UpdateStrategy {
  type?: string;
  rollingUpdate?: { maxUnavailable?: number | string; maxSurge?: number | string; partition?: number };
}

const MAX_INT32 = 2_147_483_647;

const specOf = (object: KubeObject): WorkloadSpec => member<WorkloadSpec>(object, 'spec') ?? {};
const statusNumber = (object: KubeObject, field: string): number => Number(at(object, `status.${field}`) ?? 0);

function withSpec(fill: (spec: WorkloadSpec, object: KubeObject) => void): (object: KubeObject) => void {
  return (object) => {
    const spec = specOf(object);
    object['spec'] = spec;
    if (spec.template?.spec) defaultPodSpec(spec.template.spec);
    fill(spec, object);
  };
}

function defaultDeployment(spec: WorkloadSpec, unavailable: number | string, surge: number | string): void {
  spec.replicas ??= 1;
  spec.strategy ??= {};
  spec.strategy.type ??= 'RollingUpdate';
  if (spec.strategy.type === 'RollingUpdate') {
    spec.strategy.rollingUpdate ??= {};
    spec.strategy.rollingUpdate.maxUnavailable ??= unavailable;
    spec.strategy.rollingUpdate.maxSurge ??= surge;
  }
}

/** The old group took selector and labels from the pod template. */
function defaultExtensionsDeployment(spec: WorkloadSpec, object: KubeObject): void {
  const labels = spec.template?.metadata?.labels;
  if (labels && Object.keys(labels).length > 0) {
    spec.selector ??= { matchLabels: { ...labels } };
    if (!object.metadata.labels) object.metadata.labels = { ...labels };
  }
  defaultDeployment(spec, 1, 1);
  spec.progressDeadlineSeconds ??= MAX_INT32;
  spec.revisionHistoryLimit ??= MAX_INT32;
  delete spec.rollbackTo;
}

function validateWorkload(object: KubeObject): StatusCause[] {
  const spec = specOf(object);
  const causes: StatusCause[] = [];
  if ((spec.replicas ?? 0) < 0) {
    causes.push(invalidValue('spec.replicas', spec.replicas, 'must be greater than or equal to 0'));
  }
  if (!spec.selector) causes.push(required('spec.selector'));
  else if (selectorText(spec.selector) === '') {
    causes.push(invalidValue('spec.selector', spec.selector, 'empty selector is invalid for deployment'));
  } else causes.push(...validateSelector(spec.selector, 'spec.selector'));
  const labels = spec.template?.metadata?.labels;
  if (!spec.selector || !selectorFromSpec(spec.selector).matches(labels)) {
    causes.push(invalidValue('spec.template.metadata.labels', labels, '`selector` does not match template `labels`'));
  }
  causes.push(...validateLabels(labels, 'spec.template.metadata.labels'));
  const claims = (spec.volumeClaimTemplates ?? []).map(({ metadata }) => metadata?.name ?? '');
  causes.push(...validatePodSpec(spec.template?.spec, 'spec.template.spec', claims));
  const policy = spec.template?.spec?.restartPolicy;
  if (policy && policy !== 'Always') causes.push(unsupported('spec.template.spec.restartPolicy', policy, ['Always']));
  return causes;
}

function validateDeployment(object: KubeObject): StatusCause[] {
  const causes = validateWorkload(object);
  const { strategy } = specOf(object);
  if (strategy?.type && !['Recreate', 'RollingUpdate'].includes(strategy.type)) {
    causes.push(unsupported('spec.strategy.type', strategy.type, ['Recreate', 'RollingUpdate']));
  }
  if (strategy?.type === 'Recreate' && strategy.rollingUpdate) {
    causes.push({
      reason: 'FieldValueForbidden',
      message: "Forbidden: may not be specified when strategy `type` is 'Recreate'",
      field: 'spec.strategy.rollingUpdate',
    });
  }
  return causes;
}

/** Kept and shown like any other; whoever makes one is told that nothing will come of it. */
export function warnOfIdleness(object: KubeObject, context: StrategyContext): void {
  context.warn(`the sandbox has no controller for ${object.kind}s: no pods will be made`);
}

function selectorUnchanged(object: KubeObject, old: KubeObject): StatusCause[] {
  const selector = specOf(object).selector;
  if (selectorText(selector) === selectorText(specOf(old).selector)) return [];
  return [invalidValue('spec.selector', selector, IMMUTABLE)];
}

const scale: ScaleAccess = {
  replicas: (object) => specOf(object).replicas ?? 0,
  setReplicas: (object, replicas) => {
    object['spec'] = { ...specOf(object), replicas };
  },
  statusReplicas: (object) => statusNumber(object, 'replicas'),
  selector: (object) => selectorText(specOf(object).selector),
};

const TEMPLATE: readonly TableColumn[] = templateColumns(specOf);
const number = (name: string, read: (object: KubeObject) => number) => column(name, read, { type: 'integer' });

function deployment(types: TypeTable): ResourceDefinition {
  return defineKind(types, {
    kind: 'Deployment',
    resource: 'deployments',
    versions: [
      {
        group: 'apps',
        version: 'v1',
        type: 'apps.v1.Deployment',
        defaults: withSpec((spec) => {
          defaultDeployment(spec, '25%', '25%');
          spec.revisionHistoryLimit ??= 10;
          spec.progressDeadlineSeconds ??= 600;
        }),
      },
      {
        group: 'extensions',
        version: 'v1beta1',
        type: 'extensions.v1beta1.Deployment',
        defaults: withSpec(defaultExtensionsDeployment),
      },
    ],
    shortNames: ['deploy'],
    categories: ['all'],
    status: true,
    scale,
    columns: [
      NAME,
      column('Ready', (object) => `${statusNumber(object, 'readyReplicas')}/${specOf(object).replicas ?? 0}`),
      column('Up-to-date', (object) => statusNumber(object, 'updatedReplicas')),
      column('Available', (object) => statusNumber(object, 'availableReplicas')),
      AGE,
      ...TEMPLATE,
    ],
    strategy: {
      generation: true,
      initialStatus: () => ({}),
      validate: validateDeployment,
      validateUpdate: selectorUnchanged,
    },
  });
}

function replicaSet(types: TypeTable): ResourceDefinition {
  return defineKind(types, {
    kind: 'ReplicaSet',
    resource: 'replicasets',
    versions: [
      {
        group: 'apps',
        version: 'v1',
        type: 'apps.v1.ReplicaSet',
        defaults: withSpec((spec) => {
          spec.replicas ??= 1;
        }),
      },
    ],
    shortNames: ['rs'],
    categories: ['all'],
    status: true,
    scale,
    fields: { 'status.replicas': (object) => textAt(object, 'status.replicas') },
    columns: [
      NAME,
      number('Desired', (object) => specOf(object).replicas ?? 0),
      number('Current', (object) => statusNumber(object, 'replicas')),
      number('Ready', (object) => statusNumber(object, 'readyReplicas')),
      AGE,
      ...TEMPLATE,
    ],
    strategy: {
      generation: true,
      initialStatus: () => ({ replicas: 0 }),
      validate: validateWorkload,
      validateUpdate: selectorUnchanged,
    },
  });
}

function statefulSet(types: TypeTable): ResourceDefinition {
  return defineKind(types, {
    kind: 'StatefulSet',
    resource: 'statefulsets',
    versions: [
      {
        group: 'apps',
        version: 'v1',
        type: 'apps.v1.StatefulSet',
        defaults: withSpec((spec) => {
          spec.podManagementPolicy ??= 'OrderedReady';
          defaultUpdateStrategy(spec, (rolling) => {
            rolling.partition ??= 0;
          });
          spec.replicas ??= 1;
          spec.revisionHistoryLimit ??= 10;
          spec.persistentVolumeClaimRetentionPolicy ??= {};
          spec.persistentVolumeClaimRetentionPolicy.whenDeleted ??= 'Retain';
          spec.persistentVolumeClaimRetentionPolicy.whenScaled ??= 'Retain';
          for (const claim of spec.volumeClaimTemplates ?? []) defaultClaimTemplate(claim);
        }),
      },
    ],
    shortNames: ['sts'],
    categories: ['all'],
    status: true,
    scale,
    columns: [
      NAME,
      column('Ready', (object) => `${statusNumber(object, 'readyReplicas')}/${specOf(object).replicas ?? 0}`),
      AGE,
      ...containerColumns((object) => specOf(object).template),
    ],
    strategy: {
      generation: true,
      initialStatus: () => ({ replicas: 0, availableReplicas: 0 }),
      validate: validateWorkload,
      validateUpdate: statefulSpecUnchanged,
    },
  });
}

const CHANGEABLE = [
  'replicas',
  'ordinals',
  'template',
  'updateStrategy',
  'revisionHistoryLimit',
  'persistentVolumeClaimRetentionPolicy',
  'minReadySeconds',
];

/** Pods, names and claims follow from the rest: there it stays what it was. */
function statefulSpecUnchanged(object: KubeObject, old: KubeObject): StatusCause[] {
  const fixed = (spec: WorkloadSpec) =>
    Object.fromEntries(Object.entries(spec).filter(([field]) => !CHANGEABLE.includes(field)));
  if (isDeepStrictEqual(fixed(specOf(object)), fixed(specOf(old)))) return [];
  const listed = CHANGEABLE.map((field) => `'${field}'`);
  return [
    forbiddenField(
      'spec',
      `updates to statefulset spec for fields other than ${listed.slice(0, -1).join(', ')} and ${listed.at(-1)} are forbidden`,
    ),
  ];
}

function defaultClaimTemplate(claim: KubeObject): void {
  claim.apiVersion ||= 'v1';
  claim.kind ||= 'PersistentVolumeClaim';
  claim['spec'] = { volumeMode: 'Filesystem', ...(claim['spec'] as object) };
  claim['status'] = { phase: 'Pending' };
}

function defaultUpdateStrategy(
  spec: WorkloadSpec,
  fill: (rolling: NonNullable<UpdateStrategy['rollingUpdate']>) => void,
): void {
  spec.updateStrategy ??= {};
  if (!spec.updateStrategy.type) spec.updateStrategy.type = 'RollingUpdate';
  if (spec.updateStrategy.type !== 'RollingUpdate') return;
  spec.updateStrategy.rollingUpdate ??= {};
  fill(spec.updateStrategy.rollingUpdate);
}

function nodeSelector(object: KubeObject): string {
  const pairs = Object.entries((specOf(object).template?.spec?.['nodeSelector'] ?? {}) as Record<string, string>);
  return (
    pairs
      .map(([key, value]) => `${key}=${value}`)
      .sort()
      .join(',') || '<none>'
  );
}

function daemonSet(types: TypeTable): ResourceDefinition {
  return defineKind(types, {
    kind: 'DaemonSet',
    resource: 'daemonsets',
    versions: [
      {
        group: 'apps',
        version: 'v1',
        type: 'apps.v1.DaemonSet',
        defaults: withSpec((spec) => {
          defaultUpdateStrategy(spec, (rolling) => {
            rolling.maxUnavailable ??= 1;
            rolling.maxSurge ??= 0;
          });
          spec.revisionHistoryLimit ??= 10;
        }),
      },
    ],
    shortNames: ['ds'],
    categories: ['all'],
    status: true,
    columns: [
      NAME,
      number('Desired', (object) => statusNumber(object, 'desiredNumberScheduled')),
      number('Current', (object) => statusNumber(object, 'currentNumberScheduled')),
      number('Ready', (object) => statusNumber(object, 'numberReady')),
      number('Up-to-date', (object) => statusNumber(object, 'updatedNumberScheduled')),
      number('Available', (object) => statusNumber(object, 'numberAvailable')),
      column('Node Selector', nodeSelector),
      AGE,
      ...TEMPLATE,
    ],
    strategy: {
      generation: true,
      initialStatus: () => ({
        currentNumberScheduled: 0,
        numberMisscheduled: 0,
        desiredNumberScheduled: 0,
        numberReady: 0,
      }),
      validate: validateWorkload,
      validateUpdate: selectorUnchanged,
    },
  });
}

export function workloadKinds(types: TypeTable): ResourceDefinition[] {
  return [deployment(types), replicaSet(types), statefulSet(types), daemonSet(types), controllerRevision(types)];
}

function controllerRevision(types: TypeTable): ResourceDefinition {
  return defineKind(types, {
    kind: 'ControllerRevision',
    resource: 'controllerrevisions',
    versions: [{ group: 'apps', version: 'v1', type: 'apps.v1.ControllerRevision' }],
    columns: [NAME, number('Revision', (object) => Number(object['revision'] ?? 0)), AGE],
  });
}
