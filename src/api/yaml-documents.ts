// SPDX-License-Identifier: Apache-2.0
import { isMap, isNode, isScalar, isSeq, LineCounter, type Node, parseAllDocuments, parseDocument } from 'yaml';
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
    collect(raw, document.contents as Node | null, lines, objects, faults);
  }
  return { objects, faults };
}

function collect(
  raw: unknown,
  node: Node | null,
  lines: LineCounter,
  objects: YamlObject[],
  faults: YamlFault[],
): void {
  if (isRecord(raw) && typeof raw['kind'] === 'string' && raw['kind'].endsWith('List') && Array.isArray(raw['items'])) {
    const items = isMap(node) ? node.get('items', true) : undefined;
    raw['items'].forEach((item: unknown, i) => {
      const itemNode = isSeq(items) ? (items.items[i] as Node) : null;
      collect(item, itemNode, lines, objects, faults);
    });
  } else if (isKubeObject(raw)) {
    objects.push({ object: raw, locate: (field) => lineAt(node, field, lines) });
  } else {
    faults.push({
      message: 'this is no Kubernetes object: apiVersion, kind and metadata.name are needed',
      line: lineOf(node, lines),
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

function lineOf(node: unknown, lines: LineCounter): number {
  return isNode(node) && node.range ? lines.linePos(node.range[0]).line : 1;
}

/**
 * 1-based line where the last member's name stands, or that of its nearest parent that is there. The path may go on in the
 * YAML that a block of text holds, as a ConfigMap has it.
 */
export function lineAt(root: Node | null, field: string, lines: LineCounter): number {
  let node: unknown = root;
  let shown: unknown = root;
  for (const step of field.matchAll(/([\w-]+)|\[(\d+)\]|\[("(?:[^"\\]|\\.)*")\]/g)) {
    const [, name, index, quoted] = step;
    if (isScalar(node) && node.type === 'BLOCK_LITERAL' && typeof node.value === 'string') {
      const within = new LineCounter();
      const inner = parseDocument(node.value, { lineCounter: within });
      return lineOf(node, lines) + lineAt(inner.contents as Node | null, field.slice(step.index), within);
    }
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
  return lineOf(shown, lines);
}
