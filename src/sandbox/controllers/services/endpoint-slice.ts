// SPDX-License-Identifier: Apache-2.0
import { ENDPOINT_SLICES, NODES, PODS, SERVICES } from '../../../kube/resources.ts';
import { type Controller, type ControllerContext, createQueue, enqueueChanged, timestamp } from '../controller.ts';
import type { Informer } from '../informer.ts';
import type { Endpoint, EndpointSlice, Node, Pod, Service } from '../objects.ts';
import { isPodReady } from '../pod-state.ts';
import {
  addressesOf,
  enqueueServices,
  HEADLESS_LABEL,
  hasLeft,
  hasSelector,
  hostnameOf,
  inheritedLabels,
  LAST_CHANGE_ANNOTATION,
  resolvePorts,
  selectPods,
} from './endpoint-ports.ts';
import { type EndpointGroup, planSlices, portsKey } from './slice-plan.ts';
import { MANAGED_BY_LABEL, SERVICE_NAME_LABEL, sliceKeyOf, slicesManagedBy, writeSlices } from './slice-writes.ts';

const NAME = 'endpointslice-controller';
const MANAGER = 'endpointslice-controller.k8s.io';
/** How long a new endpoint may wait for others. */
const BATCH_MS = 100;
const ZONE_LABEL = 'topology.kubernetes.io/zone';

/** The endpoints of each Service that has a selector, in EndpointSlices. Keys are Services. */
export function createEndpointSliceController(context: ControllerContext): Controller {
  const services = context.informers.of<Service>(SERVICES);
  const pods = context.informers.of<Pod>(PODS);
  const nodes = context.informers.of<Node>(NODES);
  const slices = context.informers.of<EndpointSlice>(ENDPOINT_SLICES);
  const queue = createQueue(context, NAME);
  enqueueChanged(queue, services);
  enqueueServices(queue, pods, services, BATCH_MS, hasLeft);
  nodes.onChange((before, after) => {
    if (before?.metadata.labels?.[ZONE_LABEL] === after?.metadata.labels?.[ZONE_LABEL]) return;
    for (const service of services.all()) queue.add(`${service.metadata.namespace}/${service.metadata.name}`);
  });
  slices.onChange((before, after) => {
    // Somebody changed or removed ours: put it right.
    if (before?.metadata.labels?.[MANAGED_BY_LABEL] === MANAGER) queue.add(sliceKeyOf(after ?? before));
  });

  return {
    name: NAME,
    queue,
    async reconcile(key) {
      const service = services.byKey(key);
      // The slices of a Service that is gone are the garbage collector's: they name it as their owner.
      if (service === undefined || service.metadata.deletionTimestamp !== undefined) return;
      const existing = slicesManagedBy(slices, service, MANAGER);
      const groups = hasSelector(service) ? groupEndpoints(service, selectPods(service, pods), nodes) : [];
      const plan = planSlices(groups, existing, {
        labels: labelsOf(service),
        annotations: { [LAST_CHANGE_ANNOTATION]: timestamp(context.nowMs()) },
      });
      await writeSlices(context, slices, { owner: service, ownerType: SERVICES, labels: labelsOf(service) }, plan);
    },
  };
}

function labelsOf(service: Service): Record<string, string> {
  return {
    ...inheritedLabels(service.metadata.labels, HEADLESS_LABEL),
    ...(service.spec.clusterIP === 'None' ? { [HEADLESS_LABEL]: '' } : {}),
    [MANAGED_BY_LABEL]: MANAGER,
    [SERVICE_NAME_LABEL]: service.metadata.name ?? '',
  };
}

/** At least one group per address family, so that a Service without endpoints has its empty slice. */
function groupEndpoints(service: Service, pods: readonly Pod[], nodes: Pick<Informer<Node>, 'get'>): EndpointGroup[] {
  const families = service.spec.ipFamilies?.length ? service.spec.ipFamilies : ['IPv4'];
  return families.flatMap((addressType) => {
    const groups = new Map<string, { addressType: string; ports: EndpointGroup['ports']; endpoints: Endpoint[] }>();
    for (const pod of pods) {
      const address = addressesOf(pod).find((ip) => ip.includes(':') === (addressType === 'IPv6'));
      if (address === undefined) continue;
      const ports = resolvePorts(service, pod);
      const group = groups.get(portsKey(ports)) ?? { addressType, ports, endpoints: [] };
      groups.set(portsKey(ports), group);
      group.endpoints.push(endpointOf(service, pod, address, nodes));
    }
    return groups.size > 0 ? [...groups.values()] : [{ addressType, ports: null, endpoints: [] }];
  });
}

function endpointOf(service: Service, pod: Pod, address: string, nodes: Pick<Informer<Node>, 'get'>): Endpoint {
  const serving = isPodReady(pod);
  const terminating = pod.metadata.deletionTimestamp !== undefined;
  const ready = service.spec.publishNotReadyAddresses === true || (serving && !terminating);
  const { name = '', namespace = '', uid = '' } = pod.metadata;
  const { nodeName } = pod.spec;
  const hostname = hostnameOf(service, pod);
  const zone = nodeName ? nodes.get(nodeName)?.metadata.labels?.[ZONE_LABEL] : undefined;
  return {
    addresses: [address],
    conditions: { ready, serving, terminating },
    ...(hostname ? { hostname } : {}),
    targetRef: { kind: 'Pod', namespace, name, uid },
    ...(nodeName ? { nodeName } : {}),
    ...(zone ? { zone } : {}),
  };
}
