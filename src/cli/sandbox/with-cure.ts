// SPDX-License-Identifier: Apache-2.0
import { SandboxError, SandboxUsageError } from '../../sandbox/layout.ts';
import { UserError } from '../user-error.ts';

/** What the user can mend is shown as its sentence alone. */
export async function withCure<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw error instanceof SandboxError
      ? new UserError(error.message, error instanceof SandboxUsageError ? 2 : 1)
      : error;
  }
}
