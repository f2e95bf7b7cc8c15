// SPDX-License-Identifier: Apache-2.0
// Storage classes, runtime classes, API services, metrics. Syntax: ../parse.ts.

export const CLUSTER_TYPES = `
@core.v1
ComponentStatus
  metadata 1 meta.v1.ObjectMeta
  conditions? 2 list ComponentCondition patch=merge:type list=map:type

ComponentCondition
  type! 1 string
  status! 2 string
  message? 3 string
  error? 4 string

@storage.v1
StorageClass
  metadata 1 meta.v1.ObjectMeta
  provisioner! 2 string
  parameters? 3 map string
  reclaimPolicy* 4 string
  mountOptions? 5 list string list=atomic
  allowVolumeExpansion* 6 bool
  volumeBindingMode* 7 string
  allowedTopologies? 8 list TopologySelectorTerm list=atomic

TopologySelectorTerm atomic
  matchLabelExpressions? 1 list TopologySelectorLabelRequirement list=atomic

TopologySelectorLabelRequirement
  key! 1 string
  values! 2 list string list=atomic

@node.v1
RuntimeClass
  metadata 1 meta.v1.ObjectMeta
  handler! 2 string
  overhead* 3 Overhead
  scheduling* 4 Scheduling

Overhead
  podFixed? 1 map quantity

Scheduling
  nodeSelector? 1 map string map=atomic
  tolerations? 2 list core.v1.Toleration list=atomic

@apiregistration.v1
APIService
  metadata 1 meta.v1.ObjectMeta
  spec? 2 APIServiceSpec
  status? 3 APIServiceStatus

APIServiceSpec
  service* 1 ServiceReference
  group? 2 string
  version? 3 string
  insecureSkipTLSVerify? 4 bool
  caBundle? 5 bytes
  groupPriorityMinimum! 7 int32
  versionPriority! 8 int32

ServiceReference
  namespace? 1 string
  name? 2 string
  port* 3 int32

APIServiceStatus
  conditions? 1 list APIServiceCondition patch=merge:type list=map:type

APIServiceCondition
  type! 1 string
  status! 2 string
  lastTransitionTime? 3 time
  reason? 4 string
  message? 5 string

@metrics.v1beta1
NodeMetrics
  metadata 1 meta.v1.ObjectMeta
  timestamp! 2 time
  window! 3 duration
  usage! 4 map quantity

PodMetrics
  metadata 1 meta.v1.ObjectMeta
  timestamp! 2 time
  window! 3 duration
  containers! 4 list ContainerMetrics list=atomic

ContainerMetrics
  name! 1 string
  usage! 2 map quantity
`;
