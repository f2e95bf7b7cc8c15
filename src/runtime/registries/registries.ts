// SPDX-License-Identifier: Apache-2.0
// The other clusters that this control plane watches, as the secrets of istio-system name them: who comes, who is replaced,
// who leaves, and what is in force meanwhile. docs/decisions/0017
import type { Logger } from 'pino';
import type { KubeClient } from '../../kube/client.ts';
import { REMOTE_SECRET_LABEL } from '../../kube/remote-kubeconfig.ts';
import { SECRETS } from '../../kube/resources.ts';
import type { KubeObject } from '../../kube/types.ts';
import { watchResource } from '../../kube/watch.ts';
import type { SourceEvent, SourceProblem } from '../../sources/contract.ts';
import { ISTIO_NAMESPACE } from '../mesh-resources.ts';
import { type Claim, type RefusedKey, readClaims } from './claims.ts';
import type { RegistryFiles } from './registry-files.ts';
import { RegistryReports, type RegistryStatus, type RegistryTrouble } from './registry-reports.ts';
import { clusterUidOf, RemoteRegistry } from './remote-registry.ts';

export interface RegistriesOptions {
  /** Of the control plane's own cluster, where the secrets are. */
  readonly client: KubeClient;
  readonly local: string;
  readonly publish: (batch: readonly SourceEvent[]) => void;
  readonly problems: (standing: readonly SourceProblem[]) => void;
  /** The proxies of this cluster are to be told to come again: before what they have changes under them. */
  readonly endStreams: (cluster: string, why: string) => void;
  /** Once: each cluster is in force, or known to be out of reach. */
  readonly onReady: () => void;
  readonly trouble: (trouble: RegistryTrouble) => void;
  /** Absent: a restart begins without the clusters that it cannot reach. */
  readonly files?: RegistryFiles;
  readonly log: Logger;
  readonly nowMs: () => number;
  readonly times?: Partial<RegistryTimes>;
}

export interface RegistryTimes {
  /** From the removal of a secret: one that is replaced by delete and create is rotated, not removed. */
  readonly removalMs: number;
  /** At the start, what is on disk is taken when the API server has not answered for so long. */
  readonly recallMs: number;
  /** At the start, how long the proxies wait for a cluster that is neither reached nor on disk. */
  readonly startMs: number;
  /** Between looks at what is to be written, and said again. */
  readonly lookMs: number;
}

const TIMES: RegistryTimes = { removalMs: 10_000, recallMs: 5_000, startMs: 20_000, lookMs: 5_000 };
/** Of a file that nothing changed, the time is renewed this often. */
const CONFIRM_MS = 30_000;
/** Between two writes of one file. */
const WRITE_MS = 10_000;

interface Entry {
  readonly registry: RemoteRegistry;
  /** The secret is gone: until then it may come back. */
  leaving: NodeJS.Timeout | undefined;
  /** It is another name of this cluster, which is in the mesh already. */
  duplicateOf: string | undefined;
  /** What is on disk has been asked for. */
  isRecalled: boolean;
  savedRevision: number;
  savedAtMs: number;
  confirmedAtMs: number;
}

export class Registries {
  readonly #options: RegistriesOptions;
  readonly #times: RegistryTimes;
  readonly #reports: RegistryReports;
  readonly #secrets = new Map<string, KubeObject>();
  readonly #entries = new Map<string, Entry>();
  readonly #timers = new Set<NodeJS.Timeout>();
  #refused: readonly RefusedKey[] = [];
  #areSecretsListed = false;
  #isReconciling = false;
  #isReady = false;
  #isClosed = false;
  /** undefined until the own cluster has been read. */
  #localUid: string | undefined;
  #isLocalRead = false;
  #problem: SourceProblem | undefined;

  constructor(options: RegistriesOptions) {
    this.#options = options;
    this.#times = { ...TIMES, ...options.times };
    const { log, trouble, nowMs } = options;
    this.#reports = new RegistryReports({ log, trouble, nowMs });
  }

