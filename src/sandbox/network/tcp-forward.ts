// SPDX-License-Identifier: Apache-2.0
// One TCP port of a service: accepts, picks an endpoint, relays.
import { connect, createServer, type Socket } from 'node:net';
import { relay } from './relay.ts';

export interface Target {
  readonly address: string;
  readonly port: number;
}

export interface Forward {
  /** The targets changed: existing connections to one that vanished get `drainMs` to end by themselves. */
  retarget(): void;
  close(): void;
}

export interface ForwardOptions {
  readonly address: string;
  readonly port: number;
  /** Who may be chosen now; asked for every connection. */
  targets(): readonly Target[];
  /** In [0, 1). */
  random(): number;
  readonly drainMs: number;
  onError(error: Error): void;
}

/** The next endpoint is tried after this; within one machine a connection takes microseconds. */
const CONNECT_TIMEOUT_MS = 2_000;

export function forwardTcp(options: ForwardOptions): Promise<Forward> {
  const connections = new Set<{ client: Socket; upstream: Socket; target: Target }>();
  const server = createServer({ allowHalfOpen: true, pauseOnConnect: true }, async (client) => {
    client.on('error', () => client.destroy());
    const chosen = await dialAny(options, client);
    if (chosen === undefined) {
      client.resetAndDestroy();
      return;
    }
    const connection = { client, ...chosen };
    connections.add(connection);
    client.resume();
    await relay(client, chosen.upstream);
    connections.delete(connection);
  });

  /** Connections whose target is gone now, and still is after the drain time. */
  const drainStale = () => {
    const isStale = ({ target }: { target: Target }) =>
      !options.targets().some((other) => keyOf(other) === keyOf(target));
    const stale = [...connections].filter(isStale);
    if (stale.length === 0) return;
    const drop = () => {
      for (const connection of stale.filter((candidate) => connections.has(candidate) && isStale(candidate))) {
        connection.client.resetAndDestroy();
        connection.upstream.destroy();
      }
    };
    setTimeout(drop, options.drainMs).unref();
  };
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ host: options.address, port: options.port, backlog: 1024 }, () => {
      server.off('error', reject);
      server.on('error', options.onError);
      resolve({
        retarget: drainStale,
        close: () => {
          server.close(); // existing connections go on
          drainStale();
        },
      });
    });
  });
}

/** Tries the targets in random order until one takes the connection. */
async function dialAny(
  options: ForwardOptions,
  client: Socket,
): Promise<{ upstream: Socket; target: Target } | undefined> {
  const candidates = [...options.targets()];
  while (candidates.length > 0 && !client.destroyed) {
    const [target] = candidates.splice(Math.floor(options.random() * candidates.length), 1);
    const upstream = await dial(target!);
    if (upstream === undefined) continue;
    if (!client.destroyed) return { upstream, target: target! };
    upstream.destroy();
  }
  return undefined;
}

function dial({ address, port }: Target): Promise<Socket | undefined> {
  return new Promise((resolve) => {
    const socket = connect({ host: address, port, allowHalfOpen: true });
    const fail = () => {
      clearTimeout(timer);
      socket.destroy();
      resolve(undefined);
    };
    const timer = setTimeout(fail, CONNECT_TIMEOUT_MS);
    socket.once('error', fail);
    socket.once('connect', () => {
      clearTimeout(timer);
      // Until the relay listens, an error must not end the process; the relay sees the closed socket.
      socket.on('error', () => {});
      socket.off('error', fail);
      resolve(socket);
    });
  });
}

function keyOf({ address, port }: Target): string {
  return `${address}:${port}`;
}
