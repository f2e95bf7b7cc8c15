// SPDX-License-Identifier: Apache-2.0
// HorizontalPodAutoscalers: kept as autoscaling/v2; autoscaling/v1 sees the CPU target alone and keeps the rest in annotations.
import type { KubeObject } from '../../../../kube/types.ts';
import type { TypeTable } from '../../schema/parse.ts';
import type { StatusCause } from '../../status.ts';
import { AGE, column, NAME } from '../../tables/table.ts';
import { invalidValue, required, unsupported } from '../../validation/causes.ts';
import type { ResourceDefinition } from '../definition.ts';
import { at, defineKind, member, textAt } from '../kind-builder.ts';

interface MetricTarget {
  type?: string;
  averageUtilization?: number;
  averageValue?: string;
  value?: string;
}

interface Metric {
  type?: string;
  resource?: { name?: string; target?: MetricTarget; current?: MetricTarget };
  [source: string]: unknown;
}

interface Behavior {
  scaleUp?: ScalingRules;
  scaleDown?: ScalingRules;
}

interface ScalingRules {
  stabilizationWindowSeconds?: number;
  selectPolicy?: string;
  policies?: { type: string; value: number; periodSeconds: number }[];
}

interface AutoscalerSpec {
  scaleTargetRef?: { apiVersion?: string; kind?: string; name?: string };
  minReplicas?: number;
  maxReplicas?: number;
  metrics?: Metric[];
  behavior?: Behavior;
  targetCPUUtilizationPercentage?: number;
}

const METRICS_ANNOTATION = 'autoscaling.alpha.kubernetes.io/metrics';
const BEHAVIOR_ANNOTATION = 'autoscaling.alpha.kubernetes.io/behavior';
const CURRENT_ANNOTATION = 'autoscaling.alpha.kubernetes.io/current-metrics';
const CONDITIONS_ANNOTATION = 'autoscaling.alpha.kubernetes.io/conditions';
const DEFAULT_UTILIZATION = 80;
const SOURCES = ['ContainerResource', 'External', 'Object', 'Pods', 'Resource'];

const specOf = (object: KubeObject): AutoscalerSpec => member<AutoscalerSpec>(object, 'spec') ?? {};

const cpuTarget = (percentage: number): Metric => ({
  type: 'Resource',
  resource: { name: 'cpu', target: { type: 'Utilization', averageUtilization: percentage } },
});

function defaultMinimum(object: KubeObject): void {
  const spec = specOf(object);
  object['spec'] = spec;
  spec.minReplicas ??= 1;
}

function defaults(object: KubeObject): void {
  defaultMinimum(object);
  const spec = specOf(object);
  if (!spec.metrics?.length) spec.metrics = [cpuTarget(DEFAULT_UTILIZATION)];
  const { scaleUp, scaleDown } = spec.behavior ?? {};
  if (!scaleUp && !scaleDown) return;
  // One rule that is told brings the other one's defaults: https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale/#default-behavior
  const up = {
    stabilizationWindowSeconds: 0,
    selectPolicy: 'Max',
    policies: [
      { type: 'Pods', value: 4, periodSeconds: 15 },
      { type: 'Percent', value: 100, periodSeconds: 15 },
    ],
  };
  const down = { selectPolicy: 'Max', policies: [{ type: 'Percent', value: 100, periodSeconds: 15 }] };
  spec.behavior = { scaleUp: { ...up, ...scaleUp }, scaleDown: { ...down, ...scaleDown } };
}

function isCpuTarget({ type, resource }: Metric): boolean {
  return type === 'Resource' && resource?.name === 'cpu' && resource.target?.averageUtilization !== undefined;
}

/** autoscaling/v2 as autoscaling/v1. */
function toV1(object: KubeObject): KubeObject {
  const { metrics = [], behavior, ...spec } = specOf(object);
  const { currentMetrics, conditions, ...status } = (object['status'] ?? {}) as {
    currentMetrics?: Metric[] | null;
    conditions?: unknown[];
  };
  const cpu = metrics.find(isCpuTarget);
  const others = metrics.filter((metric) => metric !== cpu);
  const current = currentMetrics?.find(({ type, resource }) => type === 'Resource' && resource?.name === 'cpu');
  const utilization = current?.resource?.current?.averageUtilization;
  const kept: Record<string, string> = {};
  if (others.length > 0) kept[METRICS_ANNOTATION] = JSON.stringify(others);
  if (behavior) kept[BEHAVIOR_ANNOTATION] = JSON.stringify(behavior);
  if (currentMetrics?.length) kept[CURRENT_ANNOTATION] = JSON.stringify(currentMetrics);
  if (conditions?.length) kept[CONDITIONS_ANNOTATION] = JSON.stringify(conditions);
  const annotations = { ...object.metadata.annotations, ...kept };
  const percentage = cpu?.resource?.target?.averageUtilization;
  return {
    ...object,
    apiVersion: 'autoscaling/v1',
    metadata: { ...object.metadata, ...(Object.keys(annotations).length > 0 ? { annotations } : {}) },
    spec: { ...spec, ...(percentage === undefined ? {} : { targetCPUUtilizationPercentage: percentage }) },
    status: {
      currentReplicas: 0,
      ...status,
      ...(utilization === undefined ? {} : { currentCPUUtilizationPercentage: utilization }),
    },
  };
}

