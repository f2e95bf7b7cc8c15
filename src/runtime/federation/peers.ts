// SPDX-License-Identifier: Apache-2.0
// The other clusters of the mesh that have a control plane of their own, as the secrets of istio-system name them: what
// they export, and which rules they have. One that is away keeps what it was last known to have.
import type { Logger } from 'pino';
import { DESTINATION_RULE } from '../../api/destination-rule.ts';
import { PEER_SECRET_SELECTOR } from '../../api/export-names.ts';
import { CLUSTER_NAME, EXPORTED_SERVICE } from '../../api/exported-service.ts';
import { resourceOf } from '../../api/kind.ts';
import { VIRTUAL_SERVICE } from '../../api/virtual-service.ts';
import { type KubeClient, KubeError } from '../../kube/client.ts';
import type { ClientConfig } from '../../kube/config.ts';
import { SECRETS } from '../../kube/resources.ts';
import type { KubeObject } from '../../kube/types.ts';
import { watchResource } from '../../kube/watch.ts';
import type { SourceEvent } from '../../sources/contract.ts';
import { KubeSource } from '../../sources/kube.ts';
import { ISTIO_NAMESPACE } from '../mesh-resources.ts';
import { type Claim, type Claims, type RefusedKey, readClaims } from '../registries/claims.ts';
import { type OpenSource, type RegistryState, RemoteRegistry } from '../registries/remote-registry.ts';
import { cureForSilence } from '../registries/unreachable.ts';

export interface PeersOptions {
  readonly client: KubeClient;
  /** The own cluster's name. */
  readonly local: string;
  readonly log: Logger;
  readonly nowMs: () => number;
  readonly listener: PeerListener;
  /** From the removal of a secret: one that is replaced by delete and create is rotated, not removed. */
  readonly removalMs?: number;
  readonly open?: OpenSource;
}

export interface PeerListener {
  /** The clusters that are named, all of them. Comes before any of the others. */
  named(clusters: readonly string[]): void;
  /** What the peer has is known in full: for the first time, or by another kubeconfig. */
  listed(cluster: string, objects: ReadonlyMap<string, KubeObject>): void;
  changed(cluster: string, batch: readonly SourceEvent[]): void;
  gone(cluster: string): void;
}

export interface PeerStatus {
  readonly cluster: string;
  readonly secret: string;
  readonly secretUid: string;
  readonly server: string;
  readonly state: RegistryState;
  readonly synced: boolean;
  /** For how long what is known has not been known to be true; null when nothing is. */
  readonly lastSyncMs: number | null;
  readonly error?: string;
  readonly cure?: string;
}

const REMOVAL_MS = 10_000;

interface Peer {
  readonly registry: RemoteRegistry;
  leaving: NodeJS.Timeout | undefined;
  /** What was logged last. */
  said: string | undefined;
}

export class Peers {
  readonly #options: PeersOptions;
  readonly #secrets = new Map<string, KubeObject>();
  readonly #peers = new Map<string, Peer>();
  /** Those that the listener was told of. */
  #named: ReadonlySet<string> = new Set();
  #refused: readonly RefusedKey[] = [];
  #isListed = false;
  #isClosed = false;
  #error: string | undefined;

  constructor(options: PeersOptions) {
    this.#options = options;
  }

  /** Follows the secrets until `signal` aborts. */
  async run(signal: AbortSignal): Promise<void> {
    const told = (error: Error | undefined): void => {
      this.#error = error?.message;
    };
    try {
      await watchResource<KubeObject>(
        this.#options.client,
        SECRETS,
        { namespace: ISTIO_NAMESPACE, labelSelector: PEER_SECRET_SELECTOR, signal },
        {
          upsert: (secret) => {
            this.#secrets.set(secret.metadata.name ?? '', secret);
            this.#reconcile();
          },
          delete: (secret) => {
            this.#secrets.delete(secret.metadata.name ?? '');
            this.#reconcile();
          },
          synced: () => {
            this.#isListed = true;
            told(undefined);
            this.#reconcile();
          },
          resumed: () => told(undefined),
          error: told,
        },
      );
    } finally {
      this.#isClosed = true;
      for (const { registry, leaving } of this.#peers.values()) {
        clearTimeout(leaving);
        registry.close();
      }
    }
  }

  /** Keys of secrets that are not used, and why. */
  get refused(): readonly RefusedKey[] {
    return this.#refused;
  }

  /** Why the secrets cannot be read, if they cannot. */
  get error(): string | undefined {
    return this.#error;
  }

  /** undefined: nothing is known of the peer yet. */
  objectsOf(cluster: string): ReadonlyMap<string, KubeObject> | undefined {
    return this.#peers.get(cluster)?.registry.objects;
  }

  get clusters(): readonly string[] {
    return [...this.#peers.keys()].sort();
  }

  status(): PeerStatus[] {
    const { nowMs } = this.#options;
    return [...this.#peers.values()].map(({ registry }) => {
      const { cluster, claim, server, state, problem, inStepAtMs } = registry;
      return {
        cluster,
        secret: claim.secret,
        secretUid: claim.secretUid,
        server,
        state,
        synced: state === 'synced',
        lastSyncMs: inStepAtMs === undefined ? null : Math.max(0, Math.round(nowMs() - inStepAtMs)),
        ...(problem === undefined ? {} : { error: problem.message, cure: problem.cure }),
      };
    });
  }

