// SPDX-License-Identifier: Apache-2.0
// Do the clusters that are watched have the root of this one, and are we still let in? Where not, everything seems well for
// a while: watches that are open go on, and only calls between the clusters fail, or new proxies.
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import { describeDifferentRoots, rootFingerprints, trustEachOther } from '../../identity/root-fingerprints.ts';
import { type KubeClient, KubeError } from '../../kube/client.ts';
import { readDistributedRoots } from '../cluster/root-cert-distributor.ts';
import type { RegistryTrouble } from './registry-reports.ts';

export interface FollowedCluster {
  readonly cluster: string;
  readonly client: Pick<KubeClient, 'get'>;
  readonly secret: RegistryTrouble['secret'];
}

export interface FollowedRootsOptions {
  readonly own: string;
  readonly ownRootPem: () => string;
  /** Those that can be reached now. */
  readonly clusters: () => readonly FollowedCluster[];
  /** Called again and again while it stands. */
  readonly trouble: (trouble: RegistryTrouble) => void;
  readonly log: Logger;
  readonly everyMs?: number;
}

const EVERY_MS = 10_000;

/** Until `signal` aborts. Never rejects. */
export async function followRoots(options: FollowedRootsOptions, signal: AbortSignal): Promise<void> {
  const { own, ownRootPem, clusters, trouble, log, everyMs = EVERY_MS } = options;
  const logged = new Map<string, string>();
  while (!signal.aborted) {
    const ours = rootFingerprints(ownRootPem()) ?? [];
    await Promise.all(
      clusters().map(async ({ cluster, client, secret }) => {
        const theirs = await readFingerprints(client);
        if (theirs === 'unauthorized') {
          trouble({ kind: 'RemoteCluster', message: describeRefusal(cluster, secret.name), about: cluster, secret });
          return;
        }
        if (theirs === undefined || trustEachOther(ours, theirs)) return void logged.delete(cluster);
        const message = describeDifferentRoots([cluster, theirs], [own, ours]);
        if (logged.get(cluster) !== message) log.error({ cluster, secret: secret.name }, message);
        logged.set(cluster, message);
        trouble({ kind: 'ClusterRoots', message, about: cluster, secret });
      }),
    );
    await sleep(everyMs, undefined, { signal, ref: false }).catch(() => {});
  }
}

/** undefined where there is none, or where we may not read it: an account of an older installation. */
async function readFingerprints(
  client: FollowedCluster['client'],
): Promise<readonly string[] | 'unauthorized' | undefined> {
  try {
    const pem = await readDistributedRoots(client);
    return pem === undefined ? undefined : rootFingerprints(pem);
  } catch (error) {
    return error instanceof KubeError && error.code === 401 ? 'unauthorized' : undefined;
  }
}

/** Watches that are open outlive their token: what has changed is seen all the same, until they end. */
function describeRefusal(cluster: string, secret: string): string {
  return (
    `cluster ${cluster} (secret ${secret}): its API server takes the credentials no more; what is watched is still ` +
    'seen, but no proxy of it is let in, and the next connection fails'
  );
}
