// SPDX-License-Identifier: Apache-2.0
// The tables of views, by host: which services and rules the clients of a namespace see. What the namespaces see alike is
// one table for all of them.
import type { DestinationRule } from '../api/destination-rule.ts';
import type { VirtualService } from '../api/virtual-service.ts';
import { AlikeMap } from '../incremental/alike-map.ts';
import { IdentityMemo } from '../incremental/identity-memo.ts';
import { RecentValues } from '../incremental/recent-values.ts';
import type { VersionedMap } from '../incremental/versioned-map.ts';
import { type DestinationPolicy, type PolicyClient, PolicyMemo, policiesOfHost } from './destination-policies.ts';
import { type HostTable, isExported } from './hosts.ts';
import type { RuleIndex } from './rule-table.ts';
import { compareServiceAges } from './service-facts.ts';
import { destinationsOf, importService, importsRule, type SidecarScope, seesEverything } from './sidecar-scope.ts';
import type { MeshIndex, MeshService } from './snapshot.ts';

/** A namespace that no object is in: its clients see what is for everybody. */
export const ANYWHERE = '\0';

/** Keeps the tables, and brings them up to date with the next index. */
export class VisibleTables {
  readonly #services = new RecentValues<AlikeMap<readonly MeshService[], MeshService>>();
  readonly #rules = new RecentValues<VisibleRules<VirtualService, VirtualService>>();
  readonly #policyTables = new RecentValues<VisibleRules<DestinationRule, DestinationPolicy>>();
  readonly #policies = new PolicyMemo();
  readonly #implied = new IdentityMemo<Implied>();

  turn(): void {
    for (const values of [this.#services, this.#rules, this.#policyTables]) values.turn();
  }

  /** Rules for clients themselves (`mesh`). */
  rules(index: MeshIndex, namespace: string, scope: SidecarScope | undefined): VisibleTable<VirtualService> {
    const { dnsDomain } = index.settings;
    const limiting = limits(scope);
    const isImported = limiting && ((rule: VirtualService) => importsRule(limiting, rule, dnsDomain));
    const isOwn = namespace === ANYWHERE || limiting !== undefined;
    const common = isOwn ? undefined : this.rules(index, ANYWHERE, undefined);
    return this.#rules
      .get(
        limiting === undefined ? namespace : `${namespace} ${limiting.key}`,
        () => new VisibleRules(visibleTo(namespace, isImported)),
      )
      .of(index.meshRules, common);
  }

  policies(index: MeshIndex, client: PolicyClient): VisibleTable<DestinationPolicy> {
    const common =
      client.namespace === ANYWHERE ? undefined : this.policies(index, { namespace: ANYWHERE, labels: {} });
    const make = (rules: readonly DestinationRule[]) =>
      policiesOfHost(rules, client, index.settings.rootNamespace, this.#policies);
    return this.#policyTables.get(JSON.stringify(client), () => new VisibleRules(make)).of(index.hostRules, common);
  }

  /** Of each host the most important service that the client sees. `requested`: networks that it asks for. */
  services(
    index: MeshIndex,
    { namespace, requested }: { readonly namespace: string; readonly requested: readonly string[] },
    scope: SidecarScope | undefined,
  ): VersionedMap<string, MeshService> {
    const limiting = limits(scope);
    const implied = limiting && this.#impliedBy(index, namespace, limiting);
    const isOwn = namespace === ANYWHERE || limiting !== undefined;
    const common = isOwn ? undefined : this.services(index, { namespace: ANYWHERE, requested }, undefined);
    const key = limiting === undefined ? '' : ` ${limiting.key} ${implied!.key}`;
    return this.#services
      .get(`${namespace} ${requested}${key}`, () => {
        const compare = importance(namespace, requested);
        return new AlikeMap((services) => {
          const exported = services.filter((s) => isExported(s.exportTo, s.namespace, namespace));
          const seen =
            limiting === undefined ? exported : exported.flatMap((s) => limited(s, limiting, implied!.hosts));
          const [first, ...others] = seen;
          return others.reduce((best, other) => (compare(other, best!) < 0 ? other : best), first);
        });
      })
      .of(index.servicesByHost, common);
  }

  /** Where a Sidecar limits what is seen: hosts that are not imported, but led to by rules that are. */
  #impliedBy(index: MeshIndex, namespace: string, scope: SidecarScope): Implied {
    const rules = this.rules(index, namespace, scope);
    return this.#implied.get([rules], '', () => {
      const hosts = destinationsOf(new Set([...rules.exact.values()].flat()), index.settings.dnsDomain);
      return { hosts, key: [...hosts].sort().join() };
    });
  }
}

