// SPDX-License-Identifier: Apache-2.0
// Files say what there is to be, and not what the cluster would make of it: Pods of Deployments, with their sidecars and
// addresses, and the EndpointSlices of Services. They are imagined as the cluster's controllers would make them, ready.
import { DEFAULT_CONFIG_DELIVERY } from '../api/config-delivery.ts';
import { isReadyPod, selects } from '../api/kubernetes.ts';
import { decodeMeshConfig } from '../api/mesh-config.ts';
import { injectPod } from '../injector/inject.ts';
import type { Pod } from '../injector/pod.ts';
import { nodeOfPod } from '../injector/pod-node.ts';
import {
  DEFAULT_SETTINGS,
  INJECTOR_CONFIG_MAP,
  type InjectorSettings,
  parseInjectorSettings,
} from '../injector/settings.ts';
import type { KubeObject } from '../kube/types.ts';
import { workloadFacts } from '../kube/workload-facts.ts';
import { ROOT_NAMESPACE, type SeenObject } from './mesh.ts';
import { addressesOfPod, isPod } from './pods.ts';

const WORKLOADS = new Set(['Deployment', 'StatefulSet', 'DaemonSet', 'ReplicaSet']);
const MAX_REPLICAS = 10;

interface TemplateText {
  readonly spec?: {
    readonly replicas?: number;
    readonly template?: { readonly metadata?: KubeObject['metadata']; readonly spec?: Record<string, unknown> };
  };
}

interface ServiceText {
  readonly spec?: {
    readonly type?: string;
    readonly clusterIP?: string;
    readonly clusterIPs?: readonly string[];
    readonly loadBalancerIP?: string;
    readonly selector?: Readonly<Record<string, string>>;
    readonly ports?: readonly {
      readonly name?: string;
      readonly port: number;
      readonly targetPort?: number | string;
    }[];
  };
  readonly status?: { readonly loadBalancer?: { readonly ingress?: readonly unknown[] } };
}

export interface Imagination {
  /** As the control plane calls the cluster. */
  readonly cluster: string;
  /** 0 to 99: clusters of one mesh get different addresses. */
  readonly index: number;
}

/**
 * The objects, with those that the cluster would make of them. What is there already is left as it is, but for pods whose
 * workload is among the objects with other labels, or with no replicas.
 */
export function imagineObjects(objects: readonly SeenObject[], imagination: Imagination): SeenObject[] {
  const given = objects.filter(({ object }) => !isWorkload(object));
  const addresses = new Addresses(given, imagination.index);
  const services = given.map((seen) => ({ ...seen, object: withAddress(seen.object, addresses) }));
  const { pods, replaced } = imaginePods(objects, imagination);
  const settings = settingsOf(given, imagination.cluster);
  const isMeshed = meshedNamespaces(given);
  const finished = pods.map((pod) => finishPod(pod, addresses, settings, isMeshed));
  const kept = services
    .filter(({ object }) => !replaced.has(object))
    .map((seen) =>
      isBare(seen.object) ? { ...seen, object: finishPod(seen.object, addresses, settings, isMeshed) } : seen,
    );
  return withSlices([...kept, ...finished.map((object) => ({ object }))], new Set([...finished, ...replaced]));
}

function isWorkload({ kind, apiVersion }: KubeObject): boolean {
  return WORKLOADS.has(kind) && /^(apps|extensions)\//.test(apiVersion);
}

/** Written by hand: no node has it. */
function isBare(object: KubeObject): boolean {
  return isPod(object) && addressesOfPod(object).length === 0 && object['status'] === undefined;
}

function imaginePods(
  objects: readonly SeenObject[],
  { cluster }: Imagination,
): { pods: KubeObject[]; replaced: Set<KubeObject> } {
  const replaced = new Set<KubeObject>();
  const all = objects.flatMap(({ object }) => (isPod(object) ? [object] : []));
  const pods = objects.flatMap(({ object }) => {
    if (!isWorkload(object)) return [];
    const { spec, metadata } = object as KubeObject & TemplateText;
    const labels = spec?.template?.metadata?.labels ?? {};
    const replicas = Math.min(spec?.replicas ?? 1, MAX_REPLICAS);
    const existing = all.filter(
      (pod) =>
        pod.metadata.namespace === metadata.namespace &&
        workloadFacts(pod.metadata, cluster).workload === metadata.name,
    );
    if (existing.length > 0 && replicas > 0 && existing.every((pod) => selects(labels, pod.metadata.labels ?? {})))
      return [];
    for (const pod of existing) replaced.add(pod);
    return Array.from({ length: replicas }, (_, i) => podOf(object, i));
  });
  return { pods, replaced };
}

