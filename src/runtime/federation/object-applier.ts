// SPDX-License-Identifier: Apache-2.0
// Makes the cluster have the objects that were derived, and no others of their kind: compares what is to be with what the
// watch says there is, and writes what differs. Never touches an object that is not ours.
import { isDeepStrictEqual } from 'node:util';
import type { ObjectNews } from '../../federation/own-exports.ts';
import { type KubeClient, KubeError } from '../../kube/client.ts';
import { objectName } from '../../kube/object-name.ts';
import type { KubeObject, ResourceType } from '../../kube/types.ts';

/** A condition before it has a time: https://github.com/kubernetes/community/blob/master/contributors/devel/sig-architecture/api-conventions.md#typical-status-properties */
export interface WantedCondition {
  readonly type: string;
  readonly status: 'True' | 'False' | 'Unknown';
  readonly reason: string;
  readonly message: string;
}

/** What is to be said in an object's status; members and conditions that are not named stay as others wrote them. */
export interface WantedStatus {
  readonly conditions?: readonly WantedCondition[];
  readonly members?: Readonly<Record<string, unknown>>;
}

export interface ObjectApplierOptions {
  readonly client: Pick<KubeClient, 'create' | 'replace' | 'delete' | 'patch'>;
  /** The kinds that it is about. */
  readonly types: readonly ResourceType[];
  /** May this object, which is there, be changed or removed? */
  readonly owns: (object: KubeObject) => boolean;
  /** Each attempt that failed, and what stands in the way of an object; undefined: it is done. */
  readonly told: (object: ObjectIdentity, error: Error | undefined) => void;
  readonly nowMs: () => number;
  readonly retryMs?: number;
  readonly parallel?: number;
}

export interface ObjectIdentity {
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
}

/** The name is taken by an object that somebody else made. */
export class NotOursError extends Error {}

const RETRY_MS = 1_000;
const MAX_RETRY_MS = 60_000;
const PARALLEL = 8;

export class ObjectApplier {
  readonly #options: ObjectApplierOptions;
  readonly #types: ReadonlyMap<string, ResourceType>;
  readonly #there = new Map<string, KubeObject>();
  readonly #wanted = new Map<string, KubeObject>();
  readonly #statuses = new Map<string, WantedStatus>();
  readonly #queue = new Set<string>();
  readonly #busy = new Set<string>();
  readonly #failures = new Map<string, { count: number; timer: NodeJS.Timeout }>();
  #isLeader = false;

  constructor(options: ObjectApplierOptions) {
    this.#options = options;
    this.#types = new Map(options.types.map((type) => [type.kind, type]));
  }

