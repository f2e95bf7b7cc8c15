// SPDX-License-Identifier: Apache-2.0
// Which fields of VirtualServices decided something. A condition held where its match took the request; it failed where
// without it the request would have gone by another rule. What a rule does besides was done where its route took the request.
import type { Outcome } from '../../src/envoy/simulate/outcome.ts';
import type { KubeObject } from '../../src/kube/types.ts';
import type { Fields } from '../scenarios/arbitrary-routes.ts';

/** As they are written below a match; of texts each of its kinds. */
export const CONDITIONS = [
  ...['uri', 'scheme', 'method', 'authority'].flatMap((name) => [`${name}.exact`, `${name}.prefix`, `${name}.regex`]),
  ...['headers', 'withoutHeaders', 'queryParams'].flatMap((name) =>
    ['exact', 'prefix', 'regex', 'present'].map((kind) => `${name}.${kind}`),
  ),
  ...['port', 'sourceLabels', 'sourceNamespace', 'gateways'],
  ...['tcp.port', 'tcp.sourceLabels', 'tcp.sourceNamespace', 'tcp.destinationSubnets', 'tcp.gateways'],
  ...['tls.port', 'tls.sourceLabels', 'tls.sourceNamespace', 'tls.destinationSubnets', 'tls.gateways', 'tls.sniHosts'],
] as const;
export type Condition = (typeof CONDITIONS)[number];

/** It widens what a uri takes: it decided where without it the request would have gone by another rule. */
export const WIDENING = ['ignoreUriCase'] as const;

/** What a route does, in the words of the API. */
export const ACTIONS = [
  ...['route', 'redirect', 'directResponse', 'delegate', 'name', 'match.name', 'match.statPrefix'],
  ...['redirect.uri', 'redirect.prefixRewrite', 'redirect.authority', 'redirect.scheme', 'redirect.port'],
  ...['redirect.derivePort', 'redirect.redirectCode', 'directResponse.status', 'directResponse.body'],
  ...['rewrite.uri', 'rewrite.authority', 'rewrite.uriRegexRewrite'],
  ...['timeout', 'retries.attempts', 'retries.perTryTimeout', 'retries.retryOn', 'retries.backoff'],
  ...['retries.retryIgnorePreviousHosts', 'retries.retryRemoteLocalities'],
  ...['fault.delay', 'fault.abort', 'mirror', 'mirrorPercentage', 'mirrors'],
  ...['allowOrigins', 'allowMethods', 'allowHeaders', 'exposeHeaders', 'maxAge', 'allowCredentials'].map(corsField),
  corsField('unmatchedPreflights'),
  ...['headers.request.set', 'headers.request.add', 'headers.request.remove'],
  ...['headers.response.set', 'headers.response.add', 'headers.response.remove'],
  ...['route.weight', 'route.destination.subset', 'route.destination.port'],
  ...['request', 'response'].flatMap((side) => ['set', 'add', 'remove'].map((edit) => `route.headers.${side}.${edit}`)),
  ...['tcp.route', 'tcp.route.weight', 'tls.route', 'tls.route.weight'],
] as const;

function corsField(name: string): string {
  return `corsPolicy.${name}`;
}

/** `spec.http[2].match[0]` of an object. */
export interface RulePlace {
  readonly object: KubeObject;
  readonly layer: 'http' | 'tcp' | 'tls';
  readonly route: Fields;
  readonly match: Fields | undefined;
}

export function ruleOf(outcome: Outcome, objects: readonly KubeObject[]): RulePlace | undefined {
  const { config, field } = outcome.rule ?? {};
  const [, namespace, name] = /namespaces\/(.+)\/virtual-service\/(.+)$/.exec(config ?? '') ?? [];
  const object = objects.find(
    ({ kind, metadata }) => kind === 'VirtualService' && metadata.namespace === namespace && metadata.name === name,
  );
  const [, layer, i, j] = /^spec\.(http|tcp|tls)\[(\d+)\](?:\.match\[(\d+)\])?/.exec(field ?? '') ?? [];
  if (object === undefined || layer === undefined) return undefined;
  const routes = (object['spec'] as Record<string, Fields[]>)[layer] ?? [];
  const route = routes[Number(i)];
  if (route === undefined) return undefined;
  const matches = (route['match'] ?? []) as Fields[];
  // Bytes are told apart by their ports: a rule with one match is told of without its number.
  const match = j !== undefined ? matches[Number(j)] : layer === 'tcp' && matches.length === 1 ? matches[0] : undefined;
  return { object, layer: layer as RulePlace['layer'], route, match };
}

