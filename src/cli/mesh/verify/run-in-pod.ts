// SPDX-License-Identifier: Apache-2.0
// The probe's program in a container of a probe pod, and what it says.
import { Readable, Writable } from 'node:stream';
import type { KubeClient } from '../../../kube/client.ts';
import { execInPod } from '../../../kube/exec.ts';
import { POD_NAME } from './probe-objects.ts';

/** @throws Error with what it said, or why it could not be run, or that it was given up after `timeoutMs` */
export async function runInPod(
  client: KubeClient,
  { namespace, container }: { readonly namespace: string; readonly container: string },
  args: readonly string[],
  timeoutMs: number,
): Promise<unknown> {
  const [stdout, stderr] = [collector(), collector()];
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(
    () => reject(new Error(`no answer from ${container} within ${timeoutMs / 1000} s`)),
    timeoutMs,
  );
  const run = execInPod(client, {
    ...{ namespace, container, pod: POD_NAME, tty: false },
    command: ['isthmus', 'mesh-probe', ...args],
    stdin: Readable.from([]),
    stdout: stdout.stream,
    stderr: stderr.stream,
  });
  // What is given up may still fail, and nobody waits for it.
  run.catch(() => {});
  try {
    const code = await Promise.race([run, late]);
    if (code !== 0) throw new Error(stderr.text().trim() || `it ended with ${code}`);
  } finally {
    clearTimeout(timer);
  }
  return JSON.parse(stdout.text());
}

function collector(): { stream: Writable; text(): string } {
  const chunks: Buffer[] = [];
  const stream = new Writable({
    write: (chunk: Buffer, _encoding, done) => {
      chunks.push(chunk);
      done();
    },
  });
  return { stream, text: () => Buffer.concat(chunks).toString('utf8') };
}
