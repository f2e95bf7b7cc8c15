// SPDX-License-Identifier: Apache-2.0

import {
  CONFIG_DELIVERIES,
  type ConfigDelivery,
  DEFAULT_CONFIG_DELIVERY,
  DELIVERY_ANNOTATION,
  isConfigDelivery,
} from '../api/config-delivery.ts';
import { workloadFacts } from '../kube/workload-facts.ts';
import { type MovedProbes, moveProbes } from './app-probes.ts';
import type { Pod } from './pod.ts';
import {
  buildInitContainer,
  buildProxyContainer,
  buildProxyVolumes,
  INIT_CONTAINER,
  PROXY_CONTAINER,
  PROXY_PORTS,
  PROXY_UID,
  SCRAPING,
} from './proxy-container.ts';
import { type ProxyDefaults, type ProxyWishes, proxyWishes } from './proxy-wishes.ts';
import type { InjectorSettings } from './settings.ts';
import { delayTermination, graceSeconds } from './termination.ts';
import { readTrafficAnnotations, type TrafficExclusions } from './traffic-annotations.ts';
import { checkUserVolumes, readUserVolumes, type UserVolumes } from './user-volumes.ts';

/** One operation of a JSON patch (RFC 6902). */
export interface PatchOperation {
  readonly op: 'add';
  readonly path: string;
  readonly value: unknown;
}

export type InjectionOutcome =
  | { readonly kind: 'skip'; readonly reason: string }
  /** The pod wants a sidecar but could not work with one. */
  | { readonly kind: 'refuse'; readonly reason: string }
  | { readonly kind: 'inject'; readonly patch: readonly PatchOperation[]; readonly warnings: readonly string[] };

const INJECT_KEY = 'sidecar.istio.io/inject';
export const STATUS_ANNOTATION = 'sidecar.istio.io/status';
const KEEP_PROBES = 'sidecar.istio.io/rewriteAppHTTPProbers';
const TLS_MODE_LABEL = 'security.istio.io/tlsMode';
/** By it others know where the pod is, as its proxy knows by NETWORK; a pod's own word goes before the installation's. */
const NETWORK_LABEL = 'topology.istio.io/network';
export const NAMESPACE_LABEL = 'istio-injection';
export const NEVER_IN: ReadonlySet<string> = new Set(['kube-system', 'kube-public', 'kube-node-lease', 'istio-system']);

/**
 * Decides whether a pod gets a sidecar, and how. Idempotent: an injected pod is skipped.
 * @param delivery of pods that have no annotation for it
 * @param defaults what the mesh and its ProxyConfigs say of proxies
 * @param namespaceLabels undefined where they are not known: the webhook's own selectors have decided then
 */
export function injectPod(
  pod: Pod,
  namespace: string,
  namespaceLabels: Readonly<Record<string, string>> | undefined,
  settings: InjectorSettings,
  delivery: ConfigDelivery = DEFAULT_CONFIG_DELIVERY,
  defaults: ProxyDefaults = NO_DEFAULTS,
): InjectionOutcome {
  const skip = reasonToSkip(pod, namespace, namespaceLabels);
  if (skip !== undefined) return { kind: 'skip', reason: skip };
  const refusal = reasonToRefuse(pod, settings);
  if (refusal !== undefined) return { kind: 'refuse', reason: refusal };
  const annotations = pod.metadata.annotations ?? {};
  try {
    const exclusions = readTrafficAnnotations(annotations);
    const moved = annotations[KEEP_PROBES] === 'false' ? untouched(pod) : moveProbes(pod.spec.containers);
    const wishes = proxyWishes(pod.metadata, namespace, defaults);
    const userVolumes = readUserVolumes(annotations);
    const own = { moved, wishes, userVolumes, delivery: readDelivery(annotations) ?? delivery };
    const patch = buildPatch(pod, namespace, exclusions, own, withDrain(settings, wishes));
    return { kind: 'inject', patch, warnings: [...warningsFor(pod), ...wishes.warnings] };
  } catch (error) {
    return { kind: 'refuse', reason: (error as Error).message };
  }
}

