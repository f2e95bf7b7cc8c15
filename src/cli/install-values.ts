// SPDX-License-Identifier: Apache-2.0
// The values of install and of manifest: flags and files, read into what an installation is made from.
import { existsSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import { readValues } from '../install/values/read-values.ts';
import { ISTIO_NAMESPACE, type Values } from '../install/values/values.ts';
import { ValuesError } from '../install/values/values-error.ts';
import type { ValuesFile } from '../install/values/values-file.ts';
import { UserError } from './user-error.ts';
import type { ValueFlags } from './value-flags.ts';

/** Charts of this project: what a user may name in the place of one of Istio's. */
export type ChartName = 'istio' | 'istio-init';

export interface Chart {
  readonly name: ChartName;
  readonly values: ValuesFile | undefined;
}

const STDIN = '-';

/** Prints what has no effect to stderr. @throws UserError naming file and line, or flag, of what cannot be taken */
export function readInstallValues(flags: ValueFlags, clusterName: string, chart?: Chart): Values {
  const files = [...flags.values, ...flags.filename].map(readFile);
  const sets = [
    ...flags.set.map((text) => ({ text })),
    // As in Helm, texts come last.
    ...flags.setString.map((text) => ({ text, asText: true })),
  ];
  try {
    const base = chart?.values === undefined ? {} : { chart: chart.values };
    const { values, notices } = readValues({ ...base, files, sets, clusterName });
    for (const notice of notices) process.stderr.write(`  ! ${notice}.\n`);
    return values;
  } catch (error) {
    throw error instanceof ValuesError ? new UserError(error.message, 2) : error;
  }
}

/** @throws UserError where `dir` is no chart of this project */
export function readChart(dir: string): Chart {
  const file = join(dir, 'Chart.yaml');
  if (!existsSync(file)) {
    const why = existsSync(dir) ? 'it has no Chart.yaml' : 'there is no such folder';
    throw new UserError(
      `${dir} is no chart: ${why}. The chart of the mesh is install/kubernetes/helm/istio${markHint(dir)}`,
      2,
    );
  }
  const { name, annotations } = (parse(readFileSync(file, 'utf8')) ?? {}) as {
    name?: string;
    annotations?: Record<string, string>;
  };
  if (annotations?.['isthmus.dev/chart'] !== 'true' || (name !== 'istio' && name !== 'istio-init')) {
    throw new UserError(
      `${dir} is another project's chart, and this program renders no templates. Name ours, install/kubernetes/helm/istio, ` +
        'and give your own values with --values',
      2,
    );
  }
  const values = join(dir, 'values.yaml');
  return { name, values: existsSync(values) ? { name: values, text: readFileSync(values, 'utf8') } : undefined };
}

/** @throws UserError: names in certificates and in users' scripts hold the namespace */
export function checkNamespace(namespace: string | undefined): void {
  if (namespace === undefined || namespace === ISTIO_NAMESPACE) return;
  throw new UserError(`--namespace ${namespace}: the mesh is installed in ${ISTIO_NAMESPACE} and nowhere else`, 2);
}

function readFile(name: string): ValuesFile {
  if (name === STDIN) return { name: 'stdin', text: readFileSync(0, 'utf8') };
  try {
    if (statSync(name).isDirectory()) throw new UserError(`${name} is a folder; give a file of values`, 2);
    return { name, text: readFileSync(name, 'utf8') };
  } catch (error) {
    if (error instanceof UserError) throw error;
    const { code } = error as NodeJS.ErrnoException;
    const why = code === 'ENOENT' ? 'there is no such file' : `it cannot be read (${code})`;
    throw new UserError(`--values ${name}: ${why}${markHint(name)}`, 2);
  }
}

/** Documents print `@path@` where a link to the file was. */
function markHint(name: string): string {
  const [, path] = /^@(.+)@$/.exec(name) ?? [];
  return path === undefined ? '' : `; the marks @ are not part of its name: write ${path}`;
}
