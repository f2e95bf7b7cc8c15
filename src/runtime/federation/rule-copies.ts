// SPDX-License-Identifier: Apache-2.0
// Rules that other clusters have written for this one, too: copied, kept as they are over there, and removed with them.
import type { Logger } from 'pino';
import { type ObjectRef, refName } from '../../api/diagnostics.ts';
import { isEdited } from '../../federation/rules/copy.ts';
import { isCopy, isRule, REVISION_ANNOTATION, SOURCE_CLUSTER_LABEL } from '../../federation/rules/names.ts';
import { planCopies, type RuleRemark } from '../../federation/rules/plan.ts';
import type { KubeClient } from '../../kube/client.ts';
import { objectName } from '../../kube/object-name.ts';
import type { KubeObject } from '../../kube/types.ts';
import { identityKey, type SourceEvent } from '../../sources/contract.ts';
import { RefusalEvents } from '../findings/refusal-events.ts';
import { meshType } from '../mesh-resources.ts';
import type { FederationFollower } from './federation.ts';
import { NotOursError, ObjectApplier, type ObjectIdentity } from './object-applier.ts';

export interface RuleCopiesOptions {
  readonly client: KubeClient;
  /** The own one. */
  readonly cluster: string;
  readonly log: Logger;
  readonly nowMs?: () => number;
  /** Objects of one file come one after another. */
  readonly settleMs?: number;
}

const SETTLE_MS = 200;
const RULE_KINDS = ['VirtualService', 'DestinationRule'];

export class RuleCopies implements FederationFollower {
  readonly #options: RuleCopiesOptions;
  readonly #applier: ObjectApplier;
  readonly #events: RefusalEvents;
  readonly #own = new Map<string, KubeObject>();
  readonly #namespaces = new Set<string>();
  /** Rules of each peer, undefined of one of which nothing is known yet; undefined while it is not known who is a peer. */
  #peers: Map<string, Map<string, KubeObject> | undefined> | undefined;
  #wanted: ReadonlyMap<string, KubeObject> = new Map();
  /** What was told of which object, until it is over. */
  #told = new Map<string, string>();
  #isOwnRead = false;
  #isLeader = false;
  #hasBegun = false;
  #settling: NodeJS.Timeout | undefined;