/** autoscaling/v1 as autoscaling/v2, with what toV1 has put into annotations. */
function toV2(object: KubeObject): KubeObject {
  const { targetCPUUtilizationPercentage: percentage, ...spec } = specOf(object);
  const { currentCPUUtilizationPercentage: _, ...status } = (object['status'] ?? {}) as Record<string, unknown>;
  const {
    [METRICS_ANNOTATION]: metricsText,
    [BEHAVIOR_ANNOTATION]: behaviorText,
    [CURRENT_ANNOTATION]: currentText,
    [CONDITIONS_ANNOTATION]: conditionsText,
    ...annotations
  } = object.metadata.annotations ?? {};
  const { annotations: __, ...metadata } = object.metadata;
  const metrics = [...parsed<Metric>(metricsText), ...(percentage === undefined ? [] : [cpuTarget(percentage)])];
  const behavior = parsedObject(behaviorText);
  const current = parsed<Metric>(currentText);
  const conditions = parsed<unknown>(conditionsText);
  const next: KubeObject = {
    ...object,
    apiVersion: 'autoscaling/v2',
    metadata: { ...metadata, ...(Object.keys(annotations).length > 0 ? { annotations } : {}) },
    spec: { ...spec, ...(metrics.length > 0 ? { metrics } : {}), ...(behavior ? { behavior } : {}) },
    status: {
      desiredReplicas: 0,
      ...status,
      currentMetrics: current.length > 0 ? current : null,
      ...(conditions.length > 0 ? { conditions } : {}),
    },
  };
  defaults(next);
  return next;
}

function parsed<T>(text: string | undefined): T[] {
  const value = parsedObject(text);
  return Array.isArray(value) ? value : [];
}

/** An annotation that somebody has spoiled counts as absent, as on the real server. */
function parsedObject(text: string | undefined): Behavior | undefined {
  try {
    return text ? (JSON.parse(text) as Behavior) : undefined;
  } catch {
    return undefined;
  }
}

function validate(object: KubeObject): StatusCause[] {
  const { scaleTargetRef, minReplicas = 1, maxReplicas = 0, metrics = [] } = specOf(object);
  const causes: StatusCause[] = [];
  if (minReplicas < 1) causes.push(invalidValue('spec.minReplicas', minReplicas, 'must be greater than or equal to 1'));
  if (maxReplicas < 1) causes.push(invalidValue('spec.maxReplicas', maxReplicas, 'must be greater than 0'));
  if (maxReplicas < minReplicas) {
    causes.push(invalidValue('spec.maxReplicas', maxReplicas, 'must be greater than or equal to `minReplicas`'));
  }
  if (!scaleTargetRef?.kind) causes.push(required('spec.scaleTargetRef.kind'));
  if (!scaleTargetRef?.name) causes.push(required('spec.scaleTargetRef.name'));
  for (const [index, metric] of metrics.entries()) {
    const here = `spec.metrics[${index}]`;
    const { type = '' } = metric;
    const source = `${type.charAt(0).toLowerCase()}${type.slice(1)}`;
    if (!type) causes.push(required(`${here}.type`, 'must specify a metric source type'));
    else if (!SOURCES.includes(type)) causes.push(unsupported(`${here}.type`, type, SOURCES));
    else if (!metric[source]) {
      causes.push(required(`${here}.${source}`, 'must populate information for the given metric source'));
    }
  }
  return causes;
}

function reference(object: KubeObject): string {
  const { kind = '', name = '' } = specOf(object).scaleTargetRef ?? {};
  return `${kind}/${name}`;
}

function targets(object: KubeObject): string {
  const current = (at(object, 'status.currentMetrics') ?? []) as Metric[];
  const shown = (specOf(object).metrics ?? []).map(({ type, resource }) => {
    if (type !== 'Resource' || !resource) return `${type?.toLowerCase()}`;
    const { name, target } = resource;
    const seen = current.find((one) => one.resource?.name === name)?.resource?.current;
    if (target?.averageUtilization !== undefined) {
      const now = seen?.averageUtilization === undefined ? '<unknown>' : `${seen.averageUtilization}%`;
      return `${name}: ${now}/${target.averageUtilization}%`;
    }
    return `${name}: ${seen?.averageValue ?? '<unknown>'}/${target?.averageValue ?? '<auto>'}`;
  });
  return shown.slice(0, 2).join(', ') + (shown.length > 2 ? ` + ${shown.length - 2} more...` : '') || '<none>';
}

export function autoscalerKinds(types: TypeTable): ResourceDefinition[] {
  return [
    defineKind(types, {
      kind: 'HorizontalPodAutoscaler',
      resource: 'horizontalpodautoscalers',
      versions: [
        { group: 'autoscaling', version: 'v2', type: 'autoscaling.v2.HorizontalPodAutoscaler', defaults },
        {
          group: 'autoscaling',
          version: 'v1',
          type: 'autoscaling.v1.HorizontalPodAutoscaler',
          defaults: defaultMinimum,
          toStorage: toV2,
          fromStorage: toV1,
        },
      ],
      shortNames: ['hpa'],
      categories: ['all'],
      status: true,
      columns: [
        NAME,
        column('Reference', reference),
        column('Targets', targets),
        column('MinPods', (object) => textAt(object, 'spec.minReplicas') || '<unset>'),
        column('MaxPods', (object) => Number(at(object, 'spec.maxReplicas') ?? 0)),
        column('Replicas', (object) => Number(at(object, 'status.currentReplicas') ?? 0)),
        AGE,
      ],
      strategy: {
        initialStatus: () => ({ desiredReplicas: 0, currentMetrics: null }),
        prepareCreate: (_, { warn }) => warn('the sandbox has no autoscaler: the number of replicas stays as it is'),
        validate,
      },
    }),
  ];
}
