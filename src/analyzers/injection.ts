// SPDX-License-Identifier: Apache-2.0
// Which pods have no sidecar though they should, and which namespaces nobody has decided about.
import type { Diagnostic } from '../api/diagnostics.ts';
import { NAMESPACE_LABEL, NEVER_IN, reasonToSkip } from '../injector/inject.ts';
import type { Container, Pod } from '../injector/pod.ts';
import { INIT_CONTAINER, PROXY_CONTAINER, PROXY_UID } from '../injector/proxy-container.ts';
import { INJECTOR_CONFIG_MAP, parseInjectorSettings } from '../injector/settings.ts';
import { nameOf, say, type World } from './world.ts';

const REVISION_LABEL = 'istio.io/rev';

export function checkInjection(world: World): Diagnostic[] {
  return [...checkNamespaces(world), ...checkPods(world), ...checkImages(world)];
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

/** Proxies that were injected before an upgrade go on with what they have. */
function checkImages({ all, pods }: World): Diagnostic[] {
  const settings = all.find(
    ({ object }) => object.kind === 'ConfigMap' && object.metadata.name === INJECTOR_CONFIG_MAP,
  );
  const image = settings && imageIn(settings.object['data']);
  if (image === undefined) return [];
  return pods.flatMap((pod) => {
    const { spec } = pod.object as Pod;
    const proxy = [...(spec?.containers ?? []), ...(spec?.initContainers ?? [])].find(
      ({ name }) => name === PROXY_CONTAINER,
    );
    if (proxy?.image === undefined || proxy.image === image || NEVER_IN.has(nameOf(pod.object).namespace)) return [];
    const message = `its proxy is ${proxy.image}, and new ones are ${image}`;
    return [
      say(
        pod,
        'ISM0404',
        '',
        message,
        'make it anew (kubectl rollout restart), so that its proxy is as new as the others',
      ),
    ];
  });
}

function imageIn(data: unknown): string | undefined {
  const { settings } = (data ?? {}) as { settings?: unknown };
  if (typeof settings !== 'string') return undefined;
  try {
    return parseInjectorSettings(settings).proxyImage;
  } catch {
    // That the injector cannot use it, the control plane says.
    return undefined;
  }
}
