// SPDX-License-Identifier: Apache-2.0
import { isDeepStrictEqual } from 'node:util';
import type { KubeObject } from '../kube/types.ts';
import { identityKey, type ObjectIdentity, type Source, type SourceListener } from './contract.ts';

/** Objects held by the program itself: for tests, benchmarks and objects that the mesh derives. */
export class MemorySource implements Source {
  readonly cluster: string;
  private readonly objects = new Map<string, KubeObject>();
  private listener: SourceListener | undefined;

  constructor(cluster: string, initial: readonly KubeObject[] = []) {
    this.cluster = cluster;
    for (const object of initial) this.objects.set(identityKey(object), object);
  }

  async run(listener: SourceListener, signal: AbortSignal): Promise<void> {
    if (signal.aborted) return;
    const { cluster } = this;
    this.listener = listener;
    listener.events([
      ...[...this.objects.values()].map((object) => ({ kind: 'upsert' as const, cluster, object })),
      { kind: 'synced', cluster },
    ]);
    await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
    this.listener = undefined;
  }

  upsert(...objects: readonly KubeObject[]): void {
    const changed = objects.filter((object) => !isDeepStrictEqual(this.objects.get(identityKey(object)), object));
    for (const object of changed) this.objects.set(identityKey(object), object);
    if (changed.length === 0) return;
    this.listener?.events(changed.map((object) => ({ kind: 'upsert', cluster: this.cluster, object })));
  }

  delete(object: ObjectIdentity): void {
    if (!this.objects.delete(identityKey(object))) return;
    this.listener?.events([{ kind: 'delete', cluster: this.cluster, object }]);
  }
}
