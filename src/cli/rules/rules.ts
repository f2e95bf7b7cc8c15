// SPDX-License-Identifier: Apache-2.0
// `isthmus rules`: rules that are written in one cluster, and where else each has arrived.
import { compareRules, isDrift, type RuleReport } from '../../federation/rules/comparison.ts';
import { renderStructured, type StructuredFormat } from '../proxies/render.ts';
import { renderTable } from '../table.ts';
import { collectRules } from './collect.ts';

export interface RulesOptions {
  /** None: those of the mesh that the current one belongs to. */
  readonly contexts: readonly string[];
  readonly kubeconfig?: string;
  readonly namespace?: string;
  readonly output: 'table' | StructuredFormat;
}

/** @returns the exit code: 1 where a copy is not in step @throws UserError when no cluster can be read */
export async function rules({ contexts, kubeconfig, namespace, output }: RulesOptions): Promise<0 | 1> {
  const { clusters, notes } = await collectRules(contexts, kubeconfig);
  for (const note of notes) process.stderr.write(`isthmus: ${note}\n`);
  const reports = compareRules(clusters).filter((each) => namespace === undefined || each.namespace === namespace);
  process.stdout.write(output === 'table' ? renderRules(reports) : renderStructured(reports, output));
  const isWell = reports.every(({ problem, copies }) => problem === undefined && !copies.some(isDrift));
  return isWell && notes.length === 0 ? 0 : 1;
}

const HEADER = ['RULE', 'WRITTEN IN', 'REVISION', 'CLUSTER', 'STATE', 'HAS', 'GENERATION'];
const SHORT: Readonly<Record<string, string>> = { VirtualService: 'vs', DestinationRule: 'dr' };

export function renderRules(reports: readonly RuleReport[]): string {
  if (reports.length === 0)
    return 'No rule names other clusters (annotation isthmus.io/clusters on a VirtualService or DestinationRule).\n';
  const rows = reports.flatMap((report) => {
    const { kind, namespace, name, source, revision = '-', generation } = report;
    const first = [`${SHORT[kind] ?? kind}/${name}.${namespace}`, source, revision];
    const own = generation === undefined ? '-' : String(generation);
    const copies = report.copies.map(({ cluster, state, revision: has = '-', generation: of }) => {
      return [cluster, state, has, of === undefined ? '-' : `${of} of ${own}`];
    });
    const lines =
      copies.length === 0 ? [['-', report.problem === undefined ? 'nowhere' : 'invalid', '-', '-']] : copies;
    return lines.map((cells, i) => [...(i === 0 ? first : ['', '', '']), ...cells]);
  });
  const remarks = reports.flatMap(({ kind, namespace, name, source, problem, copies }) => {
    const what = `${kind} ${namespace}/${name} of ${source}`;
    const wrong = copies.filter(isDrift).map(({ cluster, message }) => `${what}, in ${cluster}: ${message}`);
    return problem === undefined ? wrong : [`${what}: ${problem}`];
  });
  return renderTable(HEADER, rows, 3) + (remarks.length > 0 ? `\n${remarks.join('\n')}\n` : '');
}
