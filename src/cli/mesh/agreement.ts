// SPDX-License-Identifier: Apache-2.0
import { createInterface } from 'node:readline/promises';

/** Asks a person at a terminal; where nobody sits, whoever wrote the command has agreed. */
export async function agreed(question: string, signal: AbortSignal): Promise<boolean> {
  if (process.stdin.isTTY !== true || process.stdout.isTTY !== true) return true;
  const terminal = createInterface({ input: process.stdin, output: process.stdout });
  try {
    return /^y(es)?$/i.test((await terminal.question(question, { signal })).trim());
  } finally {
    terminal.close();
  }
}
