// SPDX-License-Identifier: Apache-2.0
// What `kubectl explain` says of what every object carries, and of members that mean the same wherever they stand.
// Syntax: ../describe.ts.

export const META_DESCRIPTIONS = `
* = Members by their names alone, where a type says nothing of its own.
  metadata: Name, labels, owners and what else every object carries.
  spec: What is wanted.
  status: What is. Written by the system, never by users.
  conditions: The latest judgements about the object, one per type.
  observedGeneration: The metadata.generation that this status is about.
  lastTransitionTime: When the status of this condition last changed.
  lastUpdateTime: When this condition was last written.
  lastProbeTime: When this condition was last looked at.
  lastHeartbeatTime: When this was last heard of.
  reason: Why, in one word for programs.
  message: Why, in a sentence for people.
  selector: Which pods are meant, by their labels.
  labelSelector: Which objects are meant, by their labels.
  namespaceSelector: Which namespaces are meant, by their labels.
  replicas: How many pods.
  readyReplicas: How many pods are ready.
  availableReplicas: How many pods have been ready for at least minReadySeconds.
  updatedReplicas: How many pods are of the newest revision.
  currentReplicas: How many pods there are now.
  collisionCount: How often a generated name was taken already; part of the next one.
  minReadySeconds: How long a new pod must stay ready before it counts as available.
  revisionHistoryLimit: How many old revisions are kept for going back.
  template: The pod that is made, again and again.
  name: Its name.
  namespace: The namespace that it is in.
  kind: Its kind, such as Pod.
  apiVersion: Its group and version, such as apps/v1.
  apiGroup: Its API group; empty for the core group.
  uid: Unique over time and place; another one for each object that ever bore the name.
  resourceVersion: Opaque mark of this very state of the object.
  type: Which of the known types it is.
  port: Number or name of the port.
  ports: The ports that matter here.
  protocol: TCP, UDP or SCTP. TCP when nothing is said.
  path: The path.
  host: Name or address of the host.
  ip: The IP address.
  hostname: The host name.
  value: The value that goes with the key or name.
  values: The values that go with the key; none for Exists and DoesNotExist.
  key: The key.
  operator: How key and values relate: In, NotIn, Exists, DoesNotExist.
  readOnly: Whether nothing may be written there. False when nothing is said.
  fsType: The file system that the volume is formatted with, such as ext4.
  secretRef: The Secret that holds the credentials.
  optional: Whether it may be missing.
  defaultMode: Permission bits of the files, octal in YAML as 0644. 0644 when nothing is said.
  items: Only these keys become files, under these paths; all of them when nothing is said.
  resources: CPU, memory and the like: what is asked for and the most that may be used.
  limits: The most that may be used.
  requests: What is set aside; equals the limits where only those are given.
  capacity: How much of each resource there is.
  labels: Key and value pairs to select the object by.
  annotations: Key and value pairs for tools; nothing selects by them.
  volumeID: The volume's id at its provider.
  image: Name of the container image.
  phase: Where in its life it is, in one word.
  count: How many.
  group: The API group; empty for the core group.
  verbs: What is done: get, list, watch, create, update, patch, delete, deletecollection, or *.
  apiGroups: API groups; "" is the core group, * all.
  nonResourceURLs: Paths that are no resources, such as /healthz; a * at the end stands for the rest.
  resourceNames: Only objects of these names; all when empty.
  message: Why, in a sentence for people.
  error: What went wrong.
  maxUnavailable: How many pods may be missing meanwhile: a number, or a share such as 25%.
  maxSurge: How many pods there may be beyond the wanted number: a number, or a share such as 25%.
  rollingUpdate: The pace of a rolling update.
  appProtocol: The protocol spoken, for whoever can use the hint: http, grpc, kubernetes.io/h2c, ...
  nodeName: The node.
  user: The user.
  current: The value seen now.
  target: The value to keep to.
  metric: Which metric.
  timeoutSeconds: How long an answer may take.
  matchConditions: CEL expressions that must all be true for the request to be looked at.
  failurePolicy: What happens when it cannot be asked or evaluated: Fail refuses the request, Ignore lets it pass.
  matchPolicy: Exact: only requests by the group and version in the rules. Equivalent: the same objects by others too.
  objectSelector: Only objects with these labels.
  caBundle: PEM certificates that the server's certificate must come from.
  url: Where to find it, as https://host:port/path.
  service: The Service that answers.
  scope: Cluster, Namespaced or * for both.
  expression: A CEL expression.

@meta.v1
ObjectMeta = Name, labels, owners and what else every object carries.
  name: Name of the object, unique among its kind in the namespace. Never changes.
  generateName: Beginning of the name; the server adds five letters and digits. Used only while name is empty.
  namespace: The space that the name is unique in. Empty for kinds of the whole cluster. Never changes.
  selfLink: Once the object's URL; no longer filled in.
  uid: Set at creation; tells this object from all others that ever had the name.
  resourceVersion: Opaque mark of this state, for watching and for noticing that somebody else wrote first.
  generation: Counts the changes of what is wanted.
  creationTimestamp: When the object was created.
  deletionTimestamp: Set once deletion is asked for: the object goes when its finalizers and grace period are over.
  deletionGracePeriodSeconds: How long the object may take to end; set together with deletionTimestamp.
  labels: Key and value pairs that services, workloads and users select objects by.
  annotations: Key and value pairs for tools and notes; nothing selects by them.
  ownerReferences: The objects that this one belongs to; it is deleted when all of them are gone.
  finalizers: Names of those who still have work to do before the object may disappear.
  managedFields: Who set which field, for server-side apply.
OwnerReference = An object that this one belongs to, in the same namespace or of the whole cluster.
  controller: Whether this owner is the one that manages the object.
  blockOwnerDeletion: Whether the owner must wait for this object when it is deleted in the foreground.
ManagedFieldsEntry = The fields that one manager has set by one kind of request.
  manager: Who: kubectl, a controller, ...
  operation: Apply or Update.
  time: When it last changed them.
  fieldsType: The form of fieldsV1; always FieldsV1.
  fieldsV1: The fields, as a tree of names.
  subresource: Through which subresource; empty for the object itself.
LabelSelector = Labels that objects must have; all requirements must hold. Empty selects everything.
  matchLabels: Labels with exactly these values.
  matchExpressions: Requirements with an operator.
LabelSelectorRequirement = A requirement on one label.
  key: The label.
Condition = A judgement about the object.
  status: True, False or Unknown.
Status = The outcome of a request that returns no object.
  code: The HTTP code.
  details: What the outcome is about.
ListMeta = What every list carries.
  continue: Give it back to get the next chunk; empty at the end.
  remainingItemCount: How many items come after this chunk, if known.
DeleteOptions = How to delete.
  gracePeriodSeconds: How long the object may take to end; 0 means at once.
  preconditions: Delete only if these still hold.
  orphanDependents: Older name for propagationPolicy.
  propagationPolicy: Orphan leaves what it owns, Background deletes it afterwards, Foreground before.
  dryRun: All: do everything but the write itself.
`;
