// SPDX-License-Identifier: Apache-2.0
// One question, asked of the clusters or files as they are, as they would be, or both.
import { refName } from '../../api/diagnostics.ts';
import { type AskedRequest, AskingError } from '../../explain/asked.ts';
import { findCaller } from '../../explain/callers.ts';
import { explain } from '../../explain/explain.ts';
import { type Mesh, type MeshInput, openMesh } from '../../explain/mesh.ts';
import type { Path } from '../../explain/path.ts';
import { objectName } from '../../kube/object-name.ts';
import type { Remark } from '../analyze/judge.ts';
import { UserError } from '../user-error.ts';
import { type Change, inputOf, overlayChanges, readChanges } from './changes.ts';
import { compareWithHeld, type HeldReport } from './held.ts';
import { offlineMesh } from './offline.ts';
import { lookUpNames, type SeenMesh, seeMesh } from './see-mesh.ts';

export interface Question {
  readonly request: AskedRequest;
  readonly from: string;
  readonly cluster?: string;
  readonly contexts: readonly string[];
  readonly kubeconfig?: string;
  readonly namespace?: string;
  readonly files: readonly string[];
  readonly diff: boolean;
  readonly offline: boolean;
  readonly onProgress?: (text: string) => void;
}

export interface Answers {
  /** Of what is; absent where only what would be was asked for. */
  readonly before?: Path;
  /** With the files applied. */
  readonly after?: Path;
  /** About what is in the files. */
  readonly remarks: readonly Remark[];
  /** What could not be looked at, and why. */
  readonly notes: readonly string[];
  /** Of `before`, in clusters. */
  readonly held?: HeldReport;
}

/** @throws UserError for what cannot be read, reached or asked */
export function answerQuestion(question: Question): Promise<Answers> {
  return question.offline ? askFiles(question) : askClusters(question);
}

async function askFiles(question: Question): Promise<Answers> {
  const { files, namespace, cluster, diff } = question;
  if (files.length === 0) throw new UserError('--offline leaves nothing to look at: name files or folders with -f', 2);
  if (diff && files.length < 2)
    throw new UserError('--diff --offline compares all files with all but the last -f: name two at least', 2);
  const changes = await readChanges(files, namespace ?? 'default');
  const whole = offlineMesh(changes, cluster);
  const mesh = openMesh(whole.input);
  const remarks = [...whole.remarks, ...remarksOn(mesh, changes)];
  const { notes } = whole;
  if (!diff) return { before: ask(mesh, question), remarks, notes };
  const before = openMesh(offlineMesh(changes.slice(0, -1), cluster).input);
  return { before: ask(before, question), after: ask(mesh, question), remarks, notes };
}

async function askClusters(question: Question): Promise<Answers> {
  const { contexts, kubeconfig, onProgress } = question;
  onProgress?.('reading clusters');
  const seen = await seeMesh({
    contexts,
    ...(kubeconfig !== undefined && { kubeconfig }),
    ...(onProgress && { onProgress }),
  });
  try {
    return await askSeen(seen, question);
  } finally {
    seen.close();
  }
}

async function askSeen(seen: SeenMesh, question: Question): Promise<Answers> {
  const { files, diff, onProgress } = question;
  const { notes, clusters } = seen;
  const input = await lookUpNames(inputOf(seen));
  const mesh = openMesh(input);
  const asIs = async () => {
    const before = ask(mesh, question);
    onProgress?.('comparing with what the proxies have');
    return { before, held: await compareWithHeld(before.used, clusters) };
  };
  if (files.length === 0) return { ...(await asIs()), remarks: [], notes };
  const home = findHome(mesh, input, question);
  const namespace = question.namespace ?? clusters.find(({ id }) => id === home)?.target.namespace ?? 'default';
  const changes = await readChanges(files, namespace);
  const overlaid = overlayChanges(input, changes, home);
  const changed = openMesh(await lookUpNames(overlaid.input));
  const remarks = [...overlaid.remarks, ...remarksOn(changed, changes)];
  return { after: ask(changed, question), ...(diff && (await asIs())), remarks, notes };
}

function ask(mesh: Mesh, { request, from, namespace, cluster }: Question): Path {
  return asking(() => {
    const wish = { from, ...(namespace !== undefined && { namespace }), ...(cluster !== undefined && { cluster }) };
    return explain(mesh, { from: findCaller(mesh, wish), request });
  });
}

/** @throws UserError in place of AskingError */
export function asking<T>(ask: () => T): T {
  try {
    return ask();
  } catch (error) {
    if (error instanceof AskingError) throw new UserError(`${error.message}: ${error.cure}`, 2);
    throw error;
  }
}

/** Where the caller is: what `-f` without a cluster is for. A caller that only the files bring is where the user is. */
function findHome(mesh: Mesh, input: MeshInput, { cluster, from, namespace }: Question): string {
  const named = input.clusters.find(({ id, name }) => id === cluster || name === cluster);
  if (named !== undefined) return named.id;
  try {
    return findCaller(mesh, { from, ...(namespace !== undefined && { namespace }) }).cluster.id;
  } catch (error) {
    if (error instanceof AskingError) return input.clusters[0]!.id;
    throw error;
  }
}

/** What does not fit together of what the files bring: the webhook would warn of it. */
function remarksOn(mesh: Mesh, changes: readonly Change[]): Remark[] {
  const files = new Map<string, string | undefined>();
  for (const { objects } of changes) for (const { object, file } of objects) files.set(objectName(object), file);
  return mesh.planes
    .flatMap(({ diagnostics }) => diagnostics)
    .filter((each) => files.has(refName(each.object)))
    .map(({ object: { cluster: _, ...object }, ...each }) => {
      const file = files.get(refName(object));
      return { ...each, object, ...(file !== undefined && { file }) };
    });
}
