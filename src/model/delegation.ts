// SPDX-License-Identifier: Apache-2.0
// Rules that take routes from others (`http[].delegate`): each becomes one rule with all of its routes, and what it took
// says where it was written. https://istio.io/latest/docs/reference/config/networking/virtual-service/#Delegate
import type { Destination } from '../api/destination.ts';
import type { HttpMatch } from '../api/http-match.ts';
import type { HttpRoute } from '../api/http-route.ts';
import type { StringMatch } from '../api/values.ts';
import { isDelegate, type VirtualService } from '../api/virtual-service.ts';
import { IdentityMemo } from '../incremental/identity-memo.ts';
import { isExported, qualifyHost } from './hosts.ts';
import { qualifyGateway } from './qualify-gateway.ts';

/** Rules by `NAMESPACE/NAME`. */
export type RulesByName = ReadonlyMap<string, VirtualService>;

export function rulesByName(all: readonly VirtualService[]): RulesByName {
  return new Map(all.map((vs) => [`${vs.ref.namespace}/${vs.ref.name}`, vs]));
}

/** The rule that a route takes its routes from; `fault` is why there is none. */
export type FoundDelegate =
  | { readonly delegate: VirtualService }
  | { readonly fault: 'missing' | 'has hosts' | 'not exported'; readonly name: string };

export function findDelegate(root: VirtualService, route: HttpRoute, all: RulesByName): FoundDelegate | undefined {
  if (route.delegate === undefined) return undefined;
  const name = `${route.delegate.namespace ?? root.ref.namespace}/${route.delegate.name}`;
  const delegate = all.get(name);
  if (delegate === undefined) return { fault: 'missing', name };
  if (!isDelegate(delegate.spec)) return { fault: 'has hosts', name };
  const { exportTo } = delegate.spec;
  return isExported(exportTo, delegate.ref.namespace, root.ref.namespace)
    ? { delegate }
    : { fault: 'not exported', name };
}

/** Rules as proxies are to have them, by what they were made from: unchanged rules stay the same objects. */
export class Delegation {
  readonly #dnsDomain: string;
  readonly #merged = new IdentityMemo<VirtualService>();

  constructor(dnsDomain: string) {
    this.#dnsDomain = dnsDomain;
  }

  /** The same array where nobody delegates. */
  resolve(written: readonly VirtualService[]): readonly VirtualService[] {
    if (!written.some((vs) => isDelegate(vs.spec) || delegates(vs))) return written;
    const all = rulesByName(written);
    return written.filter((vs) => !isDelegate(vs.spec)).map((vs) => (delegates(vs) ? this.#merge(vs, all) : vs));
  }

  #merge(root: VirtualService, all: RulesByName): VirtualService {
    const found = root.spec.http.map((route) => findDelegate(root, route, all));
    const used = found.flatMap((f) => (f !== undefined && 'delegate' in f ? [f.delegate] : []));
    const tag = found.map((f) => (f === undefined ? '-' : 'fault' in f ? f.fault : 'taken')).join();
    return this.#merged.get([root, ...used], tag, () => {
      const http = root.spec.http.flatMap((route, i) => {
        const f = found[i];
        if (f === undefined) return [{ ...route, writtenAt: placeOf(root, i) }];
        return 'fault' in f ? [] : mergeRoutes(root, route, f.delegate, this.#dnsDomain).routes;
      });
      return Object.freeze({ ...root, spec: { ...root.spec, http } });
    });
  }
}

function delegates(vs: VirtualService): boolean {
  return vs.spec.http.some((route) => route.delegate !== undefined);
}

/** The delegate's routes inside of what the root's route takes; `left`: those of the delegate that take nothing of it. */
export function mergeRoutes(
  root: VirtualService,
  route: HttpRoute,
  delegate: VirtualService,
  dnsDomain: string,
): { readonly routes: readonly HttpRoute[]; readonly left: readonly number[] } {
  const outer = qualified(route, root.ref.namespace, dnsDomain);
  const merged = delegate.spec.http.map((own, i) =>
    mergeRoute(outer, qualified(own, delegate.ref.namespace, dnsDomain), delegate, i),
  );
  return {
    routes: merged.filter((m) => m !== undefined),
    left: merged.flatMap((m, i) => (m === undefined ? [i] : [])),
  };
}

function mergeRoute(outer: HttpRoute, own: HttpRoute, delegate: VirtualService, i: number): HttpRoute | undefined {
  const match = mergeMatches(outer.match, own.match);
  if (match === undefined) return undefined;
  const place = placeOf(delegate, i);
  const matches = match.map(({ at }) => (at === undefined ? place.field : `${place.field}.match[${at}]`));
  const { delegate: _, ...rest } = own;
  return {
    ...rest,
    delegate: undefined,
    name: join(outer.name, own.name),
    match: match.map((m) => m.match),
    rewrite: own.rewrite ?? outer.rewrite,
    directResponse: own.directResponse ?? outer.directResponse,
    timeout: own.timeout ?? outer.timeout,
    retries: own.retries ?? outer.retries,
    fault: own.fault ?? outer.fault,
    mirror: own.mirror ?? outer.mirror,
    mirrorPercentage: own.mirrorPercentage ?? outer.mirrorPercentage,
    mirrors: own.mirrors.length > 0 ? own.mirrors : outer.mirrors,
    corsPolicy: own.corsPolicy ?? outer.corsPolicy,
    headers: own.headers ?? outer.headers,
    writtenAt: { ...place, matches },
  };
}

