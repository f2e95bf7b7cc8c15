// SPDX-License-Identifier: Apache-2.0
// Scaling, disruption and priority. Syntax: ../parse.ts.

export const SCALING_TYPES = `
@autoscaling.v1
Scale
  metadata 1 meta.v1.ObjectMeta
  spec 2 ScaleSpec
  status 3 ScaleStatus

HorizontalPodAutoscaler
  metadata 1 meta.v1.ObjectMeta
  spec! 2 HorizontalPodAutoscalerSpec
  status 3 HorizontalPodAutoscalerStatus

ScaleSpec
  replicas? 1 int32

ScaleStatus
  replicas! 1 int32
  selector? 2 string

HorizontalPodAutoscalerSpec
  scaleTargetRef! 1 CrossVersionObjectReference
  minReplicas* 2 int32
  maxReplicas! 3 int32
  targetCPUUtilizationPercentage* 4 int32

HorizontalPodAutoscalerStatus
  observedGeneration* 1 int64
  lastScaleTime* 2 time
  currentReplicas! 3 int32
  desiredReplicas! 4 int32
  currentCPUUtilizationPercentage* 5 int32

CrossVersionObjectReference atomic
  kind! 1 string
  name! 2 string
  apiVersion? 3 string

@autoscaling.v2
HorizontalPodAutoscaler
  metadata 1 meta.v1.ObjectMeta
  spec! 2 HorizontalPodAutoscalerSpec
  status 3 HorizontalPodAutoscalerStatus

HorizontalPodAutoscalerSpec
  scaleTargetRef! 1 CrossVersionObjectReference
  minReplicas* 2 int32
  maxReplicas! 3 int32
  metrics? 4 list MetricSpec list=atomic
  behavior* 5 HorizontalPodAutoscalerBehavior

HorizontalPodAutoscalerStatus
  observedGeneration* 1 int64
  lastScaleTime* 2 time
  currentReplicas? 3 int32
  desiredReplicas! 4 int32
  currentMetrics 5 list MetricStatus list=atomic
  conditions? 6 list HorizontalPodAutoscalerCondition patch=merge:type list=map:type

CrossVersionObjectReference
  kind! 1 string
  name! 2 string
  apiVersion? 3 string

MetricSpec
  type! 1 string
  object* 2 ObjectMetricSource
  pods* 3 PodsMetricSource
  resource* 4 ResourceMetricSource
  containerResource* 7 ContainerResourceMetricSource
  external* 5 ExternalMetricSource

HorizontalPodAutoscalerBehavior
  scaleUp* 1 HPAScalingRules
  scaleDown* 2 HPAScalingRules

MetricStatus
  type! 1 string
  object* 2 ObjectMetricStatus
  pods* 3 PodsMetricStatus
  resource* 4 ResourceMetricStatus
  containerResource* 7 ContainerResourceMetricStatus
  external* 5 ExternalMetricStatus

HorizontalPodAutoscalerCondition
  type! 1 string
  status! 2 string
  lastTransitionTime 3 time
  reason? 4 string
  message? 5 string
  observedGeneration* 6 int64

ObjectMetricSource
  describedObject! 1 CrossVersionObjectReference
  target! 2 MetricTarget
  metric! 3 MetricIdentifier

PodsMetricSource
  metric! 1 MetricIdentifier
  target! 2 MetricTarget

ResourceMetricSource
  name! 1 string
  target! 2 MetricTarget

ContainerResourceMetricSource
  name! 1 string
  target! 2 MetricTarget
  container! 3 string

ExternalMetricSource
  metric! 1 MetricIdentifier
  target! 2 MetricTarget

HPAScalingRules
  stabilizationWindowSeconds* 3 int32
  selectPolicy* 1 string
  policies? 2 list HPAScalingPolicy list=atomic
  tolerance* 4 quantity

ObjectMetricStatus
  metric! 1 MetricIdentifier
  current! 2 MetricValueStatus
  describedObject! 3 CrossVersionObjectReference

PodsMetricStatus
  metric! 1 MetricIdentifier
  current! 2 MetricValueStatus

ResourceMetricStatus
  name! 1 string
  current! 2 MetricValueStatus

ContainerResourceMetricStatus
  name! 1 string
  current! 2 MetricValueStatus
  container! 3 string

ExternalMetricStatus
  metric! 1 MetricIdentifier
  current! 2 MetricValueStatus

MetricTarget
  type! 1 string
  value* 2 quantity
  averageValue* 3 quantity
  averageUtilization* 4 int32

MetricIdentifier
  name! 1 string
  selector* 2 meta.v1.LabelSelector

HPAScalingPolicy
  type! 1 string
  value! 2 int32
  periodSeconds! 3 int32

MetricValueStatus
  value* 1 quantity
  averageValue* 2 quantity
  averageUtilization* 3 int32

@policy.v1
PodDisruptionBudget
  metadata 1 meta.v1.ObjectMeta
  spec 2 PodDisruptionBudgetSpec
  status 3 PodDisruptionBudgetStatus

Eviction
  metadata 1 meta.v1.ObjectMeta
  deleteOptions* 2 meta.v1.DeleteOptions

PodDisruptionBudgetSpec
  minAvailable* 1 intOrString
  selector* 2 meta.v1.LabelSelector patch=replace
  maxUnavailable* 3 intOrString
  unhealthyPodEvictionPolicy* 4 string

PodDisruptionBudgetStatus
  observedGeneration? 1 int64
  disruptedPods? 2 map time
  disruptionsAllowed 3 int32
  currentHealthy 4 int32
  desiredHealthy 5 int32
  expectedPods 6 int32
  conditions? 7 list meta.v1.Condition patch=merge:type list=map:type

@scheduling.v1
PriorityClass
  metadata 1 meta.v1.ObjectMeta
  value 2 int32
  globalDefault? 3 bool
  description? 4 string
  preemptionPolicy* 5 string
`;
