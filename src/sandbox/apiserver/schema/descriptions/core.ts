// SPDX-License-Identifier: Apache-2.0
// What `kubectl explain` says of the other core kinds, the network, access and metrics. Syntax: ../describe.ts.

export const CORE_DESCRIPTIONS = `
@core.v1
Service = One name and address for a set of pods.
ServiceSpec = Which pods, on which ports, reachable from where.
  type: ClusterIP (default), NodePort, LoadBalancer or ExternalName.
  selector: Labels of the pods behind it; without any somebody else must write the endpoints.
  ports: The ports it offers.
  clusterIP: Its address in the cluster; None for a headless service, whose name leads to the pods themselves.
  clusterIPs: Its addresses, at most one of each family.
  ipFamilies: IPv4, IPv6.
  ipFamilyPolicy: SingleStack, PreferDualStack or RequireDualStack.
  externalIPs: More addresses that lead to it.
  externalName: For type ExternalName: the DNS name that it stands for.
  externalTrafficPolicy: Cluster, or Local: only pods of the node that was asked, with the client's address.
  internalTrafficPolicy: Cluster, or Local: only pods of the same node.
  sessionAffinity: None, or ClientIP: the same client gets the same pod.
  sessionAffinityConfig: How long a client keeps its pod.
  loadBalancerIP: The address wanted of the load balancer.
  loadBalancerClass: Which load balancer.
  loadBalancerSourceRanges: Clients that may use it.
  allocateLoadBalancerNodePorts: Whether a load balancer gets node ports too.
  healthCheckNodePort: The port that tells load balancers whether this node has pods.
  publishNotReadyAddresses: Whether pods that are not ready are told of too.
  trafficDistribution: PreferClose: near pods first.
ServicePort = A port of a service.
  name: Its name; needed when there are several. Meshes take the protocol from it: http, grpc, tcp-x.
  port: The number that clients use.
  targetPort: Number or name of the pods' port; the same as port when nothing is said.
  nodePort: The port on each node, for NodePort and LoadBalancer; chosen when nothing is said.
ServiceStatus = What the service was given.
  loadBalancer: Addresses of its load balancer.
LoadBalancerStatus = Addresses of a load balancer.
  ingress: The addresses.
LoadBalancerIngress = One address of a load balancer.
  ipMode: VIP: packets come as they were sent. Proxy: they come from the load balancer.
SessionAffinityConfig = How long a client keeps its pod.
ClientIPConfig = How long a client keeps its pod.
  timeoutSeconds: How long, in seconds. 10800 when nothing is said.
ConfigMap = Keys and values for programs: settings, files.
  data: Keys and their texts.
  binaryData: Keys and their bytes, in base64.
  immutable: Whether nothing of it may change any more.
Secret = Keys and values that not everybody shall read.
  data: Keys and their bytes, in base64.
  stringData: As data, in plain text; for writing alone.
  type: What it holds: Opaque (default), kubernetes.io/tls, ...
  immutable: Whether nothing of it may change any more.
Namespace = A space for names: objects in it go with it.
NamespaceSpec = What keeps the namespace.
  finalizers: Who still has to empty it.
NamespaceStatus = Where in its life it is.
  phase: Active or Terminating.
ServiceAccount = An identity for programs in pods.
  secrets: Secrets that its pods may use.
  imagePullSecrets: Secrets for image registries, for pods that name none.
  automountServiceAccountToken: Whether its pods get its token.
Node = A machine that pods run on.
NodeSpec = What the cluster thinks of the node.
  podCIDR: The range of its pods' addresses.
  podCIDRs: The ranges of its pods' addresses.
  providerID: Its id at the cloud.
  unschedulable: Whether new pods stay away; see kubectl cordon.
  taints: What keeps pods away that do not tolerate it.
NodeStatus = What the node told of itself.
  allocatable: What is there for pods.
  conditions: Ready, MemoryPressure, DiskPressure, PIDPressure.
  addresses: Its addresses and names.
  nodeInfo: Its kernel, operating system and kubelet.
  images: Images that it has.
  daemonEndpoints: Where its kubelet listens.
Taint = Something that keeps pods away that do not tolerate it.
  effect: NoSchedule, PreferNoSchedule or NoExecute.
  timeAdded: Since when, for NoExecute.
Endpoints = Addresses behind a service. EndpointSlices have replaced it.
  subsets: Groups of addresses with the same ports.
EndpointSubset = Addresses with the same ports.
  addresses: Those that are ready.
  notReadyAddresses: Those that are not.
EndpointAddress = An address behind a service.
  targetRef: The pod it belongs to.
Event = Something that happened to an object.
  involvedObject: The object.
  source: Who saw it.
  firstTimestamp: When it was first seen.
  lastTimestamp: When it was last seen.
  count: How often.
  type: Normal or Warning.
  eventTime: When it was first seen, to the microsecond.
  series: The repetitions.
  action: What was done.
  related: Another object that has to do with it.
  reportingComponent: The controller that tells of it.
  reportingInstance: Which instance of it.
ResourceQuota = The most that a namespace may use.
ResourceQuotaSpec = The bounds.
  hard: The most of each: pods, configmaps, requests.cpu, limits.memory, count/jobs.batch, ...
  scopes: Only pods that are Terminating, NotTerminating, BestEffort, NotBestEffort, ...
  scopeSelector: As scopes, with operators.
ResourceQuotaStatus = How much of the bounds is used.
  hard: The bounds in force.
  used: What is used.
LimitRange = Defaults and bounds for what containers of a namespace ask for.
LimitRangeSpec = The bounds.
  limits: One entry per type.
LimitRangeItem = Bounds for one type of thing.
  type: Container, Pod or PersistentVolumeClaim.
  max: The most of each resource.
  min: The least of each resource.
  default: The limit of containers that state none.
  defaultRequest: The request of containers that state none.
  maxLimitRequestRatio: How many times the request the limit may be.
ComponentStatus = How a part of the control plane is.

@discovery.v1
EndpointSlice = Some of the addresses behind a service.
  addressType: IPv4, IPv6 or FQDN.
  endpoints: The addresses.
  ports: The ports of all of them.
Endpoint = One address behind a service.
  addresses: Its address.
  conditions: Whether it can be used.
  targetRef: The pod it belongs to.
  zone: The zone it is in.
  hints: Who should prefer it.
EndpointConditions = Whether an endpoint can be used.
  ready: Whether it is ready for traffic.
  serving: As ready, also while the pod ends.
  terminating: Whether the pod ends.

@networking.v1
Ingress = HTTP routes from outside to services.
IngressSpec = The routes.
  ingressClassName: Which controller serves it.
  defaultBackend: Where requests go that no rule matches.
  tls: Certificates by host name.
  rules: Routes by host name.
IngressRule = Routes of one host name.
  host: The host name; *.example.com for all below it, empty for all.
  http: The paths.
HTTPIngressPath = A path and where it leads.
  path: The path.
  pathType: Exact, Prefix or ImplementationSpecific.
  backend: Where it leads.
IngressBackend = Where requests go.
  service: A service and its port.
  resource: An object of another kind.
IngressServiceBackend = A service and its port.
  port: Its port, by name or number.
ServiceBackendPort = A port of a service, by name or by number.
  number: Its number.
IngressStatus = What the ingress was given.
  loadBalancer: Addresses of its load balancer.
IngressLoadBalancerStatus = Addresses of a load balancer.
  ingress: The addresses.
IngressTLS = A certificate for some host names.
  hosts: The host names.
  secretName: The Secret with certificate and key.
IngressClass = A kind of ingress controller.
IngressClassSpec = Which controller, with which settings.
  controller: The controller's name.
  parameters: An object with its settings.
NetworkPolicy = Which traffic pods may have.
NetworkPolicySpec = Which pods, which traffic.
  podSelector: The pods it is about; empty for all of the namespace.
  policyTypes: Ingress, Egress or both.
  ingress: Traffic that may come in.
  egress: Traffic that may go out.
NetworkPolicyIngressRule = Traffic that may come in.
  from: Whence; from everywhere when empty.
NetworkPolicyEgressRule = Traffic that may go out.
  to: Whither; everywhere when empty.
NetworkPolicyPeer = The other side of the traffic.
  podSelector: Pods, by their labels.
  ipBlock: A range of addresses.
IPBlock = A range of addresses.
  cidr: The range, such as 10.0.0.0/8.
  except: Ranges in it that are left out.
NetworkPolicyPort = A port, or a range of them.
  endPort: The last port of the range.

@coordination.v1
Lease = A claim that must be renewed: who leads, who lives.
LeaseSpec = Who holds it, until when.
  holderIdentity: Who holds it.
  leaseDurationSeconds: How long it holds without being renewed.
  acquireTime: Since when.
  renewTime: When it was last renewed.
  leaseTransitions: How often it changed hands.

@rbac.v1
Role = Rights in one namespace.
  rules: The rights.
ClusterRole = Rights in the whole cluster, or to be bound in any namespace.
  rules: The rights.
  aggregationRule: Takes its rules from other ClusterRoles.
RoleBinding = Gives rights in one namespace to somebody.
  subjects: Who gets them.
  roleRef: The role. Never changes.
ClusterRoleBinding = Gives rights in the whole cluster to somebody.
  subjects: Who gets them.
  roleRef: The ClusterRole. Never changes.
PolicyRule = A right: what may be done with what.
  resources: Resources, such as pods or pods/log; * for all.
Subject = A user, a group or a service account.
  kind: User, Group or ServiceAccount.
RoleRef = A role.
  kind: Role or ClusterRole.
AggregationRule = Which ClusterRoles are taken together.
  clusterRoleSelectors: By these labels.

@admissionregistration.v1
ValidatingWebhookConfiguration = Servers that are asked whether an object may be written.
  webhooks: The servers.
MutatingWebhookConfiguration = Servers that may change objects before they are written.
  webhooks: The servers.
ValidatingWebhook = A server that is asked.
  name: Its name, with at least three parts: check.example.com.
  clientConfig: How to reach it.
  rules: Which requests it is asked about.
  sideEffects: Whether it does more than answer: None or NoneOnDryRun.
  admissionReviewVersions: Versions of AdmissionReview that it understands.
MutatingWebhook < ValidatingWebhook
  reinvocationPolicy: Never, or IfNeeded: asked again when others changed the object after it.
WebhookClientConfig = How to reach a webhook: by url or by service.
ServiceReference = A service and a path.
  port: Its port. 443 when nothing is said.
  path: The path that is asked.
RuleWithOperations = Requests: by operation and resource.
  operations: CREATE, UPDATE, DELETE, CONNECT or *.
Rule = Resources.
  apiVersions: Versions; * for all.
  resources: Resources, such as pods or pods/status; * for all.
ValidatingAdmissionPolicy = Conditions in CEL that objects must meet.
ValidatingAdmissionPolicySpec = The conditions, and what they are about.
  paramKind: Kind of the objects with the policy's parameters.
  matchConstraints: Which requests it is about.
  validations: The conditions; all must be true.
  variables: Named expressions for use in the others, as variables.NAME.
  auditAnnotations: Notes for the audit log.
ValidatingAdmissionPolicyBinding = Puts a policy into force.
ValidatingAdmissionPolicyBindingSpec = Which policy, for what, with which consequence.
  policyName: The policy.
  paramRef: The parameters.
  matchResources: Narrows down what the policy is about.
  validationActions: Deny, Warn, Audit.
Validation = A condition.
  expression: True when all is well. Knows object, oldObject, request, params, namespaceObject, variables.
  message: What to say when it is not met.
  messageExpression: A CEL expression that makes the message.
  reason: Forbidden, Invalid (default), Unauthorized or RequestEntityTooLarge.

@apiextensions.v1
CustomResourceDefinition = A kind of your own.
CustomResourceDefinitionSpec = Its names, versions and schemas.
  group: The API group, such as example.com.
  names: What it is called.
  versions: Its versions, each with a schema.
  conversion: How objects of one version become another.
CustomResourceDefinitionNames = What a kind is called.
  plural: In URLs, such as widgets.
  singular: On the command line.
  shortNames: Short forms for the command line.
  kind: In objects, such as Widget.
  listKind: Of lists; the kind and List when nothing is said.
  categories: Groups of resources it belongs to, such as all.
CustomResourceDefinitionVersion = A version of a kind.
  served: Whether it can be used.
  storage: Whether objects are kept in it; exactly one is.
  deprecated: Whether users are warned.
  deprecationWarning: What they are told.
  schema: What objects look like.
  subresources: Whether there are status and scale.
  additionalPrinterColumns: Columns for kubectl get.
  selectableFields: Fields that field selectors can use.
CustomResourceConversion = How objects of one version become another.
  strategy: None changes apiVersion alone; Webhook asks a server.
  webhook: The server.

@apiregistration.v1
APIService = A group and version of the API, and who serves it.
  spec: The group and version.
APIServiceSpec = The group and version.
  groupPriorityMinimum: Which group comes first where a name alone is given.
  versionPriority: Which version comes first.

@metrics.v1beta1
NodeMetrics = What a node uses now.
  timestamp: When it was measured.
  window: Over how long.
  usage: CPU and memory.
PodMetrics = What a pod uses now.
  timestamp: When it was measured.
  window: Over how long.
  containers: Per container.
ContainerMetrics = What a container uses now.
  usage: CPU and memory.

@events.v1
Event = Something that happened to an object.
  eventTime: When it was first seen.
  series: The repetitions.
  reportingController: The controller that tells of it.
  action: What was done.
  regarding: The object.
  related: Another object that has to do with it.
  note: What happened, in a sentence.
  type: Normal or Warning.

@authentication.v1
TokenReview = A question: whose token is this?
TokenRequest = A wish for a service account's token.
SelfSubjectReview = A question: who am I?

@authorization.v1
SubjectAccessReview = A question: may somebody do something?
SelfSubjectAccessReview = A question: may I do something?
LocalSubjectAccessReview = A question: may somebody do something in this namespace?
SelfSubjectRulesReview = A question: what may I do in this namespace?
`;
