// SPDX-License-Identifier: Apache-2.0
// What a gateway serves: HTTP as Gateways and VirtualServices say, and, on 15443, the mesh's own TLS for every service
// of its cluster, which needs no object at all.
import { CROSS_CLUSTER_PORT, type Gateway, layerOf, type ServerHost, terminatesHttps } from '../api/gateway.ts';
import type { Workload } from '../api/kubernetes.ts';
import { EXTERNAL_NETWORK } from '../api/mesh-networks.ts';
import { covers } from '../api/names.ts';
import type { VirtualService } from '../api/virtual-service.ts';
import { mergeServers, type PlacedServer } from '../model/gateway-servers.ts';
import type { MeshProxy } from '../model/proxy.ts';
import type { MeshService } from '../model/snapshot.ts';
import { boundGateways, type ProxyView } from '../model/view.ts';
import { distinctRoutes, tcpRoutes, tlsRoutes } from './connection-routes.ts';
import { leadsByName, withHints, withPolicy } from './destination-hints.ts';
import type { DestinationIntent } from './destination-types.ts';
import { sniNames } from './destinations.ts';
import { buildRoutes, catchAllLast } from './http-routes.ts';
import { targetPort } from './inbound.ts';
import type { RouteTableIntent, VirtualHostIntent } from './route-types.ts';
import { buildServerTls } from './server-tls.ts';
import type { GatewayIntent, GatewayPortIntent, HttpPortIntent, HttpsChainIntent, TcpChainIntent } from './types.ts';
import { attempts } from './virtual-hosts.ts';

/** The label `istio` of istio-egressgateway's pods. */
const EGRESS_ROLE = 'egressgateway';

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
  const { servers } = mergeServers(inputs.view.gateways, (port) => bindPort(inputs, port));
  const tcpPorts = buildTcpPorts(inputs, servers);
  const taken = new Set(tcpPorts.map(({ address, port }) => `${address}|${port}`));
  const free = servers.filter(({ address, port }) => !taken.has(`${address}|${port}`));
  return { httpPorts: buildHttpPorts(inputs, free), tcpPorts };
}

/** What leaves by it is for other clusters: never for this one's services of the same names. */
export function isExit(proxy: MeshProxy): boolean {
  return isEgress(proxy) || proxy.requestedNetworks.includes(EXTERNAL_NETWORK);
}

