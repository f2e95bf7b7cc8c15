// SPDX-License-Identifier: Apache-2.0
// `isthmus impact`: what becomes of the requests of the last minutes, if a change is applied.
import { isRefused } from '../../api/diagnostics.ts';
import { kindOf } from '../../api/kinds.ts';
import { explain } from '../../explain/explain.ts';
import { type MeshInput, openMesh } from '../../explain/mesh.ts';
import { PODS } from '../../kube/resources.ts';
import type { KubeObject } from '../../kube/types.ts';
import { identityKey } from '../../sources/contract.ts';
import type { Remark } from '../analyze/judge.ts';
import { renderRemarks } from '../analyze/render.ts';
import { type Change, inputOf, overlayChanges, readChanges } from '../explain/changes.ts';
import { lookUpNames, type SeenMesh, seeMesh } from '../explain/see-mesh.ts';
import { startLiveLine } from '../live-line.ts';
import { UserError } from '../user-error.ts';
import { findLoggers, type Logger, type Loggers } from './callers.ts';
import { type LogCounts, type LogSink, newCounts, readLogFile, readPodLog } from './read-logs.ts';
import { type ImpactFormat, renderImpact } from './render.ts';
import { Replay } from './replay.ts';
import { type ImpactReport, reportOf } from './report.ts';
import { whoseLines } from './saved-logs.ts';

export interface ImpactOptions {
  /** `change.yaml`, or `cluster2=change.yaml`. */
  readonly files: readonly string[];
  /** The same, of objects that are to be deleted. */
  readonly deletions: readonly string[];
  /** None: all of the kubeconfig whose clusters have a mesh. */
  readonly contexts: readonly string[];
  readonly kubeconfig?: string;
  /** Of the proxies whose logs are read; absent: of all namespaces. Also of objects that name none. */
  readonly namespace?: string;
  readonly selector?: string;
  readonly sinceSeconds: number;
  /** Saved logs, in place of those of the clusters. */
  readonly logs: readonly string[];
  /** Whose saved logs they are, where the lines do not say. */
  readonly from?: string;
  readonly output: ImpactFormat;
  readonly failOnChange: boolean;
  readonly failOnFailure: boolean;
}

/** At once: each log is a connection. */
const READERS = 4;

/** @returns the exit code @throws UserError */
export async function impact(options: ImpactOptions): Promise<0 | 1> {
  const line = startLiveLine();
  const seen = await seeMesh({ ...options, onProgress: line.show }).finally(line.clear);
  try {
    const home = seen.clusters[0]!;
    const namespace = options.namespace ?? home.target.namespace;
    const changes = await readChanges(options.files, namespace);
    const deletions = await readChanges(options.deletions, namespace);
    const input = await lookUpNames(inputOf(seen));
    const overlaid = overlayChanges(input, changes, home.id);
    const after = await lookUpNames(without(overlaid.input, deletions, home.id));
    const meshes = { before: openMesh(input), after: openMesh(after), explain };
    const found = findLoggers(meshes.before, meshes.after, await wantedPods(seen, options));
    const progress = ({ requests }: LogCounts) => line.show(`replaying: ${requests} requests`);
    const sink: LogSink = { replay: new Replay(meshes), counts: newCounts(), progress };
    const notes = [...seen.notes, ...found.notes, ...(await readLogs(seen, found, options, sink))];
    line.clear();
    const report = reportOf(sink.replay.result(), sink.counts);
    const refused = overlaid.remarks.filter(isRefused);
    tellRemarks(overlaid.remarks);
    for (const note of [...notes, ...notesOn(report, found)]) process.stderr.write(`isthmus: ${note}\n`);
    process.stdout.write(renderImpact(report, options.output));
    return refused.length > 0 || fails(report, options) ? 1 : 0;
  } finally {
    line.clear();
    seen.close();
  }
}

function fails({ totals }: ImpactReport, { failOnChange, failOnFailure }: ImpactOptions): boolean {
  const isUntold = totals.untold > 0;
  if (failOnChange && (totals.changedShare > 0 || isUntold)) return true;
  return failOnFailure && (totals.newFailuresShare > 0 || isUntold);
}

