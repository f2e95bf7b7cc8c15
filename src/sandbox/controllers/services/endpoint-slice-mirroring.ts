// SPDX-License-Identifier: Apache-2.0
import { isIPv6 } from 'node:net';
import { ENDPOINT_SLICES, ENDPOINTS, SERVICES } from '../../../kube/resources.ts';
import { type Controller, type ControllerContext, createQueue, enqueueChanged, timestamp } from '../controller.ts';
import type { Endpoint, EndpointAddress, EndpointPort, EndpointSlice, Endpoints, Service } from '../objects.ts';
import { hasSelector, inheritedLabels, LAST_CHANGE_ANNOTATION } from './endpoint-ports.ts';
import { type EndpointGroup, planSlices, portsKey } from './slice-plan.ts';
import { MANAGED_BY_LABEL, SERVICE_NAME_LABEL, sliceKeyOf, slicesManagedBy, writeSlices } from './slice-writes.ts';

const NAME = 'endpointslice-mirroring-controller';
const MANAGER = 'endpointslicemirroring-controller.k8s.io';
const SKIP_LABEL = 'endpointslice.kubernetes.io/skip-mirror';
const LEADER_ANNOTATION = 'control-plane.alpha.kubernetes.io/leader';

/** Hand-written Endpoints of Services without a selector, repeated as EndpointSlices. Keys are Services. */
export function createEndpointSliceMirroring(context: ControllerContext): Controller {
  const services = context.informers.of<Service>(SERVICES);
  const endpoints = context.informers.of<Endpoints>(ENDPOINTS);
  const slices = context.informers.of<EndpointSlice>(ENDPOINT_SLICES);
  const queue = createQueue(context, NAME);
  enqueueChanged(queue, services);
  enqueueChanged(queue, endpoints);
  slices.onChange((before, after) => {
    if (before?.metadata.labels?.[MANAGED_BY_LABEL] === MANAGER) queue.add(sliceKeyOf(after ?? before));
  });

  return {
    name: NAME,
    queue,
    async reconcile(key) {
      const service = services.byKey(key);
      const source = endpoints.byKey(key);
      if (source === undefined || source.metadata.deletionTimestamp !== undefined) return;
      const existing = slicesManagedBy(slices, source, MANAGER);
      const isMirrored =
        service !== undefined &&
        !hasSelector(service) &&
        service.spec.type !== 'ExternalName' &&
        source.metadata.labels?.[SKIP_LABEL] !== 'true' &&
        source.metadata.annotations?.[LEADER_ANNOTATION] === undefined;
      const labels = {
        ...inheritedLabels(source.metadata.labels),
        [MANAGED_BY_LABEL]: MANAGER,
        [SERVICE_NAME_LABEL]: source.metadata.name ?? '',
      };
      const annotations = { [LAST_CHANGE_ANNOTATION]: timestamp(context.nowMs()) };
      const plan = planSlices(isMirrored ? mirror(source) : [], existing, { labels, annotations });
      await writeSlices(context, slices, { owner: source, ownerType: ENDPOINTS, labels }, plan);
    },
  };
}

/** One group per distinct pair of address family and ports. */
export function mirror(source: Endpoints): EndpointGroup[] {
  const groups = new Map<string, { addressType: string; ports: EndpointPort[]; endpoints: Endpoint[] }>();
  for (const subset of source.subsets ?? []) {
    const ports = (subset.ports ?? []).map(({ name = '', protocol = 'TCP', ...port }) => ({ name, protocol, ...port }));
    const put = (address: EndpointAddress, ready: boolean) => {
      const addressType = isIPv6(address.ip) ? 'IPv6' : 'IPv4';
      const key = `${addressType} ${portsKey(ports)}`;
      const group = groups.get(key) ?? { addressType, ports, endpoints: [] };
      groups.set(key, group);
      const { ip, hostname, nodeName, targetRef } = address;
      group.endpoints.push({
        addresses: [ip],
        conditions: { ready },
        ...(hostname ? { hostname } : {}),
        ...(targetRef ? { targetRef } : {}),
        ...(nodeName ? { nodeName } : {}),
      });
    };
    for (const address of subset.addresses ?? []) put(address, true);
    for (const address of subset.notReadyAddresses ?? []) put(address, false);
  }
  return [...groups.values()];
}
