// SPDX-License-Identifier: Apache-2.0
import { isDeepStrictEqual } from 'node:util';
import { ENDPOINTS, PODS, SERVICES } from '../../../kube/resources.ts';
import {
  type Controller,
  type ControllerContext,
  createQueue,
  enqueueChanged,
  isNamespaceTerminating,
  timestamp,
} from '../controller.ts';
import { keyOf, splitKey } from '../informer.ts';
import type { EndpointAddress, EndpointPort, EndpointSubset, Endpoints, Pod, Service } from '../objects.ts';
import { isPodReady } from '../pod-state.ts';
import {
  enqueueServices,
  HEADLESS_LABEL,
  hasSelector,
  hostnameOf,
  inheritedLabels,
  LAST_CHANGE_ANNOTATION,
  resolvePorts,
  selectPods,
} from './endpoint-ports.ts';

const NAME = 'endpoint-controller';
const MANAGED_BY = 'endpoints.kubernetes.io/managed-by';
/** https://kubernetes.io/docs/concepts/services-networking/service/#over-capacity-endpoints */
const OVER_CAPACITY = 'endpoints.kubernetes.io/over-capacity';
/** Traffic follows the EndpointSlices; these are for those who read the old form. */
const BATCH_MS = 1_000;
const MAX_ADDRESSES = 1_000;

/** The old form of a Service's endpoints: one Endpoints object by the Service's name. Keys are Services. */
export function createEndpointsController(context: ControllerContext): Controller {
  const services = context.informers.of<Service>(SERVICES);
  const pods = context.informers.of<Pod>(PODS);
  const endpoints = context.informers.of<Endpoints>(ENDPOINTS);
  const queue = createQueue(context, NAME);
  const deleted = new Set<string>();
  enqueueChanged(queue, services);
  services.onChange((before, after) => {
    if (after === undefined && before !== undefined) deleted.add(keyOf(before));
  });
  enqueueServices(queue, pods, services, BATCH_MS);
  endpoints.onChange((before, after) => {
    // Somebody changed or removed ours: put it right.
    if (before !== undefined) queue.add(keyOf(after ?? before));
  });

  return {
    name: NAME,
    queue,
    async reconcile(key) {
      const service = services.byKey(key);
      const existing = endpoints.byKey(key);
      if (service === undefined) {
        // Hand-written ones go with their Service; those that never had one belong to somebody else.
        if (existing && (deleted.has(key) || existing.metadata.labels?.[MANAGED_BY] === NAME)) {
          const { namespace, name } = splitKey(key);
          await context.client.delete(ENDPOINTS, name, namespace);
        }
        deleted.delete(key);
        return;
      }
      deleted.delete(key);
      if (!hasSelector(service) || service.metadata.deletionTimestamp !== undefined) return;
      const all = buildSubsets(service, selectPods(service, pods));
      const subsets = truncate(all);
      const labels = labelsOf(service);
      const isTruncated = subsets !== all;
      if (
        existing &&
        isDeepStrictEqual(existing.subsets ?? [], subsets) &&
        isDeepStrictEqual(existing.metadata.labels, labels) &&
        isTruncated === (existing.metadata.annotations?.[OVER_CAPACITY] !== undefined)
      ) {
        return;
      }
      const { [OVER_CAPACITY]: _before, ...others } = existing?.metadata.annotations ?? {};
      const annotations = {
        ...others,
        [LAST_CHANGE_ANNOTATION]: timestamp(context.nowMs()),
        ...(isTruncated ? { [OVER_CAPACITY]: 'truncated' } : {}),
      };
      const { name = '', namespace = '' } = service.metadata;
      const wanted: Endpoints = {
        apiVersion: 'v1',
        kind: 'Endpoints',
        metadata: { ...existing?.metadata, name, namespace, labels, annotations },
        ...(subsets.length > 0 ? { subsets } : {}),
      };
      try {
        const write = existing ? context.client.replace(ENDPOINTS, wanted) : context.client.create(ENDPOINTS, wanted);
        await endpoints.echo(await write);
      } catch (error) {
        if (!isNamespaceTerminating(error)) throw error;
      }
    },
  };
}

