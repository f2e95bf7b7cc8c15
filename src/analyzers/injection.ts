// SPDX-License-Identifier: Apache-2.0
// Which pods have no sidecar though they should, and which namespaces nobody has decided about.
import type { Diagnostic } from '../api/diagnostics.ts';
import { NETWORK_LABEL } from '../api/localities.ts';
import { NAMESPACE_LABEL, NEVER_IN, reasonToSkip } from '../injector/inject.ts';
import type { Container, Pod } from '../injector/pod.ts';
import { INIT_CONTAINER, PROXY_CONTAINER, PROXY_UID } from '../injector/proxy-container.ts';
import { INJECTOR_CONFIG_MAP, parseInjectorSettings, type StoredSettings } from '../injector/settings.ts';
import { say, type Workload, type World } from './world.ts';

const REVISION_LABEL = 'istio.io/rev';

export function checkInjection(world: World): Diagnostic[] {
  return [...checkNamespaces(world), ...checkPods(world), ...checkSettings(world)];
}

/** An empty one that nobody writes about is no news: every cluster comes with some. */
function checkNamespaces({ namespaces, pods }: World): Diagnostic[] {
  const inUse = new Set(pods.map(({ namespace }) => namespace));
  return namespaces.flatMap((each) => {
    const { name = '', labels = {} } = each.object.metadata;
    if (NEVER_IN.has(name)) return [];
    const [ruling, revision] = [labels[NAMESPACE_LABEL], labels[REVISION_LABEL]];
    if (ruling === 'enabled' && revision !== undefined) {
      const message = `it has two labels for injection, and ${REVISION_LABEL}=${revision} has no effect`;
      return [say(each, 'ISM0403', `metadata.labels["${REVISION_LABEL}"]`, message, `keep ${NAMESPACE_LABEL} alone`)];
    }
    if (ruling !== undefined || (each.locate === undefined && !inUse.has(name))) return [];
    const because = revision === undefined ? '' : ` (${REVISION_LABEL}=${revision} has no effect here)`;
    const cure = `kubectl label namespace ${name} ${NAMESPACE_LABEL}=enabled, or =disabled where that is meant`;
    return [say(each, 'ISM0401', 'metadata.labels', `its pods get no sidecar${because}`, cure)];
  });
}

function checkPods({ pods, namespaces }: World): Diagnostic[] {
  const labelsOf = new Map(namespaces.map(({ object }) => [object.metadata.name, object.metadata.labels ?? {}]));
  return pods.flatMap((pod) => {
    const { spec, status, metadata } = pod.object as Pod;
    const containers = [...(spec?.containers ?? []), ...(spec?.initContainers ?? [])];
    const found: Diagnostic[] = [];
    const hasProxy = containers.some(({ name }) => name === PROXY_CONTAINER);
    const isOurs = ({ name }: Container) => name === PROXY_CONTAINER || name === INIT_CONTAINER;
    const rival = hasProxy ? containers.find((each) => !isOurs(each) && uidOf(each, spec) === PROXY_UID) : undefined;
    if (rival !== undefined) {
      const message = `container ${rival.name} runs as uid ${PROXY_UID}, which is the proxy’s: where traffic is told apart by uid, its own passes the mesh by`;
      found.push(say(pod, 'ISM0426', 'spec', message, 'choose another runAsUser'));
    }
    const isOver = ['Succeeded', 'Failed'].includes(String(status?.phase)) || metadata.deletionTimestamp !== undefined;
    const labels = labelsOf.get(pod.namespace);
    if (isOver || labels === undefined || hasProxy) return found;
    if (labels[NAMESPACE_LABEL] !== 'enabled' || reasonToSkip(pod.object as Pod, pod.namespace, labels) !== undefined)
      return found;
    const message = `namespace ${pod.namespace} is enabled for injection, and it has no sidecar: it is older than the label, or the injector was away`;
    return [
      ...found,
      say(pod, 'ISM0402', '', message, `make it anew: kubectl -n ${pod.namespace} rollout restart its Deployment`),
    ];
  });
}

function uidOf(container: Container, spec: Pod['spec']): unknown {
  return container.securityContext?.['runAsUser'] ?? spec.securityContext?.['runAsUser'];
}

/** Proxies that were injected before an upgrade, or before the cluster got its network, go on with what they have. */
function checkSettings({ all, pods }: World): Diagnostic[] {
  const stored = all.find(({ object }) => object.kind === 'ConfigMap' && object.metadata.name === INJECTOR_CONFIG_MAP);
  const settings = stored && settingsIn(stored.object['data']);
  if (settings === undefined) return [];
  return pods.flatMap((pod) => {
    const { spec } = pod.object as Pod;
    const containers = [...(spec?.containers ?? []), ...(spec?.initContainers ?? [])];
    const proxy = containers.find(({ name }) => name === PROXY_CONTAINER);
    if (proxy === undefined || NEVER_IN.has(pod.namespace)) return [];
    return [...judgeImage(pod, proxy, settings), ...judgeNetwork(pod, settings)];
  });
}

/** What a pod asks for of its own is a suffix of the image. */
function judgeImage(pod: Workload, { image }: Container, { proxyImage }: StoredSettings): Diagnostic[] {
  if (image === undefined || image.startsWith(proxyImage)) return [];
  const cure = 'make it anew (kubectl rollout restart), so that its proxy is as new as the others';
  return [say(pod, 'ISM0404', '', `its proxy is ${image}, and new ones are ${proxyImage}`, cure)];
}

function judgeNetwork(pod: Workload, { network }: StoredSettings): Diagnostic[] {
  const own = pod.labels[NETWORK_LABEL];
  if (network === '' || own === network) return [];
  const said = own === undefined ? 'it has no such label' : `it says ${own}`;
  const cure =
    own === undefined
      ? 'make it anew (kubectl rollout restart): the injector labels it'
      : 'correct the label, or remove it';
  return [
    say(pod, 'ISM0321', `metadata.labels["${NETWORK_LABEL}"]`, `the cluster is on ${network}, and ${said}`, cure),
  ];
}

function settingsIn(data: unknown): StoredSettings | undefined {
  const { settings } = (data ?? {}) as { settings?: unknown };
  if (typeof settings !== 'string') return undefined;
  try {
    return parseInjectorSettings(settings);
  } catch {
    // That the injector cannot use it, the control plane says.
    return undefined;
  }
}
