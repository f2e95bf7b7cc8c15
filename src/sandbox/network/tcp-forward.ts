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
  /** Whom this client (an address) goes to, when it may be chosen: session affinity. */
  preferred?(client: string): Target | undefined;
  /** This client's connection went there. */
  chose?(client: string, target: Target): void;
  /** Still there, though perhaps not for new connections: those that it has stay. Default: it is among `targets`. */
  isKnown?(target: Target): boolean;
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
    const isKnown = options.isKnown ?? ((target) => hasTarget(options.targets(), target));
    const isStale = ({ target }: { target: Target }) => !isKnown(target);
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

/** Tries the targets in random order, the client's own first, until one takes the connection. */
async function dialAny(
  options: ForwardOptions,
  client: Socket,
): Promise<{ upstream: Socket; target: Target } | undefined> {
  const address = client.remoteAddress ?? '';
  for (const target of inOrder(options, address)) {
    if (client.destroyed) return undefined;
    const upstream = await dial(target);
    if (upstream === undefined) continue;
    options.chose?.(address, target);
    if (!client.destroyed) return { upstream, target };
    upstream.destroy();
  }
  return undefined;
}

/** Those who may be chosen, in random order, but the one first that this client had before. */
export function* inOrder(
  options: Pick<ForwardOptions, 'targets' | 'preferred' | 'random'>,
  client: string,
): Generator<Target> {
  const candidates = [...options.targets()];
  const preferred = options.preferred?.(client);
  let index = preferred === undefined ? -1 : candidates.findIndex((target) => keyOf(target) === keyOf(preferred));
  while (candidates.length > 0) {
    if (index < 0) index = Math.floor(options.random() * candidates.length);
    yield candidates.splice(index, 1)[0]!;
    index = -1;
  }
}

export function hasTarget(targets: readonly Target[], target: Target): boolean {
  return targets.some((other) => keyOf(other) === keyOf(target));
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
