// SPDX-License-Identifier: Apache-2.0
// What a sidecar does with the connections that come to its pod.
import type { ConnectionPool } from '../api/destination-rule.ts';
import { selects, type Workload } from '../api/kubernetes.ts';
import type { MeshConfig } from '../api/mesh-config.ts';
import { isPassed, type TlsDefaults } from '../api/server-tls.ts';
import type { IngressListener, Sidecar } from '../api/sidecar.ts';
import type { DestinationPolicy } from '../model/destination-policies.ts';
import type { MeshProxy } from '../model/proxy.ts';
import type { MeshService } from '../model/snapshot.ts';
import { retryConditions } from './retry-conditions.ts';
import { buildServerTls } from './server-tls.ts';
import { connectionPoolOf, effectivePolicy, poolOf } from './traffic-policy.ts';
import type { InboundIntent, InboundPortIntent, InboundRetriesIntent, LocalEndpointIntent } from './types.ts';

/** Of a namespace's services those of the proxy's own cluster that select its pod, in their order. */
export function selectServices(all: readonly MeshService[], proxy: MeshProxy): MeshService[] {
  return all.filter((service) => {
    const selector = service.clusters[proxy.cluster]?.selector;
    return selector !== undefined && Object.keys(selector).length > 0 && selects(selector, proxy.labels);
  });
}

/** What is said of the pod's side of its services, beside the services themselves. */
export interface InboundRules {
  readonly sidecar: Sidecar | undefined;
  /** Of each service, in their order: the rule whose pools hold for all of its clients, and so for the pod too. */
  readonly policies: readonly (DestinationPolicy | undefined)[];
  readonly mesh: InboundMesh;
}

export type InboundMesh = Pick<
  MeshConfig,
  | 'meshMTLS'
  | 'tlsDefaults'
  | 'defaultTrafficPolicy'
  | 'tcpKeepalive'
  | 'defaultConfig'
  | 'inboundTrafficPolicy'
  | 'defaultInboundHttpRetryPolicy'
>;

type Limits = Pick<InboundPortIntent, 'pool' | 'connectTimeoutMs' | 'asClient' | 'keepsCase'>;
type LimitsOf = (port: number, service: MeshService | undefined, own: ConnectionPool | undefined) => Limits;

export function buildInbound(
  services: readonly MeshService[],
  proxy: MeshProxy,
  workload: Workload | undefined,
  rules: InboundRules,
): InboundIntent {
  const { sidecar, mesh } = rules;
  const ports = new Map<number, InboundPortIntent>();
  const serviceAt = new Map<number, MeshService>();
  const limitsOf: LimitsOf = (port, service, own) =>
    limits(own, service && { service, rule: rules.policies[services.indexOf(service)] }, port, mesh);
  for (const service of services) {
    const own = service.clusters[proxy.cluster]?.ports ?? service.ports;
    own.forEach((port, i) => {
      const number = targetPort(port.targetPort, workload);
      if (port.protocol === 'udp' || number === undefined || ports.has(number)) return;
      const protocol = port.protocol === 'tls' ? 'tcp' : port.protocol;
      const origin = { object: service.origin, field: `spec.ports[${i}]` };
      const said = limitsOf(port.number, service, sidecar?.spec.inboundConnectionPool);
      const loopback = mesh.inboundTrafficPolicy?.mode === 'LOCALHOST' && { endpoint: loopbackOf(proxy, number) };
      ports.set(number, { port: number, protocol, host: service.hostname, origin, ...loopback, ...said });
      serviceAt.set(number, service);
    });
  }
  const listed =
    sidecar === undefined || sidecar.spec.ingress.length === 0
      ? ports
      : ingressPorts(sidecar, serviceAt, { proxy, defaults: mesh.tlsDefaults, limitsOf });
  const retries = retriesOf(mesh);
  const sorted = [...listed.values()].map((port) => withRetries(port, retries)).sort((a, b) => a.port - b.port);
  if (mesh.meshMTLS?.minProtocolVersion !== 'TLSV1_3') return { ports: sorted };
  const minTls = '1.3';
  return { minTls, ports: sorted.map((port) => (port.tls === undefined ? { ...port, minTls } : port)) };
}

function loopbackOf({ families }: MeshProxy, port: number): LocalEndpointIntent {
  return { kind: 'address', address: families === 'IPv6' ? '::1' : '127.0.0.1', port };
}

