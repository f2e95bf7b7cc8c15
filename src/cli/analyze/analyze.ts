// SPDX-License-Identifier: Apache-2.0
// `isthmus analyze`: collects, judges, prints.
import type { Severity } from '../../api/diagnostics.ts';
import { NAMESPACES } from '../../kube/resources.ts';
import { type InstallTarget, readTarget } from '../install-target.ts';
import { UserError } from '../user-error.ts';
import { type Collected, overlay, readClusterObjects, readObjectFiles } from './collect.ts';
import { type InstallationReport, inspectInstallation, isAtLeast } from './installation.ts';
import { judgeObjects, type Remark } from './judge.ts';
import { countRemarks, type OutputFormat, renderRemarks } from './render.ts';

export interface AnalyzeOptions {
  readonly paths: readonly string[];
  readonly useKube: boolean;
  readonly context?: string;
  readonly kubeconfig?: string;
  readonly namespace?: string;
  readonly allNamespaces: boolean;
  readonly output: OutputFormat;
  readonly failureThreshold: Severity;
}

interface Seen {
  readonly collected: Collected;
  readonly installation: InstallationReport;
  /** Whose objects are judged; undefined for all. */
  readonly namespace: string | undefined;
}

/** Prints to stdout; gives the exit code. @throws UserError for what cannot be read or reached */
export async function analyze(options: AnalyzeOptions): Promise<0 | 1> {
  const { collected, installation, namespace } = options.useKube ? await seeCluster(options) : await seeFiles(options);
  const isWanted = ({ object, file }: Remark): boolean =>
    namespace === undefined || file !== undefined || object.namespace === namespace || object.namespace === '';
  const remarks = [...judgeObjects(collected).filter(isWanted), ...installation.remarks];
  process.stdout.write(renderRemarks(remarks, options.output));
  for (const note of installation.notes) process.stderr.write(`isthmus: ${note}\n`);
  if (options.output === 'text') {
    const scope = namespace === undefined ? 'all namespaces' : `namespace ${namespace}`;
    const where = options.useKube ? scope : 'the files';
    if (remarks.length === 0) process.stdout.write(`✔ Nothing to remark on in ${where}.\n`);
    else process.stderr.write(`${countRemarks(remarks)} in ${where}.\n`);
  }
  return remarks.some(({ severity }) => isAtLeast(severity, options.failureThreshold)) ? 1 : 0;
}

async function seeFiles({ paths, namespace }: AnalyzeOptions): Promise<Seen> {
  const collected = await readObjectFiles(paths, namespace ?? 'default');
  // Every object of the files, wherever it belongs.
  return { collected, installation: { remarks: [], notes: [] }, namespace: undefined };
}

async function seeCluster(options: AnalyzeOptions): Promise<Seen> {
  const target = readTarget(options);
  const namespace = options.allNamespaces ? undefined : (options.namespace ?? target.namespace);
  try {
    if (options.namespace !== undefined) await demandNamespace(target, options.namespace);
    const [cluster, files, installation] = await Promise.all([
      readClusterObjects(target.client),
      readObjectFiles(options.paths, options.namespace ?? target.namespace),
      inspectInstallation(target.client),
    ]);
    return { collected: overlay(cluster, files), installation, namespace };
  } catch (error) {
    throw error instanceof UserError ? error : target.explain(error, 'analyze again');
  } finally {
    target.close();
  }
}

async function demandNamespace({ client }: InstallTarget, name: string): Promise<void> {
  if ((await client.get(NAMESPACES, name)) === undefined)
    throw new UserError(`there is no namespace ${name} (kubectl get namespaces)`, 2);
}
