// SPDX-License-Identifier: Apache-2.0
// `isthmus proxy-status`: asks each named cluster's control plane, and prints what its proxies have.
import { closestName } from '../../api/closest-name.ts';
import { demandAnswer, readTarget } from '../install-target.ts';
import { UserError } from '../user-error.ts';
import { askPilots, demandPilots, isServed, listPlanePods, servedNote } from './planes.ts';
import { renderRefusals, renderRows, renderStructured, type StructuredFormat } from './render.ts';
import { type ProxyRow, readRows } from './states.ts';

export interface ProxyStatusOptions {
  /** POD, or POD.NAMESPACE; undefined: all. */
  readonly pod: string | undefined;
  /** None: the current one. */
  readonly contexts: readonly string[];
  readonly kubeconfig?: string;
  readonly namespace?: string;
  readonly output: 'table' | StructuredFormat;
}

interface Seen {
  readonly rows: readonly ProxyRow[];
  readonly notes: readonly string[];
  /** Of the context, where a pod without one is looked for. */
  readonly namespace: string;
}

/** @returns the exit code: 1 when one of several clusters did not answer @throws UserError when none did */
export async function proxyStatus(options: ProxyStatusOptions): Promise<0 | 1> {
  const contexts = options.contexts.length === 0 ? [undefined] : [...new Set(options.contexts)];
  const asked = await Promise.allSettled(contexts.map((context) => lookAt(context, options)));
  const seen = asked.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
  const failures = asked.flatMap((result) => (result.status === 'rejected' ? [result.reason as Error] : []));
  const unexpected = failures.find((error) => !(error instanceof UserError));
  if (unexpected !== undefined) throw unexpected;
  for (const note of seen.flatMap(({ notes }) => notes)) process.stderr.write(`isthmus: ${note}\n`);
  if (seen.length === 0) throw new UserError(failures.map(({ message }) => message).join('\nisthmus: '));
  for (const { message } of failures) process.stderr.write(`isthmus: ${message}\n`);
  const rows = seen.flatMap((each) => select(each, options));
  if (rows.length === 0 && options.pod !== undefined) throw unknownPod(options.pod, seen);
  process.stdout.write(render(rows, options));
  return failures.length === 0 ? 0 : 1;
}

async function lookAt(context: string | undefined, { kubeconfig, contexts }: ProxyStatusOptions): Promise<Seen> {
  const target = readTarget({ ...(context && { context }), ...(kubeconfig && { kubeconfig }) });
  try {
    await demandAnswer(target, 'ask again');
    const pods = await listPlanePods(target.client);
    // Its proxies are in the answer of the control plane that rules them, if that is asked too.
    if (isServed(pods) && contexts.length > 1)
      return { rows: [], notes: [servedNote(target.contextName)], namespace: target.namespace };
    const pilots = demandPilots(pods, target.contextName);
    const { reports, notes } = await askPilots(target.client, pilots);
    return { rows: readRows(reports), notes, namespace: target.namespace };
  } catch (error) {
    throw error instanceof UserError ? error : target.explain(error, 'ask again');
  } finally {
    target.close();
  }
}

function select({ rows, namespace }: Seen, { pod, namespace: named }: ProxyStatusOptions): readonly ProxyRow[] {
  if (pod !== undefined) return rows.filter(({ name }) => name === pod || name === `${pod}.${named ?? namespace}`);
  return named === undefined ? rows : rows.filter(({ name }) => name.endsWith(`.${named}`));
}

function unknownPod(pod: string, seen: readonly Seen[]): UserError {
  const names = seen.flatMap(({ rows }) => rows.map(({ name }) => name));
  const closest =
    closestName(pod, names) ?? names.find((name) => name.startsWith(`${pod}.`) || name.startsWith(`${pod}-`));
  const hint = closest === undefined ? '' : `; did you mean ${closest}?`;
  const cure = 'write POD.NAMESPACE, and see that the pod has a proxy (kubectl get pod: 2/2), and what its log says';
  return new UserError(`no proxy ${pod} is connected to the control plane${hint} (${cure})`);
}

function render(rows: readonly ProxyRow[], { pod, output }: ProxyStatusOptions): string {
  if (output !== 'table') return renderStructured(rows, output);
  return `${renderRows(rows)}${pod === undefined ? '' : rows.map(renderRefusals).join('')}`;
}
