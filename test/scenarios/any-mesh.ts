// SPDX-License-Identifier: Apache-2.0
// Random meshes of two sources: objects that go together well (arbitrary-mesh.ts), and objects of every kind with whatever
// fields there are (test/fields/arbitrary-objects.ts). All of them are valid by themselves.
import fc from 'fast-check';
import { stringify } from 'yaml';
import { validateObject } from '../../src/api/validate.ts';
import type { KubeObject } from '../../src/kube/types.ts';
import { ObjectGenerator } from '../fields/arbitrary-objects.ts';
import { readDeclarations } from '../fields/declared.ts';
import { readInventory } from '../fields/inventory.ts';
import { arbitraryMesh } from './arbitrary-mesh.ts';

export const inventory = readInventory();
export const generator = new ObjectGenerator(inventory, readDeclarations(inventory));

const meshConfig = generator.spec('MeshConfig').map(
  (mesh): KubeObject => ({
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: 'istio', namespace: 'istio-system' },
    data: { mesh: stringify(mesh) },
  }),
);

const anyObject = fc.oneof(
  { weight: 1, arbitrary: meshConfig },
  ...generator.kinds.map((kind) => ({ weight: 3, arbitrary: generator.object(kind) })),
);

/** Objects with distinct kind, namespace and name. */
export const anyMesh: fc.Arbitrary<KubeObject[]> = fc
  .tuple(fc.array(anyObject, { maxLength: 12 }), arbitraryMesh)
  .map(([some, others]) => {
    const objects = [...some, ...others].filter(isValid);
    return [...new Map(objects.map((o) => [`${o.kind}/${o.metadata.namespace}/${o.metadata.name}`, o])).values()];
  });

export function isValid(object: KubeObject): boolean {
  return validateObject(object).every((d) => d.severity !== 'error');
}
