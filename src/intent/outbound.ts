// SPDX-License-Identifier: Apache-2.0
// What a sidecar does with the connections that its application opens: who listens where, service by service.
import { isIP } from 'node:net';
import { isRemote } from '../model/hosts.ts';
import type { IpFamilies } from '../model/ip-families.ts';
import type { ListeningPlace } from '../model/sidecar-scope.ts';
import { listeningPlace } from '../model/sidecar-scope.ts';
import { type MeshService, PROXY_PORTS, type ServicePort } from '../model/snapshot.ts';
import { addressesOf, headlessState, type ProxyView } from '../model/view.ts';
import { ruledChains } from './connection-routes.ts';
import { withPolicy } from './destination-hints.ts';
import type { TcpChainIntent } from './types.ts';

/** What one listener serves: several services meet where they have no address of their own. */
export interface Place {
  readonly address: string;
  readonly port: number;
  /** HTTP is routed by the table of the port, or by that of one service; undefined: HTTP is bytes like any others. */
  http: 'port' | MeshService | undefined;
  readonly httpBlocks: string[];
  readonly chains: TcpChainIntent[];
  open?: true;
  /** See RouteTableIntent. */
  byName?: IpFamilies;
}

/** A service's wish for a part of a place. */
export interface Claim {
  readonly address: string;
  readonly port: number;
  readonly http: Place['http'];
  readonly chain: TcpChainIntent | undefined;
  /** See TcpPortIntent. */
  readonly open?: true;
  /** See RouteTableIntent. */
  readonly byName?: IpFamilies;
}

/** All claims of a service. */
export function claimsOfService(view: ProxyView, service: MeshService): Claim[] {
  return service.ports.flatMap((port) => {
    const place = listeningPlace(view.scope, port.number);
    const claims = [...claimsOf(view, service, port)].map((claim) => ({ ...claim, port: port.number }));
    if (place !== undefined) return PROXY_PORTS.has(port.number) ? [] : claims.map((claim) => moved(claim, place));
    return claims.filter((claim) => claim.address !== '' || !PROXY_PORTS.has(port.number));
  });
}

/** To where a Sidecar has it: there all that arrives is the first service's, unless its protocol says whom it is for. */
function moved(claim: Claim, { address, open }: ListeningPlace): Claim {
  const { chain, http } = claim;
  return {
    ...claim,
    address,
    http: http === undefined ? undefined : 'port',
    chain: chain && { ...chain, blocks: [] },
    ...(open && { open }),
  };
}

/** What comes of the claims to one place, the most important first. */
export function buildPlace(address: string, port: number, claims: Iterable<Claim>): Place {
  const place: Place = { address, port, http: undefined, httpBlocks: [], chains: [] };
  for (const claim of claims) settle(place, claim);
  return place;
}

/** Whoever comes first has the connections that two services claim. */
function settle(place: Place, { address, http, chain, open, byName }: Claim): void {
  if (open) place.open = open;
  if (byName) place.byName = byName;
  const beaten = chain !== undefined && place.chains.some((other) => overlap(other, chain));
  // An address is one service's alone: what it speaks there is that service's to say.
  if (beaten && address !== '' && http !== 'port') return;
  if (chain !== undefined && !beaten) {
    place.chains.push(chain);
    if (http !== undefined) place.httpBlocks.push(...chain.blocks);
  }
  place.http ??= http;
}

/** The same connections: Envoy refuses a listener in which two chains match alike. */
function overlap(a: TcpChainIntent, b: TcpChainIntent): boolean {
  const meet = (x: readonly string[], y: readonly string[]) =>
    (x.length === 0 && y.length === 0) || x.some((entry) => y.includes(entry));
  return meet(a.serverNames, b.serverNames) && meet(a.blocks, b.blocks);
}

type PortClaim = Omit<Claim, 'port'>;

function* claimsOf(view: ProxyView, service: MeshService, port: ServicePort): Generator<PortClaim> {
  switch (port.protocol) {
    case 'udp':
      return;
    case 'http':
    case 'http2':
      // Requests say themselves whom they are for.
      yield {
        address: '',
        http: 'port',
        chain: undefined,
        ...(service.resolution === 'by-name' && { byName: view.vantage.families }),
      };
      return;
    case 'tcp':
    case 'tls':
    case 'auto':
      for (const claim of connectionClaims(view, service, port, port.protocol === 'auto')) {
        if (claim.chain === undefined) yield claim;
        else
          for (const chain of ruledChains(view, service, port, claim.chain)) {
            yield { ...claim, chain: withPolicy(chain, view) };
          }
      }
  }
}

function* connectionClaims(
  view: ProxyView,
  service: MeshService,
  port: ServicePort,
  sniffed: boolean,
): Generator<PortClaim> {
  const addresses = addressesOf(service, view.cluster);
  const chain = tcpChain(service, port);
  const http = sniffed ? ('port' as const) : undefined;
  for (const address of addresses) {
    if (isIP(address) !== 0) yield { address, http: sniffed ? service : undefined, chain };
    else yield { address: '', http, chain: { ...chain, blocks: [address] } };
  }
  if (addresses.length > 0) return;
  const allocated = service.allocated ?? [];
  for (const address of allocated) yield { address, http: sniffed ? service : undefined, chain };
  // istiocoredns answers with them; clients of other names know them only where somebody else's DNS does.
  if (allocated.length > 0 && isRemote(service)) return;
  if (service.registry === 'kubernetes') {
    const blocks = (headlessState(view, service)?.addresses ?? []).map(hostBlock);
    // Without a pod to dial there is nothing to claim, but for requests that name the service.
    if (blocks.length > 0) yield { address: '', http, chain: { ...chain, blocks } };
    else if (sniffed) yield { address: '', http, chain: undefined };
  } else if (port.protocol === 'tls') {
    yield { address: '', http, chain: { ...chain, serverNames: [service.hostname] } };
  } else yield { address: '', http, chain };
}

function hostBlock(ip: string): string {
  return `${ip}/${isIP(ip) === 6 ? 128 : 32}`;
}

function tcpChain(service: MeshService, port: ServicePort): TcpChainIntent {
  return {
    serverNames: [],
    blocks: [],
    to: [{ ref: { host: service.hostname, port: port.number, subset: '' }, weight: 100 }],
    use: 'proxy',
    origin: { object: service.origin, field: `spec.ports[${service.ports.indexOf(port)}]` },
  };
}
