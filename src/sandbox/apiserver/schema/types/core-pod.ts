// SPDX-License-Identifier: Apache-2.0
// Pods and what they are made of. Syntax: ../parse.ts.

export const CORE_POD_TYPES = `
@core.v1
Binding
  metadata 1 meta.v1.ObjectMeta
  target! 2 ObjectReference

Pod
  metadata 1 meta.v1.ObjectMeta
  spec 2 PodSpec
  status 3 PodStatus

PodTemplate
  metadata 1 meta.v1.ObjectMeta
  template 2 PodTemplateSpec

ReplicationController
  metadata 1 meta.v1.ObjectMeta
  spec 2 ReplicationControllerSpec
  status 3 ReplicationControllerStatus

ObjectReference atomic
  kind? 1 string
  namespace? 2 string
  name? 3 string
  uid? 4 string
  apiVersion? 5 string
  resourceVersion? 6 string
  fieldPath? 7 string

PodSpec
  volumes? 1 list Volume patch=merge|retainKeys:name list=map:name
  initContainers? 20 list Container patch=merge:name list=map:name
  containers! 2 list Container patch=merge:name list=map:name
  ephemeralContainers? 34 list EphemeralContainer patch=merge:name list=map:name
  restartPolicy? 3 string
  terminationGracePeriodSeconds* 4 int64
  activeDeadlineSeconds* 5 int64
  dnsPolicy? 6 string
  nodeSelector? 7 map string map=atomic
  serviceAccountName? 8 string
  serviceAccount? 9 string
  automountServiceAccountToken* 21 bool
  nodeName? 10 string
  hostNetwork? 11 bool
  hostPID? 12 bool
  hostIPC? 13 bool
  shareProcessNamespace* 27 bool
  securityContext* 14 PodSecurityContext
  imagePullSecrets? 15 list LocalObjectReference patch=merge:name list=map:name
  hostname? 16 string
  subdomain? 17 string
  affinity* 18 Affinity
  schedulerName? 19 string
  tolerations? 22 list Toleration list=atomic
  hostAliases? 23 list HostAlias patch=merge:ip list=map:ip
  priorityClassName? 24 string
  priority* 25 int32
  dnsConfig* 26 PodDNSConfig
  readinessGates? 28 list PodReadinessGate list=atomic
  runtimeClassName* 29 string
  enableServiceLinks* 30 bool
  preemptionPolicy* 31 string
  overhead? 32 map quantity
  topologySpreadConstraints? 33 list TopologySpreadConstraint patch=merge:topologyKey list=map:topologyKey,whenUnsatisfiable
  setHostnameAsFQDN* 35 bool
  os* 36 PodOS
  hostUsers* 37 bool
  schedulingGates? 38 list PodSchedulingGate patch=merge:name list=map:name
  resourceClaims? 39 list PodResourceClaim patch=merge|retainKeys:name list=map:name
  resources* 40 ResourceRequirements
  hostnameOverride* 41 string
  schedulingGroup* 43 PodSchedulingGroup
  evictionResponders? 44 list EvictionResponder patch=merge:name list=map:name

PodStatus
  observedGeneration? 17 int64
  phase? 1 string
  conditions? 2 list PodCondition patch=merge:type list=map:type
  message? 3 string
  reason? 4 string
  nominatedNodeName? 11 string
  hostIP? 5 string
  hostIPs? 16 list HostIP patch=merge:ip list=atomic
  podIP? 6 string
  podIPs? 12 list PodIP patch=merge:ip list=map:ip
  startTime* 7 time
  initContainerStatuses? 10 list ContainerStatus list=atomic
  containerStatuses? 8 list ContainerStatus list=atomic
  qosClass? 9 string
  ephemeralContainerStatuses? 13 list ContainerStatus list=atomic
  resize? 14 string
  resourceClaimStatuses? 15 list PodResourceClaimStatus patch=merge|retainKeys:name list=map:name
  extendedResourceClaimStatus* 18 PodExtendedResourceClaimStatus
  allocatedResources? 19 map quantity
  resources* 20 ResourceRequirements
  nodeAllocatableResourceClaimStatuses? 21 list NodeAllocatableResourceClaimStatus patch=merge:resourceClaimName list=map:resourceClaimName
  volumeHealth? 22 list PodVolumeHealth list=map:name

PodTemplateSpec
  metadata 1 meta.v1.ObjectMeta
  spec 2 PodSpec

ReplicationControllerSpec
  replicas* 1 int32
  minReadySeconds? 4 int32
  selector? 2 map string map=atomic
  template* 3 PodTemplateSpec

ReplicationControllerStatus
  replicas! 1 int32
  fullyLabeledReplicas? 2 int32
  readyReplicas? 4 int32
  availableReplicas? 5 int32
  observedGeneration? 3 int64
  conditions? 6 list ReplicationControllerCondition patch=merge:type list=map:type

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

PodSecurityContext
  seLinuxOptions* 1 SELinuxOptions
  windowsOptions* 8 WindowsSecurityContextOptions
  runAsUser* 2 int64
  runAsGroup* 6 int64
  runAsNonRoot* 3 bool
  supplementalGroups? 4 list int64 list=atomic
  supplementalGroupsPolicy* 12 string
  fsGroup* 5 int64
  sysctls? 7 list Sysctl list=atomic
  fsGroupChangePolicy* 9 string
  seccompProfile* 10 SeccompProfile
  appArmorProfile* 11 AppArmorProfile
  seLinuxChangePolicy* 13 string

Affinity
  nodeAffinity* 1 NodeAffinity
  podAffinity* 2 PodAffinity
  podAntiAffinity* 3 PodAntiAffinity

Toleration
  key? 1 string
  operator? 2 string
  value? 3 string
  effect? 4 string
  tolerationSeconds* 5 int64

HostAlias
  ip! 1 string
  hostnames? 2 list string list=atomic

PodDNSConfig
  nameservers? 1 list string list=atomic
  searches? 2 list string list=atomic
  options? 3 list PodDNSConfigOption list=atomic

PodReadinessGate
  conditionType! 1 string

TopologySpreadConstraint
  maxSkew! 1 int32
  topologyKey! 2 string
  whenUnsatisfiable! 3 string
  labelSelector* 4 meta.v1.LabelSelector
  minDomains* 5 int32
  nodeAffinityPolicy* 6 string
  nodeTaintsPolicy* 7 string
  matchLabelKeys? 8 list string list=atomic

PodOS
  name! 1 string

PodSchedulingGate
  name! 1 string

PodResourceClaim
  name! 1 string
  resourceClaimName*! 3 string
  resourceClaimTemplateName*! 4 string

ResourceRequirements
  limits? 1 map quantity
  requests? 2 map quantity
  claims? 3 list ResourceClaim list=map:name

PodSchedulingGroup
  podGroupName* 1 string

EvictionResponder atomic
  name! 1 string
  priority~! 2 int32

PodCondition
  type! 1 string
  observedGeneration? 7 int64
  status! 2 string
  lastProbeTime 3 time
  lastTransitionTime 4 time
  reason? 5 string
  message? 6 string

HostIP
  ip! 1 string

PodIP
  ip! 1 string

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

PodResourceClaimStatus
  name! 1 string
  resourceClaimName* 2 string

PodExtendedResourceClaimStatus
  requestMappings! 1 list ContainerExtendedResourceRequest list=atomic
  resourceClaimName! 2 string

NodeAllocatableResourceClaimStatus
  resourceClaimName! 1 string
  containers? 2 list string list=set
  mapping? 4 list NodeAllocatableMappedResources patch=merge:name list=map:name
  overhead? 5 list NodeAllocatableOverheadResources patch=merge:name list=map:name

PodVolumeHealth
  name! 1 string
  healthConditions? 2 list VolumeHealthCondition patch=merge:status list=map:status,reason
  lastTransitionTime 3 time

ReplicationControllerCondition
  type! 1 string
  status! 2 string
  lastTransitionTime 3 time
  reason? 4 string
  message? 5 string

VolumeHealthCondition
  status! 1 string
  reason! 2 string
  message? 3 string

NodeSelector atomic
  nodeSelectorTerms! 1 list NodeSelectorTerm list=atomic

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

SELinuxOptions
  user? 1 string
  role? 2 string
  type? 3 string
  level? 4 string

WindowsSecurityContextOptions
  gmsaCredentialSpecName* 1 string
  gmsaCredentialSpec* 2 string
  runAsUserName* 3 string
  hostProcess* 4 bool

Sysctl
  name! 1 string
  value! 2 string

SeccompProfile
  type! 1 string
  localhostProfile* 2 string

AppArmorProfile
  type! 1 string
  localhostProfile* 2 string

NodeAffinity
  requiredDuringSchedulingIgnoredDuringExecution* 1 NodeSelector
  preferredDuringSchedulingIgnoredDuringExecution? 2 list PreferredSchedulingTerm list=atomic

PodAffinity
  requiredDuringSchedulingIgnoredDuringExecution? 1 list PodAffinityTerm list=atomic
  preferredDuringSchedulingIgnoredDuringExecution? 2 list WeightedPodAffinityTerm list=atomic

PodAntiAffinity
  requiredDuringSchedulingIgnoredDuringExecution? 1 list PodAffinityTerm list=atomic
  preferredDuringSchedulingIgnoredDuringExecution? 2 list WeightedPodAffinityTerm list=atomic

PodDNSConfigOption
  name?! 1 string
  value* 2 string

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

ContainerExtendedResourceRequest
  containerName! 1 string
  resourceName! 2 string
  requestName! 3 string

NodeAllocatableMappedResources
  name! 1 string
  quantity~! 2 quantity

NodeAllocatableOverheadResources
  name! 1 string
  perPod* 2 quantity
  perContainer* 3 quantity

NodeSelectorTerm atomic
  matchExpressions? 1 list NodeSelectorRequirement list=atomic
  matchFields? 2 list NodeSelectorRequirement list=atomic

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

PreferredSchedulingTerm
  weight! 1 int32
  preference! 2 NodeSelectorTerm

PodAffinityTerm
  labelSelector* 1 meta.v1.LabelSelector
  namespaces? 2 list string list=atomic
  topologyKey! 3 string
  namespaceSelector* 4 meta.v1.LabelSelector
  matchLabelKeys? 5 list string list=atomic
  mismatchLabelKeys? 6 list string list=atomic

WeightedPodAffinityTerm
  weight! 1 int32
  podAffinityTerm! 2 PodAffinityTerm

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

NodeSelectorRequirement
  key! 1 string
  operator! 2 string
  values? 3 list string list=atomic

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
