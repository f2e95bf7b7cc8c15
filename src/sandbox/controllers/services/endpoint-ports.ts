// SPDX-License-Identifier: Apache-2.0
// What Endpoints and EndpointSlices share: which Services have them, which pods are behind one, at which ports.

import type { Labels } from '../../../kube/label-selector.ts';
import { matchesLabels } from '../../../kube/label-selector.ts';
import { pacedAdd } from '../controller.ts';
import { type Informer, keyOf } from '../informer.ts';
import type { ContainerPort, EndpointPort, Pod, Service, ServicePort } from '../objects.ts';
import { isPodFinished, isPodReady } from '../pod-state.ts';
import type { WorkQueue } from '../work-queue.ts';

/** Services without a selector have endpoints that somebody writes by hand. */
export function hasSelector(service: Service): boolean {
  return service.spec.type !== 'ExternalName' && Object.keys(service.spec.selector ?? {}).length > 0;
}

/** Pods that a Service may send to: selected, with an address, not finished. Being deleted does not exclude them. */
export function selectPods(service: Service, pods: Informer<Pod>): Pod[] {
  const selector = service.spec.selector ?? {};
  return pods
    .inNamespace(service.metadata.namespace)
    .filter((pod) => matchesLabels(selector, pod.metadata.labels) && addressesOf(pod).length > 0 && !isPodFinished(pod))
    .sort((a, b) => ((a.metadata.name ?? '') < (b.metadata.name ?? '') ? -1 : 1));
}

/**
 * Puts the Services that a change of a pod concerns into the queue.
 * @param batchMs how long a change may wait for others
 * @param isUrgent what must not wait
 */
export function enqueueServices(
  queue: WorkQueue,
  pods: Informer<Pod>,
  services: Informer<Service>,
  batchMs: number,
  isUrgent: (before: Pod | undefined, after: Pod | undefined) => boolean = () => false,
): void {
  const addSoon = pacedAdd(queue, batchMs);
  pods.onChange((before, after) => {
    const mustBeSeen = isUrgent(before, after);
    for (const pod of [before, after]) {
      if (pod === undefined) continue;
      for (const key of servicesOf(pod, services)) {
        if (mustBeSeen) queue.add(key);
        else addSoon(key);
      }
    }
  });
}

/** Nobody shall be sent to it any more. */
export function hasLeft(before: Pod | undefined, after: Pod | undefined): boolean {
  return before !== undefined && isServing(before) && !(after !== undefined && isServing(after));
}

function isServing(pod: Pod): boolean {
  return isPodReady(pod) && !isPodFinished(pod) && pod.metadata.deletionTimestamp === undefined;
}

/** Keys of the Services that a change of a pod's labels or state may concern. */
function* servicesOf(pod: Pod, services: Informer<Service>): Iterable<string> {
  for (const service of services.inNamespace(pod.metadata.namespace)) {
    if (hasSelector(service) && matchesLabels(service.spec.selector ?? {}, pod.metadata.labels)) yield keyOf(service);
  }
}

export function addressesOf(pod: Pod): string[] {
  const ips = (pod.status?.podIPs ?? []).map(({ ip }) => ip);
  return ips.length > 0 ? ips : pod.status?.podIP ? [pod.status.podIP] : [];
}

/** The Service's ports as this pod has them. A named target port that the pod does not have is left out. */
export function resolvePorts(service: Service, pod: Pod): EndpointPort[] {
  return (service.spec.ports ?? []).flatMap((port) => {
    const number = targetPort(port, pod);
    if (number === undefined) return [];
    const { name = '', protocol = 'TCP', appProtocol } = port;
    return [{ name, protocol, port: number, ...(appProtocol ? { appProtocol } : {}) }];
  });
}

function targetPort({ port, targetPort: target, protocol = 'TCP' }: ServicePort, pod: Pod): number | undefined {
  if (typeof target === 'number') return target === 0 ? port : target;
  if (target === undefined || target === '') return port;
  const named = (candidate: ContainerPort) => candidate.name === target && (candidate.protocol ?? 'TCP') === protocol;
  // Init containers that go on running (sidecars) serve too.
  const sidecars = (pod.spec.initContainers ?? []).filter(({ restartPolicy }) => restartPolicy === 'Always');
  for (const container of [...pod.spec.containers, ...sidecars]) {
    const match = (container.ports ?? []).find(named);
    if (match) return match.containerPort;
  }
  return undefined;
}

/** The pod's DNS name below the Service, when it asks for one: spec.hostname with the Service as spec.subdomain. */
export function hostnameOf(service: Service, pod: Pod): string | undefined {
  const { hostname, subdomain } = pod.spec;
  return hostname && subdomain === service.metadata.name ? hostname : undefined;
}

/** Labels of a Service that its endpoints carry too, without those that controllers own. */
export function inheritedLabels(labels: Labels | undefined, ...owned: string[]): Record<string, string> {
  return Object.fromEntries(Object.entries(labels ?? {}).filter(([key]) => !owned.includes(key)));
}

export const HEADLESS_LABEL = 'service.kubernetes.io/headless';
export const LAST_CHANGE_ANNOTATION = 'endpoints.kubernetes.io/last-change-trigger-time';
