// SPDX-License-Identifier: Apache-2.0
// What `isthmus proxy-drain`, the proxy's preStop, does: Envoy asks its clients to leave, and stays until they have.
import { setTimeout as sleep } from 'node:timers/promises';
import { askAdmin } from './admin-request.ts';
import { HEALTH_PORT, METRICS_PORT } from './bootstrap.ts';

export interface DrainOptions {
  /** Path of the Unix socket on which Envoy's admin interface listens. */
  readonly adminPipe: string;
  /** Only the connections that come to the pod: its application goes on calling others until it ends itself. */
  readonly inboundOnly: boolean;
  /**
   * Wait until nobody is connected any more, and so long at least: the others learn in that time that the pod goes.
   * Undefined: do not wait, something else sees to Envoy's ending last.
   */
  readonly untilQuiet: { readonly atLeastMs: number; readonly atMostMs: number } | undefined;
}

const POLL_MS = 250;

/**
 * Every answer asks its client to close the connection from now on; new ones are still accepted.
 * @returns how many connections are left; undefined when nobody waited for them
 * @throws Error when Envoy's admin interface does not answer
 */
export async function drainProxy(options: DrainOptions): Promise<number | undefined> {
  const { adminPipe, inboundOnly, untilQuiet } = options;
  await askAdmin(adminPipe, 'POST', `/drain_listeners?graceful&skip_exit${inboundOnly ? '&inboundonly' : ''}`);
  if (untilQuiet === undefined) return undefined;
  const begin = performance.now();
  await sleep(untilQuiet.atLeastMs);
  for (;;) {
    const active = countConnections(await askAdmin(adminPipe, 'GET', '/stats?filter=downstream_cx_active$'));
    if (active === 0 || performance.now() - begin >= untilQuiet.atMostMs) return active;
    await sleep(POLL_MS);
  }
}

/** Of `/stats`: clients' connections; not those of the kubelet, of Prometheus and of ourselves. */
export function countConnections(stats: string): number {
  const own = [HEALTH_PORT, METRICS_PORT].map((port) => `listener.0.0.0.0_${port}.`);
  return stats
    .split('\n')
    .filter((line) => line.startsWith('listener.') && !line.startsWith('listener.admin.'))
    .filter((line) => !line.includes('.worker_') && !own.some((prefix) => line.startsWith(prefix)))
    .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(':') + 1)), 0);
}
