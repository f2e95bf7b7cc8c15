// SPDX-License-Identifier: Apache-2.0
// The layer law of ARCHITECTURE.md, checked on import statements: which folder of src/ may import which.
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize, relative } from 'node:path';

/** Folder -> folders that it may import besides itself. What is not listed is forbidden. */
const ALLOWED: Readonly<Record<string, readonly string[]>> = {
  // neutral: used by both halves, know neither
  kube: [],
  pki: [],
  netfilter: ['process'],
  process: [],
  incremental: [],
  // the pipeline: pure, no I/O
  api: ['kube'],
  model: ['api', 'kube', 'incremental'],
  intent: ['model', 'api', 'incremental'],
  envoy: ['intent', 'xds', 'incremental'],
  'pipeline.ts': ['api', 'model', 'intent', 'envoy', 'xds', 'incremental'],
  // serving
  xds: ['incremental'],
  identity: ['pki', 'xds'],
  federation: ['api', 'model', 'kube', 'incremental'],
  // what a request will meet, asked of the pipeline
  explain: ['pipeline.ts', 'api', 'model', 'intent', 'envoy', 'xds', 'kube', 'injector', 'dns'],
  // what the mesh makes of a pod or a service
  describe: ['explain', 'analyzers', 'pipeline.ts', 'api', 'model', 'intent', 'envoy', 'xds', 'kube', 'injector'],
  // what `analyze` says beyond the control plane
  analyzers: ['api', 'model', 'kube', 'injector', 'incremental', 'federation'],
  sources: ['kube', 'api', 'incremental'],
  dns: ['kube', 'api', 'sources'],
  injector: ['api', 'kube', 'xds', 'netfilter'],
  install: ['kube', 'api', 'xds', 'injector', 'pki'],
  admin: ['kube', 'api', 'model', 'intent', 'xds'],
  console: [],
  runtime: [
    'incremental',
    'pipeline.ts',
    'process',
    'kube',
    'pki',
    'api',
    'model',
    'intent',
    'envoy',
    'xds',
    'identity',
    'sources',
    'dns',
    'injector',
    'install',
    'admin',
    'federation',
  ],
  sandbox: ['kube', 'pki', 'netfilter', 'process'],
  cli: ['*'],
};

/** Node modules that mean I/O; the compile stages are pure functions. */
const IO_MODULES = /^node:(fs|net|http|http2|https|tls|dgram|dns|child_process|worker_threads|sqlite)/;
/** Of node:net these compute and touch no network. */
const PURE_IMPORT = /^import\s+\{(\s*(isIP|isIPv4|isIPv6|BlockList)\s*,?)+\}\s+from\s+'node:net'/;
const PURE = new Set([
  'incremental',
  'api',
  'model',
  'intent',
  'envoy',
  'pipeline.ts',
  'federation',
  'explain',
  'analyzers',
  'describe',
]);

export interface FileImports {
  /** Relative to src, e.g. `model/store.ts`. */
  readonly file: string;
  /** Relative to src, or as written for packages. */
  readonly imports: readonly string[];
  /** As above, without `import type`: what counts for cycles. */
  readonly valueImports: readonly string[];
}

/** Every .ts file below `src` with what it imports; tests may import anything and are left out. */
export function readImports(src: string): FileImports[] {
  return readdirSync(src, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts') && !file.endsWith('.test.ts') && !/(^|\/)testing\//.test(file))
    .map((file) => {
      const text = readFileSync(join(src, file), 'utf8');
      const resolveFrom = (specifier: string): string =>
        specifier.startsWith('.') ? normalize(join(dirname(file), specifier)) : specifier;
      const statements = [
        ...text.matchAll(/^(?:import|export)\s+(type\s)?[^'"]*?from\s+['"]([^'"]+)['"]|^import\s+['"]([^'"]+)['"]/gm),
      ].filter((m) => !PURE_IMPORT.test(m[0]));
      const lazy = [...text.matchAll(/\bimport\(\s*['"]([^'"]+)['"]\s*\)/g)].map((m) => resolveFrom(m[1]!));
      return {
        file,
        imports: [...statements.map((m) => resolveFrom(m[2] ?? m[3]!)), ...lazy],
        valueImports: statements.filter((m) => m[1] === undefined).map((m) => resolveFrom(m[2] ?? m[3]!)),
      };
    });
}

export function findLayerBreaches(files: readonly FileImports[]): string[] {
  return files.flatMap(({ file, imports }) => {
    const folder = file.split('/')[0]!;
    const allowed = ALLOWED[folder];
    if (allowed === undefined) return [`src/${file}: folder ${folder} is not in the layer law (tools/layers.ts)`];
    return imports.flatMap((target) => {
      if (target.startsWith('node:')) {
        return PURE.has(folder) && IO_MODULES.test(target)
          ? [`src/${file}: ${folder}/ is pure and may not import ${target}`]
          : [];
      }
      if (!target.includes('.ts') || target.startsWith('#')) return [];
      const other = target.split('/')[0]!;
      return other === folder || allowed.includes('*') || allowed.includes(other)
        ? []
        : [`src/${file}: ${folder}/ may not import ${other}/ (${relative('.', target)})`];
    });
  });
}

/** Import cycles among files, each once, as `a.ts -> b.ts -> a.ts`. */
export function findCycles(files: readonly FileImports[]): string[] {
  const graph = new Map(files.map(({ file, valueImports }) => [file, valueImports]));
  const state = new Map<string, 'open' | 'done'>();
  const cycles: string[] = [];
  const visit = (file: string, path: readonly string[]): void => {
    if (state.get(file) === 'done') return;
    if (state.get(file) === 'open') {
      cycles.push([...path.slice(path.indexOf(file)), file].join(' -> '));
      return;
    }
    state.set(file, 'open');
    for (const next of graph.get(file) ?? []) if (graph.has(next)) visit(next, [...path, file]);
    state.set(file, 'done');
  };
  for (const file of graph.keys()) visit(file, []);
  return cycles;
}
