// SPDX-License-Identifier: Apache-2.0
import type { InstallEvent } from '../install/install.ts';

export interface ProgressReport {
  readonly changes: readonly { object: string; change: string }[];
  readonly warnings: readonly string[];
  readonly notes: readonly string[];
}

export interface Progress {
  line(text: string): void;
  event(event: InstallEvent): void;
  failed(): void;
  done(): ProgressReport;
}

/** One line for each stage, with what it changed and how long it took; warnings to stderr. */
export function startProgress(options: { verbose: boolean; quiet: boolean; dryRun: boolean }): Progress {
  const changes: { object: string; change: string }[] = [];
  const warnings: string[] = [];
  const notes: string[] = [];
  const startedAt = performance.now();
  let stage: { name: string; startedAt: number; firstChange: number } | undefined;
  const live = process.stdout.isTTY === true && !options.quiet;
  const write = (text: string): void => {
    if (!options.quiet) process.stdout.write(text);
  };
  const clear = (): void => {
    if (live) process.stdout.write('\r\x1b[K');
  };
  const seconds = (since: number): string => `${((performance.now() - since) / 1000).toFixed(1)} s`;
  const closeStage = (mark: string): void => {
    if (stage === undefined) return;
    const counts = new Map<string, number>();
    for (const { change } of changes.slice(stage.firstChange)) counts.set(change, (counts.get(change) ?? 0) + 1);
    const summary = [...counts].map(([change, count]) => `${count} ${change}`).join(', ');
    clear();
    write(`  ${mark} ${stage.name}: ${summary}${options.dryRun ? '' : ` (${seconds(stage.startedAt)})`}\n`);
    stage = undefined;
  };
  return {
    line: (text) => write(`${text}\n`),
    event: (event) => {
      if (event.kind === 'stage') {
        closeStage('✓');
        stage = { name: event.name, startedAt: performance.now(), firstChange: changes.length };
        if (live) write(`  … ${event.name}`);
      } else if (event.kind === 'applied') {
        changes.push({ object: event.object, change: event.change });
        if (!options.verbose) return;
        clear();
        write(`      ${event.object} ${event.change}\n`);
      } else if (event.kind === 'waiting') {
        clear();
        if (live) write(`  … ${stage?.name ?? ''}: waiting for ${event.what}`);
      } else if (event.kind === 'warning') {
        warnings.push(event.message);
        clear();
        process.stderr.write(`  ! ${event.message}.\n`);
      } else {
        notes.push(event.message);
        clear();
        write(`  ${event.message}\n`);
      }
    },
    failed: () => closeStage('✗'),
    done: () => {
      closeStage('✓');
      write(options.dryRun ? 'Nothing was changed.\n' : `Isthmus is installed (${seconds(startedAt)}).\n`);
      return { changes, warnings, notes };
    },
  };
}
