// SPDX-License-Identifier: Apache-2.0
// A file of YAML documents, each read by itself and only when it changed.
import { createHash } from 'node:crypto';
import type { Locate } from '../api/report.ts';
import { parseYamlPart, type YamlFault, type YamlPart } from '../api/yaml-documents.ts';
import type { KubeObject } from '../kube/types.ts';
import { identityKey } from './contract.ts';

/** One document, as long as its text stays the same; it keeps neither the text nor the parser's tree. */
export interface YamlDocument {
  readonly hash: string;
  readonly objects: readonly KubeObject[];
  /** Lines count from the document's first. */
  readonly faults: readonly YamlFault[];
}

const CLUSTER_SCOPED = new Set(['Namespace', 'Node', 'CustomResourceDefinition', 'PersistentVolume']);

export function hashOf(text: string): string {
  return createHash('sha256').update(text).digest('base64');
}

export function readDocument(part: YamlPart, hash: string): YamlDocument {
  const { objects, faults } = parseYamlPart({ text: part.text, line: 1 });
  // A copy, for the strings that the parser gives are pieces of the text, and each keeps the whole file in memory.
  return { hash, objects: objects.map(({ object }) => structuredClone(inNamespace(object))), faults };
}

/** Of each object in a document, by its key: the line of a field, counted from the document's first. */
export function linesOf({ text }: YamlPart): ReadonlyMap<string, Locate> {
  const { objects } = parseYamlPart({ text, line: 1 });
  return new Map(objects.map(({ object, locate }) => [identityKey(inNamespace(object)), locate]));
}

/** As kubectl would: what has no namespace goes to `default`. */
function inNamespace(object: KubeObject): KubeObject {
  if (object.metadata.namespace !== undefined || CLUSTER_SCOPED.has(object.kind)) return object;
  return { ...object, metadata: { ...object.metadata, namespace: 'default' } };
}
