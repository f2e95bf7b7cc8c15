// SPDX-License-Identifier: Apache-2.0
// What `kubectl explain` says of workloads, scaling and policies. Syntax: ../describe.ts.

export const WORKLOAD_DESCRIPTIONS = `
@apps.v1
Deployment = Keeps a number of equal pods running and replaces them step by step when their template changes.
DeploymentSpec = Which pods, how many, and how they are replaced.
  replicas: How many pods. 1 when nothing is said.
  selector: The pods' labels; must match the template's, and never changes.
  strategy: How old pods give way to new ones.
  paused: Whether changes of the template wait.
  revisionHistoryLimit: How many old ReplicaSets are kept for kubectl rollout undo. 10 when nothing is said.
  progressDeadlineSeconds: After how long without progress the rollout counts as failed. 600 when nothing is said.
DeploymentStatus = How far the deployment is.
  replicas: How many pods there are, of all revisions.
  unavailableReplicas: How many are still missing.
  terminatingReplicas: How many are ending.
DeploymentStrategy = How old pods give way to new ones.
  type: RollingUpdate (default), or Recreate: all old ones end first.
RollingUpdateDeployment = The pace of a rolling update.
  maxUnavailable: How many pods may be missing meanwhile: a number, or a share. 25% when nothing is said.
  maxSurge: How many pods there may be beyond replicas: a number, or a share. 25% when nothing is said.
ReplicaSet = Keeps a number of equal pods running. Usually made by a Deployment.
ReplicaSetSpec = Which pods, and how many.
ReplicaSetStatus = How many pods there are.
  fullyLabeledReplicas: How many have all labels of the template.
StatefulSet = Pods with a name, an order and storage of their own, each.
StatefulSetSpec = Which pods, how many, with which storage.
  serviceName: The headless service that gives each pod its name in DNS.
  volumeClaimTemplates: Claims that each pod gets for itself, and keeps.
  podManagementPolicy: OrderedReady (default): one after the other. Parallel: all at once.
  updateStrategy: How pods are replaced.
  persistentVolumeClaimRetentionPolicy: What becomes of the claims.
  ordinals: With which number counting begins.
StatefulSetStatus = How far the set is.
  currentRevision: Revision of the pods before the update.
  updateRevision: Revision of the pods after the update.
StatefulSetUpdateStrategy = How pods are replaced.
  type: RollingUpdate (default), or OnDelete: when somebody deletes them.
RollingUpdateStatefulSetStrategy = The pace of a rolling update.
  partition: Pods with a lower number stay as they are.
StatefulSetPersistentVolumeClaimRetentionPolicy = What becomes of the claims: Retain or Delete.
  whenDeleted: When the set is deleted.
  whenScaled: When the pod goes because there are fewer.
StatefulSetOrdinals = With which number counting begins.
  start: The first number.
DaemonSet = One pod on each node.
DaemonSetSpec = Which pod, and how it is replaced.
  updateStrategy: How pods are replaced.
DaemonSetStatus = How far the set is.
  currentNumberScheduled: Nodes that have a pod and should.
  numberMisscheduled: Nodes that have a pod and should not.
  desiredNumberScheduled: Nodes that should have a pod.
  numberReady: Nodes whose pod is ready.
  updatedNumberScheduled: Nodes whose pod is of the newest revision.
  numberAvailable: Nodes whose pod is available.
  numberUnavailable: Nodes whose pod is not available.
DaemonSetUpdateStrategy = How pods are replaced.
  type: RollingUpdate (default), or OnDelete: when somebody deletes them.
ControllerRevision = A state of a workload that can be gone back to.
  data: The state.
  revision: Its number.

@extensions.v1beta1
Deployment < apps.v1.Deployment
DeploymentSpec < apps.v1.DeploymentSpec
  rollbackTo: Has no effect any more; use kubectl rollout undo.
DeploymentStatus < apps.v1.DeploymentStatus
DeploymentStrategy < apps.v1.DeploymentStrategy
RollingUpdateDeployment < apps.v1.RollingUpdateDeployment

@batch.v1
Job = Runs pods until enough of them have succeeded.
JobSpec = Which pods, how many, how often.
  parallelism: How many pods at the same time. 1 when nothing is said.
  completions: How many must succeed. 1 when nothing is said; empty with parallelism: any one.
  activeDeadlineSeconds: How long the job may take.
  backoffLimit: How many failures are borne. 6 when nothing is said.
  backoffLimitPerIndex: How many failures of one index are borne.
  maxFailedIndexes: How many indexes may fail.
  podFailurePolicy: Which failures count, and which end the job.
  successPolicy: When an indexed job has succeeded enough.
  selector: The pods' labels; filled in.
  manualSelector: Whether the selector was chosen by hand.
  template: The pod that runs; restartPolicy must be Never or OnFailure.
  ttlSecondsAfterFinished: How long the job is kept after its end; for ever when nothing is said.
  completionMode: NonIndexed (default), or Indexed: each pod has a number of its own.
  suspend: Whether it waits.
  podReplacementPolicy: Whether a new pod waits until the old one has failed for good: TerminatingOrFailed or Failed.
  managedBy: Who looks after the job instead of the built-in controller.
JobStatus = How far the job is.
  startTime: When it began.
  completionTime: When it was done.
  active: How many pods run.
  succeeded: How many have succeeded.
  failed: How many have failed.
  ready: How many are ready.
  completedIndexes: The numbers that are done, such as 1,3-5.
CronJob = Makes jobs at certain times.
CronJobSpec = When, and which job.
  schedule: Minute, hour, day of the month, month, day of the week: "*/5 * * * *" is every five minutes.
  timeZone: The time zone of the schedule, such as Europe/Berlin; that of the controllers when nothing is said.
  startingDeadlineSeconds: How late a job may still begin.
  concurrencyPolicy: Allow (default), Forbid a second at the same time, or Replace the first.
  suspend: Whether it rests.
  jobTemplate: The job that is made.
  successfulJobsHistoryLimit: How many successful jobs are kept. 3 when nothing is said.
  failedJobsHistoryLimit: How many failed jobs are kept. 1 when nothing is said.
CronJobStatus = What it has done.
  active: The jobs that run.
  lastScheduleTime: When it last made one.
  lastSuccessfulTime: When one last succeeded.
JobTemplateSpec = The job that is made.

@autoscaling.v2
HorizontalPodAutoscaler = Changes the number of a workload's pods by what they use.
HorizontalPodAutoscalerSpec = Which workload, by which metrics, within which bounds.
  scaleTargetRef: The workload.
  minReplicas: The fewest pods. 1 when nothing is said.
  maxReplicas: The most pods.
  metrics: What is measured; the one that asks for most pods counts.
  behavior: How fast it may grow and shrink.
HorizontalPodAutoscalerStatus = What it sees and wants.
  currentReplicas: How many pods there are.
  desiredReplicas: How many there should be.
  currentMetrics: What was measured last.
  lastScaleTime: When it last changed the number.
MetricSpec = One metric.
  type: Resource, ContainerResource, Pods, Object or External.
  resource: CPU or memory of the pods.
CrossVersionObjectReference = An object, by kind and name.
MetricTarget = The value to keep to.
  averageUtilization: In percent of what is requested.
  averageValue: Per pod.
HorizontalPodAutoscalerBehavior = How fast the number may change.
  scaleUp: Upwards.
  scaleDown: Downwards.
HPAScalingRules = How fast the number may change in one direction.
  stabilizationWindowSeconds: How long it looks back before it changes its mind.
  selectPolicy: Max, Min or Disabled.
  policies: The allowed paces.

@autoscaling.v1
HorizontalPodAutoscaler < autoscaling.v2.HorizontalPodAutoscaler
HorizontalPodAutoscalerSpec < autoscaling.v2.HorizontalPodAutoscalerSpec
  targetCPUUtilizationPercentage: CPU use to keep to, in percent of what is requested.
HorizontalPodAutoscalerStatus < autoscaling.v2.HorizontalPodAutoscalerStatus
Scale = The number of pods of any workload.
ScaleSpec = The number that is wanted.
ScaleStatus = The number that there is.

@policy.v1
PodDisruptionBudget = How many pods must stay when others are evicted on purpose.
PodDisruptionBudgetSpec = Which pods, and how many must stay.
  minAvailable: How many must stay: a number, or a share such as 50%.
  maxUnavailable: How many may go: a number, or a share. Not together with minAvailable.
  unhealthyPodEvictionPolicy: Whether pods that are not ready may always go: AlwaysAllow or IfHealthyBudget.
PodDisruptionBudgetStatus = How many may go now.
  disruptionsAllowed: How many may go now.
  currentHealthy: How many are ready.
  desiredHealthy: How many must be.
  expectedPods: How many the budget counts.
  disruptedPods: Those on their way out.
Eviction = A polite deletion of a pod, which a budget may refuse.
  deleteOptions: How to delete it.

@scheduling.v1
PriorityClass = How important pods are when room is short.
  value: Higher is more important.
  globalDefault: Whether pods that name no class get this one.
  description: When to use it.
  preemptionPolicy: Whether its pods push out others: PreemptLowerPriority (default) or Never.

@node.v1
RuntimeClass = A way to run containers.
  handler: Its name at the nodes' runtimes.
  overhead: Resources it takes beyond those of the containers.
  scheduling: Nodes that have it.
`;