interface Implied {
  readonly hosts: ReadonlySet<string>;
  readonly key: string;
}

/** What clients make of the rules that they see, by host. */
class VisibleRules<R, V> {
  readonly #visible: AlikeMap<readonly R[], readonly V[]>;
  #of: RuleIndex<R> | undefined;
  #table: VisibleTable<V> | undefined;

  constructor(make: (rules: readonly R[]) => readonly V[] | undefined) {
    this.#visible = new AlikeMap(make);
  }

  /** `common`: what most clients make of the same rules. */
  of(index: RuleIndex<R>, common: VisibleTable<V> | undefined): VisibleTable<V> {
    if (index === this.#of && this.#table !== undefined) return this.#table;
    this.#of = index;
    const exact = this.#visible.of(index.byHost, common?.exact);
    this.#table = exact === common?.exact ? common : { exact, wildcards: wildcardsOf(index, exact) };
    return this.#table;
  }
}

interface VisibleTable<V> extends HostTable<V> {
  readonly exact: VersionedMap<string, readonly V[]>;
}

function wildcardsOf<V>({ wildcards }: RuleIndex<unknown>, exact: ReadonlyMap<string, readonly V[]>) {
  return wildcards.flatMap((pattern) => {
    const values = exact.get(pattern);
    return values === undefined ? [] : [{ pattern, values }];
  });
}

/** undefined: nothing is out of the client's sight. */
function limits(scope: SidecarScope | undefined): SidecarScope | undefined {
  return scope === undefined || seesEverything(scope) ? undefined : scope;
}

function visibleTo(
  namespace: string,
  isImported: (rule: VirtualService) => boolean = () => true,
): (rules: readonly VirtualService[]) => readonly VirtualService[] | undefined {
  return (rules) => {
    const isSeen = (rule: VirtualService) =>
      isExported(rule.spec.exportTo, rule.ref.namespace, namespace) && isImported(rule);
    const seen = rules.filter(isSeen);
    if (seen.length === 0) return undefined;
    // Where all are seen, as they mostly are, all namespaces share one list.
    return privateFirst(seen.length === rules.length ? rules : seen);
  };
}

function limited(service: MeshService, scope: SidecarScope, implied: ReadonlySet<string>): MeshService[] {
  const imported = importService(scope, service);
  if (imported !== undefined) return [imported];
  return implied.has(service.hostname) ? [{ ...service, unlisted: true }] : [];
}

/** The order in which services have a name or an address that several claim: the most important first. */
export function importance(
  namespace: string,
  requested: readonly string[],
): (a: MeshService, b: MeshService) => number {
  // Of two entries for one host only that with endpoints there is the business of a proxy that requests a network.
  const isAsked = (s: MeshService) => s.networks.some((network) => requested.includes(network));
  const rank = (s: MeshService) =>
    (s.registry === 'kubernetes' ? 0 : isAsked(s) ? 2 : 4) + (s.namespace === namespace ? 0 : 1);
  return (a, b) => rank(a) - rank(b) || compareServiceAges(a, b);
}

/** Rules that are not for everybody go before those that are; the older before the younger. */
export function privateFirst(rules: readonly VirtualService[]): readonly VirtualService[] {
  const isPrivate = (vs: VirtualService) => !vs.spec.exportTo.includes('*');
  if (rules.length < 2 || !rules.some(isPrivate)) return rules;
  return [...rules.filter(isPrivate), ...rules.filter((vs) => !isPrivate(vs))];
}
