// SPDX-License-Identifier: Apache-2.0
// `isthmus explain`: collects, asks, prints.
import { lookup } from 'node:dns/promises';
import { stringify } from 'yaml';
import { type AskedRequest, AskingError, readRequest } from '../../explain/asked.ts';
import { findCaller } from '../../explain/callers.ts';
import { explain } from '../../explain/explain.ts';
import { type Mesh, type MeshInput, openMesh } from '../../explain/mesh.ts';
import type { Path } from '../../explain/path.ts';
import type { Remark } from '../analyze/judge.ts';
import { renderRemarks } from '../analyze/render.ts';
import { UserError } from '../user-error.ts';
import { type Change, inputOf, overlayChanges, readChanges } from './changes.ts';
import { isSame, renderComparison } from './compare.ts';
import { offlineMesh } from './offline.ts';
import { plainPath, renderPath } from './render.ts';
import { type SeenMesh, seeMesh } from './see-mesh.ts';
import { styleOf } from './wrap.ts';

export interface ExplainOptions {
  /** `['GET', 'http://reviews:9080/']` */
  readonly words: readonly string[];
  readonly headers: readonly string[];
  readonly from: string;
  readonly cluster?: string;
  readonly contexts: readonly string[];
  readonly kubeconfig?: string;
  readonly namespace?: string;
  readonly files: readonly string[];
  readonly diff: boolean;
  readonly offline: boolean;
  readonly output: 'text' | 'json' | 'yaml';
}

interface Meshes {
  readonly before: Mesh;
  /** Absent: nothing changes. */
  readonly after?: Mesh;
  readonly remarks: readonly Remark[];
  readonly notes: readonly string[];
}

/** Prints to stdout; gives the exit code. @throws UserError for what cannot be read, reached or asked */
export async function runExplain(options: ExplainOptions): Promise<0 | 1> {
  const request = asking(() => readRequest(options.words, options.headers));
  const meshes = await (options.offline ? readFiles(options) : readClusters(options));
  for (const note of meshes.notes) process.stderr.write(`isthmus: ${note}\n`);
  if (meshes.remarks.length > 0)
    process.stderr.write(renderRemarks(meshes.remarks, 'log', process.stderr.isTTY === true));
  const before = answer(meshes.before, options, request);
  const after = meshes.after && answer(meshes.after, options, request);
  print(options, before, after);
  return meshes.remarks.some(({ severity }) => severity === 'error') ? 1 : 0;
}

function answer(mesh: Mesh, { from, namespace, cluster }: ExplainOptions, request: AskedRequest): Path {
  const wish = { from, ...(namespace !== undefined && { namespace }), ...(cluster !== undefined && { cluster }) };
  return explain(mesh, { from: asking(() => findCaller(mesh, wish)), request });
}

function asking<T>(ask: () => T): T {
  try {
    return ask();
  } catch (error) {
    if (error instanceof AskingError) throw new UserError(`${error.message}: ${error.cure}`, 2);
    throw error;
  }
}

async function readFiles({ files, namespace, cluster, diff }: ExplainOptions): Promise<Meshes> {
  if (files.length === 0) throw new UserError('--offline leaves nothing to look at: name files or folders with -f', 2);
  if (diff && files.length < 2)
    throw new UserError('--diff --offline compares all files with all but the last -f: name two at least', 2);
  const changes = await readChanges(files, namespace ?? 'default');
  const whole = offlineMesh(changes, cluster);
  const { remarks, notes } = whole;
  if (!diff) return { before: openMesh(whole.input), remarks, notes };
  const { input } = offlineMesh(changes.slice(0, -1), cluster);
  return { before: openMesh(input), after: openMesh(whole.input), remarks, notes };
}

async function readClusters(options: ExplainOptions): Promise<Meshes> {
  const isLive = process.stderr.isTTY === true;
  const onProgress = (text: string) => void (isLive && process.stderr.write(`\r\x1b[K${text}`));
  onProgress('reading clusters');
  const { contexts, kubeconfig } = options;
  const seen = await seeMesh({ contexts, ...(kubeconfig !== undefined && { kubeconfig }), onProgress });
  try {
    return await openClusters(seen, options);
  } finally {
    seen.close();
    if (isLive) process.stderr.write('\r\x1b[K');
  }
}

async function openClusters(seen: SeenMesh, options: ExplainOptions): Promise<Meshes> {
  const input = await withNames(inputOf(seen));
  const { notes } = seen;
  const before = openMesh(input);
  if (options.files.length === 0) return { before, remarks: [], notes };
  const home = findHome(seen, input, options);
  const fallback = options.namespace ?? seen.clusters.find(({ id }) => id === home)?.target.namespace ?? 'default';
  const changes: Change[] = await readChanges(options.files, fallback);
  const { input: overlaid, remarks } = overlayChanges(input, changes, home);
  const after = openMesh(await withNames(overlaid));
  return options.diff ? { before, after, remarks, notes } : { before: after, remarks, notes };
}

/** Where the caller is: what `-f` without a cluster is for. */
function findHome({ clusters }: SeenMesh, input: MeshInput, { cluster, from, namespace }: ExplainOptions): string {
  if (cluster === undefined && clusters.length > 1) {
    const wish = { from, ...(namespace !== undefined && { namespace }) };
    return asking(() => findCaller(openMesh(input), wish)).cluster.id;
  }
  const found = input.clusters.find(({ id, name }) => id === cluster || name === cluster);
  return found?.id ?? clusters[0]!.id;
}

/** Names of gateways are looked up here, as the control plane looks them up where it runs. */
export async function withNames(input: MeshInput): Promise<MeshInput> {
  const wanted = new Set(openMesh(input).planes.flatMap(({ gatewayNames }) => gatewayNames));
  if (wanted.size === 0) return input;
  const found = await Promise.all(
    [...wanted].map(async (name) => {
      const addresses = await lookup(name, { all: true }).catch(() => []);
      return [name, addresses.map(({ address }) => address).sort()] as const;
    }),
  );
  return { ...input, names: new Map(found.filter(([, addresses]) => addresses.length > 0)) };
}

function print({ headers, output, diff }: ExplainOptions, before: Path, after: Path | undefined): void {
  const write = (value: unknown) =>
    process.stdout.write(output === 'json' ? `${JSON.stringify(value, undefined, 2)}\n` : stringify(value));
  const style = styleOf(process.stdout);
  if (after !== undefined && diff) {
    if (output === 'text') process.stdout.write(renderComparison(before, after, headers, style));
    else write({ same: isSame(before, after), before: plainPath(before, headers), after: plainPath(after, headers) });
    return;
  }
  if (output === 'text') process.stdout.write(renderPath(before, headers, style));
  else write(plainPath(before, headers));
}