function podOf(workload: KubeObject & TemplateText, index: number): KubeObject {
  const { template } = workload.spec ?? {};
  const { kind, apiVersion, metadata } = workload;
  const owner = { kind, apiVersion, name: metadata.name ?? '', uid: metadata.uid ?? '', controller: true };
  const { labels = {}, annotations = {} } = template?.metadata ?? {};
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name: `${metadata.name}-${index}`,
      namespace: metadata.namespace ?? 'default',
      labels: { ...labels },
      annotations: { ...annotations },
      ownerReferences: [owner],
    },
    spec: { serviceAccountName: 'default', ...structuredClone(template?.spec ?? {}) },
  };
}

/** Injected where the webhook would, with an address, and ready. */
function finishPod(
  pod: KubeObject,
  addresses: Addresses,
  settings: Settings,
  isMeshed: (namespace: string) => boolean,
): KubeObject {
  const namespace = pod.metadata.namespace ?? 'default';
  const finished = {
    ...pod,
    spec: { serviceAccountName: 'default', ...(pod['spec'] as object) },
    status: { phase: 'Running', podIP: addresses.ofPod(), conditions: [{ type: 'Ready', status: 'True' }] },
  };
  const ruling = { 'istio-injection': isMeshed(namespace) ? 'enabled' : 'disabled' };
  const wish =
    pod.metadata.labels?.['sidecar.istio.io/inject'] ?? pod.metadata.annotations?.['sidecar.istio.io/inject'];
  const labels = wish === 'true' ? { 'istio-injection': 'enabled' } : ruling;
  const outcome = injectPod(finished as unknown as Pod, namespace, labels, settings.injector, settings.delivery);
  if (outcome.kind !== 'inject') return finished;
  const made = structuredClone(finished) as Record<string, unknown>;
  for (const { path, value } of outcome.patch) {
    const [, parent = '', member = ''] = path.split('/');
    (made[parent] as Record<string, unknown>)[member] = value;
  }
  return made as unknown as KubeObject;
}

interface Settings {
  readonly injector: InjectorSettings;
  readonly delivery: NonNullable<Parameters<typeof injectPod>[4]>;
}

function settingsOf(objects: readonly SeenObject[], cluster: string): Settings {
  const find = (name: string) =>
    objects.find(
      ({ object: { kind, metadata } }) =>
        kind === 'ConfigMap' && metadata.name === name && metadata.namespace === ROOT_NAMESPACE,
    )?.object;
  const text = (find(INJECTOR_CONFIG_MAP)?.['data'] as Record<string, string> | undefined)?.['settings'];
  const mesh = find('istio');
  const delivery = (mesh && decodeMeshConfig(mesh).value?.configDelivery) ?? DEFAULT_CONFIG_DELIVERY;
  const injector = {
    ...DEFAULT_SETTINGS,
    proxyImage: 'proxy:latest',
    ...(text !== undefined && parse(text)),
    clusterId: cluster,
  };
  return { delivery, injector: { ...injector, excludeOutboundBy: 'uid', nativeSidecars: true } };
}

function parse(text: string): Partial<InjectorSettings> {
  try {
    const { excludeOutboundBy: _, nativeSidecars: _native, ...settings } = parseInjectorSettings(text);
    return settings;
  } catch {
    // The webhook would keep the settings before; here there are none.
    return {};
  }
}

/** By the namespace's label; where only files are known, by whether any pod of it has a proxy, or there is none. */
function meshedNamespaces(objects: readonly SeenObject[]): (namespace: string) => boolean {
  return (namespace) => {
    const found = objects.find(({ object: { kind, metadata } }) => kind === 'Namespace' && metadata.name === namespace);
    const label = found?.object.metadata.labels?.['istio-injection'];
    if (label !== undefined) return label === 'enabled';
    const pods = objects.flatMap(({ object }) =>
      isPod(object) && !isBare(object) && object.metadata.namespace === namespace ? [object] : [],
    );
    return pods.length === 0 || pods.some((pod) => nodeOfPod(pod) !== undefined);
  };
}

/** Those that nobody has. */
class Addresses {
  readonly #taken: Set<string>;
  readonly #index: number;
  #pods = 0;
  #services = 0;

