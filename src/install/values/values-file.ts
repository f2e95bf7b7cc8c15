// SPDX-License-Identifier: Apache-2.0
// A file of values: Helm's (values at the top), or istioctl's IstioControlPlane and IstioOperator (values inside of spec).
import { isMap, isScalar, LineCounter, type Node, parseAllDocuments } from 'yaml';
import type { Locate } from './check-values.ts';
import { isTree, type RawTree, type RawValue } from './helm-set.ts';
import { isOperatorObject, translateOperator } from './operator-file.ts';
import { ValuesError } from './values-error.ts';

export interface ValuesFile {
  /** As the user named it. */
  readonly name: string;
  readonly text: string;
}

/** `where` as a message begins. */
export interface NamedProfile {
  readonly name: RawValue;
  readonly where: string;
}

export interface ReadFile {
  readonly tree: RawTree;
  readonly profile?: NamedProfile;
  readonly locate: Locate;
  readonly notices: readonly { path: string; reason: string }[];
}

/** @throws ValuesError with the line where the file is no YAML, or not of a form that is known */
export function readValuesFile({ name, text }: ValuesFile): ReadFile {
  const lines = new LineCounter();
  const parsed = parseAllDocuments(text, { lineCounter: lines });
  const documents = 'empty' in parsed ? [] : parsed;
  for (const { errors } of documents) {
    if (errors[0] === undefined) continue;
    const line = lines.linePos(errors[0].pos[0]).line;
    throw new ValuesError(`${name}:${line}: ${errors[0].message.split('\n')[0]}`);
  }
  const filled = documents.filter(
    ({ contents }) => contents !== null && !(isScalar(contents) && contents.value === null),
  );
  if (filled.length > 1)
    throw new ValuesError(`${name}: a file of values is one document, and this holds ${filled.length}`);
  const [document] = filled;
  if (document === undefined) return { tree: {}, locate: () => name, notices: [] };
  const tree: unknown = document.toJS({ maxAliasCount: 100 });
  if (!isTree(tree)) throw new ValuesError(`${name}: a file of values begins with names, as in "global:"`);
  const lineOf = (path: readonly string[]): string =>
    `${name}:${lines.linePos(offsetOf(document.contents, path)).line}`;
  if (!isOperatorObject(tree)) return { tree, locate: (path) => lineOf(path.split('.')), notices: [] };
  const { values, profile, origin, notices } = translateOperator(tree, lineOf);
  const named = profile === undefined ? {} : { profile: { name: profile, where: lineOf(['spec', 'profile']) } };
  return { tree: values, ...named, locate: (path) => lineOf(origin(path.split('.'))), notices };
}

/** Of the key at the path's end, or of the last one that is there. */
function offsetOf(root: Node | null, path: readonly string[]): number {
  let node: unknown = root;
  let offset = root?.range?.[0] ?? 0;
  for (let rest = [...path]; rest.length > 0; ) {
    if (!isMap(node)) break;
    // Names may hold dots: the longest that is there.
    let length = rest.length;
    const find = (size: number) =>
      (node as { items: { key: unknown; value: unknown }[] }).items.find(
        ({ key }) => String(key) === rest.slice(0, size).join('.'),
      );
    while (length > 0 && find(length) === undefined) length--;
    const pair = find(length);
    if (pair === undefined) break;
    offset = (pair.key as Node).range?.[0] ?? offset;
    node = pair.value;
    rest = rest.slice(length);
  }
  return offset;
}
