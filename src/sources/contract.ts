// SPDX-License-Identifier: Apache-2.0
// What every source of mesh objects promises. contract.test.ts holds each of them to it.
import type { KubeObject } from '../kube/types.ts';

/** Enough of an object to know which one it was. */
export type ObjectIdentity = Pick<KubeObject, 'apiVersion' | 'kind' | 'metadata'>;

export type SourceEvent =
  | {
      readonly kind: 'upsert';
      readonly cluster: string;
      readonly object: KubeObject;
      /** 1-based line of a field (`spec.http[0].route`) in the text that the object came from. */
      readonly locate?: (field: string) => number | undefined;
    }
  | { readonly kind: 'delete'; readonly cluster: string; readonly object: ObjectIdentity }
  | { readonly kind: 'synced'; readonly cluster: string };

/** Something wrong with where the objects come from (an unreadable file, an API server that is away), never with what they say. */
export interface SourceProblem {
  readonly cluster: string;
  /** A file and line (`mesh.yaml:12`), or a resource (`networking.istio.io/v1 gateways`). */
  readonly where: string;
  readonly message: string;
  readonly cure: string;
}

export interface SourceListener {
  /** Batches keep together what became known together; the order inside a batch is the order of events. */
  events(batch: readonly SourceEvent[]): void;
  /** All problems that stand now; an empty list says that all is well again. */
  problems(standing: readonly SourceProblem[]): void;
}

/**
 * A source tells all it has, then `synced` once, then every change, until `signal` aborts; then it is silent.
 * - Every event carries the source's cluster.
 * - An object that did not change is not told again; a changed one is told once per change.
 * - What vanishes is told as `delete`, also when it vanished while nobody could look.
 * - A broken neighbour never takes a good object down: the last good state of what is broken stays.
 */
export interface Source {
  readonly cluster: string;
  run(listener: SourceListener, signal: AbortSignal): Promise<void>;
}

/** Names an object within its cluster; the version is left out, since one object is served in several. */
export function identityKey(object: ObjectIdentity): string {
  const group = object.apiVersion.includes('/') ? object.apiVersion.slice(0, object.apiVersion.indexOf('/')) : '';
  return `${group}/${object.kind}/${object.metadata.namespace ?? ''}/${object.metadata.name ?? ''}`;
}
