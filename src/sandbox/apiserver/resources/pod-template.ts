// SPDX-License-Identifier: Apache-2.0
// Defaults of pods and pod templates, as the real server fills them in. In place, on a decoded object.

export interface Handler {
  exec?: { command?: string[] };
  httpGet?: { path?: string; port?: string | number; scheme?: string; host?: string };
  tcpSocket?: { port?: string | number; host?: string };
  grpc?: { port?: number; service?: string };
  sleep?: { seconds?: number };
}

export interface Probe extends Handler {
  timeoutSeconds?: number;
  periodSeconds?: number;
  successThreshold?: number;
  failureThreshold?: number;
  initialDelaySeconds?: number;
  terminationGracePeriodSeconds?: number;
}

export interface EnvVar {
  name: string;
  value?: string;
  valueFrom?: {
    fieldRef?: { apiVersion?: string; fieldPath: string };
    secretKeyRef?: { name?: string; key: string };
    configMapKeyRef?: { name?: string; key: string };
    resourceFieldRef?: { resource: string; divisor?: string };
  };
}

export interface Container {
  name: string;
  image?: string;
  imagePullPolicy?: string;
  terminationMessagePath?: string;
  terminationMessagePolicy?: string;
  restartPolicy?: string;
  ports?: { name?: string; containerPort: number; hostPort?: number; protocol?: string }[];
  env?: EnvVar[];
  resources?: { limits?: Record<string, string>; requests?: Record<string, string> };
  volumeMounts?: { name: string; mountPath: string; subPath?: string }[];
  livenessProbe?: Probe;
  readinessProbe?: Probe;
  startupProbe?: Probe;
  lifecycle?: { postStart?: Handler; preStop?: Handler };
}

export interface Volume {
  name: string;
  [source: string]: unknown;
}

export interface PodSpec {
  containers?: Container[];
  initContainers?: Container[];
  ephemeralContainers?: Container[];
  volumes?: Volume[];
  restartPolicy?: string;
  terminationGracePeriodSeconds?: number;
  dnsPolicy?: string;
  dnsConfig?: Record<string, unknown>;
  securityContext?: Record<string, unknown>;
  schedulerName?: string;
  enableServiceLinks?: boolean;
  serviceAccount?: string;
  serviceAccountName?: string;
  hostNetwork?: boolean;
  nodeName?: string;
  activeDeadlineSeconds?: number;
  tolerations?: unknown[];
  topologySpreadConstraints?: { nodeAffinityPolicy?: string }[];
  [member: string]: unknown;
}

export interface PodTemplate {
  metadata?: { labels?: Record<string, string>; annotations?: Record<string, string> };
  spec?: PodSpec;
}

export function defaultPodSpec(spec: PodSpec): void {
  spec.restartPolicy ??= 'Always';
  spec.terminationGracePeriodSeconds ??= 30;
  spec.dnsPolicy ??= 'ClusterFirst';
  spec.securityContext ??= {};
  spec.schedulerName ??= 'default-scheduler';
  if (spec.serviceAccountName === undefined && spec.serviceAccount) spec.serviceAccountName = spec.serviceAccount;
  if (spec.serviceAccountName) spec.serviceAccount = spec.serviceAccountName;
  for (const container of allContainers(spec)) defaultContainer(container, spec.hostNetwork === true);
  for (const volume of spec.volumes ?? []) defaultVolume(volume);
}

function allContainers(spec: PodSpec): Container[] {
  return [...(spec.initContainers ?? []), ...(spec.containers ?? []), ...(spec.ephemeralContainers ?? [])];
}

