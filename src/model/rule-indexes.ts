// SPDX-License-Identifier: Apache-2.0
// The part of the index that is made of rules, brought up to date by those that have changed.
import { DESTINATION_RULE, type DestinationRule } from '../api/destination-rule.ts';
import { ENVOY_FILTER } from '../api/envoy-filter.ts';
import { GATEWAY } from '../api/gateway.ts';
import { PROXY_CONFIG } from '../api/proxy-config.ts';
import { SIDECAR } from '../api/sidecar.ts';
import { TELEMETRY } from '../api/telemetry.ts';
import { isForMesh, VIRTUAL_SERVICE, type VirtualService } from '../api/virtual-service.ts';
import { type Change, differences } from '../incremental/grouped-map.ts';
import type { Steps } from '../incremental/steps.ts';
import { Delegation } from './delegation.ts';
import { comparesLabels, isSelective } from './destination-policies.ts';
import { qualifyHost } from './hosts.ts';
import type { RuleState } from './rule-state.ts';
import { changedRules, RuleTable } from './rule-table.ts';
import type { MeshIndex } from './snapshot.ts';
import { asksForLabels } from './view.ts';

/** Of a member that stays as it is, the very same. */
export type IndexOfRules = Pick<
  MeshIndex,
  | 'writtenRules'
  | 'virtualServices'
  | 'destinationRules'
  | 'gateways'
  | 'proxyConfigs'
  | 'telemetries'
  | 'envoyFilters'
  | 'sidecars'
  | 'meshRules'
  | 'hostRules'
  | 'gatewayRules'
  | 'labelRules'
  | 'selectiveRules'
  | 'comparingRules'
>;

export class RuleIndexes {
  readonly #delegation: Delegation;
  readonly #writtenRules = new RuleTable<VirtualService>(() => []);
  #resolvedRules: readonly VirtualService[] = this.#writtenRules.index.all;
  readonly #meshRules: RuleTable<VirtualService>;
  readonly #hostRules: RuleTable<DestinationRule>;

  constructor(dnsDomain: string) {
    this.#delegation = new Delegation(dnsDomain);
    this.#meshRules = new RuleTable(({ spec, ref }) =>
      isForMesh(spec) ? spec.hosts.map((host) => qualifyHost(host, ref.namespace, dnsDomain)) : [],
    );
    this.#hostRules = new RuleTable(({ spec, ref }) => [qualifyHost(spec.host, ref.namespace, dnsDomain)]);
  }

  /** `before`: what this gave last, or that of an empty mesh. `rules`: of what is dirty there, all is taken over. */
  *follow(before: IndexOfRules, rules: RuleState): Steps<IndexOfRules> {
    const routed = yield* this.#changedRules(rules);
    yield* this.#meshRules.update(routed);
    const hostRules = rules.changesOf(DESTINATION_RULE);
    yield* this.#hostRules.update(hostRules);
    return {
      writtenRules: this.#writtenRules.index.all,
      virtualServices: this.#meshRules.index.all,
      destinationRules: this.#hostRules.index.all,
      gateways: yield* changedRules(before.gateways, rules.changesOf(GATEWAY)),
      proxyConfigs: yield* changedRules(before.proxyConfigs, rules.changesOf(PROXY_CONFIG)),
      telemetries: yield* changedRules(before.telemetries, rules.changesOf(TELEMETRY)),
      envoyFilters: yield* changedRules(before.envoyFilters, rules.changesOf(ENVOY_FILTER)),
      sidecars: yield* changedRules(before.sidecars, rules.changesOf(SIDECAR)),
      meshRules: this.#meshRules.index,
      hostRules: this.#hostRules.index,
      gatewayRules: yield* changedRules(before.gatewayRules, routed, isBound),
      labelRules: yield* changedRules(before.labelRules, routed, asksForLabels),
      selectiveRules: yield* changedRules(before.selectiveRules, hostRules, isSelective),
      comparingRules: yield* changedRules(before.comparingRules, hostRules, comparesLabels),
    };
  }

  /** VirtualServices that have changed, each with the routes that it takes from others. */
  *#changedRules(rules: RuleState): Steps<readonly Change<VirtualService>[]> {
    const changes = rules.changesOf(VIRTUAL_SERVICE);
    if (changes.length === 0) return changes;
    const before = { written: this.#writtenRules.index.all, resolved: this.#resolvedRules };
    yield* this.#writtenRules.update(changes);
    const written = this.#writtenRules.index.all;
    this.#resolvedRules = this.#delegation.resolve(written);
    const isPlain = before.resolved === before.written && this.#resolvedRules === written;
    return isPlain ? changes : differences(before.resolved, this.#resolvedRules);
  }
}

function isBound({ spec }: VirtualService): boolean {
  return spec.gateways.some((gateway) => gateway !== 'mesh');
}
