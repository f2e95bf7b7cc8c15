// SPDX-License-Identifier: Apache-2.0
// `make test`: the checks, then every test by Vitest; the last line is `N passed, N failed, N skipped`, which CI reads.
// `--all` runs the full counts and keeps the dated result in docs/test-all.md.
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync, existsSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

interface Report {
  readonly numPassedTests: number;
  readonly numFailedTests: number;
  readonly numPendingTests: number;
  readonly testResults: readonly {
    readonly name: string;
    readonly status: string;
    /** Why the file could not be loaded; empty when a hook of it failed. */
    readonly message?: string;
    readonly assertionResults: readonly {
      readonly status: string;
      readonly fullName: string;
      readonly failureMessages?: readonly string[];
    }[];
  }[];
}

const root = fileURLToPath(new URL('..', import.meta.url));
const all = process.argv.includes('--all');
const filters = process.argv.slice(2).filter((arg) => !arg.startsWith('--'));
const startedAt = Date.now();

const checked =
  filters.length > 0 || spawnSync(process.execPath, [join(root, 'tools/check.ts')], { stdio: 'inherit' }).status === 0;
// Whole clusters, a browser, a fresh clone: these mostly wait. What is in no such place needs a few processes at most.
const CLUSTERS = [
  'sandbox/',
  'faults/',
  'setup/',
  'seed-',
  'mesh/on-sandbox',
  'mesh-exports',
  'analyze',
  'demo',
  'everyday',
  'exports-',
  'global-names',
  'mesh-up',
  'install-lines',
  'mesh-verify',
];
// Unit tests share the cores. Then two files at a time: one with clusters, one without.
const results = [await runVitest('unit', filters)];
if (filters.length > 0) results.push(await runVitest('system', filters));
else {
  results.push(
    ...(await Promise.all([
      runVitest(
        'system',
        CLUSTERS.map((start) => `test/${start}`),
      ),
      runVitest(
        'system',
        CLUSTERS.map((start) => `--exclude=test/${start}${start.endsWith('/') ? '**' : '*'}`),
        'afterwards',
      ),
    ])),
  );
}
// The published documents as they are, and with sidecars that fetch their configuration.
if (all && filters.length === 0) {
  for (const mode of ['CLUSTERS_ON_DEMAND', 'ALL_ON_DEMAND'])
    results.push(await runVitest('system', ['test/seed-'], undefined, { ISTHMUS_CONFIG_DELIVERY: mode }));
}
const sum = (of: (result: Counts) => number): number => results.reduce((all, result) => all + of(result), 0);
const passed = sum((r) => r.passed) + (checked ? 1 : 0);
const failed = sum((r) => r.failed) + (checked ? 0 : 1);
const skipped = sum((r) => r.skipped);
const summary = `${passed} passed, ${failed} failed, ${skipped} skipped`;
if (all && filters.length === 0) keepResult(summary);
// A log of which only the end is kept names them too.
const named = [...(checked ? [] : ['tools/check.ts\n  the checks failed']), ...results.flatMap((r) => r.failures)];
if (named.length > 0) console.log(`\nfailed:\n${named.join('\n')}`);
console.log(`\nin ${Math.round((Date.now() - startedAt) / 1000)} s`);
console.log(summary);
process.exitCode = failed === 0 && passed > 0 ? 0 : 1;

interface Counts {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
  /** What failed: the file, the test's whole name, the first line of why. */
  readonly failures: readonly string[];
}

/** `afterwards`: what it prints is shown when it has ended, since another run prints meanwhile. */
async function runVitest(
  project: string,
  args: readonly string[],
  show?: 'afterwards',
  env: Readonly<Record<string, string>> = {},
): Promise<Counts> {
  const dir = mkdtempSync(join(tmpdir(), 'isthmus-test-'));
  const [file, printed] = [join(dir, 'report.json'), join(dir, 'printed')];
  try {
    const out = show === undefined ? 'inherit' : openSync(printed, 'w');
    const vitest = spawn(
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
        ...args,
      ],
      {
        cwd: root,
        stdio: ['inherit', out, out],
        env: { ...process.env, ...env, ...(all ? { ISTHMUS_TEST_ALL: '1' } : {}) },
      },
    );
    const [status] = await once(vitest, 'exit');
    if (show === 'afterwards') process.stdout.write(readFileSync(printed));
    const ended = `Vitest ended with status ${status} (project ${project})`;
    if (!existsSync(file)) return { passed: 0, failed: 1, skipped: 0, failures: [`${ended}, and without a report`] };
    const report = JSON.parse(readFileSync(file, 'utf8')) as Report;
    // A file that cannot be loaded, or whose hook fails, has no failed test: it counts as one failure.
    const broken = report.testResults.filter((r) => r.status === 'failed' && failedTests(r).length === 0).length;
    const failed = report.numFailedTests + broken;
    const outside = failed === 0 && status !== 0;
    return {
      passed: report.numPassedTests,
      failed: outside ? 1 : failed,
      skipped: report.numPendingTests,
      failures: outside ? [`${ended}, and no test failed: an error outside of tests`] : namesOfFailures(report, env),
    };
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

function namesOfFailures(report: Report, env: Readonly<Record<string, string>>): readonly string[] {
  const hook = 'none of its tests failed, but what runs before or after them did: Vitest printed it above';
  const mode = Object.entries(env).map(([name, value]) => `${name}=${value} `);
  return report.testResults.flatMap((result) => {
    const file = `${mode.join('')}${relative(root, result.name)}`;
    const tests = failedTests(result);
    if (tests.length === 0)
      return result.status === 'failed' ? [`${file}\n  ${firstLine(result.message || hook)}`] : [];
    return tests.map((test) => `${file}\n  ${test.fullName}\n  ${firstLine(test.failureMessages?.[0])}`);
  });
}

function failedTests(result: Report['testResults'][number]): Report['testResults'][number]['assertionResults'] {
  return result.assertionResults.filter((test) => test.status === 'failed');
}

function firstLine(message = ''): string {
  return (message.trim().split('\n')[0] ?? '').slice(0, 300);
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
