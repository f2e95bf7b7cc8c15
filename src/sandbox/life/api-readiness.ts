// SPDX-License-Identifier: Apache-2.0
import { setTimeout as sleep } from 'node:timers/promises';
import { KubeClient } from '../../kube/client.ts';
import { loadKubeconfig } from '../../kube/config.ts';

const INTERVAL_MS = 40;

/**
 * Resolves when the API server of `kubeconfig` answers /readyz, or `signal` aborts. All components of a cluster start at
 * once; without this each would meet the API server half a backoff late.
 */
export async function waitForApiServer(kubeconfig: string, signal: AbortSignal): Promise<void> {
  const client = new KubeClient(loadKubeconfig(kubeconfig));
  try {
    while (!signal.aborted) {
      try {
        await client.request('GET', '/readyz', { signal: AbortSignal.any([signal, AbortSignal.timeout(2_000)]) });
        return;
      } catch {
        await sleep(INTERVAL_MS, undefined, { signal }).catch(() => {});
      }
    }
  } finally {
    client.close();
  }
}
