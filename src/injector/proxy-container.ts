// SPDX-License-Identifier: Apache-2.0
// The containers that make a pod part of the mesh. Gateways run the same proxy container without redirect rules.
import { type ConfigDelivery, DELIVERY_METADATA } from '../api/config-delivery.ts';
import { imageTag } from '../kube/image-tag.ts';
import type { WorkloadFacts } from '../kube/workload-facts.ts';
import { controlPlaneEndpoint } from '../xds/envoy-client.ts';
import { PROXY_ENVIRONMENT, type WorkloadFact } from '../xds/proxy-environment.ts';
import { ADMIN_PIPE } from './admin-request.ts';
import type { AppProbe } from './app-probes.ts';
import { buildBootstrap, HEALTH_PATH, HEALTH_PORT, METRICS_PORT, PROXY_MARK } from './bootstrap.ts';
import type { Container } from './pod.ts';
import { NO_WISHES, type ProxyWishes } from './proxy-wishes.ts';
import type { InjectorSettings } from './settings.ts';
import { graceSeconds } from './termination.ts';
import type { TrafficExclusions } from './traffic-annotations.ts';

export const PROXY_CONTAINER = 'istio-proxy';
export const INIT_CONTAINER = 'istio-init';
/** The uid that runs Envoy, and the only one whose connections are not redirected. */
export const PROXY_UID = 1337;
/** Ports that Envoy itself listens on in every pod. */
export const PROXY_PORTS: readonly number[] = [15_001, 15_006, HEALTH_PORT, METRICS_PORT];
/**
 * Ports never redirected: Envoy's own. Coming in no other, since what an application opened there would be open in plaintext.
 * Going out too: Envoy listens on them at every address, so that the caller's own would answer for the pod that was
 * dialled, and a Prometheus with a sidecar would find itself everywhere.
 */
const OWN_PORTS: readonly number[] = [HEALTH_PORT, METRICS_PORT];
/** Of SDS, and of ADS where the control plane is near. */
const CONTROL_PLANE_PORT = 15_012;

/** https://istio.io/latest/docs/ops/integrations/prometheus/ */
export const SCRAPING: Readonly<Record<string, string>> = {
  'prometheus.io/scrape': 'true',
  'prometheus.io/port': String(METRICS_PORT),
  'prometheus.io/path': '/stats/prometheus',
};

const SCRATCH_DIR = '/tmp';
const TOKEN_SECONDS = 43_200;

const READY = { httpGet: { path: HEALTH_PATH, port: HEALTH_PORT }, timeoutSeconds: 3 };

/** What the pod's own fields do not tell. */
const FACTS = ['workload', 'service', 'revision', 'app', 'version', 'cluster'] as const;

function environment(fact: WorkloadFact): string {
  return `$(${PROXY_ENVIRONMENT[fact]})`;
}

