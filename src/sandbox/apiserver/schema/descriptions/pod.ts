// SPDX-License-Identifier: Apache-2.0
// What `kubectl explain` says of pods. Syntax: ../describe.ts.

export const POD_DESCRIPTIONS = `
@core.v1
Pod = One or more containers that share an address, volumes and a fate, on one node.
  spec: What shall run, and how.
  status: What runs, as the node's kubelet last told.
PodTemplate = A pod to make others from.
PodTemplateSpec = The pod that is made: its labels and annotations, and what runs in it.
  metadata: Labels and annotations of the pods; the workload's selector must match them.
  spec: What runs in the pods.
PodSpec = What shall run in a pod, and how.
  volumes: Folders and files that containers can mount.
  initContainers: Containers that run one after the other before the others start; those with restartPolicy Always stay.
  containers: The containers; at least one.
  ephemeralContainers: Containers added to a running pod for looking into it; see kubectl debug.
  restartPolicy: What happens when a container ends: Always (default), OnFailure or Never.
  terminationGracePeriodSeconds: How long containers have between SIGTERM and SIGKILL. 30 when nothing is said.
  activeDeadlineSeconds: How long the pod may run at all before it is failed.
  dnsPolicy: Where names are looked up: ClusterFirst (default), ClusterFirstWithHostNet, Default or None.
  nodeSelector: Labels that the node must have.
  serviceAccountName: Who the pod is to the API server. "default" when nothing is said.
  serviceAccount: Older name for serviceAccountName.
  automountServiceAccountToken: Whether the service account's token is mounted.
  nodeName: The node; set by the scheduler when empty.
  hostNetwork: Whether the pod uses the node's network instead of one of its own.
  hostPID: Whether it sees the node's processes.
  hostIPC: Whether it shares the node's shared memory and semaphores.
  shareProcessNamespace: Whether the containers see each other's processes.
  securityContext: User, group and other rights for all containers; a container's own come first.
  imagePullSecrets: Secrets with the passwords of image registries.
  hostname: The host name inside; the pod's name when nothing is said.
  subdomain: With hostname it makes a name of its own in the cluster's DNS, below a headless service of this name.
  affinity: Where the pod wants to be, and near or far from which others.
  schedulerName: Which scheduler places it.
  tolerations: Taints of nodes that the pod can bear.
  hostAliases: More lines for /etc/hosts.
  priorityClassName: How important it is when room is short; the name of a PriorityClass.
  priority: The number behind priorityClassName; filled in.
  dnsConfig: More name servers, search domains and options.
  readinessGates: More conditions that must be true before the pod counts as ready.
  runtimeClassName: Which RuntimeClass runs it.
  enableServiceLinks: Whether environment variables tell of the namespace's services. True when nothing is said.
  preemptionPolicy: Whether it may push out less important pods: PreemptLowerPriority or Never.
  overhead: Resources that the sandbox around the containers takes; from the RuntimeClass.
  topologySpreadConstraints: How evenly its kind is spread over zones or nodes.
  setHostnameAsFQDN: Whether the kernel's host name is the full one.
  os: The operating system that the containers are made for.
  hostUsers: False gives the pod user ids of its own.
  schedulingGates: Names that must all be gone before the pod is scheduled.
  resourceClaims: Devices that must be allocated before the pod starts.
  resources: Resources of the pod as a whole.
  hostnameOverride: A host name instead of all others.
PodStatus = What runs in a pod, as its node last told.
  phase: Pending, Running, Succeeded, Failed or Unknown.
  conditions: PodScheduled, Initialized, ContainersReady, Ready, ...
  nominatedNodeName: The node where room is being made for it.
  hostIP: Address of its node.
  hostIPs: Addresses of its node.
  podIP: Its address in the cluster.
  podIPs: Its addresses, at most one of each family.
  startTime: When the node took it on.
  initContainerStatuses: One per init container.
  containerStatuses: One per container.
  ephemeralContainerStatuses: One per ephemeral container.
  qosClass: Guaranteed, Burstable or BestEffort: who is stopped first when memory is short.
  allocatedResources: What its node has set aside for it.
  resize: Where a change of resources stands.
PodCondition = A judgement about the pod.
  status: True, False or Unknown.
Container = One process tree from one image.
  name: Its name, unique in the pod. Never changes.
  image: The image it runs, such as nginx:1.27.
  command: What to run instead of the image's entrypoint. $(NAME) stands for an environment variable.
  args: Arguments for it, instead of the image's own.
  workingDir: The folder it starts in.
  ports: Ports it listens on: for readers, and for names that services and probes can use.
  envFrom: ConfigMaps and Secrets all of whose keys become environment variables.
  env: Environment variables.
  resources: CPU and memory that it asks for, and the most it may use.
  resizePolicy: Whether it must restart when its resources change.
  restartPolicy: Always makes an init container a sidecar that runs along with the others.
  volumeMounts: Where it sees the pod's volumes.
  volumeDevices: Block devices that it gets.
  livenessProbe: A check that restarts the container when it fails.
  readinessProbe: A check that takes the pod out of its services while it fails.
  startupProbe: A check that must succeed once before the other probes begin.
  lifecycle: What to do right after its start and before its end.
  terminationMessagePath: The file whose text is shown as its last words. /dev/termination-log when nothing is said.
  terminationMessagePolicy: File, or FallbackToLogsOnError for the end of the log when that file is empty.
  imagePullPolicy: Always, IfNotPresent or Never. Always for the tag latest, else IfNotPresent.
  securityContext: User, capabilities and other rights of this container.
  stdin: Whether its standard input stays open for attach.
  stdinOnce: Whether standard input ends with the first client that attaches.
  tty: Whether it gets a terminal; needs stdin.
EphemeralContainerCommon < Container
EphemeralContainer = A container added to a running pod for looking into it.
  targetContainerName: The container whose processes it sees.
ContainerPort = A port that a container listens on.
  name: A name for it, unique in the pod, that services can refer to.
  containerPort: The number, 1 to 65535.
  hostPort: The same port on the node; rarely needed.
  hostIP: The node's address that hostPort is bound to.
EnvFromSource = An object all of whose keys become environment variables.
  prefix: Put in front of each name.
  configMapRef: The ConfigMap.
  secretRef: The Secret.
EnvVar = An environment variable.
  name: Its name.
  value: Its value; $(OTHER) stands for another variable.
  valueFrom: Where the value comes from instead.
EnvVarSource = Where a variable's value comes from; exactly one.
  fieldRef: A field of the pod: metadata.name, metadata.namespace, status.podIP, spec.nodeName, ...
  resourceFieldRef: A limit or request of a container.
  configMapKeyRef: A key of a ConfigMap.
  secretKeyRef: A key of a Secret.
ObjectFieldSelector = A field of the pod.
  fieldPath: Its path, such as metadata.labels['app'].
ResourceFieldSelector = A limit or request of a container.
  containerName: The container; this one when empty.
  resource: Which one, such as limits.memory.
  divisor: The unit to count in, such as 1Mi.
ResourceRequirements = What a container asks for and the most it may use.
  limits: The most it may use, such as {cpu: 500m, memory: 128Mi}.
  requests: What is set aside for it; equals the limits where only those are given.
  claims: Devices of the pod that it uses.
VolumeMount = Where a container sees a volume.
  name: The volume's name in spec.volumes.
  mountPath: The path inside of the container.
  subPath: Only this file or folder of the volume.
  subPathExpr: As subPath, with $(NAME) for environment variables.
  bindMountOptions: More options of the mount.
  mountPropagation: Whether mounts made later are seen on the other side: None, HostToContainer, Bidirectional.
  recursiveReadOnly: Whether mounts below it are read-only too.
VolumeDevice = A block device for a container.
  devicePath: The path of the device inside of the container.
Probe = A check of a container, by one of exec, httpGet, tcpSocket and grpc.
  initialDelaySeconds: How long after the container's start the first check waits.
  timeoutSeconds: How long a check may take. 1 when nothing is said.
  periodSeconds: How often it is checked. 10 when nothing is said.
  successThreshold: How many successes in a row make it well again. 1 when nothing is said.
  failureThreshold: How many failures in a row count as failed. 3 when nothing is said.
  terminationGracePeriodSeconds: How long the container has to end when this probe fails, instead of the pod's time.
  exec: Runs a command in the container; exit code 0 is success.
  httpGet: Asks by HTTP; codes 200 to 399 are success.
  tcpSocket: Opens a connection.
  grpc: Asks the gRPC health service.
ProbeHandler < Probe
ExecAction = A command to run in the container.
  command: The command and its arguments; no shell is around it.
HTTPGetAction = An HTTP request.
  path: The path. / when nothing is said.
  port: Number or name of the container's port.
  host: The host to connect to; the pod's address when empty. For a Host header use httpHeaders.
  scheme: HTTP or HTTPS; the certificate is not checked.
  httpHeaders: Headers to send.
TCPSocketAction = A connection to open.
  host: The host; the pod's address when empty.
GRPCAction = A question to the gRPC health service.
  mode: How the question is asked.
  port: Number of the port.
  service: Name of the service that is asked about.
ContainerResizePolicy = Whether a change of one resource needs a restart.
  resourceName: cpu or memory.
  restartPolicy: NotRequired or RestartContainer.
SleepAction = A pause.
  seconds: How long.
HTTPHeader = A header of an HTTP request.
Lifecycle = What to do around a container's life.
  postStart: Done right after the start, besides the container's own process; the container waits for it.
  preStop: Done before SIGTERM, within the grace period.
  stopSignal: The signal to end it with, instead of the image's own.
LifecycleHandler = Something to do, by one of exec, httpGet, tcpSocket and sleep.
  exec: Runs a command in the container.
  httpGet: Sends an HTTP request.
  tcpSocket: Kept for older objects; does nothing.
  sleep: Waits.
SecurityContext = Rights of a container.
  capabilities: Linux capabilities to add and to drop.
  privileged: Whether it has the rights of root on the node.
  runAsUser: The user id it runs as; the image's when nothing is said.
  runAsGroup: The group id it runs as.
  runAsNonRoot: Whether it is refused when it would run as root.
  readOnlyRootFilesystem: Whether its root file system cannot be written to.
  allowPrivilegeEscalation: Whether a process may get more rights than its parent.
  procMount: Default or Unmasked /proc.
  seccompProfile: Which system calls are allowed.
  appArmorProfile: Which AppArmor profile applies.
  seLinuxOptions: The SELinux label.
  windowsOptions: For Windows containers.
PodSecurityContext = Rights of all containers of a pod.
  supplementalGroups: More groups of the first process.
  supplementalGroupsPolicy: Merge adds them to the image's groups, Strict replaces those.
  fsGroup: The group that owns the volumes.
  fsGroupChangePolicy: Always, or OnRootMismatch to spare large volumes the work.
  sysctls: Kernel settings of the pod's namespaces.
  runAsUser: The user id that containers run as; the image's when nothing is said.
  runAsGroup: The group id that containers run as.
  runAsNonRoot: Whether containers that would run as root are refused.
  seccompProfile: Which system calls are allowed.
  appArmorProfile: Which AppArmor profile applies.
  seLinuxOptions: The SELinux label.
  seLinuxChangePolicy: How volumes get their label: MountOption or Recursive.
  windowsOptions: For Windows containers.
Capabilities = Linux capabilities, such as NET_ADMIN.
  add: Those it gets beyond the usual.
  drop: Those it loses; ALL for all.
SeccompProfile = A seccomp profile.
  type: RuntimeDefault, Unconfined or Localhost.
  localhostProfile: The profile's file on the node, for Localhost.
AppArmorProfile = An AppArmor profile.
  type: RuntimeDefault, Unconfined or Localhost.
  localhostProfile: The profile's name on the node, for Localhost.
SELinuxOptions = An SELinux label.
  role: Its role.
  level: Its level.
Sysctl = A kernel setting.
Affinity = Where a pod wants to be.
  nodeAffinity: On which nodes.
  podAffinity: Near which pods.
  podAntiAffinity: Far from which pods.
NodeAffinity = Nodes that a pod must or would like to be on.
  requiredDuringSchedulingIgnoredDuringExecution: Must hold when the pod is placed.
  preferredDuringSchedulingIgnoredDuringExecution: Is preferred when the pod is placed, by weight.
PodAffinity = Pods that a pod must or would like to be near.
  requiredDuringSchedulingIgnoredDuringExecution: Must hold when the pod is placed.
  preferredDuringSchedulingIgnoredDuringExecution: Is preferred when the pod is placed, by weight.
PodAntiAffinity = Pods that a pod must or would like to be far from.
  requiredDuringSchedulingIgnoredDuringExecution: Must hold when the pod is placed.
  preferredDuringSchedulingIgnoredDuringExecution: Is preferred when the pod is placed, by weight.
NodeSelector = Nodes; one of the terms must hold.
  nodeSelectorTerms: The terms.
NodeSelectorTerm = Requirements on a node; all must hold.
  matchExpressions: On its labels.
  matchFields: On its fields: metadata.name.
NodeSelectorRequirement = A requirement on one label or field.
  operator: In, NotIn, Exists, DoesNotExist, Gt or Lt.
PreferredSchedulingTerm = A preference for some nodes.
  weight: 1 to 100.
  preference: The nodes.
WeightedPodAffinityTerm = A preference for the neighbourhood of some pods.
  weight: 1 to 100.
  podAffinityTerm: The pods.
PodAffinityTerm = Pods, and what counts as the same place.
  topologyKey: Label of nodes whose value is the place, such as kubernetes.io/hostname.
  namespaces: Namespaces of those pods; this one when nothing is said.
  matchLabelKeys: Labels whose values must be those of the pod itself.
  mismatchLabelKeys: Labels whose values must not be those of the pod itself.
Toleration = Taints of nodes that the pod can bear.
  key: The taint's key; empty with operator Exists for all.
  operator: Exists, or Equal (default).
  value: The taint's value, for Equal.
  effect: NoSchedule, PreferNoSchedule or NoExecute; empty for all.
  tolerationSeconds: For NoExecute: how long it is borne; for ever when nothing is said.
TopologySpreadConstraint = How evenly pods are spread.
  maxSkew: How much the places may differ in number.
  topologyKey: Label of nodes whose value is the place.
  whenUnsatisfiable: DoNotSchedule or ScheduleAnyway.
  minDomains: How many places there must be at least.
  nodeAffinityPolicy: Whether nodes that the pod cannot be on count: Honor or Ignore.
  nodeTaintsPolicy: Whether tainted nodes count: Honor or Ignore.
  matchLabelKeys: Labels whose values must be those of the pod itself.
HostAlias = A line of /etc/hosts.
  hostnames: Names for the address.
PodDNSConfig = Additions to resolv.conf.
  nameservers: Addresses of name servers.
  searches: Search domains.
  options: Options, such as ndots.
PodDNSConfigOption = An option of resolv.conf.
PodReadinessGate = A condition that must be true before the pod is ready.
  conditionType: The condition's type.
ContainerStatus = What became of a container.
  state: How it is now: waiting, running or terminated.
  lastState: How its last run ended.
  ready: Whether it is ready to serve.
  restartCount: How often it was started again.
  imageID: The image's digest.
  containerID: Its id at the runtime.
  allocatedResources: What its node has set aside for it.
  stopSignal: The signal it is ended with.
  started: Whether it has started and its startup probe has passed.
ContainerState = How a container is: one of three.
  waiting: Not running yet, or not again.
  running: Running.
  terminated: Ended.
ContainerStateRunning = A running container.
  startedAt: Since when.
ContainerStateTerminated = A container that ended.
  containerID: Its id at the runtime.
  exitCode: Its exit code.
  signal: The signal that ended it.
  startedAt: When it had started.
  finishedAt: When it ended.
ContainerStateWaiting = A container that does not run.
ObjectReference = An object, by kind and name.
  fieldPath: The part of the object that is meant, such as spec.containers{web}.
LocalObjectReference = An object of the same namespace, by name.
Binding = Ties an object to another: a pod to its node.
  target: What it is tied to.
ReplicationController = Keeps a number of pods running; Deployments have replaced it.
ReplicationControllerSpec = Which pods, and how many.
`;
