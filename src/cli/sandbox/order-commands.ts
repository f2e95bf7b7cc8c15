// SPDX-License-Identifier: Apache-2.0
// Commands that change a sandbox that runs, as the terminal sees them.
import { sandboxDir } from '../../sandbox/layout.ts';
import { giveOrder } from '../../sandbox/life/control.ts';
import { demandRunning } from '../../sandbox/life/status.ts';
import { withCure } from './with-cure.ts';

export async function setConnected(name: string, cluster: string, connected: boolean): Promise<void> {
  await withCure(async () => {
    demandRunning(name);
    await giveOrder(sandboxDir(name), { kind: 'network', cluster, connected });
  });
  process.stderr.write(
    connected
      ? `${cluster} is on the external network.\n`
      : `${cluster} is cut off: nothing passes between it and other clusters.\n`,
  );
}

export async function reset(name: string, clusters: readonly string[]): Promise<void> {
  const startedAt = performance.now();
  await withCure(async () => {
    demandRunning(name);
    await giveOrder(sandboxDir(name), { kind: 'reset', clusters });
  });
  const seconds = ((performance.now() - startedAt) / 1000).toFixed(1);
  const what = clusters.length === 0 ? `Every cluster of the sandbox "${name}"` : clusters.join(', ');
  process.stderr.write(`${what} is empty again (${seconds} s); kubeconfig, ports and images are as they were.\n`);
}
