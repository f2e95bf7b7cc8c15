// SPDX-License-Identifier: Apache-2.0
import { type Hostname, hostname } from '../api/names.ts';

/**
 * A rule's host in full. A name without a dot is a Kubernetes service of the rule's own namespace; every other name is
 * taken as written, so `reviews.other` is no short form of anything (as in Istio).
 */
export function qualifyHost(host: string, namespace: string, dnsDomain: string): Hostname {
  const bare = !host.includes('.') && host !== '*';
  return hostname(bare ? `${host}.${namespace}.svc.${dnsDomain}` : host);
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
