// SPDX-License-Identifier: Apache-2.0
// What the rules across objects look things up in, kept up with the index, and known to differ where it does.
import type { Gateway } from '../../api/gateway.ts';
import type { MeshObject } from '../../api/kind.ts';
import type { VirtualService } from '../../api/virtual-service.ts';
import { keysToCompare } from '../../incremental/derived-map.ts';
import { FollowedMap, ReadChanges } from '../../incremental/followed-map.ts';
import { type Change, differences, regroup } from '../../incremental/grouped-map.ts';
import { type ReadLog, RecordedMap } from '../../incremental/recorded-map.ts';
import type { Steps } from '../../incremental/steps.ts';
import { VersionedMap } from '../../incremental/versioned-map.ts';
import { RuleTable } from '../rule-table.ts';
import { compareKeys } from '../service-facts.ts';
import type { MeshIndex, MeshService, MeshSettings, ServiceKey } from '../snapshot.ts';
import { type Claim, claimsOf, compareClaims } from './addresses.ts';
import { ruledHosts } from './claims.ts';
import { factsOf, type Known, type RuleFacts } from './known.ts';
import { httpPorts, selectorKeys } from './ports.ts';
import { type PortFacts, PortsBelow, wildcardHosts } from './ports-below.ts';
import { servedByTargets } from './served-hosts.ts';

type Services = readonly MeshService[];
type Policies = readonly RuleFacts[];

/** Of one version of the index. */
export interface Tables {
  readonly hosts: VersionedMap<string, Services>;
  readonly below: VersionedMap<string, readonly PortFacts[]>;
  /** Of a host's rules. */
  readonly policies: VersionedMap<string, Policies>;
  readonly wildcards: Known['policies']['wildcards'];
  readonly gateways: VersionedMap<string, Gateway>;
  readonly rules: VersionedMap<string, VirtualService>;
  readonly ruled: VersionedMap<string, readonly VirtualService[]>;
  /** Services by what they have, those of one key by their own: see ports.ts. */
  readonly http: VersionedMap<string, Services>;
  readonly selecting: VersionedMap<string, Services>;
  readonly blocks: VersionedMap<string, readonly Claim[]>;
  /** Of blocks, the longest first; the same array while they are the same. */
  readonly lengths: readonly number[];
}

/** Those whose readers are noted. */
const READ = ['hosts', 'below', 'policies', 'gateways', 'http', 'selecting', 'blocks'] as const;

export class FollowedTables {
  readonly known: Known;
  readonly http: ReadonlyMap<string, Services>;
  readonly blocks: ReadonlyMap<string, readonly Claim[]>;

