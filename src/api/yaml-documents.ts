// SPDX-License-Identifier: Apache-2.0
import { isMap, isNode, isSeq, LineCounter, type Node, parseAllDocuments } from 'yaml';
import type { KubeObject } from '../kube/types.ts';
import type { Locate } from './report.ts';
import { isRecord } from './shape.ts';

export interface YamlObject {
  readonly object: KubeObject;
  /** 1-based line of a field such as `spec.http[0].route`, or of its nearest parent that is there. */
  readonly locate: Locate;
}

export interface YamlFault {
  readonly message: string;
  readonly line: number;
}

/** Every Kubernetes object of a YAML text, Lists opened; what cannot be read is a fault with its line. */
export function parseYamlObjects(source: string): { objects: YamlObject[]; faults: YamlFault[] } {
  const lines = new LineCounter();
  const objects: YamlObject[] = [];
  const faults: YamlFault[] = [];
  const parsed = parseAllDocuments(source, { lineCounter: lines });
  for (const document of 'empty' in parsed ? [] : parsed) {
    const error = document.errors[0];
    if (error !== undefined) {
      faults.push({ message: error.message.split('\n')[0]!, line: lines.linePos(error.pos[0]).line });
      continue;
    }
    const raw: unknown = document.toJS({ maxAliasCount: 100 });
    if (raw === null || raw === undefined) continue;
    const lineOf = (node: unknown) => (isNode(node) && node.range ? lines.linePos(node.range[0]).line : 1);
    collect(raw, document.contents as Node | null, lineOf, objects, faults);
  }
  return { objects, faults };
}

function collect(
  raw: unknown,
  node: Node | null,
  lineOf: (node: unknown) => number,
  objects: YamlObject[],
  faults: YamlFault[],
): void {
  if (isRecord(raw) && typeof raw['kind'] === 'string' && raw['kind'].endsWith('List') && Array.isArray(raw['items'])) {
    const items = isMap(node) ? node.get('items', true) : undefined;
    raw['items'].forEach((item: unknown, i) => {
      const itemNode = isSeq(items) ? (items.items[i] as Node) : null;
      collect(item, itemNode, lineOf, objects, faults);
    });
  } else if (isKubeObject(raw)) {
    objects.push({ object: raw, locate: (field) => lineOf(nodeAt(node, field)) });
  } else {
    faults.push({
      message: 'this is no Kubernetes object: apiVersion, kind and metadata.name are needed',
      line: lineOf(node),
    });
  }
}

function isKubeObject(raw: unknown): raw is KubeObject {
  return (
    isRecord(raw) &&
    typeof raw['apiVersion'] === 'string' &&
    typeof raw['kind'] === 'string' &&
    isRecord(raw['metadata']) &&
    typeof raw['metadata']['name'] === 'string'
  );
}

/** The key's node for the last member of the path, so that the line is the one where the field's name stands. */
function nodeAt(root: Node | null, field: string): Node | null {
  let node: unknown = root;
  let shown: unknown = root;
  for (const [, name, index, quoted] of field.matchAll(/([\w-]+)|\[(\d+)\]|\[("(?:[^"\\]|\\.)*")\]/g)) {
    if (index !== undefined) {
      node = isSeq(node) ? node.items[Number(index)] : undefined;
      if (node !== undefined) shown = node;
      continue;
    }
    const key = quoted === undefined ? name! : (JSON.parse(quoted) as string);
    const pair = isMap(node) ? node.items.find((p) => String(p.key) === key) : undefined;
    if (pair === undefined) break;
    shown = pair.key;
    node = pair.value;
  }
  return shown as Node | null;
}
