// SPDX-License-Identifier: Apache-2.0
// What a gateway serves: HTTP as Gateways and VirtualServices say, and, on 15443, the mesh's own TLS for every service
// of its cluster, which needs no object at all.
import { CROSS_CLUSTER_PORT, type Gateway, type GatewayServer, type ServerHost } from '../api/gateway.ts';
import type { Workload } from '../api/kubernetes.ts';
import { EXTERNAL_NETWORK } from '../api/mesh-networks.ts';
import { covers } from '../api/names.ts';
import type { VirtualService } from '../api/virtual-service.ts';
import { compareHosts } from '../model/hosts.ts';
import type { MeshProxy } from '../model/proxy.ts';
import type { MeshService } from '../model/snapshot.ts';
import { boundGateways, type ProxyView } from '../model/view.ts';
import { sniNames } from './destinations.ts';
import { buildRoutes, resolveDestination } from './http-routes.ts';
import { targetPort } from './inbound.ts';
import type {
  DestinationIntent,
  GatewayIntent,
  HttpPortIntent,
  SniPortIntent,
  TcpChainIntent,
  VirtualHostIntent,
} from './types.ts';

/** The label `istio` of istio-egressgateway's pods. */
const EGRESS_ROLE = 'egressgateway';

const SECURE: ReadonlySet<string> = new Set(['TLS', 'HTTPS']);

export interface GatewayInputs {
  readonly view: ProxyView;
  readonly proxy: MeshProxy;
  readonly workload: Workload | undefined;
  /** Kubernetes services that select the gateway's pods: they say on which port a server's port arrives. */
  readonly services: readonly MeshService[];
  /** Where the mesh's own TLS is passed on to. */
  readonly sniDestinations: readonly DestinationIntent[];
}

export function buildGateway(inputs: GatewayInputs): GatewayIntent {
  const sniPorts = buildSniPorts(inputs);
  const taken = new Set(sniPorts.map(({ port }) => port));
  return { httpPorts: buildHttpPorts(inputs).filter(({ port }) => !taken.has(port)), sniPorts };
}

/** What leaves by it is for other clusters: never for this one's services of the same names. */
export function isExit({ labels, requestedNetworks }: MeshProxy): boolean {
  return labels['istio'] === EGRESS_ROLE || requestedNetworks.includes(EXTERNAL_NETWORK);
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
    const found = portsHere(inputs, service).find((p) => p.number === port);
    const bound = found && targetPort(found.targetPort, inputs.workload);
    if (bound !== undefined) return bound;
  }
  return port;
}

/** A service of several clusters need not have the same ports in all of them. */
function portsHere({ proxy }: GatewayInputs, service: MeshService): MeshService['ports'] {
  return service.clusters[proxy.cluster]?.ports ?? service.ports;
}

function buildHttpPorts(inputs: GatewayInputs): HttpPortIntent[] {
  const plain = serversOf(inputs).filter(({ server }) => !SECURE.has(server.port.protocol));
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
    const bound = inputs.view.gatewayRules.filter((vs) => boundGateways(vs).includes(name));
    const rules = bound.filter((vs) => vs.spec.http.length > 0);
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
  const ports = new Map<number, TcpChainIntent[]>();
  const add = (port: number, chains: readonly TcpChainIntent[]) => {
    const taken = new Set((ports.get(port) ?? []).flatMap((chain) => chain.serverNames));
    const fresh = chains.flatMap((chain) => {
      // One name in two chains is a listener that Envoy refuses: the first has it.
      const serverNames = chain.serverNames.filter((name) => !taken.has(name));
      for (const name of serverNames) taken.add(name);
      return serverNames.length === 0 ? [] : [{ ...chain, serverNames }];
    });
    ports.set(port, [...(ports.get(port) ?? []), ...fresh]);
  };
  if (hasCrossClusterPort(inputs)) add(bindPort(inputs, CROSS_CLUSTER_PORT), meshChains(inputs, ['*']));
  for (const { gateway, server, bindPort: port } of serversOf(inputs)) {
    if (server.tls?.mode === 'AUTO_PASSTHROUGH') {
      const offered = server.hosts.map((h) => h.host);
      add(port, meshChains(inputs, offered));
    } else if (server.tls?.mode === 'PASSTHROUGH' && SECURE.has(server.port.protocol)) {
      add(port, ruledChains(inputs, gateway, server));
    }
  }
  return [...ports].sort(([a], [b]) => a - b).map(([port, chains]) => ({ port, chains }));
}

function hasCrossClusterPort(inputs: GatewayInputs): boolean {
  return inputs.services.some((s) => portsHere(inputs, s).some((p) => p.number === CROSS_CLUSTER_PORT));
}

/**
 * The mesh's own TLS: a chain for each destination in this cluster, under the names that other clusters have for it; or, of
 * an egress gateway, for each in the networks that it requests.
 */
function meshChains(inputs: GatewayInputs, offered: readonly string[]): TcpChainIntent[] {
  return inputs.sniDestinations.flatMap((destination) => {
    const serverNames = sniNames(destination.ref, inputs.view.settings.dnsDomain).filter((name) => {
      const host = name.slice(name.lastIndexOf('_.') + 2);
      return offered.some((offer) => covers(offer, host));
    });
    if (serverNames.length === 0) return [];
    return [
      {
        serverNames,
        blocks: [],
        to: [{ ref: destination.ref, weight: 100 }],
        use: 'sni' as const,
        origin: destination.origin,
      },
    ];
  });
}

/** Strangers' TLS, as VirtualServices route it. */
function ruledChains(inputs: GatewayInputs, gateway: Gateway, server: GatewayServer): TcpChainIntent[] {
  const name = `${gateway.ref.namespace}/${gateway.ref.name}`;
  const client = { view: inputs.view, gateway: name, port: server.port.number };
  return inputs.view.gatewayRules
    .filter((vs) => boundGateways(vs).includes(name))
    .flatMap((vs) =>
      vs.spec.tls.flatMap((route, i) =>
        route.match
          .filter((match) => match.port === undefined || match.port === server.port.number)
          .map((match) => ({
            serverNames: match.sniHosts.flatMap((host) => servedHosts(host, server.hosts, vs, gateway)),
            blocks: [],
            to: [{ ref: resolveDestination(route.route[0]!.destination, vs, client), weight: 100 }],
            use: 'proxy' as const,
            origin: { object: vs.ref, field: `spec.tls[${i}]` },
          })),
      ),
    );
}
