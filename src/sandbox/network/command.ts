// SPDX-License-Identifier: Apache-2.0
import { spawn } from 'node:child_process';

/**
 * Runs a program to its end, `input` on its stdin.
 * @returns its stdout.
 * @throws Error naming the command, its exit code and what it wrote to stderr.
 */
export function runCommand(command: string, args: readonly string[], input = ''): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'pipe'] });
    let stdout = '';
    let stderr = '';
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
      stdout += chunk;
    });
    child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
      stderr += chunk;
    });
    child.on('error', reject);
    child.on('close', (code, signal) => {
      if (code === 0) resolve(stdout);
      else
        reject(
          new Error(`${[command, ...args].join(' ')} ended with ${signal ?? code}: ${stderr.trim() || stdout.trim()}`),
        );
    });
    // A child that dies early breaks the pipe; its exit code tells the story.
    child.stdin.on('error', () => {});
    child.stdin.end(input);
  });
}

/** Runs a shell script with `set -e`; the script comes by stdin, so no argument length limits it. */
export function runScript(script: string): Promise<string> {
  return runCommand('sh', ['-e'], script);
}
