// SPDX-License-Identifier: Apache-2.0
// How commands on the host change a sandbox that runs: orders to its supervisor, by HTTP over a unix socket in the state
// directory (which nobody but its user may enter). One order, one answer.
import { rmSync } from 'node:fs';
import { createServer, type IncomingMessage, request } from 'node:http';
import { json } from 'node:stream/consumers';
import { SandboxError, sockets } from '../layout.ts';

export type Order =
  /** Off or onto the external network. */
  | { readonly kind: 'network'; readonly cluster: string; readonly connected: boolean }
  /** Clusters without objects again; all of them when none is named. */
  | { readonly kind: 'reset'; readonly clusters: readonly string[] };

interface Refusal {
  readonly error: string;
}

/**
 * Takes orders, one after the other, until `signal` aborts. The working directory must be the state directory.
 * @param obey may throw: a SandboxError's message is what the user reads.
 */
export async function takeOrders(obey: (order: Order) => Promise<void>, signal: AbortSignal): Promise<void> {
  let last: Promise<unknown> = Promise.resolve();
  const server = createServer(async (incoming, response) => {
    const answer = (status: number, body: Refusal | Record<string, never>) =>
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
    try {
      const order = (await json(incoming)) as Order;
      const done = last.then(() => obey(order));
      last = done.catch(() => {});
      await done;
      answer(200, {});
    } catch (error) {
      answer(error instanceof SandboxError ? 409 : 500, { error: (error as Error).message });
    }
  });
  rmSync(sockets.control, { force: true });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen({ path: sockets.control }, resolve);
  });
  signal.addEventListener('abort', () => server.close(), { once: true });
}

/**
 * Gives an order to the sandbox in `stateDir` and waits until it is carried out. Changes the working directory.
 * @throws SandboxError when it is refused, or nobody is there to take it.
 */
export async function giveOrder(stateDir: string, order: Order): Promise<void> {
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    const fail = (error: NodeJS.ErrnoException) =>
      reject(new SandboxError(`The sandbox cannot be reached (${error.code}). See: isthmus sandbox status`));
    try {
      process.chdir(stateDir);
    } catch (error) {
      fail(error as NodeJS.ErrnoException);
      return;
    }
    const sent = request({ socketPath: sockets.control, method: 'POST', path: '/' }, resolve);
    sent.once('error', fail);
    sent.end(JSON.stringify(order));
  });
  const { error } = (await json(response)) as Partial<Refusal>;
  if (error !== undefined) throw new SandboxError(error);
}