/** The mesh without what is to be deleted. */
function without(input: MeshInput, deletions: readonly Change[], home: string): MeshInput {
  const gone = new Map<string, Set<string>>();
  for (const { cluster: named = home, objects, faults } of deletions) {
    const target = input.clusters.find(({ id, name }) => id === named || name === named);
    const [fault] = faults;
    if (fault !== undefined) throw new UserError(`${fault.file ?? ''}: ${fault.message}`, 2);
    if (target === undefined) throw new UserError(`--delete ${named}=...: there is no cluster ${named}`, 2);
    for (const { object, file } of objects) {
      const id = kindOf(object) === undefined ? target.id : (target.ruledBy ?? target.id);
      const has = input.clusters.find((each) => each.id === id)?.objects ?? [];
      const { kind, metadata } = object;
      if (!has.some((seen) => identityKey(seen.object) === identityKey(object)))
        throw new UserError(`${file}: ${id} has no ${kind} ${metadata.namespace}/${metadata.name} to delete`, 2);
      gone.set(id, (gone.get(id) ?? new Set()).add(identityKey(object)));
    }
  }
  const clusters = input.clusters.map((cluster) => {
    const keys = gone.get(cluster.id);
    if (keys === undefined) return cluster;
    return { ...cluster, objects: cluster.objects.filter(({ object }) => !keys.has(identityKey(object))) };
  });
  return { ...input, clusters };
}

async function wantedPods(
  { clusters }: SeenMesh,
  { namespace, selector }: ImpactOptions,
): Promise<(cluster: string, pod: KubeObject) => boolean> {
  const isNear = ({ metadata }: KubeObject): boolean => namespace === undefined || metadata.namespace === namespace;
  if (selector === undefined) return (_cluster, pod) => isNear(pod);
  const selected = new Map<string, Set<string>>();
  for (const { id, target } of clusters) {
    try {
      const { items } = await target.client.list(PODS, { namespace, labelSelector: selector });
      selected.set(id, new Set(items.map(({ metadata }) => `${metadata.namespace}/${metadata.name}`)));
    } catch (error) {
      throw target.explain(error, 'ask again');
    }
  }
  return (cluster, { metadata }) => selected.get(cluster)?.has(`${metadata.namespace}/${metadata.name}`) === true;
}

/** @returns what could not be read, and why */
async function readLogs(
  { clusters }: SeenMesh,
  { loggers }: Loggers,
  { logs, from, sinceSeconds }: ImpactOptions,
  sink: LogSink,
): Promise<string[]> {
  if (logs.length > 0) {
    const whose = whoseLines(loggers, from);
    for (const file of logs) await readLogFile(file, whose, sink);
    return [];
  }
  const notes: string[] = [];
  const waiting = [...loggers];
  const read = async (logger: Logger): Promise<void> => {
    const { target } = clusters.find(({ id }) => id === logger.caller.cluster)!;
    try {
      await readPodLog(target.client, logger, sinceSeconds, sink, target.signal);
    } catch (error) {
      if (target.signal.aborted) throw target.explain(error, 'ask again');
      notes.push(`the log of ${logger.namespace}/${logger.pod} was not read: ${(error as Error).message}`);
    }
  };
  const work = async (): Promise<void> => {
    for (let logger = waiting.shift(); logger !== undefined; logger = waiting.shift()) await read(logger);
  };
  await Promise.all(Array.from({ length: READERS }, work));
  return notes;
}

function notesOn({ requests }: ImpactReport, { loggers }: Loggers): string[] {
  const { sinceMoved, nobodys, connections, otherFormats } = requests;
  const filters = new Set(loggers.flatMap(({ filter }) => filter ?? []));
  return [
    ...[...filters].map(
      (filter) => `only requests with ${filter} are logged (Telemetry): of the others nothing is said`,
    ),
    ...(sinceMoved > 0
      ? [
          `${sinceMoved} requests went where today’s configuration would not send them: it has changed since, or a rule ` +
            'rewrites the authority that is logged (log %REQ(X-ENVOY-ORIGINAL-HOST?:AUTHORITY)%)',
        ]
      : []),
    ...(nobodys > 0 ? [`${nobodys} lines are of nobody who is here: name the workload with --from`] : []),
    ...(otherFormats > 0
      ? [
          `${otherFormats} lines are in another format than their proxy has now: they are not replayed (--since a shorter time)`,
        ]
      : []),
    ...(connections > 0 ? [`${connections} lines are about connections that are no HTTP: they are not replayed`] : []),
  ];
}

function tellRemarks(remarks: readonly Remark[]): void {
  if (remarks.length > 0) process.stderr.write(renderRemarks(remarks, 'log', process.stderr.isTTY === true));
}
