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

/** A document of a text of several, with the 1-based line that it begins at. */
export interface YamlPart {
  readonly text: string;
  readonly line: number;
}

/** Longer than any object that a cluster would store, and short enough to be read without anybody waiting for it. */
const MAX_DOCUMENT_CHARACTERS = 4 * 1024 * 1024;

/** Every Kubernetes object of a YAML text, Lists opened; what cannot be read is a fault with its line. */
export function parseYamlObjects(source: string): { objects: YamlObject[]; faults: YamlFault[] } {
  const parsed = [...splitYaml(source)].map(parseYamlPart);
  return { objects: parsed.flatMap((p) => p.objects), faults: parsed.flatMap((p) => p.faults) };
}

/** A line `---` ends a document whatever it is in the middle of, so that no parser is needed to tell documents apart. */
export function* splitYaml(source: string): Generator<YamlPart> {
  let line = 1;
  for (let start = 0; start < source.length; ) {
    let end = nextMark(source, start);
    // Directives (%YAML 1.2) are of the document behind the mark.
    if (/^\s*%/.test(source.slice(start, start + 100))) end = nextMark(source, end);
    const text = source.slice(start, end);
    if (!isBlank(text)) yield { text, line };
    for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1)) line++;
    start = end;
  }
}

/** Where the next document begins, or the text ends. */
function nextMark(source: string, start: number): number {
  for (let at = source.indexOf('\n---', start); at >= 0; at = source.indexOf('\n---', at + 1)) {
    const behind = source[at + 4];
    if (behind === undefined || /\s/.test(behind)) return at + 1;
  }
  return source.length;
}

function isBlank(text: string): boolean {
  return text.length < 100 && /^(---)?\s*$/.test(text);
}

export function parseYamlPart({ text, line }: YamlPart): { objects: YamlObject[]; faults: YamlFault[] } {
  const objects: YamlObject[] = [];
  const faults: YamlFault[] = [];
  const fail = (message: string, at = 1) => faults.push({ message, line: line - 1 + at });
  if (text.length > MAX_DOCUMENT_CHARACTERS) {
    fail(`${nameIn(text)} has ${megabytes(text.length)} MB, and ${megabytes(MAX_DOCUMENT_CHARACTERS)} MB is the most`);
    return { objects, faults };
  }
  const lines = new LineCounter();
  try {
    const parsed = parseAllDocuments(text, { lineCounter: lines });
    for (const document of 'empty' in parsed ? [] : parsed) {
      const error = document.errors[0];
      if (error !== undefined) {
        fail(messageOf(error), lines.linePos(error.pos[0]).line);
        continue;
      }
      const raw: unknown = document.toJS({ maxAliasCount: 100 });
      if (raw === null || raw === undefined) continue;
      collect(raw, document.contents as Node | null, { lines, before: line - 1 }, objects, faults);
    }
  } catch (error) {
    // Nested too deeply for the parser, or aliases of aliases.
    fail(`${nameIn(text)} cannot be read: ${error instanceof Error ? messageOf(error) : String(error)}`);
  }
  return { objects, faults };
}

const megabytes = (characters: number) => Math.ceil(characters / 1024 / 1024);

function messageOf({ message }: Error): string {
  if (message.startsWith('Maximum call stack')) return 'it is nested too deeply';
  // The place is told beside it, as that of the file.
  return message.split('\n')[0]!.replace(/ at line \d+, column \d+:$/, '');
}

/** What a document seems to be about, found without a parser. */
function nameIn(text: string): string {
  const head = text.slice(0, 4096);
  const [, kind] = /^kind: *([A-Za-z]+)/m.exec(head) ?? [];
  const [, name] = /\bname: *"?([-a-z0-9.]+)/.exec(head) ?? [];
  return kind === undefined || name === undefined ? 'a document' : `${kind} ${name}`;
}

interface Lines {
  readonly lines: LineCounter;
  /** How many lines of the text are before the document. */
  readonly before: number;
}

function collect(raw: unknown, node: Node | null, where: Lines, objects: YamlObject[], faults: YamlFault[]): void {
  if (isRecord(raw) && typeof raw['kind'] === 'string' && raw['kind'].endsWith('List') && Array.isArray(raw['items'])) {
    const items = isMap(node) ? node.get('items', true) : undefined;
    raw['items'].forEach((item: unknown, i) => {
      const itemNode = isSeq(items) ? (items.items[i] as Node) : null;
      collect(item, itemNode, where, objects, faults);
    });
  } else if (isKubeObject(raw)) {
    objects.push({ object: raw, locate: (field) => where.before + lineAt(node, field, where.lines) });
  } else {
    faults.push({
      message: 'this is no Kubernetes object: apiVersion, kind and metadata.name are needed',
      line: where.before + lineOf(node, where.lines),
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
