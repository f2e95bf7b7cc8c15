// SPDX-License-Identifier: Apache-2.0
// One `mesh up` or `mesh down` at a time: a Lease in each cluster, with who holds it. All times are those of that cluster's
// API server, so that two machines' clocks are never compared.
import { randomUUID } from 'node:crypto';
import { hostname, userInfo } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { type KubeClient, KubeError } from '../../kube/client.ts';
import { LEASES } from '../../kube/resources.ts';
import type { KubeObject } from '../../kube/types.ts';
import { UserError } from '../user-error.ts';
import { MESH_LABEL } from './record.ts';

/** What of a cluster's API a lock needs. */
export type LeaseClient = Pick<KubeClient, 'get' | 'create' | 'replace' | 'patch' | 'delete' | 'clock'>;

/** There in every cluster, before the mesh and after it. */
const LOCK_NAMESPACE = 'kube-system';
export const LOCK = 'isthmus-mesh';
const DURATION_MS = 30_000;
const RENEW_MS = 8_000;
const COMMAND = 'isthmus.io/command';
const HOST = 'isthmus.io/host';
const PID = 'isthmus.io/pid';

export interface Holder {
  /** `alice@laptop` */
  readonly who: string;
  readonly host: string;
  readonly pid: number;
  readonly command: string;
  /** Tells this run from every other. */
  readonly id: string;
}

export interface Lock {
  /** Aborts when somebody else has it, or it could not be renewed for as long as it lasts. */
  readonly signal: AbortSignal;
  /** Whose it was, if that run had ended without giving it back. */
  readonly takenOverFrom: string | undefined;
  release(): Promise<void>;
}

interface LeaseObject extends KubeObject {
  spec?: { holderIdentity?: string; leaseDurationSeconds?: number; acquireTime?: string; renewTime?: string };
}

function thisHolder(command: string): Holder {
  let user = 'somebody';
  try {
    user = userInfo().username;
  } catch {
    // A container's user without a name.
  }
  return { who: `${user}@${hostname()}`, host: hostname(), pid: process.pid, command, id: randomUUID() };
}

export interface Locks {
  /** By the cluster's name. */
  readonly held: ReadonlyMap<string, Lock>;
  /** Clusters that stopped answering, say. */
  readonly failed: ReadonlyMap<string, Error>;
}

/**
 * None where somebody has one of them; in one order, so that of two runs at once one gets all of them.
 * @throws UserError naming who has one, and since when
 */
export async function lockAll(
  members: readonly { readonly name: string; readonly client: LeaseClient }[],
  mesh: string,
  command: string,
): Promise<Locks> {
  const held = new Map<string, Lock>();
  const failed = new Map<string, Error>();
  const holder = thisHolder(command);
  for (const { name, client } of [...members].sort((a, b) => (a.name < b.name ? -1 : 1))) {
    try {
      const lock = await acquireLock(name, client, mesh, holder);
      held.set(name, lock);
      if (lock.takenOverFrom === undefined) continue;
      process.stderr.write(`  ! ${name}: took over from ${lock.takenOverFrom}, whose run has ended in the middle\n`);
    } catch (error) {
      if (error instanceof UserError) {
        await releaseAll({ held });
        throw error;
      }
      failed.set(name, error as Error);
    }
  }
  return { held, failed };
}

/** Where one cannot be given back, it ends by itself. */
export async function releaseAll({ held }: Pick<Locks, 'held'>): Promise<void> {
  await Promise.all([...held.values()].map((lock) => lock.release().catch(() => {})));
}

/** @throws UserError naming who has it, and since when */
async function acquireLock(cluster: string, client: LeaseClient, mesh: string, holder: Holder): Promise<Lock> {
  for (let attempt = 0; ; attempt++) {
    const nowMs = (await client.clock()) ?? Date.now();
    const live = await client.get<LeaseObject>(LEASES, LOCK, LOCK_NAMESPACE);
    if (live !== undefined) demandFree(cluster, live, holder, nowMs);
    const wanted = buildLease(mesh, holder, nowMs, live?.metadata.resourceVersion);
    try {
      const lease = live === undefined ? await client.create(LEASES, wanted) : await client.replace(LEASES, wanted);
      return keep(cluster, client, lease, holder, live && describeHolder(live));
    } catch (error) {
      const isRace = error instanceof KubeError && (error.code === 409 || error.code === 404);
      // Somebody was faster: who, the next look says.
      if (!isRace || attempt > 3) throw error;
    }
  }
}