  #reconcile(): void {
    if (this.#isClosed || !this.#isListed) return;
    const { claims, refused } = this.#readSecrets();
    this.#tellRefused(refused);
    const before = this.#named;
    this.#named = new Set([...claims.keys(), ...this.#peers.keys()]);
    this.#options.listener.named([...this.#named]);
    for (const [cluster, claim] of claims) {
      const peer = this.#peers.get(cluster);
      if (peer === undefined) this.#add(claim);
      else this.#keep(peer, claim);
    }
    for (const [cluster, peer] of this.#peers) if (!claims.has(cluster)) this.#leave(cluster, peer);
    // Those that never had a kubeconfig that could be used have nothing to wait for.
    for (const cluster of before) if (!this.#named.has(cluster)) this.#options.listener.gone(cluster);
  }

  /** A name that cannot be a label's value could not be told from others on endpoints. */
  #readSecrets(): Claims {
    const { claims, refused } = readClaims(this.#secrets.values(), this.#options.local, PEER_SECRET_SELECTOR);
    const sound = new Map<string, Claim>();
    const unfit: RefusedKey[] = [];
    for (const [cluster, claim] of claims) {
      if (CLUSTER_NAME.pattern.test(cluster)) {
        sound.set(cluster, claim);
        continue;
      }
      const { secret, secretUid } = claim;
      const message = `secret ${secret}, key ${cluster}: ${cluster.length} characters are no name of a cluster`;
      const cure = 'call the cluster by at most 63 letters, digits, dashes, dots and underscores';
      unfit.push({ trouble: 'ClusterName', secret, secretUid, key: cluster, message, cure });
    }
    return { claims: sound, refused: [...refused, ...unfit] };
  }

  #tellRefused(refused: readonly RefusedKey[]): void {
    const before = new Set(this.#refused.map(({ message }) => message));
    this.#refused = refused;
    for (const { secret, message, cure } of refused) {
      if (!before.has(message)) this.#options.log.error({ secret, cure }, `peer: ${message}`);
    }
  }

  #add(claim: Claim): void {
    if (claim.config === undefined) return;
    const { listener, nowMs, open = openPeerSource, log } = this.#options;
    const { cluster, secret } = claim;
    const takeOver = (): void => {
      const peer = this.#peers.get(cluster);
      if (peer === undefined || this.#isClosed) return;
      const isFirst = peer.registry.objects === undefined;
      peer.registry.takeOver();
      log.info({ cluster, secret }, isFirst ? 'what the peer exports is known' : 'the peer’s new kubeconfig is in use');
      listener.listed(cluster, peer.registry.objects ?? new Map());
    };
    const events = {
      publish: (batch: readonly SourceEvent[]) => listener.changed(cluster, batch),
      listed: takeOver,
      changed: () => this.#tellState(cluster),
    };
    const registry = new RemoteRegistry(claim, events, nowMs, open);
    this.#peers.set(cluster, { registry, leaving: undefined, said: undefined });
    log.info({ cluster, secret, server: registry.server }, 'a peer is to be followed');
  }

  #keep(peer: Peer, claim: Claim): void {
    clearTimeout(peer.leaving);
    peer.leaving = undefined;
    // The one before goes on until the new one has listed everything.
    peer.registry.use(claim);
  }

  #leave(cluster: string, peer: Peer): void {
    if (peer.leaving !== undefined) return;
    const { removalMs = REMOVAL_MS, log, listener } = this.#options;
    log.warn({ cluster }, 'the peer’s secret is gone: what it exports goes too, unless the secret comes back');
    peer.leaving = setTimeout(() => {
      peer.registry.close();
      this.#peers.delete(cluster);
      this.#named = new Set([...this.#named].filter((each) => each !== cluster));
      listener.gone(cluster);
      log.warn({ cluster }, 'the peer has left');
    }, removalMs).unref();
  }

  #tellState(cluster: string): void {
    const peer = this.#peers.get(cluster);
    if (peer === undefined || this.#isClosed) return;
    const { problem } = peer.registry;
    if (problem?.message === peer.said) return;
    const { log } = this.#options;
    if (problem === undefined) log.info({ cluster }, 'the peer is in step again');
    else
      log.error(
        { cluster, cure: problem.cure },
        `the peer is out of reach, and what it was last known to export stays: ${problem.message}`,
      );
    peer.said = problem?.message;
  }
}

/** What clusters tell one another. */
function openPeerSource(cluster: string, client: KubeClient, config: ClientConfig): KubeSource {
  const types = [EXPORTED_SERVICE, VIRTUAL_SERVICE, DESTINATION_RULE].map(resourceOf);
  const resources = types.map((type) => ({
    type,
    keep: keptOf,
    // Services are what a peer is for; rules it may keep to itself.
    ...(type.kind === EXPORTED_SERVICE.kind ? {} : { optional: true }),
  }));
  return new KubeSource(cluster, client, resources, (error) => cureFor(error, cluster, config));
}

function keptOf({ apiVersion, kind, metadata, spec }: KubeObject): KubeObject {
  const { name, namespace, uid, generation, resourceVersion, creationTimestamp, labels, annotations } = metadata;
  const kept = { name, namespace, uid, generation, resourceVersion, creationTimestamp, labels, annotations };
  return { apiVersion, kind, metadata: kept as KubeObject['metadata'], spec };
}

function cureFor(error: Error, cluster: string, { server }: ClientConfig): string {
  const remake = `make the secret anew (\`isthmus mesh up\` does), with a token of ServiceAccount istio-system/isthmus-peer of ${cluster}`;
  if (error instanceof KubeError) {
    if (error.code === 401) return `its API server does not know the token (any more): ${remake}`;
    if (error.code === 403) return `its account may not list and watch exportedservices.isthmus.io: ${remake}`;
    if (error.code === 404) return `install Isthmus of this version there: ${cluster} does not know ExportedServices`;
    return 'none needed if it is short: it is tried again';
  }
  return cureForSilence(error, server, remake);
}
