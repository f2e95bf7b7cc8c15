// SPDX-License-Identifier: Apache-2.0
// The sandbox's first real process: builds the network, makes the clusters' identities, starts every component and
// keeps it running, takes the host's orders, and says on the host what it sees. It ends when the host lets go of its
// lifeline.
import { once } from 'node:events';
import { mkdirSync } from 'node:fs';
import { Socket } from 'node:net';
import { writeAtomically } from '../atomic-file.ts';
import { clusterLayouts, findCluster, paths, type SandboxConfig } from '../layout.ts';
import { cutOff, rejoin } from '../network/cut.ts';
import { buildNetwork } from '../network/host-network.ts';
import { ClusterLife } from './cluster-life.ts';
import { boundLogs } from './component-log.ts';
import { componentSpec, keepRunning } from './component-process.ts';
import { type Order, takeOrders } from './control.ts';
import { renderKubeconfig } from './merged-kubeconfig.ts';
import { StatusBoard } from './status-board.ts';

/** The read end of a pipe whose other end the host's process holds: when that closes, the sandbox has to go. */
const LIFELINE_FD = 3;

export async function runSupervisor(config: SandboxConfig, configFile: string, signal: AbortSignal): Promise<void> {
  const stopping = new AbortController();
  const stop = () => stopping.abort();
  signal.addEventListener('abort', stop, { once: true });
  const lifeline = new Socket({ fd: LIFELINE_FD, readable: true, writable: false });
  lifeline.on('close', stop).on('error', stop);
  // The keeper has put our name on disk when it writes; killed before that, it does not.
  await Promise.race([once(lifeline, 'data'), once(stopping.signal, 'abort')]);
  if (stopping.signal.aborted) return;
  lifeline.resume();

  // Sockets are named relatively: see `sockets`.
  process.chdir(config.stateDir);
  const clusters = clusterLayouts(config);
  const board = new StatusBoard(config, clusters);
  mkdirSync(paths.logs(config.stateDir), { recursive: true, mode: 0o700 });
  await buildNetwork(clusters);
  const lives = clusters.map((cluster) => new ClusterLife(config, configFile, cluster, board));
  stopping.signal.addEventListener('abort', () => board.stopping());
  void boundLogs(paths.logs(config.stateDir), stopping.signal);
  for (const life of lives) life.start();
  // After them: it reads the credentials that each of them has made.
  const portal = keepRunning(componentSpec(config, configFile, 'portal'), stopping.signal, (status) =>
    board.component(status),
  );
  writeAtomically(paths.kubeconfig(config.stateDir), renderKubeconfig(clusters, config.ports.api));
  try {
    await takeOrders((order) => obey(order, lives, board), stopping.signal);
    await portal;
  } finally {
    stop();
    lifeline.destroy();
    await Promise.all(lives.map((life) => life.stop()));
  }
}

async function obey(order: Order, lives: readonly ClusterLife[], board: StatusBoard): Promise<void> {
  const find = (name: string) => findCluster(lives, ({ cluster }) => cluster.name, name);
  switch (order.kind) {
    case 'network': {
      const { cluster } = find(order.cluster);
      await (order.connected ? rejoin : cutOff)(cluster);
      board.connected(cluster, order.connected);
      return;
    }
    case 'reset': {
      const chosen = order.clusters.length === 0 ? lives : order.clusters.map(find);
      await Promise.all(chosen.map((life) => life.reset()));
    }
  }
}