/** @throws Error naming the annotation and what it may say */
function readDelivery(annotations: Readonly<Record<string, string>>): ConfigDelivery | undefined {
  const value = annotations[DELIVERY_ANNOTATION];
  if (value === undefined || isConfigDelivery(value)) return value;
  throw new Error(`annotation ${DELIVERY_ANNOTATION}: "${value}" is none of ${CONFIG_DELIVERIES.join(', ')}`);
}

export function reasonToSkip(
  pod: Pod,
  namespace: string,
  namespaceLabels: Readonly<Record<string, string>> | undefined,
): string | undefined {
  const { annotations = {}, labels = {} } = pod.metadata;
  if (annotations[STATUS_ANNOTATION] !== undefined) return 'it has a sidecar already';
  if (pod.spec.hostNetwork === true) return 'it uses the host’s network, whose traffic is not the pod’s alone';
  if (NEVER_IN.has(namespace)) return `namespace ${namespace} is never injected`;
  const wish = labels[INJECT_KEY] ?? annotations[INJECT_KEY];
  if (wish === 'false') return `${INJECT_KEY} is "false"`;
  if (namespaceLabels === undefined) return undefined;
  const ruling = namespaceLabels[NAMESPACE_LABEL];
  if (ruling === 'disabled') return `namespace ${namespace} is labelled ${NAMESPACE_LABEL}=disabled`;
  if (ruling !== 'enabled' && wish !== 'true')
    return `namespace ${namespace} is not labelled ${NAMESPACE_LABEL}=enabled`;
  return undefined;
}

function reasonToRefuse(pod: Pod, settings: InjectorSettings): string | undefined {
  const { spec } = pod;
  const inits = spec.initContainers ?? [];
  const taken = [...spec.containers, ...inits].find(({ name }) => name === PROXY_CONTAINER || name === INIT_CONTAINER);
  if (taken !== undefined) {
    return `it has a container named ${taken.name}, which is the sidecar’s name: rename it, or set ${INJECT_KEY} to "false"`;
  }
  for (const container of spec.containers) {
    const port = container.ports?.find(({ containerPort }) => PROXY_PORTS.includes(containerPort ?? 0));
    if (port !== undefined) {
      return `container ${container.name} uses port ${port.containerPort}, which the sidecar needs: choose another port`;
    }
    const uid = container.securityContext?.['runAsUser'] ?? spec.securityContext?.['runAsUser'];
    if (uid === PROXY_UID && settings.excludeOutboundBy === 'uid') {
      return `container ${container.name} runs as uid ${PROXY_UID}, the sidecar’s own, whose traffic is not redirected: choose another runAsUser`;
    }
  }
  const names = new Set(buildProxyVolumes().map(({ name }) => name));
  const volume = spec.volumes?.find(({ name }) => names.has(name));
  if (volume !== undefined) return `it has a volume named ${volume.name}, which is the sidecar’s: rename it`;
  return undefined;
}

function untouched(pod: Pod): MovedProbes {
  return { containers: pod.spec.containers, probes: [] };
}

function warningsFor(pod: Pod): string[] {
  const policy = pod.spec.dnsPolicy ?? 'ClusterFirst';
  if (policy === 'ClusterFirst') return [];
  return [`dnsPolicy ${policy}: names of services, .global ones included, resolve only if its own servers know them`];
}

const NO_DEFAULTS: ProxyDefaults = { mesh: undefined, configs: [], rootNamespace: 'istio-system' };

/** What a pod says of its own proxy, over what is said of all. */
interface OwnWords {
  readonly moved: MovedProbes;
  readonly delivery: ConfigDelivery;
  readonly wishes: ProxyWishes;
  readonly userVolumes: UserVolumes;
}

function withDrain(settings: InjectorSettings, { terminationDrainMs }: ProxyWishes): InjectorSettings {
  return terminationDrainMs === undefined
    ? settings
    : { ...settings, drainSeconds: Math.ceil(terminationDrainMs / 1000) };
}