  readonly #hosts: FollowedMap<Services, Services>;
  readonly #policies: FollowedMap<MeshIndex['destinationRules'], Policies>;
  readonly #ruled: RuleTable<VirtualService>;
  readonly #below = new PortsBelow();
  #wildcardHosts: ReadonlySet<string> = new Set();
  readonly #claims = new Map<ServiceKey, readonly Claim[]>();
  readonly #lengths = new Map<number, number>();
  #index: MeshIndex | undefined;
  #now: Tables = {
    hosts: new VersionedMap(),
    below: new VersionedMap(),
    policies: new VersionedMap(),
    wildcards: [],
    gateways: new VersionedMap(),
    rules: new VersionedMap(),
    ruled: new VersionedMap(),
    http: new VersionedMap(),
    selecting: new VersionedMap(),
    blocks: new VersionedMap(),
    lengths: [],
  };

  /** Who reads `known` and the tables beside it is noted in `log`. */
  constructor(settings: MeshSettings, log: ReadLog) {
    const byHost = new RecordedMap('byHost', log, () => this.#index!.servicesByHost);
    this.#hosts = new FollowedMap(log, (services) => servedByTargets(services, byHost));
    this.#policies = new FollowedMap(log, (rules) => rules.map(factsOf));
    this.#ruled = new RuleTable((vs) => ruledHosts(vs, settings.dnsDomain));
    const recorded = <V>(name: (typeof READ)[number], of: () => ReadonlyMap<string, V>) =>
      new RecordedMap(name, log, of);
    const wildcards = () => this.#now.wildcards;
    const policies = {
      exact: recorded('policies', () => this.#now.policies),
      get wildcards() {
        return wildcards();
      },
    };
    this.known = {
      settings,
      hosts: recorded('hosts', () => this.#now.hosts),
      below: recorded('below', () => this.#now.below),
      gateways: recorded('gateways', () => this.#now.gateways),
      policies,
      selecting: recorded('selecting', () => this.#now.selecting),
    };
    this.http = recorded('http', () => this.#now.http);
    this.blocks = recorded('blocks', () => this.#now.blocks);
  }

  get now(): Tables {
    return this.#now;
  }

  /** Follows to a later version of the index; what is different of the tables for those who have read them. */
  *advance(index: MeshIndex): Steps<ReadChanges> {
    const [before, older] = [this.#index, this.#now];
    this.#index = index;
    const changes = changesOf(before?.services, index.services);
    const moved = new ReadChanges();
    moved.add('byHost', before?.servicesByHost, index.servicesByHost);
    const policies = yield* this.#policies.of(index.hostRules.byHost, new ReadChanges());
    const blocks = yield* regroup(older.blocks, this.#claimChanges(changes), ({ bits }) => [bits], compareClaims);
    yield* this.#ruled.update(differences(before?.writtenRules ?? [], index.writtenRules));
    if (before?.writtenRules !== index.writtenRules) this.#wildcardHosts = wildcardHosts(index.writtenRules);
    const hosts = yield* this.#hosts.of(index.servicesByHost, moved);
    this.#now = {
      hosts,
      below: yield* this.#below.of(this.#wildcardHosts, older.hosts, hosts),
      policies,
      wildcards: wildcardsOf(index, policies, older.wildcards),
      gateways: listed(older.gateways, before?.gateways, index.gateways),
      rules: listed(older.rules, before?.writtenRules, index.writtenRules),
      ruled: this.#ruled.index.byHost,
      http: yield* regroup(older.http, changes, httpPorts, compareKeys),
      selecting: yield* regroup(older.selecting, changes, selectorKeys, compareKeys),
      blocks,
      lengths: this.#lengthsOf(older, blocks),
    };
    const changed = new ReadChanges();
    if (before !== undefined) for (const name of READ) changed.add(name, older[name], this.#now[name]);
    return changed;
  }

  #claimChanges(changes: readonly Change<MeshService>[]): Change<Claim>[] {
    return changes.flatMap(([before, after]) => {
      const old = before === undefined ? [] : (this.#claims.get(before.key) ?? []);
      const now = after === undefined ? [] : claimsOf(after);
      if (before !== undefined) this.#claims.delete(before.key);
      if (after !== undefined && now.length > 0) this.#claims.set(after.key, now);
      return [
        ...old.map((claim): Change<Claim> => [claim, undefined]),
        ...now.map((claim): Change<Claim> => [undefined, claim]),
      ];
    });
  }

  #lengthsOf(older: Tables, blocks: Tables['blocks']): readonly number[] {
    const counts = this.#lengths;
    const kinds = counts.size;
    let isOther = false;
    for (const bits of keysToCompare(older.blocks, blocks)) {
      const step = Number(blocks.has(bits)) - Number(older.blocks.has(bits));
      const count = (counts.get(bits.length) ?? 0) + step;
      isOther ||= step !== 0 && (count === 0 || count === step);
      if (count === 0) counts.delete(bits.length);
      else counts.set(bits.length, count);
    }
    return isOther || counts.size !== kinds ? [...counts.keys()].sort((a, b) => b - a) : older.lengths;
  }
}

function changesOf(
  before: ReadonlyMap<ServiceKey, MeshService> | undefined,
  after: ReadonlyMap<ServiceKey, MeshService>,
): Change<MeshService>[] {
  return [...keysToCompare<MeshService>(before, after)].flatMap((key): Change<MeshService>[] => {
    const change = [before?.get(key as ServiceKey), after.get(key as ServiceKey)] as const;
    return change[0] === change[1] ? [] : [change];
  });
}

function wildcardsOf({ hostRules }: MeshIndex, policies: Tables['policies'], older: Tables['wildcards']) {
  const wildcards = hostRules.wildcards.map((pattern) => ({ pattern, values: policies.get(pattern) ?? [] }));
  const same =
    wildcards.length === older.length &&
    wildcards.every(({ pattern, values }, i) => pattern === older[i]!.pattern && values === older[i]!.values);
  return same ? older : wildcards;
}

/** By NAMESPACE/NAME, what stands in a list. */
function listed<R extends MeshObject<unknown>>(
  map: VersionedMap<string, R>,
  before: readonly R[] | undefined,
  after: readonly R[],
): VersionedMap<string, R> {
  if (before === after) return map;
  const changes = differences(before ?? [], after);
  const name = ({ ref }: R) => `${ref.namespace}/${ref.name}`;
  return map.with(
    new Map([
      ...changes.flatMap(([gone]): [string, undefined][] => (gone === undefined ? [] : [[name(gone), undefined]])),
      ...changes.flatMap(([, come]): [string, R][] => (come === undefined ? [] : [[name(come), come]])),
    ]),
  );
}
