// SPDX-License-Identifier: Apache-2.0
// `isthmus analyze`: collects, judges, prints.
import { compareClusters } from '../../analyzers/across.ts';
import { readWorld } from '../../analyzers/world.ts';
import { isAtLeast, type ObjectRef, type Severity } from '../../api/diagnostics.ts';
import { diagnose } from '../../api/report.ts';
import { ISTIO_NAMESPACE } from '../../runtime/mesh-resources.ts';
import { UserError } from '../user-error.ts';
import { place, readObjectFiles } from './collect.ts';
import { judgeFileSecrets } from './file-secrets.ts';
import { judgeGlobalHosts } from './global-hosts.ts';
import { judgeObjects, judgeServed, type Remark, type WatchedCluster } from './judge.ts';
import { type GatewayCluster, tellDeadGateways } from './network-gateways.ts';
import { matchRegistry } from './remote-secrets.ts';
import { countRemarks, type OutputFormat, renderRemarks } from './render.ts';
import { compareRoots, readRoots } from './roots.ts';
import { type Sighting, seeCluster } from './sighting.ts';
import { readSuppressions } from './suppressions.ts';
import { tellUnwatched } from './watching.ts';

export interface AnalyzeOptions {
  readonly paths: readonly string[];
  readonly useKube: boolean;
  /** None: the current one. */
  readonly contexts: readonly string[];
  readonly kubeconfig?: string;
  readonly namespace?: string;
  readonly allNamespaces: boolean;
  readonly output: OutputFormat;
  readonly failureThreshold: Severity;
  /** Less serious remarks are not printed, and do not count. */
  readonly outputThreshold: Severity;
  readonly suppress: readonly string[];
  readonly color: boolean;
}

interface Findings {
  readonly remarks: readonly Remark[];
  readonly notes: readonly string[];
  /** What was looked at, for the last line. */
  readonly scope: string;
}

/** Prints to stdout; gives the exit code. @throws UserError for what cannot be read or reached */
export async function analyze(options: AnalyzeOptions): Promise<0 | 1> {
  const isQuiet = readSuppressions(options.suppress);
  const {
    remarks: found,
    notes,
    scope,
  } = options.useKube ? await analyzeClusters(options) : await analyzeFiles(options);
  const remarks = found.filter((remark) => isAtLeast(remark.severity, options.outputThreshold) && !isQuiet(remark));
  process.stdout.write(renderRemarks(remarks, options.output, options.color));
  for (const note of notes) process.stderr.write(`isthmus: ${note}\n`);
  if (options.output === 'log') {
    if (remarks.length === 0) process.stdout.write(`✔ Nothing to remark on in ${scope}.\n`);
    else process.stderr.write(`${countRemarks(remarks)} in ${scope}.\n`);
  }
  return remarks.some(({ severity }) => isAtLeast(severity, options.failureThreshold)) ? 1 : 0;
}

/** Every object of the files, wherever it belongs. */
async function analyzeFiles({ paths, namespace }: AnalyzeOptions): Promise<Findings> {
  const collected = place(await readObjectFiles(paths), namespace ?? 'default');
  const remarks = [...judgeObjects(collected), ...judgeFileSecrets(collected.objects, Date.now())];
  return { remarks, notes: [], scope: 'the files' };
}

async function analyzeClusters(options: AnalyzeOptions): Promise<Findings> {
  const contexts = [...new Set(options.contexts)];
  const files = await readObjectFiles(options.paths);
  if (contexts.length <= 1) {
    const only = await seeCluster({ ...options, context: contexts[0], files });
    demandNamespace(options.namespace, [only]);
    const { remarks, notes } = judgeSighting(only, [], undefined);
    const dead = tellDeadGateways([gatewaysOf(only, undefined)]);
    return { remarks: [...remarks, ...dead], notes, scope: describeNamespaces([only]) };
  }
  const seen = await Promise.all(
    contexts.map((context) => seeCluster({ ...options, context, files }).catch((error) => outOfReach(context, error))),
  );
  const sightings = seen.filter(isSighting);
  demandNamespace(options.namespace, sightings);
  const judged = sightings.map((each) => judgeSighting(each, sightings, each.target.contextName));
  const roots = sightings.flatMap(({ target, installation: { roots: found } }) => {
    const read = found && readRoots(target.contextName, found.source, found.pem);
    return read === undefined ? [] : [read];
  });
  const differing = compareRoots(roots);
  // The control plane tells it of the clusters that it watches, too.
  const isNews = ({ code }: Remark) => code !== 'ISM0312' || differing.length === 0;
  return {
    remarks: [
      ...seen.filter((each): each is Remark => !isSighting(each)),
      ...judged.flatMap(({ remarks }) => remarks).filter(isNews),
      ...differing,
      ...tellUnwatched(
        sightings.map(({ target: { contextName, client, caPem }, installation }) => {
          return { context: contextName, server: client.server, caPem, installation };
        }),
      ),
      ...tellDeadGateways(sightings.map((each) => gatewaysOf(each, each.target.contextName))),
      ...judgeAcross(sightings),
      ...judgeGlobalHosts(
        sightings.map(({ target, collected, namespace }) => {
          return { context: target.contextName, objects: collected.objects, namespace };
        }),
      ),
    ],
    notes: judged.flatMap(({ notes }) => notes),
    scope: sightings.length === 0 ? contexts.join(', ') : `${describeNamespaces(sightings)} of ${contexts.join(', ')}`,
  };
}

