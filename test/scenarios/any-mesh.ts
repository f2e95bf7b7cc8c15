// SPDX-License-Identifier: Apache-2.0
// Random meshes of three sources: objects that go together well (arbitrary-mesh.ts), objects of every kind with whatever
// fields there are (test/fields/arbitrary-objects.ts), and Kubernetes' own in all their forms (arbitrary-services.ts). All
// of them are valid by themselves.
import fc from 'fast-check';
import { stringify } from 'yaml';
import { validateObject } from '../../src/api/validate.ts';
import type { KubeObject } from '../../src/kube/types.ts';
import type { MeshProxy } from '../../src/model/proxy.ts';
import { ObjectGenerator } from '../fields/arbitrary-objects.ts';
import { readDeclarations } from '../fields/declared.ts';
import { readInventory } from '../fields/inventory.ts';
import { meshProxy } from '../fixture/mesh-proxy.ts';
import { arbitraryMesh } from './arbitrary-mesh.ts';
import { kubernetesObject, meshNetworks } from './arbitrary-services.ts';

export const inventory = readInventory();
export const generator = new ObjectGenerator(inventory, readDeclarations(inventory));

const meshConfig = fc.tuple(generator.spec('MeshConfig'), fc.option(meshNetworks)).map(
  ([mesh, networks]): KubeObject => ({
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: 'istio', namespace: 'istio-system' },
    data: { mesh: stringify(mesh), ...(networks !== null && { meshNetworks: networks }) },
  }),
);

const anyObject = fc.oneof(
  { weight: 1, arbitrary: meshConfig },
  { weight: 6, arbitrary: kubernetesObject },
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

/** Proxies of these meshes. */
export const PROXIES: readonly MeshProxy[] = [
  proxy('sidecar', 'alpha', 'reviews-v1', { app: 'reviews', version: 'v1' }),
  proxy('sidecar', 'beta', 'orders-v2', { app: 'orders', version: 'v2' }),
  proxy('sidecar', 'gamma', 'cart-v1', { app: 'cart', version: 'v1' }),
  proxy('sidecar', 'istio-system', 'tool', { app: 'tool' }),
  proxy('gateway', 'gamma', 'ingress-1', { app: 'ingress', istio: 'ingressgateway' }),
];

function proxy(kind: MeshProxy['kind'], namespace: string, podName: string, labels: Record<string, string>): MeshProxy {
  return meshProxy({ id: podName, kind, namespace, podName, labels });
}
