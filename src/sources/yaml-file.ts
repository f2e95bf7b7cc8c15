// SPDX-License-Identifier: Apache-2.0
// One YAML file of Kubernetes objects, and where in it a field stands.
import { parseYamlObjects } from '../api/yaml-documents.ts';
import type { KubeObject } from '../kube/types.ts';
import { identityKey, type ObjectIdentity } from './contract.ts';

export interface YamlFileProblem {
  /** 1-based. */
  readonly line: number;
  readonly message: string;
}

const CLUSTER_SCOPED = new Set(['Namespace', 'Node', 'CustomResourceDefinition', 'PersistentVolume']);

/** Every document stands alone: a broken one becomes a problem and its neighbours stay. */
export function parseYamlFile(text: string): { objects: readonly KubeObject[]; problems: readonly YamlFileProblem[] } {
  const { objects, faults } = parseYamlObjects(text);
  return { objects: objects.map(({ object }) => inNamespace(object)), problems: faults };
}

/** The 1-based line on which `field` (`spec.http[0].route`) or its nearest present parent stands; undefined without the object. */
export function findLine(text: string, identity: ObjectIdentity, field: string): number | undefined {
  const wanted = identityKey(identity);
  return parseYamlObjects(text)
    .objects.find(({ object }) => identityKey(inNamespace(object)) === wanted)
    ?.locate(field);
}

/** As kubectl would: what has no namespace goes to `default`. */
function inNamespace(object: KubeObject): KubeObject {
  if (object.metadata.namespace !== undefined || CLUSTER_SCOPED.has(object.kind)) return object;
  return { ...object, metadata: { ...object.metadata, namespace: 'default' } };
}
