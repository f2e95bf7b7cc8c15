// SPDX-License-Identifier: Apache-2.0
// `make check`: format and lint (Biome), types (tsc), the layer law and import cycles, licences, SPDX lines, READMEs.
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { findUnusedExports } from './exports.ts';
import { findCycles, findLayerBreaches, readImports } from './layers.ts';
import { findLicenceProblems } from './licences.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const SOURCE_DIRS = ['src', 'test', 'tools', 'bench', 'scenarios'];

const steps: readonly [name: string, run: () => string[]][] = [
  ['format and lint', () => tool('biome', ['check', '--error-on-warnings', '--max-diagnostics=50'])],
  ['types', () => tool('tsc', ['-p', '.', '--noEmit', '--pretty', 'false'])],
  ['layers', () => findLayerBreaches(readImports(join(root, 'src')))],
  ['import cycles', () => findCycles(readImports(join(root, 'src')))],
  ['exports that nothing imports', () => findUnusedExports(sourceTexts())],
  ['licences of dependencies', () => findLicenceProblems(root)],
  ['SPDX lines', findMissingSpdx],
  ['folder READMEs', findMissingReadmes],
];

let failed = 0;
for (const [name, run] of steps) {
  const startedAt = performance.now();
  const problems = run();
  const seconds = ((performance.now() - startedAt) / 1000).toFixed(1);
  console.log(`${problems.length === 0 ? 'ok  ' : 'FAIL'} ${name} (${seconds} s)`);
  for (const problem of problems) console.log(`     ${problem}`);
  if (problems.length > 0) failed++;
}
process.exitCode = failed === 0 ? 0 : 1;

function tool(name: string, args: readonly string[]): string[] {
  const result = spawnSync(join(root, 'node_modules/.bin', name), args, { cwd: root, encoding: 'utf8' });
  return result.status === 0 ? [] : `${result.stdout}${result.stderr}`.trimEnd().split('\n');
}

function sourceFiles(): string[] {
  return SOURCE_DIRS.filter((dir) => existsSync(join(root, dir))).flatMap((dir) =>
    readdirSync(join(root, dir), { recursive: true, encoding: 'utf8' })
      // A seed's steps are the page's lines and nothing else.
      .filter((file) => /\.(ts|tsx|py|sh)$/.test(file) && !/^seeds\/[^/]+\/steps\//.test(file))
      .map((file) => join(dir, file)),
  );
}

function sourceTexts(): Map<string, string> {
  const files = sourceFiles().filter((file) => file.endsWith('.ts'));
  return new Map(files.map((file) => [file, readFileSync(join(root, file), 'utf8')]));
}

function findMissingSpdx(): string[] {
  return [...sourceFiles(), 'isthmus', 'Makefile', '.ci/run']
    .filter(
      (file) => !readFileSync(join(root, file), 'utf8').slice(0, 200).includes('SPDX-License-Identifier: Apache-2.0'),
    )
    .map((file) => `${file}: the line "SPDX-License-Identifier: Apache-2.0" is missing at its top`);
}

function findMissingReadmes(): string[] {
  const folders = [
    ...readdirSync(join(root, 'src'), { withFileTypes: true }).map((e) => ({ dir: 'src', entry: e })),
    ...readdirSync(join(root, 'src/sandbox'), { withFileTypes: true }).map((e) => ({ dir: 'src/sandbox', entry: e })),
  ];
  return folders
    .filter(({ dir, entry }) => entry.isDirectory() && !existsSync(join(root, dir, entry.name, 'README.md')))
    .map(({ dir, entry }) => `${dir}/${entry.name} has no README.md that names what it owns and its invariant`);
}
