// SPDX-License-Identifier: Apache-2.0
// What a gateway serves: HTTP as Gateways and VirtualServices say, and, on 15443, the mesh's own TLS for every service
// of its cluster, which needs no object at all.
import type { Gateway, GatewayServer, ServerHost } from '../api/gateway.ts';
import type { Workload } from '../api/kubernetes.ts';
import { covers } from '../api/names.ts';
import type { VirtualService } from '../api/virtual-service.ts';
import { compareHosts } from '../model/hosts.ts';
import type { MeshProxy } from '../model/proxy.ts';
import type { MeshService } from '../model/snapshot.ts';
import { boundGateways, type ProxyView } from '../model/view.ts';
import { sniNames } from './destinations.ts';
import { buildRoutes } from './http-routes.ts';
import { targetPort } from './inbound.ts';
import type { DestinationIntent, GatewayIntent, HttpPortIntent, SniPortIntent, VirtualHostIntent } from './types.ts';

/** The port for TLS between clusters: https://istio.io/v1.4/docs/setup/install/multicluster/gateways/ */
export const CROSS_CLUSTER_PORT = 15443;

export interface GatewayInputs {
  readonly view: ProxyView;
  readonly proxy: MeshProxy;
  readonly workload: Workload | undefined;
  /** Kubernetes services that select the gateway's pods: they say on which port a server's port arrives. */
  readonly services: readonly MeshService[];
  readonly sniDestinations: readonly DestinationIntent[];
}

export function buildGateway(inputs: GatewayInputs): GatewayIntent {
  return { httpPorts: buildHttpPorts(inputs), sniPorts: buildSniPorts(inputs) };
}

interface Server {
  readonly gateway: Gateway;
  readonly server: GatewayServer;
  /** Where the gateway's process listens. */
  readonly bindPort: number;
}

function serversOf(inputs: GatewayInputs): Server[] {
  return inputs.view.gateways.flatMap((gateway) =>
    gateway.spec.servers.map((server) => ({ gateway, server, bindPort: bindPort(inputs, server.port.number) })),
  );
}

/** Behind a Service port 80 the process listens on 8080, say, and needs no privilege for it. */
function bindPort(inputs: GatewayInputs, port: number): number {
  for (const service of inputs.services) {
    const found = service.ports.find((p) => p.number === port);
    const bound = found && targetPort(found.targetPort, inputs.workload);
    if (bound !== undefined) return bound;
  }
  return port;
}

function buildHttpPorts(inputs: GatewayInputs): HttpPortIntent[] {
  const plain = serversOf(inputs).filter(({ server }) => !['TLS', 'HTTPS'].includes(server.port.protocol));
  const byPort = Map.groupBy(plain, (s) => s.bindPort);
  return [...byPort]
    .sort(([a], [b]) => a - b)
    .map(([port, servers]) => ({
      port,
      table: { name: `http.${port}`, hosts: buildVirtualHosts(inputs, servers), otherwise: 'not-found' },
    }));
}

/** Virtual hosts by domain; rules for one domain are joined in the order of their age. */
function buildVirtualHosts(inputs: GatewayInputs, servers: readonly Server[]): VirtualHostIntent[] {
  const hosts = new Map<string, VirtualHostIntent>();
  for (const { gateway, server } of servers) {
    const name = `${gateway.ref.namespace}/${gateway.ref.name}`;
    const rules = inputs.view.gatewayRules.filter((vs) => boundGateways(vs).includes(name));
    for (const rule of rules) {
      for (const host of rule.spec.hosts.flatMap((h) => servedHosts(h, server.hosts, rule, gateway))) {
        const client = { view: inputs.view, gateway: name, port: server.port.number };
        const before = hosts.get(host);
        hosts.set(host, {
          name: `${host}:${server.port.number}`,
          domains: [host],
          httpsOnly: server.tls?.httpsRedirect === true,
          routes: [...(before?.routes ?? []), ...buildRoutes(rule, client)],
          origin: before?.origin ?? { object: rule.ref, field: 'spec.hosts' },
        });
      }
    }
  }
  return [...hosts.values()].sort((a, b) => compareHosts(a.domains[0]!, b.domains[0]!));
}

/** The part of a rule's host that the server offers to the rule's namespace: the narrower of the two, if they meet. */
function servedHosts(host: string, offered: readonly ServerHost[], rule: VirtualService, gateway: Gateway): string[] {
  const served = offered.flatMap((offer) => {
    const namespace = offer.namespace === '.' ? gateway.ref.namespace : offer.namespace;
    if (namespace !== '*' && namespace !== rule.ref.namespace) return [];
    if (covers(offer.host, host)) return [host];
    return covers(host, offer.host) ? [offer.host] : [];
  });
  return [...new Set(served)];
}

function buildSniPorts(inputs: GatewayInputs): SniPortIntent[] {
  const { view } = inputs;
  const passing = serversOf(inputs).filter(({ server }) => server.tls?.mode === 'AUTO_PASSTHROUGH');
  const builtIn = inputs.services.some((s) => s.ports.some((p) => p.number === CROSS_CLUSTER_PORT));
  const ports = new Map<number, readonly string[]>();
  for (const { bindPort: port, server } of passing) {
    ports.set(port, [...(ports.get(port) ?? []), ...server.hosts.map((h) => h.host)]);
  }
  if (builtIn) ports.set(bindPort(inputs, CROSS_CLUSTER_PORT), ['*']);
  return [...ports]
    .sort(([a], [b]) => a - b)
    .map(([port, offered]) => ({
      port,
      chains: inputs.sniDestinations.flatMap((destination) => {
        const names = sniNames(destination.ref, view.settings.dnsDomain).filter((name) => {
          const host = name.slice(name.lastIndexOf('_.') + 2);
          return offered.some((offer) => covers(offer, host));
        });
        if (names.length === 0) return [];
        return [{ serverNames: names, blocks: [], to: destination.ref, origin: destination.origin }];
      }),
    }));
}