/** Of a match of this layer. */
export function conditionsIn(match: Fields, layer: RulePlace['layer']): Condition[] {
  if (layer !== 'http') return Object.keys(match).map((name) => `${layer}.${name}` as Condition);
  return Object.entries(match).flatMap(([name, value]): Condition[] => {
    switch (name) {
      case 'uri':
      case 'scheme':
      case 'method':
      case 'authority':
        return [`${name}.${kindOf(value)}` as Condition];
      case 'headers':
      case 'withoutHeaders':
      case 'queryParams':
        return Object.values(value as Fields).map((each) => `${name}.${kindOf(each)}` as Condition);
      case 'port':
      case 'sourceLabels':
      case 'sourceNamespace':
      case 'gateways':
        return [name];
      default:
        return [];
    }
  });
}

function kindOf(text: unknown): string {
  return Object.keys(text as Fields)[0] ?? 'present';
}

/** The objects without this condition, in any rule; the very same where there is none. */
export function without(objects: readonly KubeObject[], field: Condition | (typeof WIDENING)[number]): KubeObject[] {
  return objects.map((object) => {
    if (object.kind !== 'VirtualService') return object;
    const copy = structuredClone(object);
    let changed = false;
    for (const layer of ['http', 'tcp', 'tls'] as const) {
      const routes = (copy['spec'] as Record<string, Fields[] | undefined>)[layer] ?? [];
      for (const match of routes.flatMap((route) => (route['match'] ?? []) as Fields[])) {
        if (strip(match, field, layer)) changed = true;
      }
    }
    return changed ? copy : object;
  });
}

function strip(match: Fields, field: string, layer: RulePlace['layer']): boolean {
  const [first = '', second] = field.split('.');
  if (layer !== 'http') {
    // A TLS route without a name is none.
    if (first !== layer || match[second!] === undefined) return false;
    if (second === 'sniHosts') match['sniHosts'] = ['*.tls.example'];
    else delete match[second!];
    return true;
  }
  const value = match[first] as Fields | undefined;
  if (value === undefined || first === 'tcp' || first === 'tls') return false;
  if (second === undefined || kindOf(value) === second) {
    delete match[first];
    return true;
  }
  const found = Object.keys(value).filter((name) => typeof value[name] === 'object' && kindOf(value[name]) === second);
  for (const name of found) delete value[name];
  return found.length > 0;
}

/** What the route does. */
export function actionsIn({ route, match, layer }: RulePlace): string[] {
  const shares = (route['route'] ?? []) as Fields[];
  const weighted = shares.some((share) => share['weight'] !== undefined) && shares.length > 1;
  if (layer !== 'http') return [`${layer}.route`, ...(weighted ? [`${layer}.route.weight`] : [])];
  const paths = [
    ...pathsIn({ ...route, match: undefined, route: undefined }),
    ...shares.flatMap((s) => pathsIn(s).map((p) => `route.${p}`)),
  ];
  const named = ['name', 'statPrefix'].filter((name) => match?.[name] !== undefined).map((name) => `match.${name}`);
  const all = [...paths, ...named, ...(shares.length > 0 ? ['route'] : [])].filter((p) => p !== 'route.weight');
  return [...all, ...(weighted ? ['route.weight'] : [])];
}

function pathsIn(value: Fields, prefix = ''): string[] {
  return Object.entries(value).flatMap(([name, inner]) => {
    if (inner === undefined) return [];
    const path = `${prefix}${name}`;
    const isRecord = typeof inner === 'object' && inner !== null && !Array.isArray(inner);
    return [path, ...(isRecord ? pathsIn(inner as Fields, `${path}.`) : [])];
  });
}

/** How often each field decided something. */
export class FieldCoverage {
  readonly held = new Map<string, number>();
  readonly failed = new Map<string, number>();
  readonly done = new Map<string, number>();

  count(kind: 'held' | 'failed' | 'done', field: string): void {
    const counts = this[kind];
    counts.set(field, (counts.get(field) ?? 0) + 1);
  }

  /** What never decided anything, either way. */
  missing(): string[] {
    return [
      ...CONDITIONS.flatMap((field) => [
        ...(this.held.has(field) ? [] : [`${field} never held`]),
        ...(this.failed.has(field) ? [] : [`${field} never failed`]),
      ]),
      ...[...WIDENING].filter((field) => !this.failed.has(field)).map((field) => `${field} never decided`),
      ...ACTIONS.filter((field) => !this.done.has(field)).map((field) => `${field} was never done`),
    ];
  }
}