/** A typing mistake; one cluster of several need not have it. */
function demandNamespace(name: string | undefined, seen: readonly Sighting[]): void {
  if (name !== undefined && seen.length > 0 && !seen.some(({ hasNamespace }) => hasNamespace))
    throw new UserError(`there is no namespace ${name} (kubectl get namespaces)`, 2);
}

/** Whose objects were judged: said, so that nobody takes it for more. */
function describeNamespaces(sightings: readonly Sighting[]): string {
  const names = new Set(sightings.map(({ namespace }) => namespace));
  if (names.has(undefined)) return 'all namespaces';
  return `${names.size === 1 ? 'namespace' : 'namespaces'} ${[...names].join(', ')}`;
}

function isSighting(seen: Sighting | Remark): seen is Sighting {
  return 'target' in seen;
}

/** Of whose objects is told, as with one cluster: those of the namespace, and those of files. */
function judgeAcross(sightings: readonly Sighting[]): Remark[] {
  const worlds = sightings.map(({ target, collected, installation }) => ({
    context: target.contextName,
    name: installation.clusterName ?? target.contextName,
    world: readWorld(collected.objects),
  }));
  const namespaces = new Set(sightings.map(({ namespace }) => namespace));
  return compareClusters(worlds).filter(({ object }) => namespaces.has(undefined) || namespaces.has(object.namespace));
}

function gatewaysOf({ target, collected, nodes, installation }: Sighting, shownAs: string | undefined): GatewayCluster {
  const { contextName, client, caPem } = target;
  return {
    context: contextName,
    shownAs,
    server: client.server,
    caPem,
    objects: collected.objects,
    nodes,
    installation,
  };
}

/** One cluster that is away leaves the others to be told of. */
function outOfReach(context: string, error: unknown): Remark {
  if (!(error instanceof UserError) || error.exitCode === 2) throw error;
  const ref: ObjectRef = { apiVersion: 'v1', kind: 'Context', namespace: '', name: context };
  return diagnose(ref, 'ISM0310', '', error.message.replace(/\.$/, ''), 'the other clusters were looked at');
}

function judgeSighting(
  { namespace, collected, installation }: Sighting,
  all: readonly Sighting[],
  shownAs: string | undefined,
): Pick<Findings, 'remarks' | 'notes'> {
  const notes = [...installation.notes];
  const watched = installation.registries.flatMap((registry): WatchedCluster[] => {
    const match = matchRegistry(
      registry,
      all.map((each) => ({ ...each, server: each.target.client.server, caPem: each.target.caPem })),
    );
    if (match !== undefined)
      return [{ name: registry.name, shownAs: match.target.contextName, objects: match.collected.objects }];
    if (registry.config !== undefined)
      notes.push(
        `${registry.name} (Secret ${registry.secret.name}) is a cluster of the mesh too: what only it has counts as ` +
          'unknown, unless its context is named as well (--context, repeated)',
      );
    return [];
  });
  const isWanted = ({ object, file }: Remark): boolean =>
    namespace === undefined ||
    file !== undefined ||
    [namespace, ''].includes(object.kind === 'Namespace' ? object.name : object.namespace) ||
    isOfMesh(object);
  const judged =
    installation.role === 'remote'
      ? judgeServed(collected, shownAs)
      : judgeObjects(collected, { cluster: installation.clusterName, shownAs, watched });
  const located = installation.remarks.map((remark) =>
    shownAs === undefined ? remark : { ...remark, object: { ...remark.object, cluster: shownAs } },
  );
  return {
    remarks: [...judged.filter(isWanted), ...located],
    notes: shownAs === undefined ? notes : notes.map((note) => `${shownAs}: ${note}`),
  };
}

/** The mesh's own settings concern whoever asks, as the control plane does. */
function isOfMesh({ kind, namespace }: ObjectRef): boolean {
  return kind === 'ConfigMap' && namespace === ISTIO_NAMESPACE;
}
