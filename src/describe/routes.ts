// SPDX-License-Identifier: Apache-2.0
// Routes and connections to one host, off a proxy's intent.
import type { DestinationRef } from '../intent/destination-types.ts';
import type { Origin } from '../intent/origin.ts';
import type {
  HttpRouteIntent,
  NamedMatch,
  RequestMatch,
  RouteAction,
  RouteTableIntent,
  TextMatch,
} from '../intent/route-types.ts';
import type { TcpChainIntent } from '../intent/types.ts';
import type { RouteFact, RuleFact, ShareFact } from './facts.ts';

/** Of the virtual hosts that `isWanted`. */
export function routesOf(table: RouteTableIntent, port: number, isWanted: (host: string) => boolean): RouteFact[] {
  return [...table.hosts.values()]
    .filter(({ name }) => isWanted(name))
    .flatMap(({ routes }) => routes.map((route) => routeFact(route, port)));
}

export function routeFact({ match, action, fault, origin }: HttpRouteIntent, port: number): RouteFact {
  const faults = [
    ...(fault?.delay === undefined ? [] : [`${fault.delay.percent}% are held up for ${seconds(fault.delay.delayMs)}`]),
    ...(fault?.abort === undefined ? [] : [`${fault.abort.percent}% are answered ${fault.abort.error.status} at once`]),
  ];
  return { port, match: describeMatch(match), ...actionFact(action, faults), rule: ruleFact(origin) };
}

export function chainFact({ to, origin, serverNames }: TcpChainIntent, port: number): RouteFact {
  const match = serverNames.length === 0 ? '' : `TLS for ${serverNames.join(', ')}`;
  return {
    port,
    match,
    to: shares(to.map(({ ref, weight }) => ({ to: ref, weight }))),
    policy: [],
    rule: ruleFact(origin),
  };
}

export function ruleFact({ object: { kind, namespace, name }, field }: Origin): RuleFact {
  return { kind, namespace, name, ...(field !== '' && { field }) };
}

export function leadsTo(action: RouteAction, host: string): boolean {
  return action.kind === 'forward' && action.to.some(({ to }) => to.host === host);
}

function actionFact(action: RouteAction, faults: readonly string[]): Pick<RouteFact, 'to' | 'policy'> {
  switch (action.kind) {
    case 'forward': {
      const { timeoutMs, retries, rewrite, mirrors } = action;
      const policy = [
        ...faults,
        ...(timeoutMs === 0 ? [] : [`time-out ${seconds(timeoutMs)}`]),
        ...(retries === undefined ? ['no retries'] : []),
        ...(rewrite.path === undefined ? [] : [`path becomes ${rewrite.path}`]),
        ...(rewrite.pattern === undefined ? [] : [`path ${rewrite.pattern.match} becomes ${rewrite.pattern.rewrite}`]),
        ...(rewrite.authority === undefined ? [] : [`host becomes ${rewrite.authority}`]),
        ...mirrors.map(
          ({ to, percent }) => `${percent}% are copied to ${to.host}${to.subset === '' ? '' : ` ${to.subset}`}`,
        ),
      ];
      return { to: shares(action.to), policy };
    }
    case 'redirect': {
      const where = [action.scheme, action.authority, action.path ?? action.prefix]
        .filter((part) => part !== undefined)
        .join(' ');
      return { to: [], policy: [...faults, `redirected to ${where} (${action.code})`] };
    }
    case 'respond':
      return { to: [], policy: [...faults, `answered ${action.status} at once`] };
  }
}

function shares(to: readonly { readonly to: DestinationRef; readonly weight: number }[]): ShareFact[] {
  const sum = to.reduce((total, { weight }) => total + weight, 0);
  return to.map(({ to: { host, port, subset }, weight }) => ({
    host,
    port,
    ...(subset !== '' && { subset }),
    percent: Math.round((weight / sum) * 10_000) / 100,
  }));
}

const PSEUDO: Readonly<Record<string, string>> = { ':method': 'method', ':scheme': 'scheme', ':authority': 'host' };

function describeMatch({ path, ignoreCase, headers, query }: RequestMatch): string {
  const isAll = path.kind === 'prefix' && path.value === '/';
  return [
    ...(isAll ? [] : [`path ${describeText(path)}${ignoreCase ? ' in any case' : ''}`]),
    ...headers.map((each) => describeNamed(PSEUDO[each.name] ?? each.name, each)),
    ...query.map((each) => describeNamed(`query ${each.name}`, each)),
  ].join(', ');
}

function describeNamed(name: string, { condition, invert }: NamedMatch): string {
  if (condition.kind === 'present') return `${name} is ${invert ? 'not ' : ''}there`;
  return `${invert ? 'not ' : ''}${name} ${describeText(condition)}`;
}

function describeText({ kind, value }: TextMatch): string {
  return { exact: `= ${value}`, prefix: `begins with ${value}`, regex: `matches ${value}` }[kind];
}

function seconds(ms: number): string {
  return `${ms / 1000}s`;
}
