// SPDX-License-Identifier: Apache-2.0
// What a sidecar does with the connections that come to its pod.
import { selects, type Workload } from '../api/kubernetes.ts';
import type { MeshConfig } from '../api/mesh-config.ts';
import { isPassed, type TlsDefaults } from '../api/server-tls.ts';
import type { IngressListener, Sidecar } from '../api/sidecar.ts';
import type { MeshProxy } from '../model/proxy.ts';
import type { MeshService } from '../model/snapshot.ts';
import { buildServerTls } from './server-tls.ts';
import { poolOf } from './traffic-policy.ts';
import type { InboundIntent, InboundPortIntent, LocalEndpointIntent } from './types.ts';

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
  sidecar: Sidecar | undefined,
  { meshMTLS, tlsDefaults }: Pick<MeshConfig, 'meshMTLS' | 'tlsDefaults'>,
): InboundIntent {
  const ports = new Map<number, InboundPortIntent>();
  const common = sidecar?.spec.inboundConnectionPool;
  for (const service of services) {
    const own = service.clusters[proxy.cluster]?.ports ?? service.ports;
    own.forEach((port, i) => {
      const number = targetPort(port.targetPort, workload);
      if (port.protocol === 'udp' || number === undefined || ports.has(number)) return;
      const protocol = port.protocol === 'tls' ? 'tcp' : port.protocol;
      const origin = { object: service.origin, field: `spec.ports[${i}]` };
      const pool = common && { pool: poolOf(common, undefined) };
      ports.set(number, { port: number, protocol, host: service.hostname, origin, ...pool });
    });
  }
  const listed =
    sidecar === undefined || sidecar.spec.ingress.length === 0
      ? ports
      : ingressPorts(sidecar, ports, proxy, tlsDefaults);
  const sorted = [...listed.values()].sort((a, b) => a.port - b.port);
  if (meshMTLS?.minProtocolVersion !== 'TLSV1_3') return { mtls: 'strict', ports: sorted };
  const minTls = '1.3';
  return { mtls: 'strict', minTls, ports: sorted.map((port) => (port.tls === undefined ? { ...port, minTls } : port)) };
}

/** A Sidecar's listeners take the place of what Services say. */
function ingressPorts(
  { ref, spec }: Sidecar,
  ofServices: ReadonlyMap<number, InboundPortIntent>,
  proxy: MeshProxy,
  defaults: TlsDefaults | undefined,
): Map<number, InboundPortIntent> {
  const [first] = ofServices.values();
  return new Map(
    spec.ingress.map((listener, i) => {
      const { number, protocol } = listener.port;
      const pool = listener.connectionPool ?? spec.inboundConnectionPool;
      const { tls } = listener;
      const opened = tls && !isPassed(tls);
      const port: InboundPortIntent = {
        port: number,
        protocol:
          protocol.protocol === 'tls' ? (opened && protocol.name === 'HTTPS' ? 'http' : 'tcp') : protocol.protocol,
        host: (ofServices.get(number) ?? first)?.host ?? '',
        origin: { object: ref, field: `spec.ingress[${i}]` },
        ...(listener.defaultEndpoint && { endpoint: endpointOf(listener, proxy) }),
        ...(listener.captureMode === 'NONE' && { open: listener.bind ?? '0.0.0.0' }),
        ...(opened && { tls: buildServerTls(tls, defaults) }),
        ...(pool && { pool: poolOf(pool, undefined) }),
      };
      return [number, port];
    }),
  );
}

/** What is captured tells the pod's address; what comes to an open port does not. */
function endpointOf({ defaultEndpoint, captureMode }: IngressListener, { ip }: MeshProxy): LocalEndpointIntent {
  const to = defaultEndpoint!;
  if (to.kind === 'unix') return to;
  if (to.at === 'loopback') return { kind: 'address', address: '127.0.0.1', port: to.port };
  return captureMode === 'NONE' ? { kind: 'address', address: ip, port: to.port } : { kind: 'port', port: to.port };
}

/** A named target port is the container's port of that name; undefined when the pod has none. */
export function targetPort(target: number | string, workload: Workload | undefined): number | undefined {
  if (typeof target === 'number') return target;
  if (!/^\d+$/.test(target)) return workload?.ports[target];
  return Number(target) >= 1 && Number(target) <= 65535 ? Number(target) : undefined;
}
