// SPDX-License-Identifier: Apache-2.0
import { type Held, inside, list, type Message, message, textOf, texts } from './dump.ts';
import { describeRouteMatch } from './routes.ts';

export interface ListenerFilter {
  readonly address?: string | undefined;
  readonly port?: number | undefined;
  readonly type?: string | undefined;
}

export const LISTENER_HEADER = ['ADDRESSES', 'PORT', 'MATCH', 'DESTINATION'];
export const SHORT_LISTENER_HEADER = ['ADDRESSES', 'PORT', 'TYPE'];

const MANAGER = '.HttpConnectionManager';
const TCP = '.TcpProxy';
const BLACK_HOLE = 'BlackHoleCluster';

/** Sets of application protocols that are known under one name. */
const PROTOCOL_SETS: Readonly<Record<string, string>> = {
  'http/1.0,http/1.1,h2c': 'HTTP',
  'istio,istio-http/1.0,istio-http/1.1,istio-h2': 'Istio HTTP Plain',
  'http/1.0,http/1.1,h2c,istio-http/1.0,istio-http/1.1,istio-h2': 'HTTP TLS',
  'istio-peer-exchange,istio': 'TCP TLS',
};

/** By port, address and type. */
export function selectListeners(all: readonly Held[], { address, port, type }: ListenerFilter): Message[] {
  return all
    .map(({ resource }) => resource)
    .filter(
      (listener) =>
        (address === undefined || addressesOf(listener).some((each) => each.toLowerCase() === address.toLowerCase())) &&
        (port === undefined || portOf(listener) === port) &&
        (type === undefined || typeOf(listener).toLowerCase() === type.toLowerCase()),
    )
    .sort((a, b) => portOf(a) - portOf(b) || compare(keyOf(a), keyOf(b)));
}

export function shortListenerRow(listener: Message): string[] {
  return [addressesOf(listener).join(','), String(portOf(listener)), typeOf(listener)];
}

/** One row for each filter chain. */
export function listenerRows(listener: Message): string[][] {
  const start = [addressesOf(listener).join(','), String(portOf(listener))];
  return chainsOf(listener)
    .map((chain) => [...start, describeChainMatch(message(chain['filter_chain_match'])), destinationOf(chain)])
    .sort((a, b) => compare(b[3]!, a[3]!));
}

function keyOf(listener: Message): string {
  return `${addressesOf(listener)[0]} ${typeOf(listener)}`;
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function addressesOf(listener: Message): string[] {
  const own = message(listener['address']);
  const more = list(listener, 'additional_addresses').map((each) => message(each['address']));
  return [own, ...more].map(
    (address) => textOf(inside(address, 'socket_address'), 'address') || textOf(inside(address, 'pipe'), 'path'),
  );
}

function portOf(listener: Message): number {
  return Number(inside(listener, 'address', 'socket_address')['port_value'] ?? 0);
}

function chainsOf(listener: Message): readonly Message[] {
  const rest = listener['default_filter_chain'];
  return [...list(listener, 'filter_chains'), ...(rest === undefined ? [] : [message(rest)])];
}

/** HTTP, TCP, both, or neither. */
function typeOf(listener: Message): string {
  const filters = chainsOf(listener).flatMap((chain) => list(chain, 'filters'));
  const isHttp = filters.some((filter) => configOf(filter, MANAGER) !== undefined);
  const isTcp = filters.some((filter) => {
    const tcp = configOf(filter, TCP);
    return tcp !== undefined && tcp['cluster'] !== BLACK_HOLE;
  });
  if (isHttp) return isTcp ? 'HTTP+TCP' : 'HTTP';
  return isTcp ? 'TCP' : 'UNKNOWN';
}

function configOf(filter: Message, type: string): Message | undefined {
  const config = message(filter['typed_config']);
  return textOf(config, '@type').endsWith(type) ? config : undefined;
}

function describeChainMatch(match: Message): string {
  const said: string[] = [];
  const names = texts(match, 'server_names');
  if (names.length > 0) said.push(`SNI: ${names.join(',')}`);
  const transport = textOf(match, 'transport_protocol');
  if (transport !== '') said.push(`Trans: ${transport}`);
  const protocols = texts(match, 'application_protocols').join(',');
  if (protocols !== '') said.push(`App: ${PROTOCOL_SETS[protocols] ?? protocols}`);
  const port = match['destination_port'] === undefined ? '' : `:${textOf(match, 'destination_port')}`;
  const ranges = list(match, 'prefix_ranges').map(
    (range) => `${textOf(range, 'address_prefix')}/${textOf(range, 'prefix_len') || '0'}`,
  );
  if (ranges.length > 0) said.push(`Addr: ${ranges.join(',')}${port}`);
  else if (port !== '') said.push(`Addr: *${port}`);
  return said.join('; ') || 'ALL';
}

function destinationOf(chain: Message): string {
  for (const filter of list(chain, 'filters')) {
    const manager = configOf(filter, MANAGER);
    if (manager !== undefined) return describeManager(manager);
    const tcp = configOf(filter, TCP);
    if (tcp !== undefined) return describeTcp(tcp);
  }
  return 'Non-HTTP/Non-TCP';
}

function describeManager(manager: Message): string {
  const name = textOf(inside(manager, 'rds'), 'route_config_name');
  if (name !== '') return `Route: ${name}`;
  const hosts = list(inside(manager, 'route_config'), 'virtual_hosts');
  if (hosts.length === 0) return 'HTTP';
  const [only, ...others] = hosts.flatMap((host) => list(host, 'routes').map((route) => ({ host, route })));
  if (only !== undefined && others.length === 0 && inside(only.route, 'match')['prefix'] === '/') {
    const cluster = textOf(inside(only.route, 'route'), 'cluster');
    if (cluster !== '') return nameCluster(cluster);
  }
  const described = hosts.map((host) => {
    const domains = texts(host, 'domains').join('/');
    const routes = list(host, 'routes').map((route) => describeRouteMatch(message(route['match'])));
    return `${domains === '*' ? '' : `${domains} `}${routes.join(', ')}`;
  });
  return `Inline Route: ${described.join('; ')}`;
}

function describeTcp(tcp: Message): string {
  const single = textOf(tcp, 'cluster');
  if (single !== '') return nameCluster(single);
  const shares = list(inside(tcp, 'weighted_clusters'), 'clusters');
  return `Cluster: ${shares.map((each) => `${textOf(each, 'name')} (${textOf(each, 'weight')})`).join(', ')}`;
}

function nameCluster(name: string): string {
  return name.includes('Cluster') ? name : `Cluster: ${name}`;
}