function demandFree(cluster: string, live: LeaseObject, own: Holder, nowMs: number): void {
  const { acquireTime, renewTime, leaseDurationSeconds = DURATION_MS / 1000 } = live.spec ?? {};
  const { [COMMAND]: command = 'a command', [HOST]: host, [PID]: pid } = live.metadata.annotations ?? {};
  const silentMs = nowMs - Date.parse(renewTime ?? '');
  // NaN: no time at all, so nobody renews it.
  if (!(silentMs < leaseDurationSeconds * 1000)) return;
  if (host === own.host && hasEnded(Number(pid))) return;
  const since = Math.max(0, Math.round((nowMs - Date.parse(acquireTime ?? renewTime ?? '')) / 1000));
  throw new UserError(
    `cluster ${cluster} is being changed by ${describeHolder(live)} (${command}), for ${since} s, last heard of ` +
      `${Math.max(0, Math.round(silentMs / 1000))} s ago: wait until that has ended; one that was killed is taken over ` +
      `${leaseDurationSeconds} s after it was last heard of`,
  );
}

/** On this machine nobody has to wait for a run that was killed. */
function hasEnded(pid: number): boolean {
  if (!Number.isInteger(pid) || pid <= 0 || pid === process.pid) return false;
  try {
    process.kill(pid, 0);
    return false;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ESRCH';
  }
}

function describeHolder(live: LeaseObject): string {
  return (live.spec?.holderIdentity ?? '').split(' ')[0] || 'somebody';
}

function buildLease(
  mesh: string,
  { who, host, pid, command, id }: Holder,
  nowMs: number,
  resourceVersion: string | undefined,
): KubeObject {
  const time = microTime(nowMs);
  return {
    apiVersion: 'coordination.k8s.io/v1',
    kind: 'Lease',
    metadata: {
      name: LOCK,
      namespace: LOCK_NAMESPACE,
      labels: { [MESH_LABEL]: mesh },
      annotations: { [COMMAND]: command, [HOST]: host, [PID]: String(pid) },
      ...(resourceVersion !== undefined && { resourceVersion }),
    },
    spec: {
      holderIdentity: `${who} ${id}`,
      leaseDurationSeconds: DURATION_MS / 1000,
      acquireTime: time,
      renewTime: time,
    },
  };
}

function microTime(ms: number): string {
  return new Date(ms).toISOString().replace('Z', '000Z');
}

function keep(
  cluster: string,
  client: LeaseClient,
  lease: KubeObject,
  holder: Holder,
  takenOverFrom: string | undefined,
): Lock {
  const lost = new AbortController();
  const ending = new AbortController();
  let version = lease.metadata.resourceVersion;
  let renewedAtMs = performance.now();
  const renewing = (async () => {
    while (!ending.signal.aborted && !lost.signal.aborted) {
      await sleep(RENEW_MS, undefined, { signal: ending.signal, ref: false }).catch(() => {});
      if (ending.signal.aborted) return;
      try {
        const nowMs = (await client.clock()) ?? Date.now();
        const patch = { metadata: { resourceVersion: version }, spec: { renewTime: microTime(nowMs) } };
        version = (await client.patch(LEASES, LOCK, LOCK_NAMESPACE, patch)).metadata.resourceVersion;
        renewedAtMs = performance.now();
      } catch (error) {
        const isTaken = error instanceof KubeError && (error.code === 409 || error.code === 404);
        if (!isTaken && performance.now() - renewedAtMs < DURATION_MS - RENEW_MS) continue;
        const why = isTaken ? 'somebody else has taken it over' : (error as Error).message;
        lost.abort(new UserError(`cluster ${cluster}: the lock was lost: ${why}; run the same command again`));
      }
    }
  })();
  return {
    signal: lost.signal,
    takenOverFrom,
    release: async () => {
      ending.abort();
      await renewing;
      if (lost.signal.aborted) return;
      const live = await client.get<LeaseObject>(LEASES, LOCK, LOCK_NAMESPACE);
      if (!live?.spec?.holderIdentity?.endsWith(holder.id)) return;
      await client.delete(
        LEASES,
        LOCK,
        LOCK_NAMESPACE,
        live.metadata.uid === undefined ? {} : { uid: live.metadata.uid },
      );
    },
  };
}
