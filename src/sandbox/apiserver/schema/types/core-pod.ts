// SPDX-License-Identifier: Apache-2.0
// Pods and what makes them from a template. Syntax: ../parse.ts.

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

HostAlias
  ip! 1 string
  hostnames? 2 list string list=atomic

PodDNSConfig
  nameservers? 1 list string list=atomic
  searches? 2 list string list=atomic
  options? 3 list PodDNSConfigOption list=atomic

PodReadinessGate
  conditionType! 1 string

PodOS
  name! 1 string

PodResourceClaim
  name! 1 string
  resourceClaimName*! 3 string
  resourceClaimTemplateName*! 4 string

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

PodDNSConfigOption
  name?! 1 string
  value* 2 string

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
`;
