// SPDX-License-Identifier: Apache-2.0
// What a route asks of requests and does to them, in words, off the messages that Envoy is given.
import type { HeaderMatcher, Route, VirtualHost } from '#gen/envoy/config/route/v3/route_components_pb.ts';
import type { StringMatcher } from '#gen/envoy/type/matcher/v3/string_pb.ts';
import type { Faults, Forwarding, ForwardTarget, HttpRequest, Outcome } from '../envoy/simulate/outcome.ts';
import { percent } from './endings.ts';
import type { Step, Why } from './path.ts';

/** `path begins with /reviews, end-user = jason`; every request: ''. */
export function describeMatch(match: Route['match']): string {
  if (match === undefined) return '';
  const specifier = match.pathSpecifier;
  const path =
    specifier.case === 'path'
      ? [`path = ${specifier.value}`]
      : specifier.case === 'prefix' && specifier.value !== '/'
        ? [`path begins with ${specifier.value}`]
        : specifier.case === 'pathSeparatedPrefix'
          ? [`path is ${specifier.value} or below it`]
          : specifier.case === 'safeRegex'
            ? [`path matches ${specifier.value.regex}`]
            : [];
  const headers = match.headers.map(describeHeader);
  const query = match.queryParameters.map(({ name, queryParameterMatchSpecifier: asked }) =>
    asked.case === 'stringMatch'
      ? `query parameter ${name} ${describeString(asked.value)}`
      : `query parameter ${name} is there`,
  );
  return [...path, ...headers, ...query].join(', ');
}

const PSEUDO: Readonly<Record<string, string>> = {
  ':method': 'method',
  ':scheme': 'scheme',
  ':authority': 'authority',
  ':path': 'path',
};

function describeHeader({ name, invertMatch, headerMatchSpecifier: asked }: HeaderMatcher): string {
  const shown = PSEUDO[name] ?? name;
  const not = invertMatch ? 'not: ' : '';
  if (asked.case === 'stringMatch') return `${not}${shown} ${describeString(asked.value)}`;
  if (asked.case === 'presentMatch') return `${shown} is ${asked.value === invertMatch ? 'not ' : ''}there`;
  return shown;
}

function describeString({ matchPattern }: StringMatcher): string {
  switch (matchPattern.case) {
    case 'exact':
      return `= ${matchPattern.value}`;
    case 'prefix':
      return `begins with ${matchPattern.value}`;
    case 'suffix':
      return `ends with ${matchPattern.value}`;
    case 'contains':
      return `contains ${matchPattern.value}`;
    case 'safeRegex':
      return `matches ${matchPattern.value.regex}`;
    default:
      return 'is as a rule wants it';
  }
}

/** Which of the virtual host's routes it is, and what it asks for. */
export function describeChoice(route: Route, host: VirtualHost | undefined): string {
  const at = host?.routes.indexOf(route) ?? -1;
  const asked = describeMatch(route.match);
  const count = host?.routes.length ?? 0;
  const place =
    count < 2 || at < 0
      ? ''
      : at === 0
        ? `the first of ${count} routes`
        : `the ${ordinal(at + 1)} of ${count} routes, the first that takes it`;
  return [place, asked === '' ? 'it takes every request' : `it takes requests with ${asked}`]
    .filter((part) => part !== '')
    .join(': ');
}

function ordinal(n: number): string {
  const suffix = n % 100 > 10 && n % 100 < 14 ? 'th' : (['th', 'st', 'nd', 'rd'][n % 10] ?? 'th');
  return `${n}${suffix}`;
}

/** The rule behind a route, at a member of it: `fault`. Nothing where it does not have it. */
export type RuleMember = (member: string) => readonly Why[];

/** Of time-outs, retries, faults, mirrors and the balance by hash. */
export function policySteps(outcome: Outcome, why: RuleMember): Step[] {
  const http = outcome.kind === 'forward' ? outcome.http : undefined;
  return [...faultSteps(outcome.faults, why), ...(http === undefined ? [] : forwardingSteps(http, why))];
}