function labelsOf(service: Service): Record<string, string> {
  return {
    ...inheritedLabels(service.metadata.labels, HEADLESS_LABEL),
    ...(service.spec.clusterIP === 'None' ? { [HEADLESS_LABEL]: '' } : {}),
    [MANAGED_BY]: NAME,
  };
}

/**
 * Addresses with the same ports form a subset. Pods that are being deleted are not in it, unless the Service wants
 * those too that are not ready.
 */
export function buildSubsets(service: Service, pods: readonly Pod[]): EndpointSubset[] {
  const groups = new Map<string, { ports: EndpointPort[]; ready: EndpointAddress[]; notReady: EndpointAddress[] }>();
  const family = service.spec.ipFamilies?.[0] ?? 'IPv4';
  for (const pod of pods) {
    if (pod.metadata.deletionTimestamp !== undefined && !service.spec.publishNotReadyAddresses) continue;
    const address = addressOf(service, pod, family);
    if (address === undefined) continue;
    const ports = resolvePorts(service, pod).map(({ name, ...port }) => ({ ...(name ? { name } : {}), ...port }));
    // Headless Services may have no ports at all; others with none resolved have nothing to send to.
    if (ports.length === 0 && (service.spec.ports ?? []).length > 0) continue;
    const key = JSON.stringify(ports);
    const group = groups.get(key) ?? { ports, ready: [], notReady: [] };
    groups.set(key, group);
    const isReady = service.spec.publishNotReadyAddresses === true || isPodReady(pod);
    (isReady ? group.ready : group.notReady).push(address);
  }
  return [...groups.keys()].sort().flatMap((key) => {
    const group = groups.get(key);
    if (group === undefined) return [];
    return [
      {
        ...(group.ready.length > 0 ? { addresses: group.ready.sort(byIp) } : {}),
        ...(group.notReady.length > 0 ? { notReadyAddresses: group.notReady.sort(byIp) } : {}),
        ...(group.ports.length > 0 ? { ports: group.ports } : {}),
      },
    ];
  });
}

/** The same when there are not too many addresses; else those that are ready come first. */
export function truncate(subsets: EndpointSubset[]): EndpointSubset[] {
  const count = (list: readonly EndpointAddress[] | undefined): number => list?.length ?? 0;
  const total = subsets.reduce((sum, each) => sum + count(each.addresses) + count(each.notReadyAddresses), 0);
  if (total <= MAX_ADDRESSES) return subsets;
  let room = MAX_ADDRESSES;
  const take = (list: EndpointAddress[] | undefined): EndpointAddress[] => {
    const taken = (list ?? []).slice(0, room);
    room -= taken.length;
    return taken;
  };
  const ready = subsets.map(({ addresses }) => take(addresses));
  return subsets.flatMap(({ notReadyAddresses, ports }, index) => {
    const addresses = ready[index] ?? [];
    const notReady = take(notReadyAddresses);
    if (addresses.length + notReady.length === 0) return [];
    return [
      {
        ...(addresses.length > 0 ? { addresses } : {}),
        ...(notReady.length > 0 ? { notReadyAddresses: notReady } : {}),
        ...(ports ? { ports } : {}),
      },
    ];
  });
}

function addressOf(service: Service, pod: Pod, family: string): EndpointAddress | undefined {
  const ips = [...(pod.status?.podIPs ?? []).map(({ ip }) => ip), pod.status?.podIP ?? ''];
  const ip = ips.find((candidate) => candidate !== '' && candidate.includes(':') === (family === 'IPv6'));
  if (ip === undefined) return undefined;
  const { name = '', namespace = '', uid = '' } = pod.metadata;
  const hostname = hostnameOf(service, pod);
  return {
    ip,
    ...(hostname ? { hostname } : {}),
    ...(pod.spec.nodeName ? { nodeName: pod.spec.nodeName } : {}),
    targetRef: { kind: 'Pod', namespace, name, uid },
  };
}

function byIp(a: EndpointAddress, b: EndpointAddress): number {
  return a.ip < b.ip ? -1 : 1;
}
