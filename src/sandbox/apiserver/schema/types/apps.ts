// SPDX-License-Identifier: Apache-2.0
// Workloads. Syntax: ../parse.ts.

export const APPS_TYPES = `
@apps.v1
ControllerRevision
  metadata 1 meta.v1.ObjectMeta
  data! 2 raw
  revision 3 int64

DaemonSet
  metadata 1 meta.v1.ObjectMeta
  spec 2 DaemonSetSpec
  status 3 DaemonSetStatus

Deployment
  metadata 1 meta.v1.ObjectMeta
  spec 2 DeploymentSpec
  status 3 DeploymentStatus

ReplicaSet
  metadata 1 meta.v1.ObjectMeta
  spec 2 ReplicaSetSpec
  status 3 ReplicaSetStatus

StatefulSet
  metadata 1 meta.v1.ObjectMeta
  spec 2 StatefulSetSpec
  status 3 StatefulSetStatus

DaemonSetSpec
  selector~! 1 meta.v1.LabelSelector
  template! 2 core.v1.PodTemplateSpec
  updateStrategy 3 DaemonSetUpdateStrategy
  minReadySeconds? 4 int32
  revisionHistoryLimit* 6 int32

DaemonSetStatus
  currentNumberScheduled! 1 int32
  numberMisscheduled! 2 int32
  desiredNumberScheduled! 3 int32
  numberReady! 4 int32
  observedGeneration? 5 int64
  updatedNumberScheduled? 6 int32
  numberAvailable? 7 int32
  numberUnavailable? 8 int32
  collisionCount* 9 int32
  conditions? 10 list DaemonSetCondition patch=merge:type list=map:type

DeploymentSpec
  replicas* 1 int32
  selector~! 2 meta.v1.LabelSelector
  template! 3 core.v1.PodTemplateSpec
  strategy 4 DeploymentStrategy patch=retainKeys
  minReadySeconds? 5 int32
  revisionHistoryLimit* 6 int32
  paused? 7 bool
  progressDeadlineSeconds* 9 int32

DeploymentStatus
  observedGeneration? 1 int64
  replicas? 2 int32
  updatedReplicas? 3 int32
  readyReplicas? 7 int32
  availableReplicas? 4 int32
  unavailableReplicas? 5 int32
  terminatingReplicas* 9 int32
  conditions? 6 list DeploymentCondition patch=merge:type list=map:type
  collisionCount* 8 int32

ReplicaSetSpec
  replicas* 1 int32
  minReadySeconds? 4 int32
  selector~! 2 meta.v1.LabelSelector
  template 3 core.v1.PodTemplateSpec

ReplicaSetStatus
  replicas! 1 int32
  fullyLabeledReplicas? 2 int32
  readyReplicas? 4 int32
  availableReplicas? 5 int32
  terminatingReplicas* 7 int32
  observedGeneration? 3 int64
  conditions? 6 list ReplicaSetCondition patch=merge:type list=map:type

StatefulSetSpec
  replicas* 1 int32
  selector~! 2 meta.v1.LabelSelector
  template! 3 core.v1.PodTemplateSpec
  volumeClaimTemplates? 4 list VolumeClaimTemplate list=atomic
  serviceName 5 string
  podManagementPolicy? 6 string
  updateStrategy 7 StatefulSetUpdateStrategy
  revisionHistoryLimit* 8 int32
  minReadySeconds? 9 int32
  persistentVolumeClaimRetentionPolicy* 10 StatefulSetPersistentVolumeClaimRetentionPolicy
  ordinals* 11 StatefulSetOrdinals

StatefulSetStatus
  observedGeneration? 1 int64
  replicas! 2 int32
  readyReplicas? 3 int32
  currentReplicas? 4 int32
  updatedReplicas? 5 int32
  currentRevision? 6 string
  updateRevision? 7 string
  collisionCount* 9 int32
  conditions? 10 list StatefulSetCondition patch=merge:type list=map:type
  availableReplicas 11 int32

VolumeClaimTemplate
  kind? -1 string
  apiVersion? -1 string
  metadata 1 meta.v1.ObjectMeta
  spec 2 core.v1.PersistentVolumeClaimSpec
  status 3 core.v1.PersistentVolumeClaimStatus

DaemonSetUpdateStrategy
  type? 1 string
  rollingUpdate* 2 RollingUpdateDaemonSet

DaemonSetCondition
  type 1 string
  status 2 string
  lastTransitionTime 3 time
  reason? 4 string
  message? 5 string

DeploymentStrategy
  type? 1 string
  rollingUpdate* 2 RollingUpdateDeployment

DeploymentCondition
  type 1 string
  status 2 string
  lastUpdateTime 6 time
  lastTransitionTime 7 time
  reason? 4 string
  message? 5 string

ReplicaSetCondition
  type 1 string
  status 2 string
  lastTransitionTime 3 time
  reason? 4 string
  message? 5 string

StatefulSetUpdateStrategy
  type? 1 string
  rollingUpdate* 2 RollingUpdateStatefulSetStrategy

StatefulSetPersistentVolumeClaimRetentionPolicy
  whenDeleted? 1 string
  whenScaled? 2 string

StatefulSetOrdinals
  start 1 int32

StatefulSetCondition
  type 1 string
  status 2 string
  lastTransitionTime 3 time
  reason? 4 string
  message? 5 string

RollingUpdateDaemonSet
  maxUnavailable* 1 intOrString
  maxSurge* 2 intOrString

RollingUpdateDeployment
  maxUnavailable* 1 intOrString
  maxSurge* 2 intOrString

RollingUpdateStatefulSetStrategy
  partition* 1 int32
  maxUnavailable* 2 intOrString

@extensions.v1beta1
Deployment
  metadata 1 meta.v1.ObjectMeta
  spec 2 DeploymentSpec
  status 3 DeploymentStatus

DeploymentSpec
  replicas* 1 int32
  selector* 2 meta.v1.LabelSelector
  template! 3 core.v1.PodTemplateSpec
  strategy 4 DeploymentStrategy patch=retainKeys
  minReadySeconds? 5 int32
  revisionHistoryLimit* 6 int32
  paused? 7 bool
  rollbackTo* 8 RollbackConfig
  progressDeadlineSeconds* 9 int32

DeploymentStatus
  observedGeneration? 1 int64
  replicas? 2 int32
  updatedReplicas? 3 int32
  readyReplicas? 7 int32
  availableReplicas? 4 int32
  unavailableReplicas? 5 int32
  terminatingReplicas* 9 int32
  conditions? 6 list DeploymentCondition patch=merge:type list=map:type
  collisionCount* 8 int32

DeploymentStrategy
  type? 1 string
  rollingUpdate* 2 RollingUpdateDeployment

RollbackConfig
  revision? 1 int64

DeploymentCondition
  type! 1 string
  status! 2 string
  lastUpdateTime 6 time
  lastTransitionTime 7 time
  reason? 4 string
  message? 5 string

RollingUpdateDeployment
  maxUnavailable* 1 intOrString
  maxSurge* 2 intOrString

@batch.v1
Job
  metadata 1 meta.v1.ObjectMeta
  spec 2 JobSpec
  status 3 JobStatus

CronJob
  metadata 1 meta.v1.ObjectMeta
  spec 2 CronJobSpec
  status 3 CronJobStatus

JobSpec
  parallelism* 1 int32
  completions* 2 int32
  activeDeadlineSeconds* 3 int64
  podFailurePolicy* 11 PodFailurePolicy
  successPolicy* 16 SuccessPolicy
  backoffLimit* 7 int32
  backoffLimitPerIndex* 12 int32
  maxFailedIndexes* 13 int32
  selector* 4 meta.v1.LabelSelector
  manualSelector* 5 bool
  template! 6 core.v1.PodTemplateSpec
  ttlSecondsAfterFinished* 8 int32
  completionMode* 9 string
  suspend* 10 bool
  podReplacementPolicy* 14 string
  managedBy* 15 string
  scheduling* 17 JobSchedulingConfiguration

JobStatus
  conditions? 1 list JobCondition patch=merge:type list=atomic
  startTime* 2 time
  completionTime* 3 time
  active? 4 int32
  succeeded? 5 int32
  failed? 6 int32
  terminating* 11 int32
  completedIndexes? 7 string
  failedIndexes* 10 string
  uncountedTerminatedPods* 8 UncountedTerminatedPods
  ready* 9 int32

CronJobSpec
  schedule! 1 string
  timeZone* 8 string
  startingDeadlineSeconds* 2 int64
  concurrencyPolicy? 3 string
  suspend* 4 bool
  jobTemplate! 5 JobTemplateSpec
  successfulJobsHistoryLimit* 6 int32
  failedJobsHistoryLimit* 7 int32

CronJobStatus
  active? 1 list core.v1.ObjectReference list=atomic
  lastScheduleTime* 4 time
  lastSuccessfulTime* 5 time

PodFailurePolicy
  rules! 1 list PodFailurePolicyRule list=atomic

SuccessPolicy
  rules! 1 list SuccessPolicyRule list=atomic

JobSchedulingConfiguration

JobCondition
  type! 1 string
  status! 2 string
  lastProbeTime 3 time
  lastTransitionTime 4 time
  reason? 5 string
  message? 6 string

UncountedTerminatedPods
  succeeded? 1 list string list=set
  failed? 2 list string list=set

JobTemplateSpec
  metadata 1 meta.v1.ObjectMeta
  spec 2 JobSpec

PodFailurePolicyRule
  action! 1 string
  onExitCodes* 2 PodFailurePolicyOnExitCodesRequirement
  onPodConditions? 3 list PodFailurePolicyOnPodConditionsPattern list=atomic

SuccessPolicyRule
  succeededIndexes* 1 string
  succeededCount* 2 int32

PodFailurePolicyOnExitCodesRequirement
  containerName* 1 string
  operator! 2 string
  values! 3 list int32 list=set

PodFailurePolicyOnPodConditionsPattern
  type! 1 string
  status 2 string
`;
