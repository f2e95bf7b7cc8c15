// SPDX-License-Identifier: Apache-2.0

/** An answer other than 200, as text. */
export class HttpError extends Error {
  readonly code: number;
  constructor(code: number, message: string) {
    super(message);
    this.code = code;
  }
}
