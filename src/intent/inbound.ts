// SPDX-License-Identifier: Apache-2.0
// What a sidecar does with the connections that come to its pod.
import { selects, type Workload } from '../api/kubernetes.ts';
import type { MeshProxy } from '../model/proxy.ts';
import type { MeshIndex, MeshService } from '../model/snapshot.ts';
import type { InboundIntent, InboundPortIntent } from './types.ts';

/** Kubernetes services by namespace, oldest first: a pod's own are found among few. */
export type ServicesByNamespace = ReadonlyMap<string, readonly MeshService[]>;

export function groupServices(services: MeshIndex['services']): ServicesByNamespace {
  const kubernetes = [...services.values()].filter((s) => s.registry === 'kubernetes');
  kubernetes.sort((a, b) => a.createdAtMs - b.createdAtMs || (a.key < b.key ? -1 : 1));
  return Map.groupBy(kubernetes, (s) => s.namespace);
}

/** Services of the proxy's own cluster and namespace that select its pod, oldest first. */
export function servicesOfWorkload(services: ServicesByNamespace, proxy: MeshProxy): MeshService[] {
  return (services.get(proxy.namespace) ?? []).filter((service) => {
    const selector = service.clusters[proxy.cluster]?.selector;
    return selector !== undefined && Object.keys(selector).length > 0 && selects(selector, proxy.labels);
  });
}

export function buildInbound(
  services: readonly MeshService[],
  proxy: MeshProxy,
  workload: Workload | undefined,
): InboundIntent {
  const ports = new Map<number, InboundPortIntent>();
  for (const service of services) {
    const own = service.clusters[proxy.cluster]?.ports ?? service.ports;
    own.forEach((port, i) => {
      const number = targetPort(port.targetPort, workload);
      if (port.protocol === 'udp' || number === undefined || ports.has(number)) return;
      const protocol = port.protocol === 'tls' ? 'tcp' : port.protocol;
      const origin = { object: service.origin, field: `spec.ports[${i}]` };
      ports.set(number, { port: number, protocol, host: service.hostname, origin });
    });
  }
  return { mtls: 'strict', ports: [...ports.values()].sort((a, b) => a.port - b.port) };
}

/** A named target port is the container's port of that name; undefined when the pod has none. */
export function targetPort(target: number | string, workload: Workload | undefined): number | undefined {
  if (typeof target === 'number') return target;
  if (!/^\d+$/.test(target)) return workload?.ports[target];
  return Number(target) >= 1 && Number(target) <= 65535 ? Number(target) : undefined;
}