  constructor(objects: readonly SeenObject[], index: number) {
    this.#index = index;
    const used = objects.flatMap(({ object }) =>
      isPod(object) ? addressesOfPod(object) : [(object as KubeObject & ServiceText).spec?.clusterIP ?? ''],
    );
    this.#taken = new Set(used);
  }

  ofPod(): string {
    return this.#next(
      () => ++this.#pods,
      (n) => `10.${200 + this.#index}.${n >> 8}.${n & 255}`,
    );
  }

  ofService(): string {
    return this.#next(
      () => ++this.#services,
      (n) => `10.111.${n >> 8}.${n & 255}`,
    );
  }

  #next(count: () => number, write: (n: number) => string): string {
    for (;;) {
      const address = write(count());
      if (!this.#taken.has(address)) return address;
    }
  }
}

function withAddress(object: KubeObject, addresses: Addresses): KubeObject {
  if (object.kind !== 'Service' || object.apiVersion !== 'v1') return object;
  const { spec, status } = object as KubeObject & ServiceText;
  const lacksIp =
    spec?.type !== 'ExternalName' && (spec?.clusterIP ?? '') === '' && (spec?.clusterIPs ?? []).length === 0;
  const shown = spec?.loadBalancerIP ?? '';
  const lacksBalancer = spec?.type === 'LoadBalancer' && shown !== '' && status?.loadBalancer?.ingress === undefined;
  return {
    ...object,
    spec: { ...spec, ...(lacksIp && { clusterIP: addresses.ofService() }) },
    ...(lacksBalancer && { status: { loadBalancer: { ingress: [{ ip: shown }] } } }),
  };
}

/** For Services that have none, and for those whose pods are others now. */
function withSlices(objects: readonly SeenObject[], changed: ReadonlySet<KubeObject>): SeenObject[] {
  const pods = objects.flatMap(({ object }) => (isPod(object) && isReadyPod(object) ? [object] : []));
  const sliced = new Set(objects.flatMap(({ object }) => (object.kind === 'EndpointSlice' ? [serviceOf(object)] : [])));
  const remade = new Set<string>();
  const slices = objects.flatMap(({ object }) => {
    if (object.kind !== 'Service' || object.apiVersion !== 'v1') return [];
    const { selector = {} } = (object as KubeObject & ServiceText).spec ?? {};
    if (Object.keys(selector).length === 0) return [];
    const { namespace, name } = object.metadata;
    const selected = (pod: KubeObject) =>
      pod.metadata.namespace === namespace && selects(selector, pod.metadata.labels ?? {});
    const key = `${namespace}/${name}`;
    if (sliced.has(key) && ![...changed].some(selected)) return [];
    remade.add(key);
    return [sliceOf(object, pods.filter(selected))];
  });
  const kept = objects.filter(({ object }) => object.kind !== 'EndpointSlice' || !remade.has(serviceOf(object)));
  return [...kept, ...slices.map((object) => ({ object }))];
}

function serviceOf({ metadata }: KubeObject): string {
  return `${metadata.namespace}/${metadata.labels?.['kubernetes.io/service-name']}`;
}

function sliceOf(service: KubeObject & ServiceText, pods: readonly KubeObject[]): KubeObject {
  const { name = '', namespace = 'default' } = service.metadata;
  return {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: { name: `${name}-imagined`, namespace, labels: { 'kubernetes.io/service-name': name } },
    addressType: 'IPv4',
    ports: (service.spec?.ports ?? []).flatMap((port) => {
      const number = targetOf(port, pods[0]);
      return number === undefined ? [] : [{ name: port.name ?? '', port: number }];
    }),
    endpoints: pods.map((pod) => ({
      addresses: addressesOfPod(pod),
      conditions: { ready: true },
      targetRef: { kind: 'Pod', name: pod.metadata.name, namespace },
    })),
  };
}

function targetOf(
  { port, targetPort = port }: { readonly port: number; readonly targetPort?: number | string },
  pod: KubeObject | undefined,
): number | undefined {
  if (typeof targetPort === 'number') return targetPort;
  const { containers = [] } = (pod?.['spec'] ?? {}) as {
    containers?: readonly { ports?: readonly { name?: string; containerPort?: number }[] }[];
  };
  return containers.flatMap(({ ports = [] }) => ports).find(({ name }) => name === targetPort)?.containerPort;
}
