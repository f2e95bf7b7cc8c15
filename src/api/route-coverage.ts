// SPDX-License-Identifier: Apache-2.0
// Routes that nothing can reach, because earlier ones take all that they would.
import type { HttpMatch } from './http-match.ts';
import type { HttpRoute } from './http-route.ts';
import type { At } from './shape.ts';
import type { ConnectionMatch, TlsRoute, VirtualServiceSpec } from './virtual-service.ts';

export function reportUnreachable(spec: VirtualServiceSpec, at: At): void {
  reportBehind(spec.http, 'http', (route) => route.match.length === 0 || route.match.some(takesAll), at);
  reportBehind(spec.tcp, 'tcp', (route) => route.match.length === 0, at);
  reportCoveredHttp(spec.http, at);
  reportRepeated(spec.tls, 'tls', at);
  reportRepeated(spec.tcp, 'tcp', at);
}

function reportBehind<R>(routes: readonly R[], name: 'http' | 'tcp', takesRest: (route: R) => boolean, at: At): void {
  const last = routes.findIndex(takesRest);
  const what = name === 'http' ? 'request' : 'connection';
  for (let i = last + 1; last >= 0 && i < routes.length; i++) {
    const message = `spec.${name}[${last}] takes every ${what} before it`;
    const cure = `move spec.${name}[${last}] to the end, or give it a match`;
    at.report.add('ISM0011', `${at.field}.${name}[${i}]`, message, cure);
  }
}

/** Nothing but names and a uri prefix of `/` is set. */
export function takesAll(match: HttpMatch): boolean {
  return pathOf(match).prefix === '/' && restOf(match) === '{}';
}

/**
 * A match whose path begins with an earlier one's prefix, or is the same, and whose other conditions are the earlier one's
 * or more: those that have all its other conditions, and those without any.
 */
function reportCoveredHttp(routes: readonly HttpRoute[], at: At): void {
  const exact = new Map<string, string>();
  const prefixes = new Map<string, Map<string, string>>();
  // What is behind a route that takes everything has been told of already.
  const last = routes.findIndex((route) => route.match.length === 0 || route.match.some(takesAll));
  routes.slice(0, last < 0 ? routes.length : last + 1).forEach((route, i) => {
    const covered: [here: string, covering: string][] = [];
    route.match.forEach((match, j) => {
      const here = `spec.http[${i}].match[${j}]`;
      const rest = restOf(match);
      const { prefix, path } = pathOf(match);
      const key = JSON.stringify([match.uri, match.ignoreUriCase, rest]);
      const covering = exact.get(key) ?? coverOf(path, [prefixes.get(rest), prefixes.get('{}')]);
      if (covering === undefined) {
        exact.set(key, here);
        if (prefix !== undefined) prefixes.set(rest, (prefixes.get(rest) ?? new Map()).set(prefix, here));
        return;
      }
      covered.push([here, covering]);
    });
    // A route with another way in is reached all the same.
    const code = covered.length === route.match.length ? 'ISM0011' : 'ISM0015';
    for (const [here, covering] of covered) {
      const cure = `move it before ${covering}, or remove it`;
      at.report.add(code, `${at.field}.${here.slice(5)}`, `${covering} takes all of its requests before it`, cure);
    }
  });
}

function coverOf(
  path: string | undefined,
  tables: readonly (ReadonlyMap<string, string> | undefined)[],
): string | undefined {
  if (path === undefined) return undefined;
  for (const table of tables) {
    if (table === undefined) continue;
    const prefixes =
      table.size < path.length
        ? [...table.keys()].filter((prefix) => path.startsWith(prefix))
        : Array.from({ length: path.length }, (_, i) => path.slice(0, i + 1));
    const found = prefixes.find((prefix) => table.has(prefix));
    if (found !== undefined) return table.get(found);
  }
  return undefined;
}

/** `path`: what every path that the match takes begins with. */
function pathOf({ uri, ignoreUriCase }: HttpMatch): { prefix?: string; path?: string } {
  if (uri === undefined) return { prefix: '/', path: '/' };
  if (uri.kind === 'regex') return uri.value === '.*' ? { prefix: '/', path: '/' } : {};
  const value = uri.value === '' ? '/' : uri.value;
  const folded = ignoreUriCase && value !== '/' ? undefined : value;
  if (folded === undefined) return {};
  return uri.kind === 'prefix' ? { prefix: value, path: value } : { path: value };
}

/** Everything but names and the path, in one form. */
function restOf({ name, uri, statPrefix, ignoreUriCase, ...conditions }: HttpMatch): string {
  const asked = Object.entries(conditions).filter(
    ([, condition]) =>
      condition !== undefined && !(typeof condition === 'object' && Object.keys(condition).length === 0),
  );
  return JSON.stringify(Object.fromEntries(asked));
}

function reportRepeated(
  routes: readonly { readonly match: readonly (TlsRoute['match'][number] | ConnectionMatch)[] }[],
  name: 'tls' | 'tcp',
  at: At,
): void {
  const firsts = new Map<string, string>();
  routes.forEach((route, i) => {
    route.match.forEach((match, j) => {
      const key = JSON.stringify(match);
      const first = firsts.get(key);
      const here = `spec.${name}[${i}].match[${j}]`;
      if (first === undefined) firsts.set(key, here);
      else at.report.add('ISM0011', `${at.field}.${here.slice(5)}`, `${first} says the same before it`, 'remove it');
    });
  });
}
