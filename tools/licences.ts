// SPDX-License-Identifier: Apache-2.0
// Every installed package's licence must be one that Apache-2.0 software may use and ship.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const PERMITTED = new Set([
  'MIT',
  'MIT-0',
  'ISC',
  'Apache-2.0',
  'BSD-2-Clause',
  'BSD-3-Clause',
  '0BSD',
  'BlueOak-1.0.0',
  'Unlicense',
  'CC0-1.0',
  'Python-2.0',
  'PSF-2.0',
  'Zlib',
]);
/** Weak copyleft, by file: used as a tool, never bundled. */
const TOOLS_ONLY = new Set(['MPL-2.0']);

interface Manifest {
  readonly name?: string;
  readonly version?: string;
  readonly license?: string | { type: string };
  readonly licenses?: readonly { type: string }[];
}

export function findLicenceProblems(root: string): string[] {
  const own = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { dependencies: Record<string, string> };
  return installedPackages(join(root, 'node_modules')).flatMap((manifest) => {
    const licence = licenceOf(manifest);
    const shipped = manifest.name !== undefined && manifest.name in own.dependencies;
    return licence !== undefined && isPermitted(licence, shipped)
      ? []
      : [`${manifest.name}@${manifest.version}: licence ${licence ?? 'not stated'} is not one we may use`];
  });
}

function licenceOf(manifest: Manifest): string | undefined {
  if (typeof manifest.license === 'string') return manifest.license;
  return manifest.license?.type ?? manifest.licenses?.map((l) => l.type).join(' OR ');
}

/** An SPDX expression: of an OR one side will do, of an AND both must. */
function isPermitted(expression: string, shipped: boolean): boolean {
  const plain = expression.replace(/[()]/g, ' ').trim();
  return plain
    .split(/\s+OR\s+/)
    .some((side) =>
      side.split(/\s+AND\s+/).every((id) => PERMITTED.has(id.trim()) || (!shipped && TOOLS_ONLY.has(id.trim()))),
    );
}

function installedPackages(dir: string): Manifest[] {
  if (!existsSync(dir)) return [];
  return readdirSync(dir, { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && !entry.name.startsWith('.'))
    .flatMap((entry) => {
      const path = join(dir, entry.name);
      if (entry.name.startsWith('@')) return installedPackages(path);
      const file = join(path, 'package.json');
      const manifest = existsSync(file) ? [JSON.parse(readFileSync(file, 'utf8')) as Manifest] : [];
      return [...manifest, ...installedPackages(join(path, 'node_modules'))];
    });
}
