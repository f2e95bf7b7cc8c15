// SPDX-License-Identifier: Apache-2.0
// What a sidecar does with the connections that its application opens.
import { isIP } from 'node:net';
import { type MeshService, PROXY_PORTS, type ServicePort } from '../model/snapshot.ts';
import { addressesOf, headlessState, type ProxyView } from '../model/view.ts';
import type { OutboundIntent, TcpChainIntent, TcpPortIntent } from './types.ts';
import { buildRouteTable, indexRules, type VirtualHostCache } from './virtual-hosts.ts';

export function buildOutbound(view: ProxyView, cache: VirtualHostCache): OutboundIntent {
  const rules = indexRules(view);
  const httpPorts = new Set<number>();
  for (const service of view.services) {
    for (const port of service.ports) if (isHttp(port) && !PROXY_PORTS.has(port.number)) httpPorts.add(port.number);
  }
  return {
    unknown: view.mesh.outboundTrafficPolicy.mode === 'ALLOW_ANY' ? 'pass-through' : 'refuse',
    httpPorts: [...httpPorts]
      .sort((a, b) => a - b)
      .map((port) => ({ port, table: buildRouteTable(view, port, rules, cache) })),
    tcpPorts: buildTcpPorts(view, httpPorts),
  };
}

function isHttp(port: ServicePort): boolean {
  return port.protocol === 'http' || port.protocol === 'http2';
}

function buildTcpPorts(view: ProxyView, httpPorts: ReadonlySet<number>): TcpPortIntent[] {
  const ports = new Map<string, { address: string; port: number; chains: TcpChainIntent[] }>();
  for (const service of view.services) {
    for (const port of service.ports) {
      if (isHttp(port) || port.protocol === 'udp') continue;
      for (const { address, chain } of claims(view, service, port)) {
        // On a port with HTTP the wildcard listener is HTTP's; other protocols need an address of their own.
        if (address === '' && (httpPorts.has(port.number) || PROXY_PORTS.has(port.number))) continue;
        const key = `${address}_${port.number}`;
        const entry = ports.get(key) ?? { address, port: port.number, chains: [] };
        if (!entry.chains.some((other) => overlap(other, chain))) entry.chains.push(chain);
        ports.set(key, entry);
      }
    }
  }
  return [...ports].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, entry]) => entry);
}

/** The same connections: Envoy refuses a listener in which two chains match alike. */
function overlap(a: TcpChainIntent, b: TcpChainIntent): boolean {
  const meet = (x: readonly string[], y: readonly string[]) =>
    (x.length === 0 && y.length === 0) || x.some((entry) => y.includes(entry));
  return meet(a.serverNames, b.serverNames) && meet(a.blocks, b.blocks);
}

function* claims(
  view: ProxyView,
  service: MeshService,
  port: ServicePort,
): Generator<{ address: string; chain: TcpChainIntent }> {
  const addresses = addressesOf(service, view.cluster);
  const field = `spec.ports[${service.ports.indexOf(port)}]`;
  const chain = {
    serverNames: [],
    blocks: [],
    to: [{ ref: { host: service.hostname, port: port.number, subset: '' }, weight: 100 }],
    use: 'proxy' as const,
    origin: { object: service.origin, field },
  };
  for (const address of addresses) {
    if (isIP(address) !== 0) yield { address, chain };
    else yield { address: '', chain: { ...chain, blocks: [address] } };
  }
  if (addresses.length > 0) return;
  if (service.registry === 'kubernetes') {
    const blocks = (headlessState(view, service)?.addresses ?? []).filter((ip) => isIP(ip) === 4);
    if (blocks.length > 0) yield { address: '', chain: { ...chain, blocks: blocks.map((ip) => `${ip}/32`) } };
  } else if (port.protocol === 'tls') yield { address: '', chain: { ...chain, serverNames: [service.hostname] } };
  else yield { address: '', chain };
}
