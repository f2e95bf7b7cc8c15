// SPDX-License-Identifier: Apache-2.0
// What is wrong with objects only when they are seen together. Each is judged by itself, and again when it has changed, or what
// was looked up for it: a Service more has those judged that look for it.

import type { DestinationRule } from '../../api/destination-rule.ts';
import type { Diagnostic, ObjectRef } from '../../api/diagnostics.ts';
import type { Gateway } from '../../api/gateway.ts';
import type { Locate } from '../../api/report.ts';
import type { VirtualService } from '../../api/virtual-service.ts';
import { FollowedMap } from '../../incremental/followed-map.ts';
import { IdentityMemo } from '../../incremental/identity-memo.ts';
import { ReadLog } from '../../incremental/recorded-map.ts';
import type { Steps } from '../../incremental/steps.ts';
import type { MeshIndex, MeshService, MeshSettings } from '../snapshot.ts';
import { type Claim, type Contest, checkAddressless, contestsOf, tellContests } from './addresses.ts';
import { checkClaimedHost, checkRuledHost } from './claims.ts';
import { checkDelegates } from './delegates.ts';
import { FollowedTables } from './followed-tables.ts';
import { checkServers } from './gateway-servers.ts';
import type { Say } from './known.ts';
import { checkNetworks, checkOccupied } from './networks.ts';
import { checkOpenPorts, checkPorts, checkTargets } from './ports.ts';
import { checkGeneral, checkProviders } from './providers.ts';
import { checkJoined, checkReach } from './reach.ts';
import { checkDestinations, checkGateways, checkRulesOfHost } from './references.ts';
import { type Said, SaidDiagnostics, saidBy } from './said.ts';
import { checkSidecars } from './sidecars.ts';

type Judged<V> = FollowedMap<V, readonly Said[]>;

/** Follows the index from version to version. */
export class MeshChecks {
  readonly #tables: FollowedTables;
  readonly #rules: Judged<VirtualService>;
  readonly #ruled: Judged<readonly VirtualService[]>;
  readonly #hostRules: Judged<readonly DestinationRule[]>;
  readonly #hosts: Judged<readonly MeshService[]>;
  readonly #services: Judged<MeshService>;
  readonly #gateways: Judged<Gateway>;
  readonly #contests: FollowedMap<readonly Claim[], readonly Contest[]>;
  /** What is said of few objects, or is not looked up by name. */
  readonly #whole = new IdentityMemo<readonly Said[]>();
  readonly #told = new SaidDiagnostics();
  #index: MeshIndex | undefined;

  constructor(settings: MeshSettings) {
    const log = new ReadLog();
    const tables = new FollowedTables(settings, log);
    const { known } = tables;
    const judged = <V>(check: (value: V, key: string, say: Say) => void): Judged<V> =>
      new FollowedMap(log, (value, key) => noneIfEmpty(saidBy((say) => check(value, key, say))));
    this.#tables = tables;
    this.#rules = judged((vs, _, say) => {
      checkDestinations(vs, known, say);
      checkGateways(vs, known, say);
      checkReach(vs, known, say);
    });
    this.#ruled = judged((rules, host, say) => checkRuledHost(host, rules, known, say));
    this.#hostRules = judged((rules, host, say) => checkRulesOfHost(host, rules, known, say));
    this.#hosts = judged((services, host, say) => {
      checkClaimedHost(host, services, say);
      checkAddressless(host, services, say);
    });
    this.#services = judged((service, _, say) => {
      checkPorts(service, tables.http, say);
      checkTargets(service, known, say);
      checkNetworks(service, this.#index!, say);
    });
    this.#gateways = judged((gateway, _, say) => checkOpenPorts(gateway, known.selecting, say));
    this.#contests = new FollowedMap(log, (claims, bits) =>
      noneIfEmpty(contestsOf(bits, claims, tables.blocks, tables.now.lengths)),
    );
  }

  /** All that is to be said now: the very same objects for what was said before. */
  *diagnose(index: MeshIndex, locate: (ref: ObjectRef) => Locate | undefined): Steps<readonly Diagnostic[]> {
    const before = { index: this.#index, tables: this.#tables.now };
    const changed = yield* this.#tables.advance(index);
    this.#index = index;
    const { now } = this.#tables;
    const hasOtherNetworks = before.index?.networks !== index.networks || before.index.mesh !== index.mesh;
    const hasOtherWildcards = now.wildcards !== before.tables.wildcards;
    const judged = [
      yield* this.#rules.of(now.rules, hasOtherWildcards ? 'all' : changed),
      yield* this.#ruled.of(now.ruled, changed),
      yield* this.#hostRules.of(index.hostRules.byHost, changed),
      yield* this.#hosts.of(now.hosts, changed),
      yield* this.#services.of(index.services, hasOtherNetworks || hasOtherWildcards ? 'all' : changed),
      yield* this.#gateways.of(now.gateways, changed),
    ];
    const contests = yield* this.#contests.of(now.blocks, now.lengths === before.tables.lengths ? changed : 'all');
    const said = [
      ...judged.flatMap((each) => [...each.values()].flat()),
      ...this.#whole.get([contests], 'contests', () =>
        saidBy((say) => tellContests([...contests.values()].flat(), say)),
      ),
      ...this.#saidOfAll(index),
    ];
    yield;
    return this.#told.of(said, locate);
  }

  #saidOfAll(index: MeshIndex): readonly Said[] {
    const { services, writtenRules, networks, mesh, gateways, sidecars, telemetries, proxyConfigs } = index;
    const about = (of: readonly object[], what: string, check: (say: Say) => void) =>
      this.#whole.get(of, what, () => saidBy(check));
    return [
      about([writtenRules], 'rules', (say) => {
        checkDelegates(index, say);
        checkJoined(writtenRules, say);
      }),
      about([networks, mesh], 'networks', (say) => checkOccupied(index, say)),
      about([gateways], 'servers', (say) => checkServers(gateways, say)),
      about([sidecars], 'sidecars', (say) => checkSidecars(sidecars, say)),
      about([services, mesh, telemetries, proxyConfigs], 'telemetry', (say) => {
        checkProviders(index, this.#tables.now.hosts, say);
        checkGeneral(index, say);
      }),
    ].flat();
  }
}

function noneIfEmpty<T>(list: readonly T[]): readonly T[] | undefined {
  return list.length === 0 ? undefined : list;
}