/** Envoy and nothing else: its bootstrap is an argument, in which the kubelet fills in what only it knows. */
export function buildProxyContainer(
  kind: 'sidecar' | 'gateway',
  settings: InjectorSettings,
  pod: {
    readonly probes?: readonly AppProbe[];
    readonly graceSeconds?: number;
    readonly facts: WorkloadFacts;
    /** What the proxy is given before it needs it; absent: everything. */
    readonly delivery?: ConfigDelivery;
    readonly wishes?: ProxyWishes;
    /** Variables of the container. `ISTIO_META_X` becomes the node's metadata X, as Istio has it. */
    readonly env?: Readonly<Record<string, string>>;
  },
): Container {
  const { wishes = NO_WISHES } = pod;
  const ownEnv = { ...pod.env, ...wishes.environment };
  const isNative = kind === 'sidecar' && settings.nativeSidecars;
  const bootstrap = buildBootstrap({
    kind,
    podName: '$(POD_NAME)',
    podIp: '$(INSTANCE_IP)',
    hasIpv6: settings.hasIpv6,
    namespace: '$(POD_NAMESPACE)',
    serviceAccount: '$(SERVICE_ACCOUNT)',
    clusterId: settings.clusterId,
    network: settings.network,
    service: environment('service'),
    metadata: {
      ISTIO_VERSION: imageTag(settings.proxyImage),
      ...(pod.delivery === undefined || pod.delivery === 'FULL' ? {} : { [DELIVERY_METADATA]: pod.delivery }),
      ...Object.fromEntries(FACTS.map((fact) => [PROXY_ENVIRONMENT[fact], environment(fact)])),
      ...metadataOf(Object.keys(ownEnv)),
    },
    dnsDomain: settings.dnsDomain,
    ads: controlPlaneEndpoint(settings.adsAddress),
    adminPipe: ADMIN_PIPE,
    probes: pod.probes ?? [],
    excludeOutboundBy: kind === 'sidecar' ? settings.excludeOutboundBy : 'uid',
    runtime: wishes.runtime,
    ...(wishes.stats && { stats: wishes.stats }),
    ...(wishes.otlpMetrics !== undefined && { otlpMetrics: wishes.otlpMetrics }),
  });
  const concurrency = wishes.concurrency ?? settings.concurrency;
  const serviceName = `${environment('service')}.$(POD_NAMESPACE)`;
  const resourceAttributes = `service.name=${serviceName},k8s.pod.name=$(POD_NAME)`;
  return {
    name: PROXY_CONTAINER,
    image: imageOf(settings.proxyImage, wishes.imageType),
    imagePullPolicy: settings.imagePullPolicy,
    args: [
      '--config-yaml',
      JSON.stringify(bootstrap),
      '--disable-hot-restart',
      // A listener that was removed or replaced keeps its connections for so long (Envoy's own ten minutes add up).
      ...['--drain-time-s', String(Math.ceil((wishes.drainMs ?? DRAIN_MS) / 1000))],
      // A pod has seconds to end, not minutes: whoever is answered is asked to leave.
      '--drain-strategy',
      'immediate',
      // Without it, as many threads as there are processors.
      ...(concurrency === 0 ? [] : ['--concurrency', String(concurrency)]),
      // Envoy's own ten seconds are too long for somebody who reads the access log to see what a request did.
      ...['--file-flush-interval-msec', String(Math.ceil(wishes.fileFlushMs ?? FLUSH_MS))],
      ...(wishes.fileFlushKb === undefined ? [] : ['--file-flush-min-size-kb', String(wishes.fileFlushKb)]),
      '--log-level',
      settings.logLevel,
      // Which fields of its configuration are old is nothing to those who read its access log.
      '--skip-deprecated-logs',
    ],
    env: withWished(ownEnv, [
      fieldEnv('POD_NAME', 'metadata.name'),
      fieldEnv('POD_NAMESPACE', 'metadata.namespace'),
      fieldEnv('INSTANCE_IP', 'status.podIP'),
      fieldEnv('SERVICE_ACCOUNT', 'spec.serviceAccountName'),
      ...FACTS.map((fact) => ({ name: PROXY_ENVIRONMENT[fact], value: pod.facts[fact] })),
      // By OpenTelemetry's specification, where a tracer looks for what it is part of.
      { name: 'OTEL_RESOURCE_ATTRIBUTES', value: resourceAttributes },
      // The same for Datadog's.
      { name: 'DD_SERVICE', value: serviceName },
    ]),
    ports: [{ name: 'http-envoy-prom', containerPort: METRICS_PORT, protocol: 'TCP' }],
    // Ready within a second of it, then asked at leisure: each question to an idle proxy costs CPU, and it does not become
    // unready but by ending: one that is slow to say so for want of a processor must not lose what it still serves. How
    // long the control plane takes to answer is not for us to limit.
    startupProbe: { ...READY, periodSeconds: 1, failureThreshold: 3600 },
    readinessProbe: { ...READY, periodSeconds: 10, failureThreshold: 6 },
    // Then the application starts when the proxy has started.
    ...(isNative && { restartPolicy: 'Always' }),
    lifecycle: { preStop: { exec: { command: drainCommand(kind, isNative, settings, pod.graceSeconds) } } },
    resources: settings.resources,
    securityContext: {
      runAsUser: PROXY_UID,
      runAsGroup: PROXY_UID,
      runAsNonRoot: true,
      allowPrivilegeEscalation: false,
      privileged: false,
      readOnlyRootFilesystem: true,
      // SO_MARK needs it; only where a user namespace keeps it harmless is the mark used.
      capabilities: { drop: ['ALL'], ...(needsMark(kind, settings) ? { add: ['NET_ADMIN'] } : {}) },
    },
    volumeMounts: [
      { name: 'istio-token', mountPath: '/var/run/secrets/tokens', readOnly: true },
      { name: 'istio-ca-root-cert', mountPath: '/var/run/secrets/istio', readOnly: true },
      { name: 'istio-proxy-scratch', mountPath: SCRATCH_DIR },
    ],
  };
}

const DRAIN_MS = 45_000;
const FLUSH_MS = 1_000;

const TRACED_AS = ['OTEL_RESOURCE_ATTRIBUTES', 'DD_SERVICE'];

