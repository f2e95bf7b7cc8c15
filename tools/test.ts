// SPDX-License-Identifier: Apache-2.0
// `make test`: the checks, then every test by Vitest; the last line is `N passed, N failed, N skipped`, which CI reads.
// `--all` runs the full counts and keeps the dated result in docs/test-all.md.
import { spawnSync } from 'node:child_process';
import { appendFileSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

interface Report {
  readonly numPassedTests: number;
  readonly numFailedTests: number;
  readonly numPendingTests: number;
  readonly testResults: readonly {
    readonly name: string;
    readonly status: string;
    readonly assertionResults: readonly unknown[];
  }[];
}

const root = fileURLToPath(new URL('..', import.meta.url));
const all = process.argv.includes('--all');
const filters = process.argv.slice(2).filter((arg) => !arg.startsWith('--'));
const startedAt = Date.now();

const checked =
  filters.length > 0 || spawnSync(process.execPath, [join(root, 'tools/check.ts')], { stdio: 'inherit' }).status === 0;
// Unit tests share the cores; tests that start clusters, Envoy or a browser run one after another.
const unit = runVitest('unit');
const system = runVitest('system');
const passed = unit.passed + system.passed + (checked ? 1 : 0);
const failed = unit.failed + system.failed + (checked ? 0 : 1);
const skipped = unit.skipped + system.skipped;
const summary = `${passed} passed, ${failed} failed, ${skipped} skipped`;
if (all && filters.length === 0) keepResult(summary);
console.log(`\nin ${Math.round((Date.now() - startedAt) / 1000)} s`);
console.log(summary);
process.exitCode = failed === 0 && passed > 0 ? 0 : 1;

function runVitest(project: string): { passed: number; failed: number; skipped: number } {
  const dir = mkdtempSync(join(tmpdir(), 'isthmus-test-'));
  const file = join(dir, 'report.json');
  try {
    const result = spawnSync(
      process.execPath,
      [
        join(root, 'node_modules/vitest/vitest.mjs'),
        'run',
        '--project',
        project,
        '--passWithNoTests',
        '--reporter=default',
        '--reporter=json',
        `--outputFile.json=${file}`,
        ...filters,
      ],
      { cwd: root, stdio: 'inherit', env: { ...process.env, ...(all ? { ISTHMUS_TEST_ALL: '1' } : {}) } },
    );
    if (!existsSync(file)) return { passed: 0, failed: 1, skipped: 0 };
    const report = JSON.parse(readFileSync(file, 'utf8')) as Report;
    // A file that cannot be loaded has no tests: it counts as one failure.
    const broken = report.testResults.filter((r) => r.status === 'failed' && r.assertionResults.length === 0).length;
    const failures = report.numFailedTests + broken;
    return {
      passed: report.numPassedTests,
      failed: failures === 0 && result.status !== 0 ? 1 : failures,
      skipped: report.numPendingTests,
    };
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

function keepResult(line: string): void {
  const file = join(root, 'docs/test-all.md');
  if (!existsSync(file)) writeFileSync(file, '# Results of `make test-all`\n\nThe newest is last.\n\n');
  const commit = spawnSync('git', ['rev-parse', '--short', 'HEAD'], { cwd: root, encoding: 'utf8' }).stdout.trim();
  const minutes = Math.round((Date.now() - startedAt) / 60_000);
  appendFileSync(
    file,
    `- ${new Date().toISOString().slice(0, 10)}, ${commit}, ${cpus().length} cores, ${minutes} min: ${line}\n`,
  );
}
