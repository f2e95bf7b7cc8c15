// SPDX-License-Identifier: Apache-2.0
// Endpoint slices, ingresses, network policies, leases, events. Syntax: ../parse.ts.

export const NETWORK_TYPES = `
@discovery.v1
EndpointSlice
  metadata 1 meta.v1.ObjectMeta
  addressType! 4 string
  endpoints 2 list Endpoint list=atomic
  ports 3 list EndpointPort list=atomic

Endpoint
  addresses! 1 list string list=set
  conditions 2 EndpointConditions
  hostname* 3 string
  targetRef* 4 core.v1.ObjectReference
  deprecatedTopology? 5 map string
  nodeName* 6 string
  zone* 7 string
  hints* 8 EndpointHints

EndpointPort atomic
  name* 1 string
  protocol* 2 string
  port* 3 int32
  appProtocol* 4 string

EndpointConditions
  ready* 1 bool
  serving* 2 bool
  terminating* 3 bool

EndpointHints
  forZones? 1 list ForZone list=atomic
  forNodes? 2 list ForNode list=atomic

ForZone
  name! 1 string

ForNode
  name! 1 string

@networking.v1
Ingress
  metadata 1 meta.v1.ObjectMeta
  spec 2 IngressSpec
  status 3 IngressStatus

IngressClass
  metadata 1 meta.v1.ObjectMeta
  spec 2 IngressClassSpec

NetworkPolicy
  metadata 1 meta.v1.ObjectMeta
  spec 2 NetworkPolicySpec

IngressSpec
  ingressClassName* 4 string
  defaultBackend* 1 IngressBackend
  tls? 2 list IngressTLS list=atomic
  rules? 3 list IngressRule list=atomic

IngressStatus
  loadBalancer 1 IngressLoadBalancerStatus

IngressClassSpec
  controller?! 1 string
  parameters* 2 IngressClassParametersReference

NetworkPolicySpec
  podSelector 1 meta.v1.LabelSelector
  ingress? 2 list NetworkPolicyIngressRule list=atomic
  egress? 3 list NetworkPolicyEgressRule list=atomic
  policyTypes? 4 list string list=atomic

IngressBackend
  service* 4 IngressServiceBackend
  resource* 3 core.v1.TypedLocalObjectReference

IngressTLS
  hosts? 1 list string list=atomic
  secretName? 2 string

IngressRule
  host? 1 string
  ... 2 IngressRuleValue

IngressLoadBalancerStatus
  ingress? 1 list IngressLoadBalancerIngress list=atomic

IngressClassParametersReference
  apiGroup* 1 string
  kind! 2 string
  name! 3 string
  scope~ 4 string
  namespace* 5 string

NetworkPolicyIngressRule
  ports? 1 list NetworkPolicyPort list=atomic
  from? 2 list NetworkPolicyPeer list=atomic

NetworkPolicyEgressRule
  ports? 1 list NetworkPolicyPort list=atomic
  to? 2 list NetworkPolicyPeer list=atomic

IngressServiceBackend
  name! 1 string
  port! 2 ServiceBackendPort

IngressRuleValue
  http* 1 HTTPIngressRuleValue

IngressLoadBalancerIngress
  ip? 1 string
  hostname? 2 string
  ports? 4 list IngressPortStatus list=atomic

NetworkPolicyPort
  protocol* 1 string
  port* 2 intOrString
  endPort* 3 int32

NetworkPolicyPeer
  podSelector* 1 meta.v1.LabelSelector
  namespaceSelector* 2 meta.v1.LabelSelector
  ipBlock* 3 IPBlock

ServiceBackendPort atomic
  name? 1 string
  number? 2 int32

HTTPIngressRuleValue
  paths! 1 list HTTPIngressPath list=atomic

IngressPortStatus
  port! 1 int32
  protocol! 2 string
  error* 3 string

IPBlock
  cidr! 1 string
  except? 2 list string list=atomic

HTTPIngressPath
  path? 1 string
  pathType~! 3 string
  backend! 2 IngressBackend

@coordination.v1
Lease
  metadata 1 meta.v1.ObjectMeta
  spec 2 LeaseSpec

LeaseSpec
  holderIdentity* 1 string
  leaseDurationSeconds* 2 int32
  acquireTime* 3 microTime
  renewTime* 4 microTime
  leaseTransitions* 5 int32
  strategy* 6 string
  preferredHolder* 7 string

@events.v1
Event
  metadata 1 meta.v1.ObjectMeta
  eventTime! 2 microTime
  series* 3 EventSeries
  reportingController? 4 string
  reportingInstance? 5 string
  action? 6 string
  reason? 7 string
  regarding 8 core.v1.ObjectReference
  related* 9 core.v1.ObjectReference
  note? 10 string
  type? 11 string
  deprecatedSource 12 core.v1.EventSource
  deprecatedFirstTimestamp 13 time
  deprecatedLastTimestamp 14 time
  deprecatedCount? 15 int32

EventSeries
  count! 1 int32
  lastObservedTime! 2 microTime
`;
