// SPDX-License-Identifier: Apache-2.0
// Nodes. Syntax: ../parse.ts.

export const CORE_NODE_TYPES = `
@core.v1
Node
  metadata 1 meta.v1.ObjectMeta
  spec 2 NodeSpec
  status 3 NodeStatus

NodeSpec
  podCIDR? 1 string
  podCIDRs? 7 list string patch=merge list=set
  providerID? 3 string
  unschedulable? 4 bool
  taints? 5 list Taint list=atomic
  configSource* 6 NodeConfigSource
  externalID? 2 string
  podPreemptionPolicy* 8 NodePodPreemptionPolicy

NodeStatus
  capacity? 1 map quantity
  allocatable? 2 map quantity
  phase? 3 string
  conditions? 4 list NodeCondition patch=merge:type list=map:type
  addresses? 5 list NodeAddress patch=merge:type list=map:type
  daemonEndpoints 6 NodeDaemonEndpoints
  nodeInfo 7 NodeSystemInfo
  images? 8 list ContainerImage list=atomic
  volumesInUse? 9 list string list=atomic
  volumesAttached? 10 list AttachedVolume list=atomic
  config* 11 NodeConfigStatus
  runtimeHandlers? 12 list NodeRuntimeHandler list=atomic
  features* 13 NodeFeatures
  declaredFeatures? 14 list string list=atomic

Taint
  key! 1 string
  value? 2 string
  effect! 3 string
  timeAdded* 4 time

NodeConfigSource
  configMap*! 2 ConfigMapNodeConfigSource

NodePodPreemptionPolicy
  disableResizePreemption? 1 list string list=set

NodeCondition
  type! 1 string
  status! 2 string
  lastHeartbeatTime 3 time
  lastTransitionTime 4 time
  reason? 5 string
  message? 6 string

NodeAddress
  type! 1 string
  address! 2 string

NodeDaemonEndpoints
  kubeletEndpoint 1 DaemonEndpoint

NodeSystemInfo
  machineID! 1 string
  systemUUID! 2 string
  bootID! 3 string
  kernelVersion! 4 string
  osImage! 5 string
  containerRuntimeVersion! 6 string
  kubeletVersion! 7 string
  kubeProxyVersion! 8 string
  operatingSystem! 9 string
  architecture! 10 string
  swap* 11 NodeSwapStatus

ContainerImage
  names 1 list string list=atomic
  sizeBytes? 2 int64

AttachedVolume
  name! 1 string
  devicePath! 2 string

NodeConfigStatus
  assigned* 1 NodeConfigSource
  active* 2 NodeConfigSource
  lastKnownGood* 3 NodeConfigSource
  error? 4 string

NodeRuntimeHandler
  name 1 string
  features* 2 NodeRuntimeHandlerFeatures

NodeFeatures
  supplementalGroupsPolicy* 1 bool

ConfigMapNodeConfigSource
  namespace! 1 string
  name! 2 string
  uid? 3 string
  resourceVersion? 4 string
  kubeletConfigKey! 5 string

DaemonEndpoint
  Port! 1 int32

NodeSwapStatus
  capacity* 1 int64

NodeRuntimeHandlerFeatures
  recursiveReadOnlyMounts* 1 bool
  userNamespaces* 2 bool
`;
