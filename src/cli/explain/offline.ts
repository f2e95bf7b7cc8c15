// SPDX-License-Identifier: Apache-2.0
// Clusters of files alone: nothing is asked of anybody, and what a cluster would make of the files is imagined.
import { isRefused } from '../../api/diagnostics.ts';
import { validateObject } from '../../api/validate.ts';
import { imagineObjects } from '../../explain/imagined.ts';
import type { ClusterInput, SeenObject } from '../../explain/mesh.ts';
import { buildStages } from '../../install/manifest.ts';
import { readValues } from '../../install/values/read-values.ts';
import { REMOTE_SECRET_LABEL } from '../../kube/remote-kubeconfig.ts';
import { identityKey } from '../../sources/contract.ts';
import type { Remark } from '../analyze/judge.ts';
import type { Change, Overlaid } from './changes.ts';

const DEFAULT_CLUSTER = 'cluster1';

/** Of files that define one object the last one counts. @param home the cluster of files that name none */
export function offlineMesh(
  changes: readonly Change[],
  home: string = DEFAULT_CLUSTER,
): Overlaid & { readonly notes: readonly string[] } {
  const remarks: Remark[] = changes.flatMap(({ faults }) => faults);
  const notes: string[] = [];
  const byCluster = Map.groupBy(changes, ({ cluster }) => cluster ?? home);
  const ids = [...byCluster.keys()];
  const clusters = [...byCluster].map(([id, parts], index): ClusterInput => {
    const written = new Map<string, SeenObject>();
    for (const seen of parts.flatMap(({ objects }) => objects)) {
      const found = validateObject(seen.object, seen.locate);
      if (!found.some(isRefused)) written.set(identityKey(seen.object), seen);
      else remarks.push(...found.map((each) => ({ ...each, ...(seen.file !== undefined && { file: seen.file }) })));
    }
    const objects = [...written.values()];
    const watches = registriesIn(objects).flatMap((name) => (ids.includes(name) ? [{ cluster: name, name }] : []));
    const isInstalled = objects.some(
      ({ object: { metadata } }) =>
        metadata.namespace === 'istio-system' && /^(istiod|istio-)/.test(metadata.name ?? ''),
    );
    if (!isInstalled)
      notes.push(`the files of ${id} have no mesh in them: one as isthmus install makes it is taken for granted`);
    const all = isInstalled ? objects : [...installed(id, written), ...objects];
    return { id, watches, objects: imagineObjects(all, { cluster: id, index }) };
  });
  return { input: { clusters: clusters.map((cluster) => ruled(cluster, clusters)) }, remarks, notes };
}

/** Without a control plane of its own, it is ruled by who watches it. */
function ruled(cluster: ClusterInput, all: readonly ClusterInput[]): ClusterInput {
  const watcher = all.find(({ watches = [] }) => watches.some((each) => each.cluster === cluster.id));
  const hasPlane = cluster.objects.some(
    ({ object: { kind, metadata } }) => kind === 'Service' && metadata.name === 'istiod',
  );
  return watcher === undefined || hasPlane ? cluster : { ...cluster, ruledBy: watcher.id };
}

function registriesIn(objects: readonly SeenObject[]): string[] {
  return objects.flatMap(({ object }) => {
    const [label, value] = REMOTE_SECRET_LABEL.split('=');
    if (object.kind !== 'Secret' || object.metadata.labels?.[label ?? ''] !== (value ?? 'true')) return [];
    const { data = {}, stringData = {} } = object as { data?: object; stringData?: object };
    return [...Object.keys(data), ...Object.keys(stringData)];
  });
}

function installed(clusterName: string, written: ReadonlyMap<string, SeenObject>): SeenObject[] {
  const { values } = readValues({ sets: [], clusterName });
  const objects = buildStages(values, []).flatMap((stage) => stage.objects);
  return objects.filter((object) => !written.has(identityKey(object))).map((object) => ({ object }));
}
