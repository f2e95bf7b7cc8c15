// SPDX-License-Identifier: Apache-2.0
import { type Held, inside, list, type Message, message, textOf, texts } from './dump.ts';
import { writtenIn } from './origin.ts';

export interface RouteFilter {
  readonly name?: string | undefined;
}

export const ROUTE_HEADER = ['NAME', 'VHOST NAME', 'DOMAINS', 'MATCH', 'VIRTUAL SERVICE'];
export const SHORT_ROUTE_HEADER = ['NAME', 'VIRTUAL HOSTS'];

/** By port where the name is one, then by name. */
export function selectRoutes(all: readonly Held[], { name }: RouteFilter): Message[] {
  const rank = (route: Message): number => Number(textOf(route, 'name')) || Number.MAX_SAFE_INTEGER;
  return all
    .map(({ resource }) => resource)
    .filter((route) => name === undefined || textOf(route, 'name') === name)
    .sort((a, b) => rank(a) - rank(b) || (textOf(a, 'name') < textOf(b, 'name') ? -1 : 1));
}

export function shortRouteRow(config: Message): string[] {
  return [textOf(config, 'name'), String(list(config, 'virtual_hosts').length)];
}

/** One row for each route; what goes where the client was going anyway is left out. */
export function routeRows(config: Message): string[][] {
  return list(config, 'virtual_hosts').flatMap((host) => {
    const start = [textOf(config, 'name'), textOf(host, 'name'), describeDomains(texts(host, 'domains'))];
    const routes = list(host, 'routes');
    if (routes.length === 0) return [[...start, '/*', '404']];
    return routes
      .filter((route) => inside(route, 'route')['cluster'] !== 'PassthroughCluster')
      .map((route) => [...start, describeRouteMatch(message(route['match'])), writtenIn(route, host)]);
  });
}

/** The names without a port, and of those that are one service's the shortest. */
function describeDomains(domains: readonly string[]): string {
  if (domains.length <= 1) return domains[0] ?? '';
  const bare = domains.filter((domain) => !/:\d+$/.test(domain) || domain.endsWith(']'));
  const known = new Set(bare);
  const shortest = bare.filter(
    (domain) =>
      !['.svc.cluster.local', '.svc'].some((end) => domain.endsWith(end) && known.has(domain.slice(0, -end.length))),
  );
  const more = shortest.length > 2 ? ` + ${shortest.length - 2} more...` : '';
  return `${shortest.slice(0, 2).join(', ')}${more}`;
}

/** `/reviews*`, and after it what else a request must have: `end-user=jason`. */
export function describeRouteMatch(match: Message): string {
  const paths = [
    ...(match['prefix'] === undefined ? [] : [`${textOf(match, 'prefix')}*`]),
    ...(match['path_separated_prefix'] === undefined ? [] : [`PathPrefix:${textOf(match, 'path_separated_prefix')}`]),
    ...(match['path'] === undefined ? [] : [textOf(match, 'path')]),
    ...(match['safe_regex'] === undefined ? [] : [`regex ${textOf(inside(match, 'safe_regex'), 'regex')}`]),
  ];
  const asked = [...list(match, 'headers'), ...list(match, 'query_parameters')].map(describeCondition);
  return [...paths, ...asked].join(' ');
}

function describeCondition(condition: Message): string {
  const name = textOf(condition, 'name');
  const not = condition['invert_match'] === true ? '!' : '';
  const said = message(condition['string_match']);
  const [[kind, value] = ['', '']] = Object.entries(said).filter(([member]) => member !== 'ignore_case');
  if (kind === 'exact') return `${name}${not}=${String(value)}`;
  if (kind === 'prefix') return `${name}${not}=${String(value)}*`;
  if (kind === 'safe_regex') return `${name}${not}~${textOf(message(value), 'regex')}`;
  return kind === '' ? `${not}${name}` : `${name}${not}=${kind}(${String(value)})`;
}