  constructor(options: RuleCopiesOptions) {
    const { client, log, nowMs = Date.now } = options;
    this.#options = options;
    this.#events = new RefusalEvents(client, log, nowMs);
    this.#applier = new ObjectApplier({
      client,
      types: RULE_KINDS.map((kind) => meshType(kind)!),
      owns: isCopy,
      told: (object, error) => this.#attempted(object, error),
      nowMs,
    });
  }

  /** What the own cluster’s source tells. */
  events(batch: readonly SourceEvent[]): void {
    let isNews = false;
    for (const event of batch) {
      if (event.kind === 'synced') {
        this.#isOwnRead = isNews = true;
        continue;
      }
      const { object } = event;
      if (object.kind === 'Namespace' && object.apiVersion === 'v1') {
        isNews = this.#takeNamespace(event) || isNews;
      } else if (isRule(object)) {
        isNews = true;
        if (event.kind === 'upsert') {
          this.#own.set(identityKey(object), event.object);
          this.#noticeEdit(event.object);
        } else this.#own.delete(identityKey(object));
        this.#applier.seen(event);
      }
    }
    if (isNews) this.#settle();
  }

  named(clusters: readonly string[]): void {
    this.#peers = new Map(clusters.map((cluster) => [cluster, this.#peers?.get(cluster)]));
    this.#settle();
  }

  listed(cluster: string, objects: ReadonlyMap<string, KubeObject>): void {
    this.#peers?.set(cluster, new Map([...objects].filter(([, object]) => isRule(object))));
    this.#settle();
  }

  changed(cluster: string, batch: readonly SourceEvent[]): void {
    const rules = this.#peers?.get(cluster);
    if (rules === undefined) return;
    let isNews = false;
    for (const event of batch) {
      if (event.kind === 'synced' || !isRule(event.object)) continue;
      isNews = true;
      if (event.kind === 'upsert') rules.set(identityKey(event.object), event.object);
      else rules.delete(identityKey(event.object));
    }
    if (isNews) this.#settle();
  }

  gone(cluster: string): void {
    this.#peers?.delete(cluster);
    this.#settle();
  }

  #settle(): void {
    if (!this.#isLeader) return;
    this.#settling ??= setTimeout(() => {
      this.#settling = undefined;
      this.#plan();
    }, this.#options.settleMs ?? SETTLE_MS).unref();
  }

  lead(isLeader: boolean): void {
    this.#isLeader = isLeader;
    this.#hasBegun = false;
    this.#told = new Map();
    // Who leads anew is told of peers anew: what was known may be long over.
    this.#peers = undefined;
    clearTimeout(this.#settling);
    this.#settling = undefined;
    if (isLeader) this.#settle();
    else this.#applier.lead(false);
  }

  #plan(): void {
    const peers = this.#peers;
    // Half of what there is would have copies removed that have to stay.
    if (!this.#isLeader || !this.#isOwnRead || peers === undefined) return;
    const rules = new Map([...peers].map(([name, objects]) => [name, objects?.values()] as const));
    const own = new Map([...this.#own.values()].map((object) => [objectName(object), object] as const));
    const { cluster } = this.#options;
    const plan = planCopies({ cluster, own: own.values(), namespaces: this.#namespaces, peers: rules });
    const isOver = (key: string): boolean => !plan.wanted.has(key) && !plan.held.has(key);
    // What is being made, the own cluster has not told of yet.
    for (const [key, object] of [...this.#wanted, ...own])
      if (isCopy(object) && isOver(key)) this.#applier.unwant(object);
    this.#wanted = plan.wanted;
    for (const [key, copy] of plan.wanted) if (!plan.held.has(key)) this.#applier.want(copy);
    for (const key of plan.held) this.#applier.want(own.get(key)!);
    if (!this.#hasBegun) {
      this.#hasBegun = true;
      this.#applier.lead(true);
    }
    this.#tell(plan.remarks);
  }

  /** Once for each thing that is to be said of an object. */
  #tell(remarks: readonly RuleRemark[]): void {
    const told = new Map<string, string>();
    for (const { reason, about, message } of remarks) {
      const key = `${reason} ${objectName(about)} ${message}`;
      told.set(key, message);
      if (this.#told.has(key)) continue;
      this.#options.log.warn({ rule: objectName(about), reason }, message);
      // Where there is no namespace, there is nothing to write an Event about.
      if (reason !== 'NoNamespace') void this.#events.tellOf(refOf(about), `Rule${reason}`, message);
    }
    this.#told = told;
  }

  #noticeEdit(copy: KubeObject): void {
    const wanted = this.#wanted.get(objectName(copy));
    if (!this.#isLeader || wanted === undefined || !isCopy(copy) || !isEdited(copy)) return;
    const source = copy.metadata.labels?.[SOURCE_CLUSTER_LABEL];
    const { kind, metadata } = copy;
    const message =
      `it is a copy of ${source}’s, and was changed here: revision ${wanted.metadata.annotations?.[REVISION_ANNOTATION]} is ` +
      `brought back; change it in ${source}, or make it your own: kubectl -n ${metadata.namespace} label ` +
      `${kind.toLowerCase()} ${metadata.name} ${SOURCE_CLUSTER_LABEL}-`;
    this.#options.log.info({ rule: objectName(copy), source }, 'a copied rule was changed here, and is brought back');
    void this.#events.tellOf(refOf(copy), 'RuleRestored', message);
  }

  #attempted(of: ObjectIdentity, error: Error | undefined): void {
    const rule = refName(of);
    const { log } = this.#options;
    // A person has taken it over: the next plan says so.
    if (error instanceof NotOursError) return;
    if (error === undefined) {
      log.info({ rule }, 'a rule of another cluster has been copied after all');
      return;
    }
    const wanted = this.#wanted.get(rule);
    const source = wanted?.metadata.labels?.[SOURCE_CLUSTER_LABEL];
    log.warn({ rule, source, err: error.message }, 'a rule of another cluster cannot be copied; trying again');
    const there = [...this.#own.values()].find((object) => objectName(object) === rule);
    if (there === undefined) return;
    const message = `the newer revision of ${source} is refused here, and the one before stays in force: ${error.message}`;
    void this.#events.tellOf(refOf(there), 'RuleRefused', message);
  }

  #takeNamespace(event: Exclude<SourceEvent, { kind: 'synced' }>): boolean {
    const { name = '', deletionTimestamp } = event.object.metadata;
    const isThere = event.kind === 'upsert' && deletionTimestamp === undefined;
    if (isThere === this.#namespaces.has(name)) return false;
    if (isThere) this.#namespaces.add(name);
    else this.#namespaces.delete(name);
    return true;
  }
}

function refOf({ apiVersion, kind, metadata }: Pick<KubeObject, 'apiVersion' | 'kind' | 'metadata'>): ObjectRef {
  return { apiVersion, kind, namespace: metadata.namespace ?? '', name: metadata.name ?? '' };
}
