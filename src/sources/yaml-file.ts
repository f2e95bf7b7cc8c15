// SPDX-License-Identifier: Apache-2.0
// One YAML file of Kubernetes objects, and where in it a field stands.
import { isMap, isSeq, LineCounter, type Node, parseAllDocuments } from 'yaml';
import type { KubeObject } from '../kube/types.ts';
import { identityKey, type ObjectIdentity } from './contract.ts';

export interface YamlFileProblem {
  /** 1-based. */
  readonly line: number;
  readonly message: string;
  readonly cure: string;
}

export interface YamlFileContent {
  readonly objects: readonly KubeObject[];
  readonly problems: readonly YamlFileProblem[];
}

const CLUSTER_SCOPED = new Set(['Namespace', 'Node', 'CustomResourceDefinition', 'PersistentVolume']);

/** Reads every document on its own: a broken one becomes a problem and its neighbours stay. Lists are unfolded. */
export function parseYamlFile(text: string): YamlFileContent {
  const objects: KubeObject[] = [];
  const problems: YamlFileProblem[] = [];
  for (const { document, lines } of documentsOf(text)) {
    const error = document.errors[0];
    const startLine = lineOf(document.contents, lines);
    if (error !== undefined) {
      const line = lines.linePos(error.pos[0]).line;
      problems.push({ line, message: firstLine(error.message), cure: 'mend the YAML; its last good state stays' });
      continue;
    }
    const value: unknown = document.toJS();
    if (value === null || value === undefined) continue;
    for (const item of unfoldList(value)) {
      const object = asObject(item);
      if (typeof object === 'string') {
        problems.push({ line: startLine, message: object, cure: 'give it apiVersion, kind and metadata.name' });
      } else {
        objects.push(object);
      }
    }
  }
  return { objects, problems };
}

/** The 1-based line on which `field` (`spec.http[0].route`) or its nearest present parent stands; undefined without the object. */
export function findLine(text: string, identity: ObjectIdentity, field: string): number | undefined {
  const wanted = identityKey(identity);
  for (const { document, lines } of documentsOf(text)) {
    if (document.errors.length > 0) continue;
    const items = isMap(document.contents) ? document.contents.get('items') : undefined;
    const candidates = isSeq(items) ? items.items : [document.contents];
    for (const node of candidates) {
      if (!isMap(node)) continue;
      const object = asObject(node.toJS(document));
      if (typeof object === 'string' || identityKey(object) !== wanted) continue;
      return lineOf(deepestNode(node, field), lines);
    }
  }
  return undefined;
}

function documentsOf(text: string) {
  const lines = new LineCounter();
  const parsed = parseAllDocuments(text, { lineCounter: lines, uniqueKeys: true });
  return (Array.isArray(parsed) ? parsed : []).map((document) => ({ document, lines }));
}

/** Follows `field` as far as the node goes; for a mapping's value, its key's line is the one a reader looks for. */
function deepestNode(root: Node, field: string): unknown {
  let current: unknown = root;
  let found: unknown = root;
  for (const step of field.split(/[.[\]]+/).filter((part) => part !== '')) {
    if (isMap(current)) {
      const pair = current.items.find((item) => String(item.key) === step);
      if (pair === undefined) break;
      found = pair.key;
      current = pair.value;
    } else if (isSeq(current)) {
      const item: unknown = current.items[Number(step)];
      if (item === undefined) break;
      found = item;
      current = item;
    } else {
      break;
    }
  }
  return found;
}

function lineOf(node: unknown, lines: LineCounter): number {
  const range = (node as { range?: readonly number[] | null } | null)?.range;
  return range?.[0] === undefined ? 1 : lines.linePos(range[0]).line;
}

function unfoldList(value: unknown): readonly unknown[] {
  const { kind, items } = value as { kind?: unknown; items?: unknown };
  return typeof kind === 'string' && kind.endsWith('List') && Array.isArray(items) ? items : [value];
}

/** The object with its namespace filled in as kubectl would, or what is wrong with it. */
function asObject(value: unknown): KubeObject | string {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return 'this document is not an object';
  const object = value as Partial<KubeObject>;
  if (typeof object.apiVersion !== 'string' || object.apiVersion === '') return 'this object has no apiVersion';
  if (typeof object.kind !== 'string' || object.kind === '') return 'this object has no kind';
  if (typeof object.metadata?.name !== 'string') return `this ${object.kind} has no metadata.name`;
  const scoped = CLUSTER_SCOPED.has(object.kind) || object.metadata.namespace !== undefined;
  return { ...object, metadata: scoped ? object.metadata : { ...object.metadata, namespace: 'default' } } as KubeObject;
}

function firstLine(message: string): string {
  return message.split('\n')[0] ?? message;
}
