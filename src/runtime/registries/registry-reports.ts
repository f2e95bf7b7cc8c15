// SPDX-License-Identifier: Apache-2.0
// What is said of the other clusters: in the log when something changes and again while it stands, and as Events.
import type { Logger } from 'pino';
import type { SecretTrouble } from '../health/plane-events.ts';
import type { RefusedKey } from './claims.ts';

export interface RegistryStatus {
  readonly cluster: string;
  readonly secret: string;
  readonly secretUid: string;
  readonly server: string;
  /** `none`: nothing of it is in the mesh yet. `leaving`: its secret is gone. `duplicate`: in the mesh by another name. */
  readonly state: 'none' | 'synced' | 'stale' | 'leaving' | 'duplicate';
  readonly duplicateOf?: string;
  /** For how long what is in force has not been known to be true; absent when nothing is. */
  readonly ageSeconds?: number;
  /** When what is in force was known to be true, where it may be so no more: ISO 8601. */
  readonly knownAt?: string;
  readonly services: number;
  readonly pods: number;
  readonly endpointSlices: number;
  readonly problem?: string;
  readonly cure?: string;
}

export interface RegistryTrouble {
  readonly kind: SecretTrouble;
  readonly message: string;
  /** Tells troubles of one kind apart. */
  readonly about: string;
  readonly secret: { readonly name: string; readonly uid: string };
}

export interface RegistryReportsOptions {
  readonly log: Logger;
  /** Called again and again while it stands. */
  readonly trouble: (trouble: RegistryTrouble) => void;
  readonly nowMs: () => number;
}

const REMIND_MS = 5 * 60_000;
/** Another cause of the same trouble is logged at once, but two that take turns not each time. */
const CHANGED_MS = 10_000;

export class RegistryReports {
  readonly #options: RegistryReportsOptions;
  /** What stands -> when it was logged. */
  readonly #logged = new Map<string, { atMs: number; sinceMs: number; message: string }>();

  constructor(options: RegistryReportsOptions) {
    this.#options = options;
  }

  take(registries: readonly RegistryStatus[], refused: readonly RefusedKey[]): void {
    const { log } = this.#options;
    const standing = new Set<string>();
    for (const each of registries) {
      const said = describeTrouble(each);
      if (said === undefined) continue;
      const { cluster, secret, secretUid: uid } = each;
      const key = `${said.kind} ${cluster}`;
      standing.add(key);
      this.#say(
        key,
        { kind: said.kind, message: `${said.message}; ${said.cure}`, about: cluster, secret: { name: secret, uid } },
        () =>
          log.error(
            {
              cluster,
              secret,
              cure: said.cure,
              ...(each.ageSeconds === undefined ? {} : { ageSeconds: each.ageSeconds }),
            },
            said.message,
          ),
      );
    }
    for (const { trouble, secret, secretUid: uid, key: dataKey, message, cure } of refused) {
      const key = `${trouble} ${secret} ${dataKey} ${message}`;
      standing.add(key);
      const told = {
        kind: trouble,
        message: `${message}; ${cure}`,
        about: `${secret} ${dataKey}`,
        secret: { name: secret, uid },
      };
      this.#say(key, told, () => log.error({ secret, key: dataKey, cure }, message));
    }
    for (const [key, { sinceMs }] of this.#logged) {
      if (standing.has(key)) continue;
      this.#logged.delete(key);
      const seconds = Math.round((this.#options.nowMs() - sinceMs) / 1000);
      log.info({ what: key, seconds }, 'this trouble with another cluster is over');
    }
  }

  #say(key: string, trouble: RegistryTrouble, log: () => void): void {
    const nowMs = this.#options.nowMs();
    const before = this.#logged.get(key);
    const { message } = trouble;
    const waitMs = before === undefined ? 0 : before.message === message ? REMIND_MS : CHANGED_MS;
    if (before === undefined || nowMs - before.atMs >= waitMs) {
      this.#logged.set(key, { atMs: nowMs, sinceMs: before?.sinceMs ?? nowMs, message });
      log();
    }
    this.#options.trouble(trouble);
  }
}

function describeTrouble(
  status: RegistryStatus,
): { kind: RegistryTrouble['kind']; message: string; cure: string } | undefined {
  const { cluster, secret, duplicateOf, problem, cure = '', state, knownAt = 'an unknown time' } = status;
  const who = `cluster ${cluster} (secret ${secret})`;
  if (duplicateOf !== undefined) {
    return {
      kind: 'ClusterName',
      message: `${who} is the same cluster as ${duplicateOf}, which is in the mesh already: it is not taken in twice`,
      cure:
        'remove one of the two keys, or put the kubeconfig of another cluster there (of two clusters made from one disk ' +
        'image, delete Service default/kubernetes in one: it comes back with an identity of its own)',
    };
  }
  if (problem === undefined) return undefined;
  const counts = `${status.services} services, ${status.pods} pods`;
  const force =
    state === 'none'
      ? 'nothing of it is in the mesh yet'
      : state === 'leaving'
        ? 'its secret is gone, and it leaves the mesh'
        : state === 'synced'
          ? 'the kubeconfig before this one is still in use'
          : `what was known of it at ${knownAt} stays in force (${counts})`;
  return { kind: 'RemoteCluster', message: `${who} cannot be watched: ${problem}; ${force}`, cure };
}
