// SPDX-License-Identifier: Apache-2.0
// What there is to say of collected objects: the very rules that the control plane and its webhook apply.
import { compareDiagnostics, type Diagnostic, type ObjectRef } from '../../api/diagnostics.ts';
import { refOf } from '../../api/kind.ts';
import { kindOf } from '../../api/kinds.ts';
import { decodeMeshConfig } from '../../api/mesh-config.ts';
import { diagnose } from '../../api/report.ts';
import { MeshStore } from '../../model/store.ts';
import { PROGRAMMED, readStatus } from '../../runtime/findings/object-status.ts';
import { ISTIO_NAMESPACE } from '../../runtime/mesh-resources.ts';
import type { Collected, CollectedObject } from './collect.ts';

/** A diagnostic, and the file that its object was read from. */
export interface Remark extends Diagnostic {
  readonly file?: string;
}

const CLUSTER = 'cluster';

export function judgeObjects({ objects, diagnostics }: Collected): Remark[] {
  const store = new MeshStore({
    trustDomain: trustDomainOf(objects),
    dnsDomain: 'cluster.local',
    rootNamespace: ISTIO_NAMESPACE,
    configCluster: CLUSTER,
  });
  const { diagnostics: found } = store.apply(
    objects.map(({ object, locate }) => ({ kind: 'upsert', cluster: CLUSTER, object, locate })),
  );
  const files = new Map(objects.flatMap(({ object, file }) => (file ? [[nameOf(refOf(object)), file]] : [])));
  const remarks = [...found, ...objects.flatMap(refusalOf)].map((diagnostic): Remark => {
    const { cluster: _, ...object } = diagnostic.object;
    const file = files.get(nameOf(object));
    return { ...diagnostic, object, ...(file === undefined ? {} : { file }) };
  });
  return [...diagnostics, ...remarks].sort(compareDiagnostics);
}

/** What proxies refuse only they know; the control plane has put it into the object's status. */
function refusalOf({ object }: CollectedObject): Diagnostic[] {
  if (kindOf(object) === undefined) return [];
  const told = readStatus(object['status']).conditions.find(({ type }) => type === PROGRAMMED);
  if (told?.status !== 'False' || told.observedGeneration !== object.metadata.generation) return [];
  const cure = 'mend what Envoy names; until then the earlier state of the object stays in force, or none';
  return [diagnose(refOf(object), 'ISM0201', 'spec', told.message ?? 'Envoy refuses it', cure)];
}

/** The control plane was started with the one that the installation wrote there. */
function trustDomainOf(objects: readonly CollectedObject[]): string {
  const found = objects.find(
    ({ object: { kind, metadata } }) =>
      kind === 'ConfigMap' && metadata.name === 'istio' && metadata.namespace === ISTIO_NAMESPACE,
  );
  return (found && decodeMeshConfig(found.object).value?.trustDomain) ?? 'cluster.local';
}

function nameOf({ kind, namespace, name }: ObjectRef): string {
  return `${kind} ${namespace}/${name}`;
}
