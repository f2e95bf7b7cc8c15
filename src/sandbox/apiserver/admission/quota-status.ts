// SPDX-License-Identifier: Apache-2.0
// Keeps status.hard and status.used of ResourceQuotas true. Elsewhere a controller counts what it can see from outside;
// here the counting stands beside the store that it counts, and is never more than a turn behind.
import { isDeepStrictEqual } from 'node:util';
import type { SecurityInputs } from '../seams.ts';
import { QUOTAS } from './quota.ts';
import { countedType, type ResourceQuota, usedOf } from './quota-usage.ts';

const MANAGER = 'kube-controller-manager';

/** Runs until `signal` aborts. */
export function startQuotaStatus({ objects, log, signal }: Pick<SecurityInputs, 'objects' | 'log' | 'signal'>): void {
  const pending = new Set<string>();
  const watched = new Map<string, () => void>();
  let scheduled = false;
  // In a later turn: a watcher is called inside the write that it hears of.
  const schedule = (namespace = '') => {
    pending.add(namespace);
    if (scheduled) return;
    scheduled = true;
    setImmediate(() => {
      scheduled = false;
      const namespaces = [...pending];
      pending.clear();
      if (signal.aborted) return;
      for (const one of namespaces) {
        for (const quota of objects.list(QUOTAS, one) as readonly ResourceQuota[]) settle(quota);
      }
    });
  };
  const settle = (quota: ResourceQuota) => {
    const { namespace = '', name = '' } = quota.metadata;
    const hard = quota.spec?.hard ?? {};
    const used = usedOf(quota, (type) => objects.list(type, namespace));
    const status = { hard, used };
    if (isDeepStrictEqual(quota.status, status)) return;
    try {
      objects.update(QUOTAS, { ...quota, status }, { manager: MANAGER, subresource: 'status' });
    } catch (error) {
      log('warn', 'could not write the status of a quota', { namespace, name, error: String(error) });
    }
  };
  const follow = (quota: ResourceQuota) => {
    for (const name of Object.keys(quota.spec?.hard ?? {})) {
      const type = countedType(name);
      const key = type && `${type.resource}.${type.group}`;
      if (!type || !key || watched.has(key) || !objects.resolve(type)) continue;
      watched.set(
        key,
        objects.watch(type, ({ object }) => schedule(object.metadata.namespace)),
      );
    }
    schedule(quota.metadata.namespace);
  };
  watched.set(
    '',
    objects.watch(QUOTAS, ({ type, object }) => {
      if (type !== 'DELETED') follow(object as ResourceQuota);
    }),
  );
  signal.addEventListener(
    'abort',
    () => {
      for (const end of watched.values()) end();
    },
    { once: true },
  );
  // Later: custom resources that a quota counts are not served yet.
  setImmediate(() => {
    if (!signal.aborted) for (const quota of objects.list(QUOTAS)) follow(quota as ResourceQuota);
  });
}