function retriesOf({ defaultInboundHttpRetryPolicy: said }: InboundMesh): InboundRetriesIntent | undefined {
  if (said === undefined) return undefined;
  const { attempts, retryOn, backoff } = said;
  return { attempts, ...retryConditions(retryOn, ['reset-before-request']), backoffMs: backoff };
}

/** What the condition for all requests means is not so with streams: HTTP/2, which may be gRPC, has the usual or nothing. */
function withRetries(port: InboundPortIntent, retries: InboundRetriesIntent | undefined): InboundPortIntent {
  if (retries === undefined || port.protocol === 'tcp') return port;
  return port.protocol === 'http2' && retries.attempts > 0 ? port : { ...port, retries };
}

/**
 * The Sidecar's own word goes before that of the service's rule, and that before the mesh's. How often clients may try again
 * is for them alone: here it would cap the sidecar's own attempts at an application that starts, and lose what it never saw.
 */
function limits(
  own: ConnectionPool | undefined,
  of: { readonly service: MeshService; readonly rule: DestinationPolicy | undefined } | undefined,
  port: number,
  mesh: InboundMesh,
): Limits {
  const policy = of && effectivePolicy(of.service, of.rule, '', port);
  const said = connectionPoolOf(own ?? policy?.connectionPool, mesh);
  const whole = poolOf(said, undefined);
  const { maxRetries: _, ...ofAll } = whole;
  const pool = own === undefined ? ofAll : whole;
  const connectTimeoutMs = said?.tcp?.connectTimeout;
  return {
    ...(Object.keys(pool).length > 0 && { pool }),
    ...(connectTimeoutMs !== undefined && { connectTimeoutMs }),
    ...(said?.http?.useClientProtocol === true && { asClient: true }),
    ...(mesh.defaultConfig?.proxyHeaders?.preserveHttp1HeaderCase && { keepsCase: true }),
  };
}

interface IngressInputs {
  readonly proxy: MeshProxy;
  readonly defaults: TlsDefaults | undefined;
  readonly limitsOf: LimitsOf;
}

/** A Sidecar's listeners take the place of what Services say. */
function ingressPorts(
  { ref, spec }: Sidecar,
  serviceAt: ReadonlyMap<number, MeshService>,
  { proxy, defaults, limitsOf }: IngressInputs,
): Map<number, InboundPortIntent> {
  const [first] = serviceAt.values();
  return new Map(
    spec.ingress.map((listener, i) => {
      const { number, protocol } = listener.port;
      const { tls } = listener;
      const opened = tls && !isPassed(tls);
      const port: InboundPortIntent = {
        port: number,
        protocol:
          protocol.protocol === 'tls' ? (opened && protocol.name === 'HTTPS' ? 'http' : 'tcp') : protocol.protocol,
        host: (serviceAt.get(number) ?? first)?.hostname ?? '',
        origin: { object: ref, field: `spec.ingress[${i}]` },
        ...(listener.defaultEndpoint && { endpoint: endpointOf(listener, proxy) }),
        // At every address it would take what the application sends to that port of others, too.
        ...(listener.captureMode === 'NONE' && { open: listener.bind ?? (proxy.ip || '0.0.0.0') }),
        ...(opened && { tls: buildServerTls(tls, defaults) }),
        ...limitsOf(number, serviceAt.get(number), listener.connectionPool ?? spec.inboundConnectionPool),
      };
      return [number, port];
    }),
  );
}

/**
 * What is captured tells the pod's address; what comes to an open port does not. A pod with IPv4 alone is not set up for the
 * other loopback.
 */
function endpointOf(
  { defaultEndpoint, captureMode }: IngressListener,
  { ip, families }: MeshProxy,
): LocalEndpointIntent {
  const to = defaultEndpoint!;
  if (to.kind === 'unix') return to;
  if (to.at !== 'instance') {
    return { kind: 'address', address: families === undefined ? '127.0.0.1' : to.at, port: to.port };
  }
  return captureMode === 'NONE' ? { kind: 'address', address: ip, port: to.port } : { kind: 'port', port: to.port };
}

/** A named target port is the container's port of that name; undefined when the pod has none. */
export function targetPort(target: number | string, workload: Workload | undefined): number | undefined {
  if (typeof target === 'number') return target;
  if (!/^\d+$/.test(target)) return workload?.ports[target];
  return Number(target) >= 1 && Number(target) <= 65535 ? Number(target) : undefined;
}