function placeOf(vs: VirtualService, i: number): NonNullable<HttpRoute['writtenAt']> {
  return { object: vs.ref, field: `spec.http[${i}]` };
}

interface MergedMatch {
  readonly match: HttpMatch;
  /** The delegate's match; undefined where it has none. */
  readonly at: number | undefined;
}

/** Undefined: a match of the delegate asks for what none of the root's takes. */
function mergeMatches(outer: readonly HttpMatch[], own: readonly HttpMatch[]): MergedMatch[] | undefined {
  if (own.length === 0) return outer.map((match) => ({ match, at: undefined }));
  if (outer.length === 0) return own.map((match, at) => ({ match, at }));
  const merged: MergedMatch[] = [];
  for (const [at, match] of own.entries()) {
    const fitting = outer.filter((o) => !conflict(o, match));
    if (fitting.length === 0) return undefined;
    merged.push(...fitting.map((o) => ({ match: mergeMatch(o, match), at })));
  }
  return merged;
}

function mergeMatch(outer: HttpMatch, own: HttpMatch): HttpMatch {
  return {
    ...own,
    name: join(outer.name, own.name),
    uri: own.uri ?? outer.uri,
    scheme: own.scheme ?? outer.scheme,
    method: own.method ?? outer.method,
    authority: own.authority ?? outer.authority,
    headers: { ...outer.headers, ...own.headers },
    withoutHeaders: { ...outer.withoutHeaders, ...own.withoutHeaders },
    queryParams: { ...outer.queryParams, ...own.queryParams },
    port: own.port ?? outer.port,
    sourceLabels: { ...outer.sourceLabels, ...own.sourceLabels },
    sourceNamespace: own.sourceNamespace ?? outer.sourceNamespace,
    gateways: own.gateways.length > 0 ? own.gateways : outer.gateways,
    statPrefix: own.statPrefix ?? outer.statPrefix,
  };
}

/** The delegate's match asks for more, or other, than the root's takes. */
function conflict(outer: HttpMatch, own: HttpMatch): boolean {
  const texts = (['uri', 'scheme', 'method', 'authority'] as const).some((name) => clash(outer[name], own[name]));
  const maps = (['headers', 'withoutHeaders', 'queryParams'] as const).some((name) =>
    Object.entries(own[name]).some(([key, value]) => clash(outer[name][key], value)),
  );
  const labels = Object.entries(own.sourceLabels).some(([key, value]) => (outer.sourceLabels[key] ?? value) !== value);
  return (
    texts ||
    maps ||
    labels ||
    outer.ignoreUriCase !== own.ignoreUriCase ||
    (outer.port !== undefined && own.port !== undefined && outer.port !== own.port) ||
    (outer.sourceNamespace !== undefined && own.sourceNamespace !== outer.sourceNamespace) ||
    (outer.gateways.length > 0 && own.gateways.some((gateway) => !outer.gateways.includes(gateway)))
  );
}

/** Istio's: expressions go with nothing else, and other texts must lie within the root's. */
function clash(
  outer: StringMatch | { readonly kind: 'present' } | undefined,
  own: StringMatch | { readonly kind: 'present' } | undefined,
): boolean {
  if (outer === undefined || own === undefined) return false;
  if (outer.kind === 'present' || own.kind === 'present') return outer.kind !== 'present';
  if (outer.kind === 'regex' || own.kind === 'regex') return true;
  if (outer.kind === 'exact') return own.kind !== 'exact' || own.value !== outer.value;
  return !own.value.startsWith(outer.value);
}

function join(outer: string | undefined, own: string | undefined): string | undefined {
  return outer !== undefined && own !== undefined ? `${outer}-${own}` : (own ?? outer);
}

/** Names in full, so that they mean the same in another namespace. */
function qualified(route: HttpRoute, namespace: string, dnsDomain: string): HttpRoute {
  const full = (destination: Destination): Destination => ({
    ...destination,
    host: qualifyHost(destination.host, namespace, dnsDomain),
  });
  return {
    ...route,
    match: route.match.map((m) => ({ ...m, gateways: m.gateways.map((name) => qualifyGateway(name, namespace)) })),
    route: route.route.map((r) => ({ ...r, destination: full(r.destination) })),
    mirror: route.mirror && full(route.mirror),
    mirrors: route.mirrors.map((m) => ({ ...m, destination: full(m.destination) })),
  };
}