  /** Follows the secrets until `signal` aborts; then what is in force is written to disk. */
  async run(signal: AbortSignal): Promise<void> {
    const look = setInterval(() => this.#look(), this.#times.lookMs);
    try {
      await watchResource<KubeObject>(
        this.#options.client,
        SECRETS,
        { namespace: ISTIO_NAMESPACE, labelSelector: REMOTE_SECRET_LABEL, signal },
        {
          upsert: (secret) => {
            this.#secrets.set(secret.metadata.name ?? '', secret);
            this.#reconcileSoon();
          },
          delete: (secret) => {
            this.#secrets.delete(secret.metadata.name ?? '');
            this.#reconcileSoon();
          },
          synced: () => {
            this.#areSecretsListed = true;
            this.#setSecretsProblem(undefined);
            this.#reconcileSoon();
          },
          resumed: () => this.#setSecretsProblem(undefined),
          error: (error) => this.#setSecretsProblem(error),
        },
      );
    } finally {
      this.#isClosed = true;
      clearInterval(look);
      for (const timer of this.#timers) clearTimeout(timer);
      for (const { registry, leaving } of this.#entries.values()) {
        clearTimeout(leaving);
        registry.close();
      }
      for (const entry of this.#entries.values()) this.#save(entry);
      await this.#options.files?.settled();
    }
  }

  /** The own cluster has been read; its identity, if it is known. Clusters join only then: none joins twice. */
  localRead(uid: string | undefined): void {
    if (this.#isLocalRead) return;
    this.#localUid = uid;
    this.#isLocalRead = true;
    this.#after(this.#times.startMs, () => this.#becomeReady());
    this.#reconcileSoon();
  }

  /** Whose tokens are proven by whom: the clusters that are part of the mesh, those in good health first. */
  reviewers(): { readonly cluster: string; readonly client: KubeClient }[] {
    const all = [...this.#entries.values()].map(({ registry }) => registry);
    return all
      .sort((a, b) => Number(a.state !== 'synced') - Number(b.state !== 'synced'))
      .flatMap(({ cluster, client }) => (client === undefined ? [] : [{ cluster, client }]));
  }

  /** Clusters that are to be watched and are not in the mesh yet; undefined while the secrets are not known. */
  pending(): readonly string[] | undefined {
    if (!this.#areSecretsListed) return undefined;
    const isPending = ({ registry, duplicateOf }: Entry): boolean =>
      registry.objects === undefined && duplicateOf === undefined;
    return [...this.#entries.values()].filter(isPending).map(({ registry }) => registry.cluster);
  }

  status(): RegistryStatus[] {
    return [...this.#entries.values()].map((entry) => this.#statusOf(entry));
  }

  /** Keys of secrets that are not used, and why. */
  get refused(): readonly RefusedKey[] {
    return this.#refused;
  }

  #reconcileSoon(): void {
    if (this.#isReconciling) return;
    this.#isReconciling = true;
    setImmediate(() => {
      this.#isReconciling = false;
      if (!this.#isClosed && this.#areSecretsListed) this.#reconcile();
    });
  }

  #reconcile(): void {
    const { claims, refused } = readClaims(this.#secrets.values(), this.#options.local);
    this.#refused = refused;
    for (const [cluster, claim] of claims) {
      const entry = this.#entries.get(cluster);
      if (entry === undefined) this.#add(claim);
      else this.#keep(entry, claim);
    }
    for (const [cluster, entry] of this.#entries) if (!claims.has(cluster)) this.#leave(entry);
    if (!this.#isReady) void this.#options.files?.keepOnly(new Set([...claims.keys(), ...this.#entries.keys()]));
    this.#admitAll();
    this.#report();
  }

  #add(claim: Claim): void {
    if (claim.config === undefined) return;
    const { log, nowMs, publish } = this.#options;
    const { cluster, secret } = claim;
    const events = {
      publish,
      listed: () => {
        this.#admitAll();
        this.#report();
      },
      changed: () => {
        const entry = this.#entries.get(cluster);
        if (entry !== undefined && entry.registry.problem !== undefined) void this.#recall(entry);
        this.#report();
      },
    };
    const registry = new RemoteRegistry(claim, events, nowMs);
    log.info({ cluster, secret, server: registry.server }, 'another cluster is to be watched');
    const entry: Entry = {
      registry,
      leaving: undefined,
      duplicateOf: undefined,
      isRecalled: false,
      savedRevision: 0,
      savedAtMs: Number.NEGATIVE_INFINITY,
      confirmedAtMs: Number.NEGATIVE_INFINITY,
    };
    this.#entries.set(cluster, entry);
    this.#after(this.#times.recallMs, () => void this.#recall(entry));
  }

  #keep(entry: Entry, claim: Claim): void {
    const { registry } = entry;
    const { log } = this.#options;
    if (entry.leaving !== undefined) {
      clearTimeout(entry.leaving);
      entry.leaving = undefined;
      log.info(
        { cluster: registry.cluster, secret: claim.secret },
        'the cluster’s secret is back: it stays in the mesh',
      );
    }
    if (claim.text !== registry.claim.text && claim.config !== undefined) {
      const message =
        'the cluster’s kubeconfig has changed: what is in force stays until the new one has listed everything';
      log.info({ cluster: registry.cluster, secret: claim.secret, server: claim.config.server }, message);
    }
    registry.use(claim);
  }

  #leave(entry: Entry): void {
    if (entry.leaving !== undefined) return;
    const { cluster } = entry.registry;
    const seconds = this.#times.removalMs / 1000;
    this.#options.log.warn(
      { cluster, seconds },
      'the cluster’s secret is gone: the cluster leaves the mesh, unless it comes back',
    );
    entry.leaving = setTimeout(() => this.#remove(entry), this.#times.removalMs);
  }

  #remove(entry: Entry): void {
    const { registry } = entry;
    const { cluster } = registry;
    const events = this.#withdraw(entry, 'this control plane no longer watches its cluster');
    registry.close();
    this.#entries.delete(cluster);
    void this.#options.files?.remove(cluster);
    if (events.length > 0) this.#options.publish(events);
    this.#options.log.warn({ cluster, objects: events.length }, 'the cluster has left the mesh');
    this.#admitAll();
    this.#report();
  }

  /** Their last configuration serves the proxies of a cluster that leaves better than one without their own cluster. */
  #withdraw({ registry }: Entry, why: string): SourceEvent[] {
    if (registry.objects !== undefined) this.#options.endStreams(registry.cluster, why);
    return registry.withdraw();
  }

  /** Puts in force what may be, the oldest claims first. */
  #admitAll(): void {
    if (!this.#isLocalRead || this.#isClosed) return;
    const byAge = [...this.#entries.values()].sort((a, b) =>
      a.registry.claim.order < b.registry.claim.order ? -1 : 1,
    );
    for (const entry of byAge) {
      const { registry, leaving } = entry;
      // One that is on its way out may have made room for its own new name, and is not to come back for it.
      if (registry.isListed && (leaving === undefined || registry.objects !== undefined))
        this.#admit(entry, registry.listedUid, () => registry.takeOver());
    }
    this.#checkReady();
  }

  /** `events` puts objects of the cluster with this uid in force, in one step with what has to leave for them. */
  #admit(entry: Entry, uid: string | undefined, events: () => SourceEvent[]): void {
    const { registry } = entry;
    const { cluster } = registry;
    const batch: SourceEvent[] = [];
    entry.duplicateOf = undefined;
    if (uid !== undefined && uid === this.#localUid) {
      entry.duplicateOf = this.#options.local;
      return;
    }
    const twin = [...this.#entries.values()].find(
      (other) => other !== entry && uid !== undefined && other.registry.uid === uid,
    );
    if (twin !== undefined) {
      const mayReplace = twin.leaving !== undefined || registry.claim.order < twin.registry.claim.order;
      if (!mayReplace) {
        entry.duplicateOf = twin.registry.cluster;
        return;
      }
      batch.push(...this.#withdraw(twin, `its cluster is ${cluster} from now on`));
      if (twin.leaving === undefined) twin.duplicateOf = cluster;
    }
    const isOther = registry.uid !== undefined && uid !== undefined && registry.uid !== uid;
    if (isOther) this.#options.endStreams(cluster, 'another cluster has taken its name');
    const wasInForce = registry.objects !== undefined;
    const come = events();
    this.#options.publish([...come, ...batch]);
    const { log } = this.#options;
    const counts = { cluster, server: registry.server, changes: come.length + batch.length };
    log.info(counts, wasInForce ? 'the cluster is watched anew' : 'the cluster is part of the mesh');
    this.#save(entry);
  }

  /** At the start only: what was known of a cluster that does not answer now. */
  async #recall(entry: Entry): Promise<void> {
    const { files, log, nowMs } = this.#options;
    const { registry } = entry;
    if (entry.isRecalled || registry.objects !== undefined) return;
    entry.isRecalled = true;
    const recalled = await files?.load(registry.cluster);
    const isStillWanted = !this.#isClosed && this.#entries.get(registry.cluster) === entry;
    if (recalled === undefined || !isStillWanted || registry.objects !== undefined || registry.isListed) return;
    if (!this.#isLocalRead) {
      // The own cluster is read in a moment, or nothing is published anyway.
      entry.isRecalled = false;
      this.#after(this.#times.recallMs, () => void this.#recall(entry));
      return;
    }
    const uid = recalled.objects.map(clusterUidOf).find((found) => found !== undefined);
    this.#admit(entry, uid, () => registry.recall(recalled.objects, recalled.atMs));
    if (registry.objects === undefined) return;
    const ageSeconds = Math.round((nowMs() - recalled.atMs) / 1000);
    const { cluster } = registry;
    log.warn(
      { cluster, ageSeconds, objects: recalled.objects.length },
      'the cluster does not answer: what was last known of it, from disk, is in force',
    );
    this.#checkReady();
    this.#report();
  }

  #checkReady(): void {
    if (this.#isReady || !this.#isLocalRead || !this.#areSecretsListed) return;
    const isSettled = ({ registry, duplicateOf }: Entry): boolean =>
      registry.objects !== undefined || duplicateOf !== undefined;
    if ([...this.#entries.values()].every(isSettled)) this.#becomeReady();
  }

  #becomeReady(): void {
    if (this.#isReady || this.#isClosed) return;
    this.#isReady = true;
    for (const { registry, duplicateOf } of this.#entries.values()) {
      if (registry.objects !== undefined || duplicateOf !== undefined) continue;
      const message = 'the cluster could not be read in time and nothing of it is known: the mesh starts without it';
      this.#options.log.error({ cluster: registry.cluster, reason: registry.problem?.message }, message);
    }
    this.#options.onReady();
  }

  #setSecretsProblem(error: Error | undefined): void {
    const { local } = this.#options;
    this.#problem = error && {
      cluster: local,
      where: `v1 secrets (${REMOTE_SECRET_LABEL})`,
      message: error.message,
      cure: 'let the control plane list and watch secrets in istio-system (`isthmus install` does)',
    };
    this.#report();
  }

  #report(): void {
    const inTrouble = [...this.#entries.values()].flatMap(({ registry }) => registry.problem ?? []);
    this.#options.problems([...(this.#problem === undefined ? [] : [this.#problem]), ...inTrouble]);
    this.#reports.take(this.status(), this.#refused);
  }

  #statusOf({ registry, leaving, duplicateOf }: Entry): RegistryStatus {
    const { cluster, claim, server, state, inStepAtMs, objects, problem } = registry;
    const count = (kind: string) => [...(objects?.values() ?? [])].filter((object) => object.kind === kind).length;
    return {
      cluster,
      secret: claim.secret,
      secretUid: claim.secretUid,
      server,
      state: leaving !== undefined ? 'leaving' : duplicateOf !== undefined ? 'duplicate' : state,
      ...(duplicateOf === undefined ? {} : { duplicateOf }),
      ...(inStepAtMs === undefined || objects === undefined
        ? {}
        : { ageSeconds: Math.max(0, Math.round((this.#options.nowMs() - inStepAtMs) / 1000)) }),
      // A time, and not its distance: what is said of it stays the same while nothing changes.
      ...(state === 'stale' && inStepAtMs !== undefined
        ? { knownAt: new Date(inStepAtMs).toISOString().replace(/\.\d+Z$/, 'Z') }
        : {}),
      services: count('Service'),
      pods: count('Pod'),
      endpointSlices: count('EndpointSlice'),
      ...(problem === undefined ? {} : { problem: problem.message, cure: problem.cure }),
    };
  }

  #look(): void {
    for (const entry of this.#entries.values()) this.#save(entry, WRITE_MS);
    this.#report();
  }

  #save(entry: Entry, notBeforeMs = 0): void {
    const { files, nowMs } = this.#options;
    const { registry } = entry;
    const now = nowMs();
    if (files === undefined || registry.state !== 'synced' || registry.objects === undefined) return;
    if (registry.revision !== entry.savedRevision) {
      if (now - entry.savedAtMs < notBeforeMs) return;
      entry.savedRevision = registry.revision;
      entry.savedAtMs = now;
      entry.confirmedAtMs = now;
      void files.save(registry.cluster, registry.objects.values());
    } else if (now - entry.confirmedAtMs >= CONFIRM_MS || notBeforeMs === 0) {
      entry.confirmedAtMs = now;
      void files.confirm(registry.cluster, now);
    }
  }

  #after(ms: number, act: () => void): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      if (!this.#isClosed) act();
    }, ms);
    this.#timers.add(timer);
  }
}