  /** What the watch tells; objects of other kinds are not looked at. */
  seen(news: ObjectNews): void {
    if (!this.#types.has(news.object.kind)) return;
    const key = objectName(news.object);
    if (news.kind === 'upsert') this.#there.set(key, news.object);
    else this.#there.delete(key);
    this.#enqueue(key);
  }

  /** The object is to be there, and so, until another word; without its status. */
  want(object: KubeObject): void {
    const key = objectName(object);
    if (isDeepStrictEqual(this.#wanted.get(key), object)) return;
    this.#wanted.set(key, object);
    this.#enqueue(key);
  }

  /** The object is not to be there, if it is ours. */
  unwant(object: Pick<KubeObject, 'kind' | 'metadata'>): void {
    const key = objectName(object);
    this.#wanted.delete(key);
    this.#enqueue(key);
  }

  /** undefined: nothing is to be said of it any more, and what was said stays. */
  wantStatus(object: Pick<KubeObject, 'kind' | 'metadata'>, status: WantedStatus | undefined): void {
    const key = objectName(object);
    if (isDeepStrictEqual(this.#statuses.get(key), status)) return;
    if (status === undefined) this.#statuses.delete(key);
    else this.#statuses.set(key, status);
    this.#enqueue(key);
  }

  /** Only then does it write. Everything that is to be must have been told before. */
  lead(isLeader: boolean): void {
    this.#isLeader = isLeader;
    for (const { timer } of this.#failures.values()) clearTimeout(timer);
    this.#failures.clear();
    this.#queue.clear();
    if (!isLeader) return;
    for (const key of [...this.#there.keys(), ...this.#wanted.keys(), ...this.#statuses.keys()]) this.#enqueue(key);
  }

  get isIdle(): boolean {
    return this.#queue.size === 0 && this.#busy.size === 0;
  }

  /** Objects that could not be written yet. */
  get failing(): number {
    return this.#failures.size;
  }

  #enqueue(key: string): void {
    if (!this.#isLeader) return;
    this.#queue.add(key);
    setImmediate(() => this.#work());
  }

  #work(): void {
    for (const key of this.#queue) {
      if (!this.#isLeader || this.#busy.size >= (this.#options.parallel ?? PARALLEL)) return;
      // One that is being written comes again when that is done.
      if (this.#busy.has(key)) continue;
      this.#queue.delete(key);
      const step = this.#stepOf(key);
      if (step === undefined) {
        this.#succeeded(key);
        continue;
      }
      this.#busy.add(key);
      void step()
        .then(
          () => this.#succeeded(key),
          (error: Error) => this.#failed(key, error),
        )
        .finally(() => {
          this.#busy.delete(key);
          this.#work();
        });
    }
  }

  /** The next thing to be done about an object; undefined when it is as it is to be. */
  #stepOf(key: string): (() => Promise<void>) | undefined {
    const wanted = this.#wanted.get(key);
    const there = this.#there.get(key);
    const { client, owns } = this.#options;
    const type = this.#types.get(key.slice(0, key.indexOf(' ')))!;
    if (wanted !== undefined && there === undefined) {
      return async () => this.#wrote(key, await client.create(type, wanted), wanted);
    }
    if (wanted !== undefined && there !== undefined && !owns(there)) {
      const { namespace, name } = there.metadata;
      const message = `${there.kind} ${namespace}/${name} is there, and was not made by the control plane: it stays as it is`;
      return () => Promise.reject(new NotOursError(message));
    }
    if (wanted === undefined && there !== undefined && owns(there)) {
      const { name = '', namespace, uid } = there.metadata;
      return async () => {
        await client.delete(type, name, namespace, uid === undefined ? {} : { uid });
        if (this.#there.get(key)?.metadata.uid === uid) this.#there.delete(key);
      };
    }
    if (there === undefined) return undefined;
    if (wanted !== undefined && !isAsWanted(there, wanted)) {
      return async () => this.#wrote(key, await client.replace(type, merged(there, wanted)), wanted);
    }
    return this.#statusStep(key, type, there);
  }

  #statusStep(key: string, type: ResourceType, there: KubeObject): (() => Promise<void>) | undefined {
    const wanted = this.#statuses.get(key);
    const status = wanted && nextStatus(there, wanted, this.#options.nowMs());
    if (status === undefined) return undefined;
    const { name = '', namespace, resourceVersion } = there.metadata;
    return async () => {
      const patch = { metadata: { resourceVersion }, status };
      this.#came(key, await this.#options.client.patch(type, name, namespace, patch, { subresource: 'status' }));
    };
  }

  /** What the API server changes on its way (defaults, pruning, a webhook) would be written for ever. @throws Error */
  #wrote(key: string, object: KubeObject, wanted: KubeObject): void {
    if (isAsWanted(object, wanted)) {
      this.#came(key, object);
      return;
    }
    this.#there.set(key, object);
    throw new Error(
      'the API server keeps something else than was written: is its CRD of another version, or a webhook at work?',
    );
  }

  /** The answer to a write is newer than what the watch has said so far, or as new. */
  #came(key: string, object: KubeObject): void {
    this.#there.set(key, object);
    this.#enqueue(key);
  }

  #succeeded(key: string): void {
    const failure = this.#failures.get(key);
    if (failure === undefined) return;
    clearTimeout(failure.timer);
    this.#failures.delete(key);
    this.#options.told(identityOf(key), undefined);
  }

  #failed(key: string, error: Error): void {
    // Somebody was faster: the watch brings what there is now, but perhaps it has done so already.
    const isRace = error instanceof KubeError && (error.code === 409 || error.code === 404);
    const count = (this.#failures.get(key)?.count ?? 0) + 1;
    clearTimeout(this.#failures.get(key)?.timer);
    const waitMs = Math.min((this.#options.retryMs ?? RETRY_MS) * 2 ** (count - 1), MAX_RETRY_MS);
    const timer = setTimeout(() => this.#enqueue(key), waitMs).unref();
    if (this.#isLeader) this.#failures.set(key, { count, timer });
    else clearTimeout(timer);
    if (!isRace || count > 3) this.#options.told(identityOf(key), error);
  }
}

function identityOf(key: string): ObjectIdentity {
  const [kind = '', rest = ''] = key.split(' ');
  const [namespace = '', name = ''] = rest.split('/');
  return { kind, namespace, name };
}

/** Labels and annotations that others put there do not count; in the rest nothing may be beside what is wanted. */
function isAsWanted(there: KubeObject, wanted: KubeObject): boolean {
  return (
    isDeepStrictEqual(there['spec'], wanted['spec']) &&
    hasAll(there.metadata.labels, wanted.metadata.labels) &&
    hasAll(there.metadata.annotations, wanted.metadata.annotations)
  );
}

function hasAll(there: Readonly<Record<string, string>> = {}, wanted: Readonly<Record<string, string>> = {}): boolean {
  return Object.entries(wanted).every(([name, value]) => there[name] === value);
}

/** With the version that was compared: what somebody else writes meanwhile is not lost. */
function merged(there: KubeObject, wanted: KubeObject): KubeObject {
  const { labels, annotations } = wanted.metadata;
  return {
    ...there,
    apiVersion: wanted.apiVersion,
    kind: wanted.kind,
    metadata: {
      ...there.metadata,
      labels: { ...there.metadata.labels, ...labels },
      annotations: { ...there.metadata.annotations, ...annotations },
    },
    spec: wanted['spec'],
  };
}

interface StatusCondition extends WantedCondition {
  readonly lastTransitionTime?: string;
  readonly observedGeneration?: number;
}

/** undefined: it says so already. */
function nextStatus(there: KubeObject, wanted: WantedStatus, nowMs: number): Record<string, unknown> | undefined {
  const status = (there['status'] ?? {}) as { readonly conditions?: readonly StatusCondition[] };
  const { generation } = there.metadata;
  const before = Array.isArray(status.conditions) ? status.conditions : [];
  const conditions = wanted.conditions?.map((condition): StatusCondition => {
    const old = before.find(({ type }) => type === condition.type);
    const now = new Date(nowMs).toISOString().replace(/\.\d+Z$/, 'Z');
    const lastTransitionTime = old?.status === condition.status ? (old.lastTransitionTime ?? now) : now;
    return {
      ...condition,
      lastTransitionTime,
      ...(generation === undefined ? {} : { observedGeneration: generation }),
    };
  });
  const others = before.filter(({ type }) => !conditions?.some((each) => each.type === type));
  const next = { ...wanted.members, ...(conditions === undefined ? {} : { conditions: [...others, ...conditions] }) };
  const isSaid = Object.entries(next).every(([name, value]) =>
    name === 'conditions'
      ? sameConditions(before, value as StatusCondition[])
      : isDeepStrictEqual((status as Record<string, unknown>)[name], value),
  );
  return isSaid ? undefined : next;
}

/** In whatever order; a newer generation of the object by itself is no news. */
function sameConditions(a: readonly StatusCondition[], b: readonly StatusCondition[]): boolean {
  const plain = (all: readonly StatusCondition[]) =>
    all
      .map(({ type, status, reason, message }) => JSON.stringify([type, status, reason, message]))
      .sort()
      .join('\n');
  return plain(a) === plain(b);
}
