// SPDX-License-Identifier: Apache-2.0
// One other cluster: what of it is in force, and where that comes from. A new connection lists everything before anything
// of the old one leaves; one that fails leaves in force what was there.
import { KubeClient, KubeError } from '../../kube/client.ts';
import type { ClientConfig } from '../../kube/config.ts';
import type { KubeObject } from '../../kube/types.ts';
import { identityKey, type Source, type SourceEvent, type SourceProblem } from '../../sources/contract.ts';
import { KubeSource } from '../../sources/kube.ts';
import type { Claim } from './claims.ts';
import { isClusterLocal, remoteResources } from './kept-fields.ts';
import { cureForSilence } from './unreachable.ts';

export interface RemoteRegistryEvents {
  /** A change of what is in force. */
  publish(batch: readonly SourceEvent[]): void;
  /** The newest connection has listed everything: `takeOver` may be called. */
  listed(): void;
  /** Something in `problem` or `inStepAtMs` has changed. */
  changed(): void;
}

/** What tells the objects of a cluster, by one kubeconfig. */
export type OpenSource = (cluster: string, client: KubeClient, config: ClientConfig) => Source;

/** A connection by one kubeconfig. */
interface Connection {
  readonly config: ClientConfig;
  readonly client: KubeClient;
  readonly ending: AbortController;
  readonly objects: Map<string, KubeObject>;
  readonly startedAtMs: number;
  isListed: boolean;
  problem: SourceProblem | undefined;
}

/** An API server that takes connections and says nothing is told after this. */
const SILENT_MS = 5_000;

/** In force: `none` of it yet; or as the connection has it, as it was when the API server was last heard, or as it is on disk. */
export type RegistryState = 'none' | 'synced' | 'stale';

export class RemoteRegistry {
  readonly cluster: string;
  readonly #events: RemoteRegistryEvents;
  readonly #nowMs: () => number;
  readonly #open: OpenSource;
  #claim: Claim;
  /** Whose changes are in force. */
  #live: Connection | undefined;
  /** Waits until it may take over. */
  #next: Connection | undefined;
  /** undefined: nothing of the cluster is in the mesh, which is not the same as a cluster without objects. */
  #inForce: Map<string, KubeObject> | undefined;
  /** When what is in force was last known to be what the cluster has. */
  #heardAtMs: number | undefined;
  /** Grows with each change of what is in force. */
  revision = 0;

  constructor(claim: Claim, events: RemoteRegistryEvents, nowMs: () => number, open: OpenSource = openKubeSource) {
    this.cluster = claim.cluster;
    this.#claim = claim;
    this.#events = events;
    this.#nowMs = nowMs;
    this.#open = open;
    this.use(claim);
  }

  get claim(): Claim {
    return this.#claim;
  }

