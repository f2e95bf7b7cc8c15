// SPDX-License-Identifier: Apache-2.0
import { UserError } from '../user-error.ts';

/** Runs `work` with a signal that aborts when somebody ends the process: what is begun is left where it can be taken up again. */
export async function interruptible<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const interrupted = new AbortController();
  const interrupt = (): void => interrupted.abort(new UserError('interrupted: run the same command again to go on'));
  process.once('SIGINT', interrupt).once('SIGTERM', interrupt);
  try {
    return await work(interrupted.signal);
  } finally {
    process.removeListener('SIGINT', interrupt).removeListener('SIGTERM', interrupt);
  }
}
