// SPDX-License-Identifier: Apache-2.0
// The probe's program in a container of a probe pod, and what it says.
import type { KubeClient } from '../../../kube/client.ts';
import { runInPod } from '../../proxies/run-in-pod.ts';
import { POD_NAME } from './probe-objects.ts';

/** @throws Error with what it said, or why it could not be run, or that it was given up after `timeoutMs` */
export async function runProbe(
  client: KubeClient,
  { namespace, container }: { readonly namespace: string; readonly container: string },
  args: readonly string[],
  timeoutMs: number,
): Promise<unknown> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const giveUp = () => reject(new Error(`no answer from ${container} within ${timeoutMs / 1000} s`));
  const timer = setTimeout(giveUp, timeoutMs);
  const command = ['isthmus', 'mesh-probe', ...args];
  const run = runInPod(client, { namespace, container, pod: POD_NAME, command });
  // What is given up may still fail, and nobody waits for it.
  run.catch(() => {});
  try {
    return JSON.parse(await Promise.race([run, late]));
  } finally {
    clearTimeout(timer);
  }
}
