// SPDX-License-Identifier: Apache-2.0
// What agents do for a test, over their standard streams, one JSON message per line:
// { id, call, args } -> { id, result } or { id, error }. The message with id -1 says that the agent is there.
import { execFileSync } from 'node:child_process';
import { createInterface } from 'node:readline';

export type Calls = Record<string, (...args: never[]) => unknown>;

/** Resolves when the test has closed the stream. */
export async function serveCalls(calls: Calls): Promise<void> {
  process.stdout.write('{"id":-1}\n');
  for await (const line of createInterface({ input: process.stdin })) {
    const { id, call, args } = JSON.parse(line) as { id: number; call: string; args: never[] };
    const answer = (message: object) => process.stdout.write(`${JSON.stringify({ id, ...message })}\n`);
    Promise.resolve()
      .then(() => calls[call]?.(...args))
      .then(
        (result) => answer({ result }),
        (error: Error) => answer({ error: error.message }),
      );
  }
}

/** The bridge that pods are attached to, with the node's own address 10.1.0.1. */
export function makePodBridge(): void {
  const script = `ip link show pods >/dev/null 2>&1 || {
    ip link set lo up; ip link add pods type bridge; ip addr add 10.1.0.1/16 dev pods; ip link set pods up
  }`;
  execFileSync('sh', ['-ec', script]);
}