function faultSteps(faults: Faults | undefined, why: RuleMember): Step[] {
  const of = why('fault');
  const delay =
    faults?.delay &&
    `${percent(faults.delay.probability)} of the requests are held up for ${milliseconds(faults.delay.delayMs)}`;
  const abort = faults?.abort;
  const said =
    abort &&
    `${percent(abort.probability)} of the requests are answered ${statusText(abort.status, abort.grpcStatus)} at once`;
  return [delay, said].flatMap((text) => (text === undefined ? [] : [{ kind: 'policy' as const, text, why: of }]));
}

function forwardingSteps({ timeoutMs, retries, mirrors, hashes, upgrade }: Forwarding, why: RuleMember): Step[] {
  const steps: Step[] = [];
  const say = (kind: Step['kind'], text: string, of: readonly Why[] = []) => steps.push({ kind, text, why: of });
  const timeout = timeoutMs === 0 ? 'no time-out' : `time-out ${milliseconds(timeoutMs)}`;
  const after =
    retries && [...retries.on.filter((each) => each !== 'retriable-status-codes'), ...retries.statusCodes].join(', ');
  const each = retries?.perTryTimeoutMs ? `, ${milliseconds(retries.perTryTimeoutMs)} for each` : '';
  const again =
    retries === undefined || retries.attempts === 0
      ? 'no retries'
      : `${retries.attempts} ${retries.attempts === 1 ? 'retry' : 'retries'}${each} (after ${after})`;
  say('policy', `${timeout}, ${again}`, [...why('timeout'), ...why('retries')]);
  for (const { cluster, probability } of mirrors)
    say(
      'mirror',
      `a copy of ${probability === 1 ? 'every request' : percent(probability)} goes to ${cluster}; its answer is thrown away`,
      [...why('mirror'), ...why('mirrors')],
    );
  const [hash] = hashes;
  if (hash !== undefined) say('policy', `the endpoint follows from the ${hash.by} ${hash.name ?? ''}`.trimEnd());
  if (upgrade !== undefined) say('note', `the connection becomes ${upgrade}`);
  return steps;
}

/** What the destination gets that the client did not write. */
export function changeSteps(before: HttpRequest | undefined, target: ForwardTarget, why: readonly Why[]): Step[] {
  const after = target.request;
  if (before === undefined || after === undefined) return [];
  const changes = [
    ...(after.path === before.path ? [] : [`path ${before.path} becomes ${after.path}`]),
    ...(after.authority === before.authority ? [] : [`host ${before.authority} becomes ${after.authority}`]),
    ...headerChanges(before.headers, after.headers),
    ...(target.responseHeaders ?? [])
      .filter(({ name }) => !name.startsWith('x-envoy-'))
      .map(
        ({ action, name, value }) =>
          `its answer: ${action === 'remove' ? `${name} is removed` : `${name}: ${value ?? ''} is ${action}`}`,
      ),
  ];
  return changes.map((text) => ({ kind: 'change', text, why }));
}

function headerChanges(before: HttpRequest['headers'], after: HttpRequest['headers']): string[] {
  const names = [...new Set([...Object.keys(before), ...Object.keys(after)])].sort();
  return names.flatMap((name) => {
    const [was, is] = [before[name], after[name]];
    if (was === is) return [];
    if (is === undefined) return [`header ${name} is removed`];
    return [was === undefined ? `header ${name}: ${is} is added` : `header ${name}: ${was} becomes ${is}`];
  });
}

export function milliseconds(ms: number): string {
  if (ms < 1000) return `${ms} ms`;
  return ms % 60_000 === 0 && ms >= 60_000 ? `${ms / 60_000} min` : `${ms / 1000} s`;
}

export function statusText(status: number, grpcStatus?: number): string {
  return grpcStatus === undefined ? String(status) : `${status} (grpc-status ${grpcStatus})`;
}
