// SPDX-License-Identifier: Apache-2.0
// How far each cluster is, side by side: on a terminal a line for each that is written over, else a line for each step.
import type { ApplyEvent } from './apply-cluster.ts';

export interface ClusterProgress {
  event(cluster: string, event: ApplyEvent): void;
  /** The last word on a cluster. */
  ended(cluster: string, outcome: 'done' | 'failed', message: string): void;
  /** Leaves the lines as they are. */
  close(): void;
  readonly warnings: readonly { readonly cluster: string; readonly message: string }[];
}

export interface ProgressOutput {
  readonly isTTY?: boolean;
  write(text: string): unknown;
}

export function startClusterProgress(
  names: readonly string[],
  output: ProgressOutput = process.stderr,
  nowMs: () => number = () => performance.now(),
): ClusterProgress {
  const startedAt = nowMs();
  const width = Math.max(...names.map((name) => name.length));
  const seconds = (): string => `${((nowMs() - startedAt) / 1000).toFixed(1)} s`;
  const current = new Map(names.map((name) => [name, 'waiting']));
  const warnings: { cluster: string; message: string }[] = [];
  let drawn = 0;
  const draw = (): void => {
    if (output.isTTY !== true) return;
    const lines = names.map((name) => `  ${name.padEnd(width)}  ${current.get(name)}`.slice(0, 110));
    output.write(`${drawn > 0 ? `\x1b[${drawn}A` : ''}${lines.map((line) => `\x1b[2K${line}\n`).join('')}`);
    drawn = lines.length;
  };
  const say = (cluster: string, text: string): void => {
    current.set(cluster, text);
    if (output.isTTY === true) draw();
    else output.write(`  ${cluster.padEnd(width)}  ${text}\n`);
  };
  return {
    warnings,
    event: (cluster, event) => {
      if (event.kind === 'warning') warnings.push({ cluster, message: event.message });
      else if (event.kind === 'done') {
        const changes = event.changes === 1 ? '1 change' : `${event.changes} changes`;
        if (event.changes > 0) say(cluster, `✓ ${event.what}: ${changes} (${seconds()})`);
      } else if (output.isTTY === true) say(cluster, `… ${event.what}`);
    },
    ended: (cluster, outcome, message) => say(cluster, `${outcome === 'done' ? '✓' : '✗'} ${message} (${seconds()})`),
    close: () => {
      drawn = 0;
    },
  };
}
