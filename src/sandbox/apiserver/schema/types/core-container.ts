// SPDX-License-Identifier: Apache-2.0
// Containers: what runs, its probes and environment, and how it is. Syntax: ../parse.ts.

export const CORE_CONTAINER_TYPES = `
@core.v1
Container
  name! 1 string
  image? 2 string
  command? 3 list string list=atomic
  args? 4 list string list=atomic
  workingDir? 5 string
  ports? 6 list ContainerPort patch=merge:containerPort list=map:containerPort,protocol
  envFrom? 19 list EnvFromSource list=atomic
  env? 7 list EnvVar patch=merge:name list=map:name
  resources 8 ResourceRequirements
  resizePolicy? 23 list ContainerResizePolicy list=atomic
  restartPolicy* 24 string
  restartPolicyRules? 25 list ContainerRestartRule list=atomic
  volumeMounts? 9 list VolumeMount patch=merge:mountPath list=map:mountPath
  volumeDevices? 21 list VolumeDevice patch=merge:devicePath list=map:devicePath
  livenessProbe* 10 Probe
  readinessProbe* 11 Probe
  startupProbe* 22 Probe
  lifecycle* 12 Lifecycle
  terminationMessagePath? 13 string
  terminationMessagePolicy? 20 string
  imagePullPolicy? 14 string
  securityContext* 15 SecurityContext
  stdin? 16 bool
  stdinOnce? 17 bool
  tty? 18 bool

EphemeralContainer
  ... 1 EphemeralContainerCommon
  targetContainerName? 2 string

ResourceRequirements
  limits? 1 map quantity
  requests? 2 map quantity
  claims? 3 list ResourceClaim list=map:name

ContainerStatus
  name! 1 string
  state 2 ContainerState
  lastState 3 ContainerState
  ready! 4 bool
  restartCount! 5 int32
  image! 6 string
  imageID! 7 string
  containerID? 8 string
  started* 9 bool
  allocatedResources? 10 map quantity
  resources* 11 ResourceRequirements
  volumeMounts? 12 list VolumeMountStatus patch=merge:mountPath list=map:mountPath
  user* 13 ContainerUser
  allocatedResourcesStatus? 14 list ResourceStatus patch=merge:name list=map:name
  stopSignal* 15 string

ContainerPort
  name? 1 string
  hostPort? 2 int32
  containerPort! 3 int32
  protocol? 4 string
  hostIP? 5 string

EnvFromSource
  prefix? 1 string
  configMapRef* 2 ConfigMapEnvSource
  secretRef* 3 SecretEnvSource

EnvVar
  name! 1 string
  value? 2 string
  valueFrom* 3 EnvVarSource

ContainerResizePolicy
  resourceName! 1 string
  restartPolicy! 2 string

ContainerRestartRule
  action?! 1 string
  exitCodes* 2 ContainerRestartRuleOnExitCodes

VolumeMount
  name! 1 string
  readOnly? 2 bool
  recursiveReadOnly* 7 string
  mountPath! 3 string
  subPath? 4 string
  mountPropagation* 5 string
  subPathExpr? 6 string
  bindMountOptions? 8 list string list=set

VolumeDevice
  name! 1 string
  devicePath! 2 string

Probe
  ... 1 ProbeHandler
  initialDelaySeconds? 2 int32
  timeoutSeconds? 3 int32
  periodSeconds? 4 int32
  successThreshold? 5 int32
  failureThreshold? 6 int32
  terminationGracePeriodSeconds* 7 int64

Lifecycle
  postStart* 1 LifecycleHandler
  preStop* 2 LifecycleHandler
  stopSignal* 3 string

SecurityContext
  capabilities* 1 Capabilities
  privileged* 2 bool
  seLinuxOptions* 3 SELinuxOptions
  windowsOptions* 10 WindowsSecurityContextOptions
  runAsUser* 4 int64
  runAsGroup* 8 int64
  runAsNonRoot* 5 bool
  readOnlyRootFilesystem* 6 bool
  allowPrivilegeEscalation* 7 bool
  procMount* 9 string
  seccompProfile* 11 SeccompProfile
  appArmorProfile* 12 AppArmorProfile

EphemeralContainerCommon
  name! 1 string
  image?! 2 string
  command? 3 list string list=atomic
  args? 4 list string list=atomic
  workingDir? 5 string
  ports? 6 list ContainerPort patch=merge:containerPort list=map:containerPort,protocol
  envFrom? 19 list EnvFromSource list=atomic
  env? 7 list EnvVar patch=merge:name list=map:name
  resources 8 ResourceRequirements
  resizePolicy? 23 list ContainerResizePolicy list=atomic
  restartPolicy* 24 string
  restartPolicyRules? 25 list ContainerRestartRule list=atomic
  volumeMounts? 9 list VolumeMount patch=merge:mountPath list=map:mountPath
  volumeDevices? 21 list VolumeDevice patch=merge:devicePath list=map:devicePath
  livenessProbe* 10 Probe
  readinessProbe* 11 Probe
  startupProbe* 22 Probe
  lifecycle* 12 Lifecycle
  terminationMessagePath? 13 string
  terminationMessagePolicy? 20 string
  imagePullPolicy? 14 string
  securityContext* 15 SecurityContext
  stdin? 16 bool
  stdinOnce? 17 bool
  tty? 18 bool

ResourceClaim
  name! 1 string
  request? 2 string

ContainerState
  waiting* 1 ContainerStateWaiting
  running* 2 ContainerStateRunning
  terminated* 3 ContainerStateTerminated

VolumeMountStatus
  name! 1 string
  mountPath! 2 string
  readOnly? 3 bool
  recursiveReadOnly* 4 string
  volumeStatus* 5 VolumeStatus

ContainerUser
  linux* 1 LinuxContainerUser

ResourceStatus
  name! 1 string
  resources?! 2 list ResourceHealth list=map:resourceID

ConfigMapEnvSource
  ... 1 LocalObjectReference
  optional* 2 bool

SecretEnvSource
  ... 1 LocalObjectReference
  optional* 2 bool

EnvVarSource
  fieldRef* 1 ObjectFieldSelector
  resourceFieldRef* 2 ResourceFieldSelector
  configMapKeyRef* 3 ConfigMapKeySelector
  secretKeyRef* 4 SecretKeySelector
  fileKeyRef* 5 FileKeySelector

ContainerRestartRuleOnExitCodes
  operator?! 1 string
  values? 2 list int32 list=set

ProbeHandler
  exec* 1 ExecAction
  httpGet* 2 HTTPGetAction
  tcpSocket* 3 TCPSocketAction
  grpc* 4 GRPCAction

LifecycleHandler
  exec* 1 ExecAction
  httpGet* 2 HTTPGetAction
  tcpSocket* 3 TCPSocketAction
  sleep* 4 SleepAction

Capabilities
  add? 1 list string list=atomic
  drop? 2 list string list=atomic

ContainerStateWaiting
  reason? 1 string
  message? 2 string

ContainerStateRunning
  startedAt 1 time

ContainerStateTerminated
  exitCode! 1 int32
  signal? 2 int32
  reason? 3 string
  message? 4 string
  startedAt 5 time
  finishedAt 6 time
  containerID? 7 string

VolumeStatus
  image* 1 ImageVolumeStatus

LinuxContainerUser
  uid! 1 int64
  gid! 2 int64
  supplementalGroups? 3 list int64 list=atomic

ResourceHealth
  resourceID! 1 string
  health?! 2 string
  message* 6 string

ConfigMapKeySelector atomic
  ... 1 LocalObjectReference
  key! 2 string
  optional* 3 bool

SecretKeySelector atomic
  ... 1 LocalObjectReference
  key! 2 string
  optional* 3 bool

FileKeySelector atomic
  volumeName! 1 string
  path! 2 string
  key! 3 string
  optional* 4 bool

ExecAction
  command? 1 list string list=atomic

HTTPGetAction
  path? 1 string
  port! 2 intOrString
  host? 3 string
  scheme? 4 string
  httpHeaders? 5 list HTTPHeader list=atomic
  protocol* 6 string

TCPSocketAction
  port! 1 intOrString
  host? 2 string

GRPCAction
  port! 1 int32
  service~ 2 string
  mode* 3 string

SleepAction
  seconds! 1 int64

ImageVolumeStatus
  imageRef?! 1 string

HTTPHeader
  name! 1 string
  value! 2 string
`;
