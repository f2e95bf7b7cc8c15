// SPDX-License-Identifier: Apache-2.0
// The machine's programs that do what Node cannot.
import { spawn } from 'node:child_process';
import { isExecutable } from '../process/executable.ts';

/** nft and ip lie in sbin, which a plain user's or a pod's PATH often leaves out. The system's own programs come first. */
export function findProgram(name: string): string | undefined {
  const system = ['/usr/sbin', '/sbin', '/usr/bin', '/bin', '/usr/local/sbin', '/usr/local/bin'];
  const dirs = [...system, ...(process.env['PATH'] ?? '').split(':')];
  return dirs
    .filter((dir) => dir.startsWith('/'))
    .map((dir) => `${dir}/${name}`)
    .find(isExecutable);
}

export function run(
  command: readonly string[],
  input: Buffer,
): Promise<{ code: number | null; stdout: string; stderr: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(command[0]!, command.slice(1), { stdio: ['pipe', 'pipe', 'pipe'] });
    const output = { stdout: '', stderr: '' };
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
      output.stdout += chunk;
    });
    child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
      output.stderr += chunk;
    });
    child.on('error', reject);
    child.on('close', (code) => resolve({ code, ...output }));
    // A child that dies early breaks the pipe; its exit code tells the story.
    child.stdin.on('error', () => {});
    child.stdin.end(input);
  });
}
