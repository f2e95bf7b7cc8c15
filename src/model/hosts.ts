// SPDX-License-Identifier: Apache-2.0
import { covers, type Hostname, hostname } from '../api/names.ts';
import type { MeshService } from './snapshot.ts';

/**
 * A rule's host in full. A name without a dot is a Kubernetes service of the rule's own namespace; every other name is
 * taken as written, so `reviews.other` is no short form of anything (as in Istio).
 */
export function qualifyHost(host: string, namespace: string, dnsDomain: string): Hostname {
  const bare = !host.includes('.') && host !== '*';
  return hostname(bare ? `${host}.${namespace}.svc.${dnsDomain}` : host);
}

/** Under `global` a service of another cluster has its name: NAME.NAMESPACE.global. */
const REMOTE_NAME = /^[^.]+\.[^.]+\.global$/;

export function isRemote(service: MeshService): boolean {
  return service.registry === 'service-entry' && service.meshInternal && REMOTE_NAME.test(service.hostname);
}

/** Longer is more specific, and a name without a wildcard more than any with one. */
export function compareHosts(a: string, b: string): number {
  const wild = Number(a.startsWith('*')) - Number(b.startsWith('*'));
  return wild || b.length - a.length || (a < b ? -1 : a > b ? 1 : 0);
}

/** May a client in `client` see an object that `owner` exports so? */
export function isExported(exportTo: readonly string[], owner: string, client: string): boolean {
  return exportTo.some((scope) => scope === '*' || (scope === '.' && owner === client) || scope === client);
}

/** Values by host pattern, so that a host finds its own without asking all of them. */
export interface HostTable<T> {
  /** May hold wildcards too, which `lookUpHost` does not look for there. */
  readonly exact: ReadonlyMap<string, readonly T[]>;
  /** The longest first. */
  readonly wildcards: readonly { readonly pattern: string; readonly values: readonly T[] }[];
}

/** Values of one pattern keep their order. */
export function hostTable<T>(entries: readonly (readonly [pattern: string, value: T])[]): HostTable<T> {
  const byPattern = Map.groupBy(entries, ([pattern]) => pattern);
  const exact = new Map<string, T[]>();
  const wildcards: { pattern: string; values: T[] }[] = [];
  for (const [pattern, group] of byPattern) {
    const values = group.map(([, value]) => value);
    if (pattern.startsWith('*')) wildcards.push({ pattern, values });
    else exact.set(pattern, values);
  }
  return { exact, wildcards: wildcards.sort((a, b) => compareHosts(a.pattern, b.pattern)) };
}

/** All values whose pattern covers the host, the most specific pattern first. */
export function lookUpHost<T>(table: HostTable<T>, host: string): readonly T[] {
  const exact = host.startsWith('*') ? undefined : table.exact.get(host);
  const wide = table.wildcards.filter(({ pattern }) => covers(pattern, host)).flatMap(({ values }) => values);
  return exact === undefined ? wide : wide.length === 0 ? exact : [...exact, ...wide];
}
