// SPDX-License-Identifier: Apache-2.0
// Several real Envoys in a row: a relay stands for the network between them. Whoever is dialled is told by the address in
// 127.0.0.0/8 that stands for it: another proxy, which gets the PROXY header of its redirect or load balancer, or the
// application, which is the echo server.
import { once } from 'node:events';
import net, { type AddressInfo, type Server, type Socket } from 'node:net';
import type { ObservedEnvoy, StandIn } from './observed-envoy.ts';

/** What a connection to an address arrives at. */
export interface HopTarget {
  readonly envoy: ObservedEnvoy;
  readonly direction: 'inbound' | 'gateway';
  /** What was dialled, as that proxy sees it. */
  readonly address: string;
  readonly port: number;
}

export interface RelayOptions {
  /** Port of the EchoServer. */
  readonly echoPort: number;
  standIn(address: string): StandIn | undefined;
  /** Undefined: no proxy is there. */
  target(standIn: StandIn): HopTarget | undefined;
}

export class Relay {
  readonly #open = new Set<Socket>();
  readonly #server: Server;

  private constructor(options: () => RelayOptions) {
    this.#server = net.createServer((socket) => this.#accept(socket, options()));
  }

  static async start(options: () => RelayOptions): Promise<Relay> {
    const relay = new Relay(options);
    relay.#server.listen(0, '0.0.0.0');
    await once(relay.#server, 'listening');
    return relay;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  stop(): void {
    for (const socket of this.#open) socket.destroy();
    this.#server.close();
  }

  #accept(client: Socket, { echoPort, standIn, target }: RelayOptions): void {
    const local = client.localAddress ?? '';
    const dialled = standIn(local);
    const next = dialled && target(dialled);
    const server =
      next === undefined ? net.connect(echoPort, local) : net.connect(next.envoy.portOf(next.direction), '127.0.0.1');
    if (next !== undefined) server.write(`PROXY TCP4 10.11.12.13 ${next.address} 40000 ${next.port}\r\n`);
    for (const [socket, other] of [
      [client, server],
      [server, client],
    ] as const) {
      this.#open.add(socket);
      socket
        .on('error', () => {})
        .on('close', () => {
          this.#open.delete(socket);
          other.destroySoon();
        });
      socket.pipe(other);
    }
  }
}