/** What somebody wishes is beside what the proxy needs, and never in its place: but for telling who traces come from. */
function withWished(
  wished: Readonly<Record<string, string>>,
  needed: readonly { readonly name?: unknown }[],
): readonly Record<string, unknown>[] {
  const mayChange = (name: unknown) => TRACED_AS.some((own) => own === name && own in wished);
  const kept = needed.filter(({ name }) => !mayChange(name));
  const taken = new Set(kept.map(({ name }) => name));
  const more = Object.entries(wished).filter(([name]) => !taken.has(name));
  return [...kept, ...more.map(([name, value]) => ({ name, value }))] as Record<string, unknown>[];
}

/** Types of Istio's images are suffixes of their tags. */
function imageOf(image: string, type: string | undefined): string {
  return type === undefined || type === 'default' ? image : `${image}-${type}`;
}

/** A native sidecar is told to end after the application; every other proxy has to see for itself when it may. */
function drainCommand(
  kind: 'sidecar' | 'gateway',
  isNative: boolean,
  settings: InjectorSettings,
  grace = graceSeconds({}),
): string[] {
  return [
    ...['isthmus', 'proxy-drain'],
    ...(kind === 'sidecar' ? ['--inbound-only'] : []),
    ...(isNative
      ? []
      : ['--until-quiet', '--at-least', String(Math.min(settings.drainSeconds, Math.floor(grace / 2)))]),
    ...(isNative ? [] : ['--at-most', String(Math.max(0, grace - SPARE_SECONDS))]),
  ];
}

/** Of the grace period, for Envoy's own end. */
const SPARE_SECONDS = 3;

/** Writes the redirect rules once and ends; it alone gets NET_ADMIN. */
export function buildInitContainer(exclusions: TrafficExclusions, settings: InjectorSettings): Container {
  // Where all users are one, the control plane's connections cannot be told by uid, and Envoy's gRPC sockets carry no
  // mark: the port is what remains.
  const adsPort = Number(settings.adsAddress.slice(settings.adsAddress.lastIndexOf(':') + 1));
  const ownOutbound = settings.excludeOutboundBy === 'mark' ? [...new Set([CONTROL_PLANE_PORT, adsPort])] : [];
  const args = [
    ...['--exclude-outbound-by', settings.excludeOutboundBy],
    ...['--proxy-id', String(settings.excludeOutboundBy === 'mark' ? PROXY_MARK : PROXY_UID)],
    ...flag('--exclude-inbound-ports', [...OWN_PORTS, ...exclusions.excludeInboundPorts]),
    ...(exclusions.includeInboundPorts === undefined
      ? []
      : ['--include-inbound-ports', exclusions.includeInboundPorts.join(',')]),
    ...flag('--exclude-outbound-ports', [...OWN_PORTS, ...ownOutbound, ...exclusions.excludeOutboundPorts]),
    ...flag('--exclude-outbound-ranges', exclusions.excludeOutboundIpRanges),
  ];
  return {
    name: INIT_CONTAINER,
    image: settings.proxyImage,
    imagePullPolicy: settings.imagePullPolicy,
    command: ['isthmus', 'proxy-init'],
    args,
    resources: settings.resources,
    securityContext: {
      runAsUser: 0,
      runAsGroup: 0,
      runAsNonRoot: false,
      allowPrivilegeEscalation: false,
      privileged: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'], add: ['NET_ADMIN'] },
    },
  };
}

/** The volumes that the proxy container mounts. The projected token is bound to the pod and made for us alone. */
export function buildProxyVolumes(): { name: string; [member: string]: unknown }[] {
  const serviceAccountToken = { audience: 'istio-ca', expirationSeconds: TOKEN_SECONDS, path: 'istio-token' };
  return [
    { name: 'istio-token', projected: { sources: [{ serviceAccountToken }] } },
    { name: 'istio-ca-root-cert', configMap: { name: 'istio-ca-root-cert' } },
    { name: 'istio-proxy-scratch', emptyDir: {} },
  ];
}

function needsMark(kind: 'sidecar' | 'gateway', settings: InjectorSettings): boolean {
  return kind === 'sidecar' && settings.excludeOutboundBy === 'mark';
}

function flag(name: string, values: readonly (string | number)[]): string[] {
  return values.length === 0 ? [] : [name, values.join(',')];
}

/** By reference, so that `kubectl set env` does what it does for Istio's gateways. */
function metadataOf(names: readonly string[]): Record<string, string> {
  const prefix = 'ISTIO_META_';
  const ours = names.filter((name) => name.startsWith(prefix));
  return Object.fromEntries(ours.map((name) => [name.slice(prefix.length), `$(${name})`]));
}

function fieldEnv(name: string, fieldPath: string): Record<string, unknown> {
  return { name, valueFrom: { fieldRef: { fieldPath } } };
}
