// SPDX-License-Identifier: Apache-2.0
import { Readable, Writable } from 'node:stream';
import type { KubeClient } from '../../kube/client.ts';
import { execInPod } from '../../kube/exec.ts';

export interface PodCommand {
  readonly namespace: string;
  readonly pod: string;
  readonly container: string;
  readonly command: readonly string[];
}

/** What the command writes to stdout. @throws Error with what it writes to stderr when it fails */
export async function runInPod(client: KubeClient, request: PodCommand): Promise<string> {
  const [stdout, stderr] = [collector(), collector()];
  const code = await execInPod(client, {
    ...request,
    tty: false,
    stdin: Readable.from([]),
    stdout: stdout.stream,
    stderr: stderr.stream,
  });
  if (code !== 0) throw new Error(stderr.text().trim() || `${request.command[0]} ended with ${code}`);
  return stdout.text();
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
