// SPDX-License-Identifier: Apache-2.0
import pino from 'pino';
import { expect, test, vi } from 'vitest';
import { makeRoot } from '../../identity/ca-material.ts';
import { rootFingerprints } from '../../identity/root-fingerprints.ts';
import { KubeError } from '../../kube/client.ts';
import { type FollowedCluster, followRoots } from './followed-roots.ts';

const pem = (commonName: string) => makeRoot({ organization: 'test', commonName, days: 9, nowMs: Date.now() }).certPem;

test('clusters with another root are told with both fingerprints, again and again, until they have ours', async () => {
  const [ours, other] = [pem('ours'), pem('other')];
  const roots = new Map([
    ['same', ours],
    ['bundle', `${other}${ours}`],
    ['different', other],
  ]);
  const cluster = (name: string): FollowedCluster => ({
    cluster: name,
    secret: { name: `s-${name}`, uid: 'u' },
    client: {
      get: async () => {
        const found = roots.get(name);
        if (found === undefined) throw new Error('forbidden');
        return { data: { 'root-cert.pem': found } } as never;
      },
    },
  });
  const told: string[] = [];
  const end = new AbortController();
  const done = followRoots(
    {
      own: 'cluster1',
      ownRootPem: () => ours,
      clusters: () => ['same', 'bundle', 'different', 'unreadable'].map(cluster),
      trouble: ({ about, message, secret }) => told.push(`${about} ${secret.name} ${message}`),
      log: pino({ level: 'silent' }),
      everyMs: 2,
    },
    end.signal,
  );
  await vi.waitFor(() => expect(told.length).toBeGreaterThan(2), 10_000);
  expect(new Set(told).size).toBe(1);
  expect(told[0]).toMatch(/^different s-different different and cluster1 have different roots: /);
  for (const each of [ours, other]) expect(told[0]).toContain(rootFingerprints(each)![0]);
  roots.set('different', ours);
  await new Promise((resolve) => setTimeout(resolve, 20));
  const count = told.length;
  await new Promise((resolve) => setTimeout(resolve, 20));
  expect(told).toHaveLength(count);
  end.abort();
  await done;
});

test('credentials that were taken back are told before the watches notice', async () => {
  const told: string[] = [];
  const end = new AbortController();
  const get = async () => {
    throw new KubeError(401, 'Unauthorized', 'Unauthorized');
  };
  const done = followRoots(
    {
      own: 'cluster1',
      ownRootPem: () => pem('ours'),
      clusters: () => [{ cluster: 'n2', secret: { name: 's', uid: 'u' }, client: { get } }],
      trouble: ({ kind, message }) => told.push(`${kind} ${message}`),
      log: pino({ level: 'silent' }),
      everyMs: 2,
    },
    end.signal,
  );
  await vi.waitFor(
    () => expect(told[0]).toMatch(/^RemoteCluster cluster n2 \(secret s\): .*credentials no more/),
    10_000,
  );
  end.abort();
  await done;
});
