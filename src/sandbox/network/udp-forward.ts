// SPDX-License-Identifier: Apache-2.0
// One UDP port of a service. UDP has no connections: a client's address and port stand for one, until it is silent.
import { createSocket, type Socket } from 'node:dgram';
import { type Forward, type ForwardOptions, inOrder, type Target } from './tcp-forward.ts';

interface Flow {
  readonly upstream: Socket;
  readonly targetKey: string;
  usedAt: number;
  send(message: Buffer): void;
}

const IDLE_MS = 60_000;
const SWEEP_MS = 10_000;
/** A flow costs a file descriptor. The oldest gives way. */
const MAX_FLOWS = 2_000;

export async function forwardUdp(options: ForwardOptions): Promise<Forward> {
  const flows = new Map<string, Flow>();
  const server = createSocket('udp4');
  const drop = (key: string) => {
    flows.get(key)?.upstream.close();
    flows.delete(key);
  };
  server.on('message', (message, { address, port }) => {
    // Forged: nobody can be answered there, and to try throws.
    if (port === 0) return;
    const key = `${address}:${port}`;
    let flow = flows.get(key);
    if (flow === undefined) {
      flow = openFlow(
        options,
        address,
        (reply) => server.send(reply, port, address),
        () => drop(key),
      );
      if (flow === undefined) return;
      if (flows.size >= MAX_FLOWS) drop(flows.keys().next().value!);
    } else {
      flows.delete(key); // Back in below, as the youngest.
      flow.usedAt = Date.now();
    }
    flows.set(key, flow);
    flow.send(message);
  });
  const sweep = setInterval(() => {
    for (const [key, flow] of flows) if (Date.now() - flow.usedAt > IDLE_MS) drop(key);
  }, SWEEP_MS).unref();
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.bind({ address: options.address, port: options.port, exclusive: true }, () => {
      server.off('error', reject);
      resolve();
    });
  });
  server.on('error', options.onError);
  return {
    /** A datagram to an endpoint that is gone is lost anyway: no draining. */
    retarget() {
      const current = new Set(options.targets().map(({ address, port }) => `${address}:${port}`));
      for (const [key, flow] of flows) if (!current.has(flow.targetKey)) drop(key);
    },
    close() {
      clearInterval(sweep);
      for (const key of [...flows.keys()]) drop(key);
      server.close();
    },
  };
}

function openFlow(
  options: ForwardOptions,
  client: string,
  reply: (message: Buffer) => void,
  onGone: () => void,
): Flow | undefined {
  const target: Target | undefined = inOrder(options, client).next().value;
  if (target === undefined) return undefined;
  options.chose?.(client, target);
  const upstream = createSocket('udp4');
  // dgram refuses to send on a socket whose connect is still under way.
  let early: Buffer[] | undefined = [];
  const flow: Flow = {
    upstream,
    targetKey: `${target.address}:${target.port}`,
    usedAt: Date.now(),
    send: (message) => {
      if (early === undefined) upstream.send(message);
      else early.push(message);
    },
  };
  upstream.on('message', (message) => {
    flow.usedAt = Date.now();
    reply(message);
  });
  // The endpoint refuses: the client's next datagram chooses anew.
  upstream.on('error', onGone);
  upstream.connect(target.port, target.address, () => {
    const waiting = early ?? [];
    early = undefined;
    for (const message of waiting) upstream.send(message);
  });
  return flow;
}
