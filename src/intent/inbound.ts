// SPDX-License-Identifier: Apache-2.0
// What a sidecar does with the connections that come to its pod.
import { selects, type Workload } from '../api/kubernetes.ts';
import type { MeshProxy } from '../model/proxy.ts';
import type { MeshService } from '../model/snapshot.ts';
import type { InboundIntent, InboundPortIntent } from './types.ts';

/** Of a namespace's services those of the proxy's own cluster that select its pod, in their order. */
export function selectServices(all: readonly MeshService[], proxy: MeshProxy): MeshService[] {
  return all.filter((service) => {
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
