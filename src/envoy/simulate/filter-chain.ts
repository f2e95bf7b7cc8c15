// SPDX-License-Identifier: Apache-2.0
// Envoy's choice of a filter chain. Its criteria are asked in a fixed order, and each narrows to the most specific
// chains without ever going back (envoy.config.listener.v3.FilterChainMatch).
import { BlockList, isIP } from 'node:net';
import type { FilterChain, FilterChainMatch } from '#gen/envoy/config/listener/v3/listener_components_pb.ts';
import type { Listener } from '#gen/envoy/config/listener/v3/listener_pb.ts';
import { HTTP_INSPECTOR, ORIGINAL_DST, PROXY_PROTOCOL, TLS_INSPECTOR } from '../filters/listener-filters.ts';
import type { Connection } from './outcome.ts';

interface Inspected extends Connection {
  readonly protocols: readonly string[];
}

/** How well a chain's criterion fits: undefined not at all, 0 it does not ask, more is more specific. */
type Criterion = (match: FilterChainMatch | undefined, connection: Inspected) => number | undefined;

const CRITERIA: readonly Criterion[] = [
  (match, { port }) => exact(match?.destinationPort, match?.destinationPort === port),
  (match, { address }) => {
    const ranges = match?.prefixRanges ?? [];
    if (ranges.length === 0) return 0;
    const fits = ranges.flatMap((range) => {
      const length = range.prefixLen ?? 0;
      return inBlock(address, range.addressPrefix, length) ? [length + 1] : [];
    });
    return fits.length === 0 ? undefined : Math.max(...fits);
  },
  (match, { tls }) => serverNameFit(match?.serverNames ?? [], tls?.serverName ?? ''),
  (match, { tls }) => {
    const wanted = match?.transportProtocol ?? '';
    return exact(wanted === '' ? undefined : wanted, wanted === (tls === undefined ? 'raw_buffer' : 'tls'));
  },
  (match, { protocols }) => {
    const wanted = match?.applicationProtocols ?? [];
    return exact(
      wanted.length === 0 ? undefined : wanted,
      wanted.some((p) => protocols.includes(p)),
    );
  },
];

/** Undefined: Envoy closes the connection. `plain`: what an inspector will find the connection to speak, if it is asked. */
export function selectChain(
  listener: Listener,
  dialled: Connection,
  plain: string | undefined,
): FilterChain | undefined {
  const { address, port, tls } = dialled;
  const asks = (inspector: string) => listener.listenerFilters.some(({ name }) => name === inspector);
  const found = tls === undefined && plain !== undefined && asks(HTTP_INSPECTOR) ? [plain] : [];
  const connection: Inspected =
    tls !== undefined && asks(TLS_INSPECTOR)
      ? { address, port, tls, protocols: tls.alpn }
      : { address, port, protocols: found };
  let chains: readonly FilterChain[] = listener.filterChains;
  for (const criterion of CRITERIA) {
    const fits = chains.map((chain) => criterion(chain.filterChainMatch, connection));
    const best = Math.max(-1, ...fits.filter((fit) => fit !== undefined));
    chains = chains.filter((_, i) => fits[i] === best);
  }
  return chains[0] ?? listener.defaultFilterChain;
}

const KNOWN = [HTTP_INSPECTOR, TLS_INSPECTOR, ORIGINAL_DST, PROXY_PROTOCOL];

/** Names of listener filters that may make anything of a connection. */
export function strangeInspectors({ listenerFilters }: Listener): string[] {
  return listenerFilters.map(({ name }) => name).filter((name) => !KNOWN.includes(name));
}

/** Names of what chains ask for beyond the connection's own address and first bytes. */
export function chainsInDoubt({ filterChains, filterChainMatcher }: Listener): string[] {
  const asked = filterChains.flatMap(({ filterChainMatch: match }) => {
    if (match === undefined) return [];
    const { sourcePrefixRanges, directSourcePrefixRanges, sourcePorts, sourceType } = match;
    return [
      ...(sourcePrefixRanges.length > 0 ? ['sourcePrefixRanges'] : []),
      ...(directSourcePrefixRanges.length > 0 ? ['directSourcePrefixRanges'] : []),
      ...(sourcePorts.length > 0 ? ['sourcePorts'] : []),
      ...(sourceType > 0 ? ['sourceType'] : []),
    ];
  });
  return [...new Set([...asked, ...(filterChainMatcher === undefined ? [] : ['filterChainMatcher'])])];
}

function exact(wanted: unknown, fits: boolean): number | undefined {
  return wanted === undefined ? 0 : fits ? 1 : undefined;
}

/** A full name goes before a wildcard, and a longer wildcard before a shorter one. */
function serverNameFit(names: readonly string[], name: string): number | undefined {
  if (names.length === 0) return 0;
  if (names.includes(name)) return Number.MAX_SAFE_INTEGER;
  const fits = names.filter((n) => n.startsWith('*') && name.endsWith(n.slice(1))).map((n) => n.length);
  return fits.length === 0 ? undefined : Math.max(...fits);
}

function inBlock(address: string, prefix: string, length: number): boolean {
  const family = isIP(address);
  if (family === 0 || family !== isIP(prefix)) return false;
  const block = new BlockList();
  block.addSubnet(prefix, length, family === 6 ? 'ipv6' : 'ipv4');
  return block.check(address, family === 6 ? 'ipv6' : 'ipv4');
}