function buildPatch(
  pod: Pod,
  namespace: string,
  exclusions: TrafficExclusions,
  { moved, delivery, wishes, userVolumes }: OwnWords,
  settings: InjectorSettings,
): PatchOperation[] {
  const { spec, metadata } = pod;
  const grace = graceSeconds(spec);
  const network = metadata.labels?.[NETWORK_LABEL] || settings.network;
  const base = buildProxyContainer(
    'sidecar',
    { ...settings, network },
    {
      probes: moved.probes,
      graceSeconds: grace,
      facts: workloadFacts(metadata, settings.clusterId, namespace),
      delivery,
      wishes,
    },
  );
  const volumes = buildProxyVolumes();
  const ownMounts = base['volumeMounts'] as { mountPath: string }[];
  const wrong = checkUserVolumes(userVolumes, new Set(spec.volumes?.map(({ name }) => name)), {
    names: new Set(volumes.map(({ name }) => name)),
    paths: ownMounts.map(({ mountPath }) => mountPath),
  });
  if (wrong !== undefined) throw new Error(wrong);
  const proxy = { ...base, volumeMounts: [...ownMounts, ...userVolumes.mounts] };
  const containers = settings.nativeSidecars
    ? delayTermination(moved.containers, settings.drainSeconds, grace)
    : [...moved.containers, proxy];
  const first = spec.containers[0]?.name;
  const status = {
    initContainers: [INIT_CONTAINER, ...(settings.nativeSidecars ? [PROXY_CONTAINER] : [])],
    containers: settings.nativeSidecars ? [] : [PROXY_CONTAINER],
    volumes: volumes.map(({ name }) => name),
  };
  const annotations = {
    [STATUS_ANNOTATION]: JSON.stringify(status),
    // Without it, `kubectl logs POD` and `kubectl exec POD` would ask which of the two is meant.
    ...(first === undefined ? {} : { 'kubectl.kubernetes.io/default-container': first }),
    ...scraping(metadata.annotations ?? {}),
    ...metadata.annotations,
  };
  const labels = { [TLS_MODE_LABEL]: 'istio', ...(network !== '' && { [NETWORK_LABEL]: network }), ...metadata.labels };
  return [
    { op: 'add', path: '/metadata/labels', value: labels },
    { op: 'add', path: '/metadata/annotations', value: annotations },
    // Last, so that the pod's own init containers still have the plain network: Envoy does not run yet. An init container
    // that stays is ready before the application starts, and ends when all of it has ended.
    {
      op: 'add',
      path: '/spec/initContainers',
      value: [
        ...(spec.initContainers ?? []),
        buildInitContainer(exclusions, settings),
        ...(settings.nativeSidecars ? [proxy] : []),
      ],
    },
    { op: 'add', path: '/spec/containers', value: containers },
    { op: 'add', path: '/spec/volumes', value: [...(spec.volumes ?? []), ...volumes, ...userVolumes.volumes] },
    { op: 'add', path: '/spec/dnsConfig', value: buildDnsConfig(pod, namespace, settings) },
  ];
}

/** Where Prometheus finds the proxy's metrics by the usual annotations; those that the application has are its own. */
function scraping(annotations: Readonly<Record<string, string>>): Record<string, string> {
  if (Object.keys(annotations).some((key) => key.startsWith('prometheus.io/'))) return {};
  return SCRAPING;
}

/**
 * The kubelet appends these searches to the cluster's own, so a local service always comes first. The namespace's
 * domain precedes the bare one, so that `reviews` means reviews.NS.global, as locally it means reviews.NS.svc...
 */
function buildDnsConfig(pod: Pod, namespace: string, settings: InjectorSettings): Record<string, unknown> {
  const own = pod.spec.dnsConfig?.searches ?? [];
  const remote = settings.searchSuffixes.flatMap((suffix) => [`${namespace}.${suffix}`, suffix]);
  return { ...pod.spec.dnsConfig, searches: [...new Set([...own, ...remote])] };
}
