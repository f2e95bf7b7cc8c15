// SPDX-License-Identifier: Apache-2.0
import type { KubeClient } from '../kube/client.ts';
import type { KubeObject, ResourceType } from '../kube/types.ts';
import { watchResource } from '../kube/watch.ts';
import type { Source, SourceEvent, SourceListener, SourceProblem } from './contract.ts';

/** One resource to watch, narrowed where only a part of it matters. */
export interface WatchedResource {
  readonly type: ResourceType;
  readonly namespace?: string;
  readonly fieldSelector?: string;
  readonly labelSelector?: string;
  /** What to keep of each object; all of it by default. Keeps metadata's identity fields. */
  readonly keep?: (object: KubeObject) => KubeObject;
  /** The rest is in sync without it where nobody may read it, or the server does not have it. */
  readonly optional?: boolean;
}

/** The Kubernetes API of one cluster. `synced` comes when every resource has been listed in full once. */
export class KubeSource implements Source {
  readonly cluster: string;
  private readonly client: KubeClient;
  private readonly resources: readonly WatchedResource[];
  private readonly cureFor: (error: Error) => string;

  constructor(
    cluster: string,
    client: KubeClient,
    resources: readonly WatchedResource[],
    cureFor: (error: Error) => string = cureForOwn,
  ) {
    this.cluster = cluster;
    this.client = client;
    this.resources = resources;
    this.cureFor = cureFor;
  }

  async run(listener: SourceListener, signal: AbortSignal): Promise<void> {
    const { cluster } = this;
    const batch = new EventBatch(listener, signal);
    const problems = new Map<string, SourceProblem>();
    const unsynced = new Set(this.resources);
    const settle = (where: string): void => {
      if (problems.delete(where) && !signal.aborted) listener.problems([...problems.values()]);
    };
    const arrived = (resource: WatchedResource): void => {
      if (unsynced.delete(resource) && unsynced.size === 0) batch.add({ kind: 'synced', cluster });
    };
    await Promise.all(
      this.resources.map((resource) => {
        const { type, namespace, fieldSelector, labelSelector, keep, optional } = resource;
        const where = `${type.group === '' ? '' : `${type.group}/`}${type.version} ${type.resource}`;
        return watchResource<KubeObject>(
          this.client,
          type,
          {
            signal,
            ...(namespace === undefined ? {} : { namespace }),
            ...(fieldSelector === undefined ? {} : { fieldSelector }),
            ...(labelSelector === undefined ? {} : { labelSelector }),
            ...(keep === undefined ? {} : { keep }),
          },
          {
            upsert: (object) => batch.add({ kind: 'upsert', cluster, object: withType(object, type) }),
            delete: (object) => batch.add({ kind: 'delete', cluster, object: withType(object, type) }),
            synced: () => {
              settle(where);
              arrived(resource);
            },
            resumed: () => settle(where),
            error: (error) => {
              if (signal.aborted) return;
              if (optional === true && isOutOfReach(error)) {
                arrived(resource);
                return;
              }
              problems.set(where, { cluster, where, message: error.message, cure: this.cureFor(error) });
              listener.problems([...problems.values()]);
            },
          },
        );
      }),
    );
  }
}

/** It may not be read, or its definition is not there (yet). */
function isOutOfReach({ code }: Error & { code?: unknown }): boolean {
  return code === 403 || code === 404;
}

/** Items of a list carry no apiVersion and kind of their own. */
function withType(object: KubeObject, type: ResourceType): KubeObject {
  if (object.apiVersion !== undefined && object.kind !== undefined) return object;
  return { ...object, apiVersion: type.group === '' ? type.version : `${type.group}/${type.version}`, kind: type.kind };
}

function cureForOwn(error: Error & { code?: unknown }): string {
  if (error.code === 403) return 'grant the control plane get, list and watch on it (`isthmus install` does)';
  if (error.code === 404) return 'install the CustomResourceDefinitions (`isthmus install` does)';
  return 'none needed if it is short: the last known state is kept and the watch is tried again';
}

/** Gathers what arrives within one turn of the event loop, so that a list of a thousand is one change. */
class EventBatch {
  private readonly listener: SourceListener;
  private readonly signal: AbortSignal;
  private pending: SourceEvent[] = [];

  constructor(listener: SourceListener, signal: AbortSignal) {
    this.listener = listener;
    this.signal = signal;
  }

  add(event: SourceEvent): void {
    this.pending.push(event);
    if (this.pending.length > 1) return;
    setImmediate(() => {
      const events = this.pending;
      this.pending = [];
      if (!this.signal.aborted) this.listener.events(events);
    });
  }
}