  /** Where it is, by the newest kubeconfig. */
  get server(): string {
    return (this.#next ?? this.#live)?.config.server ?? '';
  }

  get state(): RegistryState {
    if (this.#inForce === undefined) return 'none';
    return this.#live !== undefined && this.#live.problem === undefined ? 'synced' : 'stale';
  }

  /** What stands between what is in force and the cluster, or between the newest kubeconfig and its use. */
  get problem(): SourceProblem | undefined {
    return this.#next?.problem ?? this.#silence() ?? this.#live?.problem;
  }

  #silence(): SourceProblem | undefined {
    if (this.#next === undefined || this.#next.isListed) return undefined;
    const { server } = this.#next.config;
    if (this.#nowMs() - this.#next.startedAtMs < SILENT_MS) return undefined;
    // A time, and not its distance: what is said of it stays the same while it stands.
    const since = new Date(this.#next.startedAtMs).toISOString().replace(/\.\d+Z$/, 'Z');
    const message = `its API server at ${server} has not answered since ${since}`;
    const cure = `none needed if it is short: it is tried again; else see whether ${server} is overloaded, or cut off`;
    return { cluster: this.cluster, where: 'list', message, cure };
  }

  /** Milliseconds since the epoch; undefined when nothing is known of it. */
  get inStepAtMs(): number | undefined {
    return this.state === 'synced' ? this.#nowMs() : this.#heardAtMs;
  }

  get objects(): ReadonlyMap<string, KubeObject> | undefined {
    return this.#inForce;
  }

  /** To ask its API server; only while the cluster is part of the mesh. */
  get client(): KubeClient | undefined {
    return this.#inForce === undefined ? undefined : (this.#live ?? this.#next)?.client;
  }

  /** Which cluster the newest complete listing is of: the same API server has one, whatever its address. */
  get listedUid(): string | undefined {
    return this.#next?.isListed ? uidOf(this.#next.objects) : undefined;
  }

  get uid(): string | undefined {
    return this.#inForce && uidOf(this.#inForce);
  }

  get isListed(): boolean {
    return this.#next?.isListed === true;
  }

  /** A claim to the same name: another connection, if the kubeconfig is another; the one before goes on meanwhile. */
  use(claim: Claim): void {
    const isSame = claim.text === this.#claim.text && (this.#next ?? this.#live) !== undefined;
    this.#claim = claim;
    if (isSame || claim.config === undefined) return;
    this.#next?.ending.abort();
    this.#next = this.#connect(claim.config);
  }

  /**
   * What is to be published so that the newest listing is in force: first what comes, then what goes. The connection before
   * ends.
   */
  takeOver(): SourceEvent[] {
    const next = this.#next;
    if (next === undefined || !next.isListed) return [];
    this.#live?.ending.abort();
    this.#live = next;
    this.#next = undefined;
    return this.#replace(next.objects);
  }

  /** The same for objects that were known at `atMs`. */
  recall(objects: readonly KubeObject[], atMs: number): SourceEvent[] {
    this.#heardAtMs = atMs;
    return this.#replace(new Map(objects.map((object) => [identityKey(object), object])));
  }

  /** What is to be published so that nothing of the cluster is in force. The connection goes on, and may take over again. */
  withdraw(): SourceEvent[] {
    const gone = this.#inForce;
    this.#inForce = undefined;
    this.revision++;
    this.#next ??= this.#live;
    if (this.#next !== this.#live) this.#live?.ending.abort();
    this.#live = undefined;
    return deletionsOf(this.cluster, gone?.values() ?? []);
  }

  close(): void {
    this.#live?.ending.abort();
    this.#next?.ending.abort();
  }

  #replace(objects: Map<string, KubeObject>): SourceEvent[] {
    const before = this.#inForce ?? new Map<string, KubeObject>();
    const { cluster } = this;
    this.#inForce = objects;
    this.revision++;
    const come = [...objects]
      .filter(([key, object]) => !isSameVersion(before.get(key), object) && !isClusterLocal(object))
      .map(([, object]) => ({ kind: 'upsert' as const, cluster, object }));
    const go = deletionsOf(
      cluster,
      [...before].filter(([key]) => !objects.has(key)).map(([, object]) => object),
    );
    return [...come, ...go];
  }

  #connect(config: ClientConfig): Connection {
    const client = new KubeClient(config);
    const ending = new AbortController();
    const connection: Connection = {
      config,
      client,
      ending,
      objects: new Map(),
      startedAtMs: this.#nowMs(),
      isListed: false,
      problem: undefined,
    };
    const source = this.#open(this.cluster, client, config);
    const listener = {
      events: (batch: readonly SourceEvent[]) => this.#take(connection, batch),
      problems: ([first]: readonly SourceProblem[]) => this.#setProblem(connection, first),
    };
    void source.run(listener, ending.signal).finally(() => client.close());
    return connection;
  }

  #take(connection: Connection, batch: readonly SourceEvent[]): void {
    let isFirst = false;
    for (const event of batch) {
      if (event.kind === 'upsert') connection.objects.set(identityKey(event.object), event.object);
      else if (event.kind === 'delete') connection.objects.delete(identityKey(event.object));
      else {
        connection.isListed = true;
        isFirst = true;
      }
    }
    if (connection === this.#live) {
      this.revision++;
      const told = batch.filter((event) => event.kind !== 'synced' && !isClusterLocal(event.object as KubeObject));
      if (told.length > 0) this.#events.publish(told);
    } else if (connection === this.#next && isFirst) this.#events.listed();
  }

  #setProblem(connection: Connection, problem: SourceProblem | undefined): void {
    if (connection === this.#live && connection.problem === undefined && problem !== undefined)
      this.#heardAtMs = this.#nowMs();
    connection.problem = problem;
    if (connection === this.#live || connection === this.#next) this.#events.changed();
  }
}

function openKubeSource(cluster: string, client: KubeClient, config: ClientConfig): Source {
  return new KubeSource(cluster, client, remoteResources(), (error) => cureFor(error, config));
}

function deletionsOf(cluster: string, objects: Iterable<KubeObject>): SourceEvent[] {
  return [...objects]
    .filter((object) => !isClusterLocal(object))
    .map(({ apiVersion, kind, metadata }) => {
      const { name, namespace } = metadata;
      return { kind: 'delete', cluster, object: { apiVersion, kind, metadata: { name, namespace } } } as SourceEvent;
    });
}

function isSameVersion(a: KubeObject | undefined, b: KubeObject): boolean {
  return (
    a !== undefined &&
    a.metadata.uid === b.metadata.uid &&
    a.metadata.resourceVersion !== undefined &&
    a.metadata.resourceVersion === b.metadata.resourceVersion
  );
}

function uidOf(objects: ReadonlyMap<string, KubeObject>): string | undefined {
  return objects.get('/Service/default/kubernetes')?.metadata.uid;
}

/** Service default/kubernetes is made once in a cluster's life, and whoever may list services sees it. */
export function clusterUidOf({ kind, metadata }: KubeObject): string | undefined {
  return kind === 'Service' && metadata.namespace === 'default' && metadata.name === 'kubernetes'
    ? metadata.uid
    : undefined;
}

const REMAKE = 'make the kubeconfig anew from the cluster’s account istio-multi, and replace the secret';

function cureFor(error: Error, { server }: ClientConfig): string {
  if (error instanceof KubeError) {
    if (error.code === 401) return `its API server does not know the token (any more): ${REMAKE}`;
    if (error.code === 403)
      return 'its account may not: let it list and watch services, pods and endpointslices (as ClusterRole istio-multi does)';
    return 'none needed if it is short: it is tried again';
  }
  return cureForSilence(error, server, REMAKE);
}
