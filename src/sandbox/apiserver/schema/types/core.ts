// SPDX-License-Identifier: Apache-2.0
// The rest of the core group. Syntax: ../parse.ts.

export const CORE_TYPES = `
@core.v1
ConfigMap
  metadata 1 meta.v1.ObjectMeta
  immutable* 4 bool
  data? 2 map string
  binaryData? 3 map bytes

Endpoints
  metadata 1 meta.v1.ObjectMeta
  subsets? 2 list EndpointSubset list=atomic

Event
  metadata! 1 meta.v1.ObjectMeta
  involvedObject! 2 ObjectReference
  reason? 3 string
  message? 4 string
  source 5 EventSource
  firstTimestamp 6 time
  lastTimestamp 7 time
  count? 8 int32
  type? 9 string
  eventTime 10 microTime
  series* 11 EventSeries
  action? 12 string
  related* 13 ObjectReference
  reportingComponent 14 string
  reportingInstance 15 string

LimitRange
  metadata 1 meta.v1.ObjectMeta
  spec 2 LimitRangeSpec

Namespace
  metadata 1 meta.v1.ObjectMeta
  spec 2 NamespaceSpec
  status 3 NamespaceStatus

ResourceQuota
  metadata 1 meta.v1.ObjectMeta
  spec 2 ResourceQuotaSpec
  status 3 ResourceQuotaStatus

Secret
  metadata 1 meta.v1.ObjectMeta
  immutable* 5 bool
  data? 2 map bytes
  stringData? 4 map string
  type? 3 string

Service
  metadata 1 meta.v1.ObjectMeta
  spec 2 ServiceSpec
  status 3 ServiceStatus

ServiceAccount
  metadata 1 meta.v1.ObjectMeta
  secrets? 2 list ObjectReference patch=merge:name list=map:name
  imagePullSecrets? 3 list LocalObjectReference list=atomic
  automountServiceAccountToken* 4 bool

EndpointSubset
  addresses? 1 list EndpointAddress list=atomic
  notReadyAddresses? 2 list EndpointAddress list=atomic
  ports? 3 list EndpointPort list=atomic

EventSource
  component? 1 string
  host? 2 string

EventSeries
  count?! 1 int32
  lastObservedTime! 2 microTime

LimitRangeSpec
  limits! 1 list LimitRangeItem list=atomic

NamespaceSpec
  finalizers? 1 list string list=atomic

NamespaceStatus
  phase? 1 string
  conditions? 2 list NamespaceCondition patch=merge:type list=map:type

ResourceQuotaSpec
  hard? 1 map quantity
  scopes? 2 list string list=atomic
  scopeSelector* 3 ScopeSelector

ResourceQuotaStatus
  hard? 1 map quantity
  used? 2 map quantity

ServiceSpec
  ports? 1 list ServicePort patch=merge:port list=map:port,protocol
  selector? 2 map string map=atomic
  clusterIP? 3 string
  clusterIPs? 18 list string list=atomic
  type? 4 string
  externalIPs? 5 list string list=atomic
  sessionAffinity? 7 string
  loadBalancerIP? 8 string
  loadBalancerSourceRanges? 9 list string list=atomic
  externalName? 10 string
  externalTrafficPolicy? 11 string
  healthCheckNodePort? 12 int32
  publishNotReadyAddresses? 13 bool
  sessionAffinityConfig* 14 SessionAffinityConfig
  ipFamilies? 19 list string list=atomic
  ipFamilyPolicy* 17 string
  allocateLoadBalancerNodePorts* 20 bool
  loadBalancerClass* 21 string
  internalTrafficPolicy* 22 string
  trafficDistribution* 23 string

ServiceStatus
  loadBalancer 1 LoadBalancerStatus
  conditions? 2 list meta.v1.Condition patch=merge:type list=map:type

EndpointAddress atomic
  ip! 1 string
  hostname? 3 string
  nodeName* 4 string
  targetRef* 2 ObjectReference

EndpointPort atomic
  name? 1 string
  port! 2 int32
  protocol? 3 string
  appProtocol* 4 string

LimitRangeItem
  type! 1 string
  max? 2 map quantity
  min? 3 map quantity
  default? 4 map quantity
  defaultRequest? 5 map quantity
  maxLimitRequestRatio? 6 map quantity

NamespaceCondition
  type! 1 string
  status! 2 string
  lastTransitionTime 4 time
  reason? 5 string
  message? 6 string

ScopeSelector atomic
  matchExpressions? 1 list ScopedResourceSelectorRequirement list=atomic

ServicePort
  name? 1 string
  protocol? 2 string
  appProtocol* 6 string
  port! 3 int32
  targetPort 4 intOrString
  nodePort? 5 int32

SessionAffinityConfig
  clientIP* 1 ClientIPConfig

LoadBalancerStatus
  ingress? 1 list LoadBalancerIngress list=atomic

ScopedResourceSelectorRequirement
  scopeName! 1 string
  operator! 2 string
  values? 3 list string list=atomic

ClientIPConfig
  timeoutSeconds* 1 int32

LoadBalancerIngress
  ip? 1 string
  hostname? 2 string
  ipMode* 3 string
  ports? 4 list PortStatus list=atomic

PortStatus
  port! 1 int32
  protocol! 2 string
  error* 3 string
`;
