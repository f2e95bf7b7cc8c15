// SPDX-License-Identifier: Apache-2.0
// What analyze would say of the objects that are told of.
import { ANALYZERS } from '../analyzers/analyzers.ts';
import { readWorld } from '../analyzers/world.ts';
import { compareDiagnostics, type Diagnostic, refName } from '../api/diagnostics.ts';
import type { Mesh, MeshCluster } from '../explain/mesh.ts';

interface Named {
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
}

/** All that there is to say of a cluster: of the rules that it goes by, and of its own objects. */
export function findProblems(mesh: Mesh, cluster: MeshCluster): readonly Diagnostic[] {
  const members = new Set(cluster.plane.members.values());
  const others = [...mesh.clusters.values()].filter((each) => each !== cluster && members.has(each.id));
  const [world, elsewhere] = [readWorld(cluster.objects), others.map(({ objects }) => readWorld(objects))];
  return [...cluster.plane.diagnostics, ...ANALYZERS.flatMap((analyzer) => analyzer.run(world, elsewhere))];
}

/** Of those, what is said of the objects that are told of, once. */
export function problemsOf(all: readonly Diagnostic[], concerned: readonly Named[]): Diagnostic[] {
  const names = new Set(concerned.map(refName));
  const found = all.filter(({ object, severity }) => names.has(refName(object)) && severity !== 'info');
  const once = new Map(
    found.map((each) => [`${each.code} ${refName(each.object)} ${each.field} ${each.message}`, each]),
  );
  return [...once.values()].sort(compareDiagnostics);
}
