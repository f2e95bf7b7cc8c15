// SPDX-License-Identifier: Apache-2.0
// Bytes between two sockets, both ways, with the endings that TCP has.
import type { Socket } from 'node:net';

/** Long enough to cost nothing, short enough that a peer whose namespace has vanished does not stay for ever. */
const KEEP_ALIVE_MS = 15_000;

/**
 * Joins two connected sockets until both are closed. Both must have been made with `allowHalfOpen: true`: when one side
 * ends, the other gets its FIN and may still answer. A reset on one side becomes a reset on the other.
 * @param emptyAnswer what `left` gets when `right` took what it sent and closed without answering a byte.
 * @returns a promise that resolves when both are closed; it never rejects.
 */
export function relay(left: Socket, right: Socket, emptyAnswer?: string): Promise<void> {
  return Promise.all([join(left, right), join(right, left, emptyAnswer)]).then(() => {});
}

function join(from: Socket, to: Socket, emptyAnswer?: string): Promise<void> {
  from.setNoDelay(true);
  from.setKeepAlive(true, KEEP_ALIVE_MS);
  const finish = () => {
    if (to.writableEnded || to.destroyed) return;
    const isEmpty = emptyAnswer !== undefined && from.bytesRead === 0 && from.bytesWritten > 0;
    if (isEmpty) to.end(emptyAnswer);
    else to.end();
  };
  from.once('end', finish);
  from.pipe(to, { end: false });
  return new Promise((resolve) => {
    let reset = false;
    from.on('error', (error: NodeJS.ErrnoException) => {
      reset = error.code === 'ECONNRESET' && (emptyAnswer === undefined || from.bytesRead > 0);
    });
    const close = () => {
      if (reset) resetAndDestroy(to);
      else finish();
      // After an error nobody is left to take what the other side still sends: it must not wait for that.
      if (from.errored) to.destroySoon();
      resolve();
    };
    if (from.closed) close();
    else from.once('close', close);
  });
}

/** Unix sockets know no reset. */
function resetAndDestroy(socket: Socket): void {
  if (socket.remoteAddress === undefined) socket.destroy();
  else socket.resetAndDestroy();
}
