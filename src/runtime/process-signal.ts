// SPDX-License-Identifier: Apache-2.0

/** Aborts at the first SIGTERM or SIGINT; a second one ends the process at once, as the system does by default. */
export function processSignal(): AbortSignal {
  const controller = new AbortController();
  for (const name of ['SIGTERM', 'SIGINT'] as const) process.once(name, () => controller.abort());
  return controller.signal;
}