function defaultContainer(container: Container, hostNetwork: boolean): void {
  container.terminationMessagePath ??= '/dev/termination-log';
  container.terminationMessagePolicy ??= 'File';
  container.imagePullPolicy ??= pullPolicy(container.image ?? '');
  for (const port of container.ports ?? []) {
    port.protocol ??= 'TCP';
    if (hostNetwork) port.hostPort ??= port.containerPort;
  }
  for (const { valueFrom } of container.env ?? []) {
    if (valueFrom?.fieldRef && !valueFrom.fieldRef.apiVersion) valueFrom.fieldRef.apiVersion = 'v1';
  }
  for (const probe of [container.livenessProbe, container.readinessProbe, container.startupProbe]) {
    if (probe) defaultProbe(probe);
  }
  for (const handler of [container.lifecycle?.postStart, container.lifecycle?.preStop]) {
    if (handler) defaultHandler(handler);
  }
}

/** Always for :latest and no tag, unless a digest pins the image. */
function pullPolicy(image: string): string {
  if (image.includes('@')) return 'IfNotPresent';
  const last = image.slice(image.lastIndexOf('/') + 1);
  const tag = last.includes(':') ? last.slice(last.lastIndexOf(':') + 1) : 'latest';
  return tag === 'latest' ? 'Always' : 'IfNotPresent';
}

function defaultProbe(probe: Probe): void {
  probe.timeoutSeconds ??= 1;
  probe.periodSeconds ??= 10;
  probe.successThreshold ??= 1;
  probe.failureThreshold ??= 3;
  defaultHandler(probe);
  if (probe.grpc) probe.grpc.service ??= '';
}

function defaultHandler(handler: Handler): void {
  if (!handler.httpGet) return;
  if (!handler.httpGet.path) handler.httpGet.path = '/';
  handler.httpGet.scheme ??= 'HTTP';
}

const FILE_MODE = 0o644;

function defaultVolume(volume: Volume): void {
  const { name: _, ...sources } = volume;
  if (Object.keys(sources).length === 0) volume['emptyDir'] = {};
  for (const kind of ['secret', 'configMap', 'downwardAPI', 'projected']) {
    const source = volume[kind] as { defaultMode?: number } | undefined;
    if (source) source.defaultMode ??= FILE_MODE;
  }
  const hostPath = volume['hostPath'] as { type?: string } | undefined;
  if (hostPath) hostPath.type ??= '';
  const downward = [volume['downwardAPI'] as DownwardSource | undefined];
  const projected = volume['projected'] as { sources?: ProjectedSource[] } | undefined;
  for (const source of projected?.sources ?? []) {
    if (source.serviceAccountToken) source.serviceAccountToken.expirationSeconds ??= 3600;
    downward.push(source.downwardAPI);
  }
  for (const source of downward) {
    for (const { fieldRef } of source?.items ?? []) if (fieldRef && !fieldRef.apiVersion) fieldRef.apiVersion = 'v1';
  }
}

interface DownwardSource {
  items?: { fieldRef?: { apiVersion?: string } }[];
}

interface ProjectedSource {
  serviceAccountToken?: { expirationSeconds?: number };
  downwardAPI?: DownwardSource;
}

/** What only pods themselves get, not the templates of workloads. */
export function defaultPod(spec: PodSpec): void {
  defaultPodSpec(spec);
  spec.enableServiceLinks ??= true;
  for (const container of allContainers(spec)) {
    const { resources } = container;
    if (!resources?.limits) continue;
    resources.requests = { ...resources.limits, ...resources.requests };
  }
}

/** The pod's status.qosClass. https://kubernetes.io/docs/concepts/workloads/pods/pod-qos/ */
export function qosClass(spec: PodSpec): 'Guaranteed' | 'Burstable' | 'BestEffort' {
  const containers = [...(spec.containers ?? []), ...(spec.initContainers ?? [])];
  const counted = ['cpu', 'memory'];
  const any = containers.some(({ resources }) =>
    counted.some((name) => resources?.limits?.[name] !== undefined || resources?.requests?.[name] !== undefined),
  );
  if (!any) return 'BestEffort';
  const guaranteed = containers.every(({ resources }) =>
    counted.every((name) => {
      const limit = resources?.limits?.[name];
      return limit !== undefined && (resources?.requests?.[name] ?? limit) === limit;
    }),
  );
  return guaranteed ? 'Guaranteed' : 'Burstable';
}
