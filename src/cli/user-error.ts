// SPDX-License-Identifier: Apache-2.0

/** A mistake or a missing thing that the user can mend: shown as its message alone, without a stack. */
export class UserError extends Error {
  /** 1: it failed; 2: it was called wrongly. */
  readonly exitCode: 1 | 2;
  constructor(message: string, exitCode: 1 | 2 = 1) {
    super(message);
    this.name = 'UserError';
    this.exitCode = exitCode;
  }
}

/** @param error of node:fs; what it says of the call that failed is left out */
export function unreadable(file: string, error: unknown): UserError {
  const { message, code, syscall } = error as NodeJS.ErrnoException;
  const [said] = message.replace(`${code}: `, '').split(`, ${syscall}`);
  return new UserError(`${file} cannot be read: ${said}`, 2);
}
