// SPDX-License-Identifier: Apache-2.0
import { spawnSync } from 'node:child_process';
import { hostname } from 'node:os';
import { expect, test } from 'vitest';
import { KubeError } from '../../kube/client.ts';
import type { KubeObject, ResourceType } from '../../kube/types.ts';
import { type LeaseClient, LOCK, lockAll, releaseAll } from './lock.ts';

/** One Lease, kept as an API server keeps it. */
class LeaseServer implements LeaseClient {
  lease: KubeObject | undefined;
  nowMs = Date.parse('2026-11-22T12:00:00Z');
  #version = 0;

  async clock(): Promise<number> {
    return this.nowMs;
  }

  async get<T extends KubeObject>(): Promise<T | undefined> {
    return structuredClone(this.lease) as T | undefined;
  }

  async create<T extends KubeObject>(_type: ResourceType, object: T): Promise<T> {
    if (this.lease !== undefined) throw new KubeError(409, 'AlreadyExists', 'it is there');
    return this.#store(object);
  }

  async replace<T extends KubeObject>(_type: ResourceType, object: T): Promise<T> {
    if (object.metadata.resourceVersion !== this.lease?.metadata.resourceVersion)
      throw new KubeError(409, 'Conflict', 'changed');
    return this.#store(object);
  }

  async patch<T extends KubeObject>(): Promise<T> {
    throw new KubeError(409, 'Conflict', 'changed');
  }

  async delete(): Promise<void> {
    this.lease = undefined;
  }

  #store<T extends KubeObject>(object: T): T {
    this.lease = { ...object, metadata: { ...object.metadata, uid: 'u', resourceVersion: String(++this.#version) } };
    return structuredClone(this.lease) as T;
  }
}

function held(server: LeaseServer, silentMs: number, host: string, pid: number): void {
  const at = new Date(server.nowMs - silentMs).toISOString();
  server.lease = {
    apiVersion: 'coordination.k8s.io/v1',
    kind: 'Lease',
    metadata: {
      ...{ name: LOCK, resourceVersion: '0', uid: 'u' },
      annotations: { 'isthmus.io/command': 'mesh up', 'isthmus.io/host': host, 'isthmus.io/pid': String(pid) },
    },
    spec: { holderIdentity: `bob@${host} 1`, leaseDurationSeconds: 30, acquireTime: at, renewTime: at },
  };
}

const members = (...servers: LeaseServer[]) => servers.map((client, i) => ({ name: `cluster${i + 1}`, client }));

test('is taken in every cluster, and leaves none behind', async () => {
  const servers = [new LeaseServer(), new LeaseServer()];
  const locks = await lockAll(members(...servers), 'shop', 'mesh up');
  expect(servers.map(({ lease }) => lease?.metadata.annotations?.['isthmus.io/command'])).toEqual([
    'mesh up',
    'mesh up',
  ]);
  await releaseAll(locks);
  expect(servers.map(({ lease }) => lease)).toEqual([undefined, undefined]);
});

test('that somebody has is told with who and since when, and the others are given back', async () => {
  const [free, taken] = [new LeaseServer(), new LeaseServer()];
  held(taken, 12_000, 'elsewhere', 1);
  const attempt = lockAll(members(free, taken), 'shop', 'mesh up');
  await expect(attempt).rejects.toThrow(
    'cluster cluster2 is being changed by bob@elsewhere (mesh up), for 12 s, last heard of 12 s ago: wait until that has ended',
  );
  expect(free.lease).toBeUndefined();
  expect(taken.lease?.spec).toMatchObject({ holderIdentity: 'bob@elsewhere 1' });
});

test('of a run that has ended without a word is taken over: at once on this machine, else after its time', async () => {
  const ended = spawnSync('true').pid;
  const cases = [
    { silentMs: 1_000, host: hostname(), pid: ended, isTaken: true },
    { silentMs: 1_000, host: hostname(), pid: process.ppid, isTaken: false },
    { silentMs: 29_000, host: 'elsewhere', pid: ended, isTaken: false },
    { silentMs: 31_000, host: 'elsewhere', pid: ended, isTaken: true },
  ];
  for (const { silentMs, host, pid, isTaken } of cases) {
    const server = new LeaseServer();
    held(server, silentMs, host, pid);
    const attempt = lockAll(members(server), 'shop', 'mesh up').then(async (locks) => {
      const [lock] = [...locks.held.values()];
      await releaseAll(locks);
      return lock?.takenOverFrom;
    });
    if (isTaken) expect(await attempt).toBe(`bob@${host}`);
    else await expect(attempt).rejects.toThrow('is being changed by bob@');
  }
});

test('of a cluster that does not answer is told for that cluster alone', async () => {
  const [silent, other] = [new LeaseServer(), new LeaseServer()];
  silent.clock = () => Promise.reject(new Error('connection refused'));
  const locks = await lockAll(members(silent, other), 'shop', 'mesh up');
  expect([...locks.held.keys()]).toEqual(['cluster2']);
  expect(locks.failed.get('cluster1')?.message).toBe('connection refused');
  await releaseAll(locks);
});

test('that somebody has taken over meanwhile is not given back in their place', async () => {
  const server = new LeaseServer();
  const locks = await lockAll(members(server), 'shop', 'mesh up');
  held(server, 0, 'elsewhere', 1);
  await releaseAll(locks);
  expect(server.lease?.spec).toMatchObject({ holderIdentity: 'bob@elsewhere 1' });
});
