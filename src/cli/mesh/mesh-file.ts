// SPDX-License-Identifier: Apache-2.0
// A mesh.yaml, read and checked; every mistake is told with line, field and cure.
import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { isNode, LineCounter, parseDocument } from 'yaml';
import type { Diagnostic } from '../../api/diagnostics.ts';
import { refOf } from '../../api/kind.ts';
import { Report } from '../../api/report.ts';
import { isRecord } from '../../api/shape.ts';
import { parseYamlObjects } from '../../api/yaml-documents.ts';
import type { ValuesFile } from '../../install/values/values-file.ts';
import type { KubeObject } from '../../kube/types.ts';
import { UserError } from '../user-error.ts';
import { type ClusterSpec, type MeshSpec, meshSpec } from './mesh-shape.ts';

const API_VERSION = 'isthmus.io/v1alpha1';

/** A mesh as its file describes it. */
export interface Mesh {
  readonly name: string;
  /** As the user named it; `-` is standard input. */
  readonly file: string;
  /** What paths in the file are relative to. */
  readonly dir: string;
  readonly spec: MeshSpec;
  /** Values of an installation in a cluster, the common ones first, each with the file's own lines. */
  valueFiles(cluster: ClusterSpec): readonly ValuesFile[];
  /** `mesh.yaml:12`: where a field stands, or its nearest parent. */
  placeOf(field: string): string;
}

/** @throws UserError (called wrongly) that lists all that is wrong with the file */
export function readMeshFile(file: string): Mesh {
  const name = file === '-' ? 'stdin' : file;
  return parseMesh(readText(file), name, file === '-' ? process.cwd() : dirname(resolve(file)));
}

/** @throws UserError as above */
export function parseMesh(source: string, file: string, dir: string): Mesh {
  const { objects, faults } = parseYamlObjects(source);
  if (faults.length > 0) throw wrong(faults.map(({ line, message }) => `${file}:${line}: ${message}`));
  const [first, second] = objects;
  if (first === undefined) throw wrong([`${file}: it is empty; \`isthmus mesh init\` writes one`]);
  if (second !== undefined) {
    throw wrong([
      `${file}:${second.locate('apiVersion')}: a mesh is one document, and this file holds ${objects.length}`,
    ]);
  }
  const { object, locate } = first;
  const placeOf = (field: string): string => `${file}:${locate(field)}`;
  checkHeader(object, placeOf);
  const report = new Report(refOf(object), locate);
  const spec = meshSpec.decode(object['spec'], { field: 'spec', report });
  if (spec === undefined || report.errors > 0) throw wrong(report.diagnostics.map((each) => describe(each, file)));
  const valuesAt = slicer(source, file);
  return {
    name: object.metadata.name ?? '',
    file,
    dir,
    spec,
    placeOf,
    valueFiles: (cluster) => [
      ...(spec.values === undefined ? [] : [valuesAt(['spec', 'values'])]),
      ...(cluster.values === undefined
        ? []
        : [valuesAt(['spec', 'clusters', spec.clusters.indexOf(cluster), 'values'])]),
    ],
  };
}

function checkHeader(object: KubeObject, placeOf: (field: string) => string): void {
  if (object.kind !== 'Mesh') {
    throw wrong([
      `${placeOf('kind')}: kind: ${object.kind} is no Mesh: write \`kind: Mesh\`; what is to be applied to a cluster is for kubectl`,
    ]);
  }
  if (object.apiVersion !== API_VERSION) {
    throw wrong([`${placeOf('apiVersion')}: apiVersion: ${object.apiVersion} is not known: use ${API_VERSION}`]);
  }
  const known = ['apiVersion', 'kind', 'metadata', 'spec'];
  const strange = Object.keys(object).find((member) => !known.includes(member));
  if (strange !== undefined) {
    throw wrong([
      `${placeOf(strange)}: ${strange}: there is no field \`${strange}\` here: all that a mesh is stands below \`spec\``,
    ]);
  }
  const { name = '' } = object.metadata;
  if (!/^[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?$/.test(name)) {
    throw wrong([
      `${placeOf('metadata.name')}: metadata.name: "${name}" is no name: use at most 40 lower-case letters, digits and dashes`,
    ]);
  }
  if (!isRecord(object['spec']))
    throw wrong([`${placeOf('spec')}: spec: \`spec\` is required: add spec with its clusters`]);
}

function readText(file: string): string {
  try {
    return readFileSync(file === '-' ? 0 : file, 'utf8');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') {
      throw new UserError(`there is no file ${file}: name another with -f, or write one with \`isthmus mesh init\``, 2);
    }
    throw new UserError(`${file} cannot be read (${code}): name another file with -f`, 2);
  }
}

/** A part of the file as a file of its own whose lines are numbered as the whole one's. */
function slicer(source: string, file: string): (path: readonly (string | number)[]) => ValuesFile {
  const lines = new LineCounter();
  const document = parseDocument(source, { lineCounter: lines });
  return (path) => {
    const node = document.getIn(path, true);
    if (!isNode(node) || !node.range) return { name: file, text: '' };
    const [start, end] = node.range;
    const { line, col } = lines.linePos(start);
    return { name: file, text: '\n'.repeat(line - 1) + ' '.repeat(col - 1) + source.slice(start, end) };
  };
}

function describe({ line, field, message, cure }: Diagnostic, file: string): string {
  return `${file}${line === undefined ? '' : `:${line}`}: ${field}: ${message}: ${cure}`;
}

function wrong(messages: readonly string[]): UserError {
  return new UserError(messages.join('\n'), 2);
}