/** Only the mesh's own proxies come to it. */
export function isEgress({ labels }: MeshProxy): boolean {
  return labels['istio'] === EGRESS_ROLE;
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

function buildHttpPorts(inputs: GatewayInputs, servers: readonly PlacedServer[]): HttpPortIntent[] {
  const plain = servers.filter(({ server }) => layerOf(server.port.protocol) === 'http');
  return [...groupByListener(plain)].map((group) => {
    const [{ address, port }] = group;
    return {
      ...(address !== '' && { address }),
      port,
      table: {
        name: `http.${port}${address === '' ? '' : `.${address}`}`,
        ...tableHosts(inputs, group),
      },
    };
  });
}

function tableHosts(inputs: GatewayInputs, placed: readonly PlacedServer[]): Omit<RouteTableIntent, 'name'> {
  const { view } = inputs;
  const hosts = buildVirtualHosts(inputs, placed);
  return { hosts, otherwise: 'not-found', ...(leadsByName(hosts.values(), view) && { byName: view.vantage.families }) };
}

function groupByListener(servers: readonly PlacedServer[]): (readonly [PlacedServer, ...PlacedServer[]])[] {
  const groups = [...Map.groupBy(servers, ({ address, port }) => `${address}|${port}`).values()];
  return groups
    .sort(([a], [b]) => a!.port - b!.port || (a!.address < b!.address ? -1 : 1))
    .map((group) => group as [PlacedServer, ...PlacedServer[]]);
}

/** Virtual hosts by domain; rules for one domain are joined in the order of their age. */
function buildVirtualHosts(
  inputs: GatewayInputs,
  servers: readonly PlacedServer[],
): ReadonlyMap<string, VirtualHostIntent> {
  const hosts = new Map<string, VirtualHostIntent>();
  for (const { gateway, server, index } of servers) {
    const name = nameOf(gateway);
    const httpsOnly = server.tls?.httpsRedirect === true;
    const put = (host: string, made: Pick<VirtualHostIntent, 'routes' | 'origin'>) => {
      const before = hosts.get(host);
      hosts.set(host, {
        name: `${host}:${server.port.number}`,
        domains: [host],
        httpsOnly: httpsOnly || before?.httpsOnly === true,
        ...attempts(inputs.view),
        routes: [...(before?.routes ?? []), ...made.routes],
        origin: before?.origin ?? made.origin,
      });
    };
    for (const rule of rulesOf(inputs, gateway)) {
      if (rule.spec.http.length === 0) continue;
      const client = {
        view: inputs.view,
        gateway: name,
        port: server.port.number,
        tls: layerOf(server.port.protocol) === 'tls',
      };
      for (const host of rule.spec.hosts.flatMap((h) => servedHosts(h, server.hosts, rule, gateway))) {
        put(host, {
          routes: withHints(buildRoutes(rule, client), inputs.view),
          origin: { object: rule.ref, field: 'spec.hosts' },
        });
      }
    }
    // A server that only redirects needs no rule.
    const origin = { object: gateway.ref, field: `spec.servers[${index}].hosts` };
    if (httpsOnly) for (const { host } of server.hosts) put(host, { routes: [], origin });
  }
  return new Map([...hosts].map(([name, host]) => [name, { ...host, routes: catchAllLast(host.routes) }]));
}

function nameOf({ ref }: Gateway): string {
  return `${ref.namespace}/${ref.name}`;
}

function rulesOf({ view }: GatewayInputs, gateway: Gateway): VirtualService[] {
  return view.gatewayRules.filter((rule) => boundGateways(rule).includes(nameOf(gateway)));
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

/** Everything that is no plain HTTP. */
function buildTcpPorts(inputs: GatewayInputs, servers: readonly PlacedServer[]): GatewayPortIntent[] {
  const ports = new Map<string, TcpPortDraft>();
  const at = (address: string, port: number, secure: boolean) => {
    const draft = ports.get(`${address}|${port}`) ?? new TcpPortDraft(address, port, secure);
    ports.set(`${address}|${port}`, draft);
    return draft;
  };
  if (hasCrossClusterPort(inputs)) {
    at('', bindPort(inputs, CROSS_CLUSTER_PORT), true).add(meshChains(inputs, ['*']));
  }
  for (const placed of servers) {
    const { server, address, port } = placed;
    const layer = layerOf(server.port.protocol);
    if (layer === 'http') continue;
    const draft = at(address, port, layer === 'tls');
    const { tls } = server;
    if (tls?.mode === 'AUTO_PASSTHROUGH') {
      draft.add(
        meshChains(
          inputs,
          server.hosts.map((h) => h.host),
        ),
      );
    } else if (tls?.mode === 'PASSTHROUGH') draft.add(ruledChains(inputs, placed));
    else if (terminatesHttps(server)) draft.addHttps(httpsChain(inputs, placed));
    else draft.add(openedChains(inputs, placed));
  }
  return [...ports.values()]
    .map((draft) => draft.done())
    .sort((a, b) => a.port - b.port || (a.address < b.address ? -1 : 1));
}

/** One name in two chains is a listener that Envoy refuses: the first has it. */
class TcpPortDraft {
  readonly #frame: Pick<GatewayPortIntent, 'address' | 'port' | 'secure'>;
  readonly #taken = new Set<string>();
  readonly #chains: TcpChainIntent[] = [];
  readonly #https: HttpsChainIntent[] = [];

  constructor(address: string, port: number, secure: boolean) {
    this.#frame = { address, port, secure };
  }

  add(chains: readonly TcpChainIntent[]): void {
    for (const chain of chains) {
      const serverNames = this.#free(chain.serverNames);
      if (serverNames !== undefined) this.#chains.push({ ...chain, serverNames });
    }
  }

  addHttps(chain: HttpsChainIntent): void {
    const serverNames = this.#free(chain.serverNames);
    if (serverNames !== undefined) this.#https.push({ ...chain, serverNames });
  }

  /** undefined: nothing is left of it. */
  #free(names: readonly string[]): readonly string[] | undefined {
    const wanted = names.length === 0 ? ['*'] : names;
    const free = wanted.filter((name) => !this.#taken.has(name));
    for (const name of free) this.#taken.add(name);
    if (free.length === 0) return undefined;
    // Envoy has no name for all names.
    return free.includes('*') ? [] : free;
  }

  done(): GatewayPortIntent {
    return { ...this.#frame, chains: this.#chains, https: this.#https };
  }
}

function sniOf({ server }: PlacedServer): string[] {
  return [...new Set(server.hosts.map(({ host }) => host))].sort();
}

function httpsChain(inputs: GatewayInputs, placed: PlacedServer): HttpsChainIntent {
  const { gateway, server, index, address } = placed;
  const { number, name } = server.port;
  const { ref } = gateway;
  const table = `https.${number}.${name}.${ref.name}.${ref.namespace}${address === '' ? '' : `.${address}`}`;
  return {
    serverNames: sniOf(placed),
    tls: buildServerTls(server.tls!, inputs.view.mesh.tlsDefaults),
    table: { name: table, ...tableHosts(inputs, [placed]) },
    origin: { object: ref, field: `spec.servers[${index}]` },
  };
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

/** Bytes that nobody reads, behind TLS that is opened here or in plain text: they go by the first TCP route for the server. */
function openedChains(inputs: GatewayInputs, placed: PlacedServer): TcpChainIntent[] {
  const { gateway, server } = placed;
  const client = { view: inputs.view, gateway: nameOf(gateway), port: server.port.number };
  for (const rule of rulesOf(inputs, gateway)) {
    if (rule.spec.hosts.every((host) => servedHosts(host, server.hosts, rule, gateway).length === 0)) continue;
    const [route] = tcpRoutes(rule, client);
    if (route === undefined) continue;
    const { to, origin } = route;
    const opened = server.tls && {
      serverNames: sniOf(placed),
      tls: buildServerTls(server.tls, inputs.view.mesh.tlsDefaults),
    };
    return [withPolicy({ serverNames: [], blocks: [], to, use: 'proxy', origin, ...opened }, inputs.view)];
  }
  return [];
}

/** Strangers' TLS, as VirtualServices route it. */
function ruledChains(inputs: GatewayInputs, { gateway, server }: PlacedServer): TcpChainIntent[] {
  const client = { view: inputs.view, gateway: nameOf(gateway), port: server.port.number };
  const routes = rulesOf(inputs, gateway).flatMap((vs) =>
    tlsRoutes(vs, client).map((route) => ({
      ...route,
      serverNames: route.serverNames.flatMap((host) => servedHosts(host, server.hosts, vs, gateway)),
      blocks: [],
    })),
  );
  return distinctRoutes(routes.filter((route) => route.serverNames.length > 0)).map((route) =>
    withPolicy({ ...route, use: 'proxy' }, inputs.view),
  );
}
